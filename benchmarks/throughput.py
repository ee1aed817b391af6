"""The same networks, batches, optimiser and steps in the lab and in what else a user would pick: images per second.

This module knows nothing of how anybody trains.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aecore.data.image_dataset import ImageDataset
from aecore.models.layers import describe, parameter_count
from benchmarks.cases import CASES, Case, judged_loss, task_of, training_of
from benchmarks.contest import CONTESTANTS, contest, notes_on_missing, with_faster_loader
from benchmarks.images import load_images
from benchmarks.report import Section, Table, middle, with_range
from benchmarks.settings import Settings

log = logging.getLogger(__name__)

WARM_UP = 15  # steps; the engine's choice of precision and layout, Keras' graph and the loader's processes are in them
JUDGED_IMAGES = 5000
AGREE = 0.03  # how far losses may be apart, as a share of that of plain PyTorch
OURS = ("lab", "lab_float32")
PEERS = ("plain_torch", "keras", "lightning")


def measure(settings: Settings) -> Section:
    """All cases, one after the other."""
    images = load_images(settings)
    found = {}
    for name, case in CASES.items():
        log.info("throughput: %s", case.title)
        found[name] = measure_case(case, images.dataset, settings)
    notes = (*images.notes, *notes_on_missing(tuple(CONTESTANTS)))
    return Section("throughput", "How fast does it train?", tables(found, settings, notes), found)


def measure_case(case: Case, dataset: ImageDataset, settings: Settings) -> dict[str, Any]:
    """Every number of one case.

    Returns:
        For each contestant its `rates` (images per second, round by round), its `loss` after all steps by the lab's
        own measure, its `memory` in MiB and what it says `about` itself; `steps` taken by each, and `notes`.
    """
    steps, warm_up = settings.scaled(case.steps, 4), settings.scaled(WARM_UP, 2)
    with tempfile.TemporaryDirectory() as folder, contest() as competing:
        task = task_of(case.model, training_of(case), dataset, Path(folder))
        task = with_faster_loader(task, settings, warm_up, steps)
        competing.enter(dict.fromkeys(CONTESTANTS, task))
        check_same(case, competing.running)
        for name in list(competing.running):
            competing.run(name, warm_up)
        runs = competing.rounds(settings.rounds, steps)
        contestants: dict[str, dict[str, Any]] = {}
        for name, turns in runs.items():
            process = competing.running[name]
            contestants[name] = {
                "rates": [turn.rate for turn in turns],
                "runs": [asdict(turn) for turn in turns],
                "loss": judged_loss(case, process.weights(), dataset, JUDGED_IMAGES),
                "memory": process.memory,
                "about": process.about,
            }
            log.info("  %-18s %8.0f images/s", name, middle(contestants[name]["rates"])[0])
        return {"contestants": contestants, "steps": warm_up + settings.rounds * steps, "notes": competing.notes}


def check_same(case: Case, running: dict[str, Any]) -> None:
    """All contestants have as many parameters as the lab's network, and give the same loss before the first step."""
    assert "lab" in running, "the lab itself must be able to start"
    expected = parameter_count(describe(case.model))
    reference = running["lab"].first_loss
    for name, process in running.items():
        assert process.parameters == expected, f"{name} has {process.parameters} parameters, the lab has {expected}"
        apart = abs(process.first_loss / reference - 1)
        assert apart < 1e-3, f"{name} begins with loss {process.first_loss}, the lab with {reference}"


def tables(found: dict[str, Any], settings: Settings, notes: Sequence[str]) -> list[Table]:
    """What was measured, for people."""
    failed = tuple(dict.fromkeys(note for case in found.values() for note in case["notes"]))
    titles = [CONTESTANTS[name].title for name in CONTESTANTS]
    rows = [(CASES[case].title, result["contestants"]) for case, result in found.items()]
    pairs = [(ours, peer) for ours in OURS for peer in PEERS]
    return [
        Table(
            f"Images per second: median of {settings.rounds} alternating rounds (lowest–highest)",
            ("network", *titles),
            [(title, *(with_range(_rates(of, name)) for name in CONTESTANTS)) for title, of in rows],
            (*notes, *failed),
        ),
        Table(
            "Times as fast: median of the ratios within each round (lowest–highest)",
            ("network", *(f"{CONTESTANTS[ours].title} / {CONTESTANTS[peer].title}" for ours, peer in pairs)),
            [(title, *(with_range(ratios(of, *pair)) for pair in pairs)) for title, of in rows],
        ),
        Table(
            "Training loss after the same number of steps (summed over the values of an image)",
            ("network", "steps", *titles, "largest distance from plain PyTorch in %"),
            [
                (
                    CASES[case].title,
                    result["steps"],
                    *(result["contestants"].get(name, {}).get("loss") for name in CONTESTANTS),
                    100 * max(distances(result["contestants"]).values(), default=0.0),
                )
                for case, result in found.items()
            ],
            disagreements(found) or ("All losses agree within the noise of their batches.",),
        ),
        Table(
            "Peak memory in MiB, loader processes included",
            ("network", *titles),
            [(title, *(of.get(name, {}).get("memory") for name in CONTESTANTS)) for title, of in rows],
        ),
        Table(
            "How each did it",
            ("network", *titles),
            [(title, *(in_words(of.get(name, {}).get("about")) for name in CONTESTANTS)) for title, of in rows],
        ),
    ]


def in_words(about: dict[str, str] | None) -> str | None:
    """What a contestant says of itself, in one cell."""
    return ", ".join(f"{key} {value}" for key, value in about.items()) if about else None


def _rates(contestants: dict[str, Any], name: str) -> list[float]:
    rates: list[float] = contestants.get(name, {}).get("rates", [])
    return rates


def ratios(contestants: dict[str, Any], ours: str, peer: str) -> list[float]:
    """How many times as fast, round by round; empty if either was not measured."""
    return [a / b for a, b in zip(_rates(contestants, ours), _rates(contestants, peer), strict=False)]


def distances(contestants: dict[str, Any]) -> dict[str, float]:
    """How far each loss is from that of plain PyTorch, as a share of it."""
    if "plain_torch" not in contestants:
        return {}
    reference = contestants["plain_torch"]["loss"]
    return {name: abs(of["loss"] / reference - 1) for name, of in contestants.items()}


def disagreements(found: dict[str, Any]) -> tuple[str, ...]:
    """One sentence for each loss that is further from that of plain PyTorch than batches explain."""
    return tuple(
        f"{CASES[case].title}: the loss of {CONTESTANTS[name].title} is {100 * apart:.1f} % from that of plain PyTorch."
        for case, result in found.items()
        for name, apart in distances(result["contestants"]).items()
        if apart > AGREE
    )
