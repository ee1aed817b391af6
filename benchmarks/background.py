"""A training that goes on while something else is measured, and how fast it goes meanwhile.

It puts the run into the store as a page would and reads there what the worker reports. It knows nothing of browsers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from aecore.data import DATASETS, is_available
from aecore.models.config import ModelConfig
from aecore.runs.records import Point
from aecore.runs.store import RunStore
from aecore.training.config import TrainConfig

T = TypeVar("T")

LOOK_EVERY = 0.01  # seconds between two looks at the store while something is waited for
PATIENCE = 60.0  # seconds; a worker needs one or two to begin
BUILT_IN = "shapes"
ENOUGH = 100_000  # seconds of training: more than any measurement takes


@dataclass(frozen=True)
class Speed:
    """How fast a run trained for a while.

    Attributes:
        in_steps: Images a second of the time spent in steps, as the run itself counts.
        by_the_clock: Images a second on the clock, with all that a worker does besides: snapshots, reports, looks at
            the test set.
        seconds: Length of that while, on the clock.
    """

    in_steps: float
    by_the_clock: float
    seconds: float


class BackgroundRun:
    """A run of the usual convolutional network.

    Args:
        store: That of a lab which has an executor by now.
        dataset: What to train on; where that is not on this machine, it is the built-in shapes.

    Attributes:
        dataset: What it trains on.
    """

    def __init__(self, store: RunStore, dataset: str) -> None:
        self.dataset = dataset if is_available(dataset) else BUILT_IN
        self._store = store
        self.id = store.create(
            model=ModelConfig(image_shape=DATASETS[self.dataset].image_shape, body="conv"),
            training=TrainConfig(budget=ENOUGH, budget_unit="seconds"),
            dataset=self.dataset,
        )

    def hold(self) -> None:
        """Pause, and wait until it does."""
        self._store.ask_pause(self.id)
        _until(lambda: self._store.get(self.id).state == "paused", "the run pauses")

    def go_on(self, warm: float) -> None:
        """Train, and wait until it has done so for `warm` seconds: what is chosen by measurement is chosen by then."""
        before = self._newest()
        self._store.ask_run(self.id)
        self._past(before, warm)

    def stop(self) -> None:
        """End the run, and wait until its worker is gone."""
        self._store.ask_stop(self.id)
        _until(lambda: not self._store.get(self.id).unfinished, "the run stops")

    def speed(self, seconds: float) -> Speed:
        """How fast it trains during the next `seconds`, from one report to another."""
        first = self._past(self._newest(), 0)
        begun = time.monotonic()
        time.sleep(seconds)
        last = self._past(self._newest(), 0)
        elapsed = time.monotonic() - begun
        images = in_steps = 0.0
        before = first
        for point in self._train_points(first.id):
            if point.id <= last.id:
                spent = point.values["seconds"] - before.values["seconds"]
                images += spent * point.values["images_per_second"]
                in_steps += spent
                before = point
        return Speed(images / in_steps, images / elapsed, elapsed)

    def _train_points(self, after: int) -> list[Point]:
        return [point for point in self._store.points(self.id, after=after) if point.kind == "train"]

    def _newest(self) -> Point | None:
        points = self._train_points(0)
        return points[-1] if points else None

    def _past(self, before: Point | None, seconds: float) -> Point:
        """Wait for the first report more than `seconds` of training after `before`."""
        seen, since = (before.id, before.values["seconds"]) if before else (0, 0.0)

        def found() -> Point | None:
            assert self._store.get(self.id).unfinished, f"the run ended: {self._store.get(self.id).message}"
            return next(
                (point for point in self._train_points(seen) if point.values["seconds"] - since > seconds), None
            )

        return _until(found, "the run reports")


@contextmanager
def going(run: BackgroundRun, warm: float) -> Iterator[None]:
    """The run trains in here and is paused outside."""
    run.go_on(warm)
    yield
    run.hold()


def _until(condition: Callable[[], T | None], what: str) -> T:
    """Wait until `condition()` is true and give its value.

    Raises:
        TimeoutError: After `PATIENCE` seconds.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(LOOK_EVERY)
    raise TimeoutError(f"waited {PATIENCE:g} s in vain until {what}")
