"""How much of what the machine can multiply the lab's engine makes use of.

This module knows nothing of the peers.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from aecore.data.image_dataset import ImageDataset
from aecore.models.layers import describe
from benchmarks.cases import CASES, Case, task_of, training_of
from benchmarks.contest import CONTESTANTS, contest
from benchmarks.flops import plain_training_flops_per_image, training_flops_per_image
from benchmarks.images import load_images
from benchmarks.matrix_rate import DTYPES, SIDE, matrix_rate
from benchmarks.report import Section, Table, middle, with_range
from benchmarks.settings import Settings
from benchmarks.throughput import OURS, WARM_UP

log = logging.getLogger(__name__)

QUICK_SIDE = 256


def measure(settings: Settings) -> Section:
    """All cases, one after the other, each between measurements of the machine."""
    images = load_images(settings)
    found = {}
    for name, case in CASES.items():
        log.info("limit: %s", case.title)
        found[name] = measure_case(case, images.dataset, settings)
    return Section("limit", "How near is it to what the machine can do?", tables(found, images.notes), found)


def measure_case(case: Case, dataset: ImageDataset, settings: Settings) -> dict[str, Any]:
    """Every number of one case.

    Returns:
        `flops` of a training step for one image and `plain_flops` for resize-convolutions that are not folded;
        `matrix` rates in FLOP/s by type, and for each way to run the lab its `rates` in images per second, both round
        by round; what it says `about` itself.
    """
    layers = describe(case.model)
    steps, warm_up = settings.scaled(case.steps, 4), settings.scaled(WARM_UP, 2)
    side = settings.scaled(SIDE, QUICK_SIDE)
    matrix: dict[str, list[float]] = {name: [] for name in DTYPES}
    rates: dict[str, list[float]] = {name: [] for name in OURS}
    with tempfile.TemporaryDirectory() as folder, contest() as competing:
        task = task_of(case.model, training_of(case), dataset, Path(folder))
        competing.enter(dict.fromkeys(OURS, task))
        for name in OURS:
            competing.run(name, warm_up)
        for _ in range(settings.rounds):
            for name, dtype in DTYPES.items():
                matrix[name].append(matrix_rate(dtype, side))
            for name in OURS:
                if (ran := competing.run(name, steps)) is not None:
                    rates[name].append(ran.rate)
        about = {name: process.about for name, process in competing.running.items()}
    return {
        "flops": training_flops_per_image(layers),
        "plain_flops": plain_training_flops_per_image(layers),
        "matrix": matrix,
        "rates": {name: values for name, values in rates.items() if values},
        "about": about,
    }


def shares(result: dict[str, Any], name: str, dtype: str) -> list[float]:
    """Per cent of the matrix rate reached, round by round."""
    return [
        100 * result["flops"] * rate / limit
        for rate, limit in zip(result["rates"][name], result["matrix"][dtype], strict=True)
    ]


def tables(found: dict[str, Any], notes: tuple[str, ...]) -> list[Table]:
    """What was measured, for people."""
    rows = [
        (
            CASES[case].title,
            CONTESTANTS[name].title,
            result["about"].get(name, {}).get("precision"),
            result["flops"] / 1e6,
            middle(rates)[0] * result["flops"] / 1e9,
            *(with_range(shares(result, name, dtype)) for dtype in DTYPES),
        )
        for case, result in found.items()
        for name, rates in result["rates"].items()
    ]
    machine = {dtype: [rate for result in found.values() for rate in result["matrix"][dtype]] for dtype in DTYPES}
    plain = ", ".join(
        f"{CASES[case].title} {result['plain_flops'] / 1e6:.3g}"
        for case, result in found.items()
        if result["plain_flops"] != result["flops"]
    )
    return [
        Table(
            "The machine's matrix products in GFLOP/s: median (lowest–highest)",
            tuple(DTYPES),
            [tuple(with_range([rate / 1e9 for rate in rates]) for rates in machine.values())],
        ),
        Table(
            "The lab's share of them: median of the rounds (lowest–highest)",
            (
                "network",
                "run as",
                "precision",
                "MFLOP per image and step",
                "GFLOP/s",
                *(f"% of {dtype}" for dtype in DTYPES),
            ),
            rows,
            (*notes, f"Resize-convolutions count as they are computed, folded; not folded, MFLOP would be: {plain}."),
        ),
    ]
