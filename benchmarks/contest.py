"""Contestants side by side: who there is, who is installed, and turns that alternate.

This module knows nothing of networks.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.process import ContestantError, ContestantProcess
from benchmarks.settings import Settings
from benchmarks.task import Ran, Task

log = logging.getLogger(__name__)

LOADER_PROCESSES = (0, 2)  # what DataLoader does if nothing is said, and what many tutorials say


@dataclass(frozen=True)
class Contestant:
    """Somebody who can carry out a task.

    Attributes:
        title: For the head of a column.
        module: Where its `build` is.
        needs: Packages it cannot do without.
        options: What it is told besides the task.
    """

    title: str
    module: str
    needs: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """Those of its packages that are not installed."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]

    def start(self, task: Task) -> ContestantProcess:
        """A process of its own for it."""
        return ContestantProcess(self.module, replace(task, options={**task.options, **self.options}))


CONTESTANTS: dict[str, Contestant] = {
    "lab": Contestant("lab", "benchmarks.lab"),
    "lab_float32": Contestant("lab, float32", "benchmarks.lab", options={"precision": "float32"}),
    "plain_torch": Contestant("plain PyTorch", "benchmarks.peers.plain_torch"),
    "keras": Contestant("Keras, TensorFlow", "benchmarks.peers.keras_tensorflow", needs=("keras", "tensorflow")),
    "lightning": Contestant("Lightning", "benchmarks.peers.lightning_torch", needs=("lightning",)),
}


def notes_on_missing(names: Sequence[str]) -> tuple[str, ...]:
    """One sentence for each contestant that is not installed."""
    return tuple(
        f"{CONTESTANTS[name].title} was not measured: {' and '.join(missing)} not installed (see "
        "`requirements-bench.txt`)."
        for name in names
        if (missing := CONTESTANTS[name].missing)
    )


def with_faster_loader(task: Task, settings: Settings, warm_up: int, steps: int) -> Task:
    """The task, told how many loader processes make the plain PyTorch loop fastest on it, of `LOADER_PROCESSES`.

    The tutorials disagree, so the peers that use a DataLoader get whichever is better for them here.
    """
    tasks = {workers: replace(task, options={**task.options, "workers": workers}) for workers in LOADER_PROCESSES}
    if settings.quick:
        return tasks[LOADER_PROCESSES[0]]
    rates = {}
    for workers, tried in tasks.items():
        with CONTESTANTS["plain_torch"].start(tried) as process:
            process.run(warm_up)
            rates[workers] = process.run(steps).rate
    log.info("images per second by loader processes: %s", {workers: round(rate) for workers, rate in rates.items()})
    return tasks[max(rates, key=lambda workers: rates[workers])]


class Contest:
    """Contestants that are built and wait for their turns.

    Attributes:
        running: Those that are in it, by name.
        notes: Sentences about those that are not.
    """

    def __init__(self) -> None:
        self.running: dict[str, ContestantProcess] = {}
        self.notes: list[str] = []

    def enter(self, entries: Mapping[str, Task]) -> None:
        """Start contestants, all at once; who is not installed stays out, who fails is noted."""
        able = {name: task for name, task in entries.items() if not CONTESTANTS[name].missing}
        with ThreadPoolExecutor() as pool:
            starting = {name: pool.submit(CONTESTANTS[name].start, task) for name, task in able.items()}
        for name, start in starting.items():
            try:
                self.running[name] = start.result()
            except ContestantError as error:
                self._lost(name, error)

    def run(self, name: str, steps: int) -> Ran | None:
        """Its turn; None if it is out of the contest, by now or before."""
        if name not in self.running:
            return None
        try:
            return self.running[name].run(steps)
        except ContestantError as error:
            self._lost(name, error)
            return None

    def rounds(self, number: int, steps: int) -> dict[str, list[Ran]]:
        """So many turns of everybody, the order reversed every other round, so that nobody always follows the same."""
        found: dict[str, list[Ran]] = {name: [] for name in self.running}
        for turn in range(number):
            names = list(found)
            for name in names if turn % 2 == 0 else reversed(names):
                if (ran := self.run(name, steps)) is not None:
                    found[name].append(ran)
        return {name: runs for name, runs in found.items() if name in self.running}

    def leave(self, name: str) -> None:
        """One has finished."""
        self.running.pop(name).close()

    def _lost(self, name: str, error: ContestantError) -> None:
        log.warning("%s", error)
        self.notes.append(f"{CONTESTANTS[name].title} failed. {error}.")
        if name in self.running:
            self.leave(name)


@contextmanager
def contest() -> Iterator[Contest]:
    """A contest; whoever is still in it at the end is let go."""
    entered = Contest()
    try:
        yield entered
    finally:
        for name in list(entered.running):
            entered.leave(name)
