"""How speed and memory grow: with images, channels and batches, and with many runs at once.

One dial at a time, the others as usual. This module knows nothing of the peers.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from aecore.data.image_dataset import ImageDataset
from benchmarks.cases import CONV, Case, task_of, training_of
from benchmarks.contest import CONTESTANTS, contest
from benchmarks.images import as_dataset, load_images, resized
from benchmarks.many_runs import measure_queue, queue_tables
from benchmarks.report import Section, Table, with_range
from benchmarks.settings import Settings

log = logging.getLogger(__name__)

SIDES = (8, 16, 28, 32, 48, 64)
CHANNELS = (8, 16, 32, 64)  # of the first stage, as far as the dial goes; the second has twice as many
BATCHES = (32, 64, 128, 256, 512, 1024, 2048)
IMAGES = 8192  # a whole number of the largest batches
ROUND = 1.0  # seconds of steps in one round, about
ROUNDS = 5
WARM_UP = 12


def measure(settings: Settings) -> Section:
    """Every dial, then the queue."""
    images = load_images(settings)
    some = as_dataset(images.dataset.train[:IMAGES], images.dataset.test[:16])
    found: dict[str, Any] = {}
    for dial, points in dials(settings).items():
        found[dial] = []
        for value, case in points:
            log.info("growth: %s %d", dial, value)
            side = case.model.image_shape[1]
            same = side == some.image_shape[1]
            dataset = some if same else as_dataset(resized(some.train, side), resized(some.test, side))
            found[dial].append({"value": value, **measure_point(case, dataset, settings)})
    found["queue"] = measure_queue("digits" if images.synthetic else settings.data, settings)
    return Section("growth", "How does it grow?", tables(found, images.notes), found)


def dials(settings: Settings) -> dict[str, list[tuple[int, Case]]]:
    """What is tried: by dial its values, each with the network and batch it stands for."""

    def some(values: tuple[int, ...]) -> Iterable[int]:
        return values[:: len(values) - 1] if settings.quick else values

    usual = Case("", CONV, 256, 0)
    return {
        "image side in pixels": [
            (side, replace(usual, model=CONV.for_images((1, side, side)))) for side in some(SIDES)
        ],
        "channels of the first stage": [
            (channels, replace(usual, model=replace(CONV, channels=channels))) for channels in some(CHANNELS)
        ],
        "images in a batch": [(batch, replace(usual, batch=batch)) for batch in some(BATCHES)],
    }


def measure_point(case: Case, dataset: ImageDataset, settings: Settings) -> dict[str, Any]:
    """One network and batch: `rates` in images per second, round by round, and peak `memory` in MiB."""
    with tempfile.TemporaryDirectory() as folder, contest() as competing:
        competing.enter({"lab": task_of(case.model, training_of(case), dataset, Path(folder))})
        process = competing.running["lab"]
        process.run(settings.scaled(WARM_UP, 1))
        tried = process.run(settings.scaled(3, 1))
        steps = settings.scaled(max(1, round(ROUND * tried.steps / tried.seconds)), 1)
        rates = [process.run(steps).rate for _ in range(settings.scaled(ROUNDS, 1))]
        return {"rates": rates, "memory": process.memory, "about": process.about}


def tables(found: dict[str, Any], notes: tuple[str, ...]) -> list[Table]:
    """What was measured, for people."""
    precision = f"{CONTESTANTS['lab'].title}: precision"
    return [
        *(
            Table(
                f"By {dial}: conv, nearest, z=32",
                (dial, "images per second", "peak memory in MiB", precision),
                [
                    (point["value"], with_range(point["rates"]), point["memory"], point["about"].get("precision"))
                    for point in points
                ],
                notes,
            )
            for dial, points in found.items()
            if dial != "queue"
        ),
        *queue_tables(found["queue"]),
    ]
