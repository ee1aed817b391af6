"""Seconds of training until the test set is reconstructed well: the lab as it is used, peers as in tutorials.

This module knows nothing of how anybody trains.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from aecore.data.image_dataset import ImageDataset
from aecore.training.config import TrainConfig
from aecore.training.evaluation import evaluate
from benchmarks.cases import CONV, RATE, task_of, trained_model
from benchmarks.contest import CONTESTANTS, Contest, contest, notes_on_missing, with_faster_loader
from benchmarks.images import load_images
from benchmarks.report import Section, Table, with_range
from benchmarks.settings import Settings
from benchmarks.task import Task

log = logging.getLogger(__name__)

GOOD = 0.0060  # MSE per value on all test images
LOOK_EVERY = 7680  # training images between two looks, the same for all: a whole number of batches for each
PATIENCE = 20  # epochs after which a peer is given up

LAB = TrainConfig(budget=600, budget_unit="steps", batch_size=64, loss="mse")
"""How the lab is used here: few, small batches, chosen beforehand, and otherwise what it does if nothing is said."""

TUTORIAL = TrainConfig(
    budget=PATIENCE, batch_size=128, learning_rate=RATE, optimiser="adam", schedule="constant", loss="mse"
)
"""What tutorials of the peers do: Adam at 0.001, batches of 128, mean squared error, the framework's first weights."""

TRAININGS = {"lab": LAB, "plain_torch": TUTORIAL, "keras": TUTORIAL}

NOTES = (
    "Only training counts, from the first step on, and with it the building of graphs and the choices made during it. "
    f"All are looked at after every {LOOK_EVERY:,} training images, with all test images and by the lab's own measure; "
    "the looks count for nobody.",
    "The lab's budget is chosen beforehand, and the clock stops when the threshold is first met.",
    "Loader processes, where they are faster, may fill up to four batches while others have their turn: an advantage "
    "that is left to plain PyTorch.",
)


def measure(settings: Settings) -> Section:
    """Seed after seed, all contestants in turns."""
    title = "How long until it is good?"
    images = load_images(settings)
    if images.synthetic or settings.data != "mnist":
        note = f"Not measured: an MSE of {GOOD} means something on MNIST only. {images.note}".strip()
        return Section("quality", title, [Table(title, ("contestant",), [], (note,))])
    workers = _loader_processes(images.dataset, settings)
    found = [measure_seed(seed, workers, images.dataset, settings) for seed in range(settings.seeds)]
    return Section("quality", title, tables(found), {"loader_processes": workers, "seeds": found})


def _task(name: str, seed: int, dataset: ImageDataset, folder: Path, workers: int = 0) -> Task:
    """A contestant's task: all begin as they always do, the lab as the lab, the others as their frameworks."""
    training = TRAININGS[name]
    return task_of(
        CONV,
        replace(training, seed=seed),
        dataset,
        folder,
        same_start=False,
        mean_loss=training is TUTORIAL,
        options={"workers": workers},
    )


def _loader_processes(dataset: ImageDataset, settings: Settings) -> int:
    with tempfile.TemporaryDirectory() as folder:
        task = _task("plain_torch", 0, dataset, Path(folder))
        workers: int = with_faster_loader(task, settings, warm_up=10, steps=100).options["workers"]
        return workers


def measure_seed(seed: int, workers: int, dataset: ImageDataset, settings: Settings) -> dict[str, Any]:
    """One training of everybody.

    Returns:
        By contestant its `curve`, a list of (images, seconds, test MSE), and `seconds` until the MSE was `GOOD`; None
        if it never was.
    """
    found: dict[str, Any] = {name: {"curve": [], "seconds": None} for name in TRAININGS}
    with tempfile.TemporaryDirectory() as folder, contest() as competing:
        competing.enter({name: _task(name, seed, dataset, Path(folder), workers) for name in TRAININGS})
        most_looks = settings.scaled(PATIENCE * len(dataset.train) // LOOK_EVERY, 1)
        for _ in range(most_looks):
            for name in list(competing.running):
                _turn(competing, name, found[name], dataset, settings)
        notes = competing.notes
    return {"contestants": found, "notes": notes}


def _turn(competing: Contest, name: str, result: dict[str, Any], dataset: ImageDataset, settings: Settings) -> None:
    """Train for a while, then look; who is good, or can do no more, leaves."""
    steps = settings.scaled(LOOK_EVERY // TRAININGS[name].batch_size, 3)
    ran = competing.run(name, steps)
    if ran is None:
        return
    images, seconds = (result["curve"][-1][:2]) if result["curve"] else (0, 0.0)
    network = trained_model(CONV, competing.running[name].weights())
    mse = evaluate(network, dataset.test).mse
    result["curve"].append((images + ran.images, seconds + ran.seconds, mse))
    log.info("quality: %-12s %7d images %7.2f s, test MSE %.5f", name, *result["curve"][-1])
    if mse <= GOOD:
        result["seconds"] = seconds + ran.seconds
    if mse <= GOOD or ran.steps < steps:
        competing.leave(name)


def seconds_of(found: list[dict[str, Any]], name: str) -> list[float]:
    """The times of those seeds that got there."""
    times = (seed["contestants"][name]["seconds"] for seed in found)
    return [time for time in times if time is not None]


def tables(found: list[dict[str, Any]]) -> list[Table]:
    """What was measured, for people."""
    rows = []
    for name in TRAININGS:
        curves = [seed["contestants"][name]["curve"] for seed in found]
        times = seconds_of(found, name)
        ratios = [
            other["contestants"][name]["seconds"] / other["contestants"]["lab"]["seconds"]
            for other in found
            if other["contestants"][name]["seconds"] and other["contestants"]["lab"]["seconds"]
        ]
        rows.append(
            (
                CONTESTANTS[name].title,
                with_range(times),
                with_range([curve[-1][0] for curve in curves if curve]),
                with_range([curve[-1][2] for curve in curves if curve]),
                f"{len(times)} of {len(found)}",
                with_range(ratios),
            )
        )
    failed = tuple(dict.fromkeys(note for seed in found for note in seed["notes"]))
    return [
        Table(
            f"Seconds until the test MSE is at most {GOOD} (conv, nearest, z=32): median of {len(found)} seeds "
            "(lowest–highest)",
            ("contestant", "seconds", "training images", "last test MSE", "got there", "times as long as the lab"),
            rows,
            (*NOTES, *notes_on_missing(tuple(TRAININGS)), *failed),
        )
    ]
