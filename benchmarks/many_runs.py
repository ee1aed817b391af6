"""Many runs in the queue: how long they take one after the other and side by side, how fair that is, what they hold.

The runs go the whole way a page's runs go: store, supervisor, worker. This module knows nothing of how they train.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aecore.runs.executor import LocalExecutor
from aecore.runs.store import RunStore
from aecore.training.config import TrainConfig
from benchmarks.cases import CONV
from benchmarks.lab_processes import by_role
from benchmarks.memory import MIB, descendants
from benchmarks.report import Cell, Table, middle, with_range
from benchmarks.settings import Settings

log = logging.getLogger(__name__)

RUNS = 8
AT_ONCE = (1, 2)
STEPS = 400
LOOK_EVERY = 0.05  # seconds
MEMORY_EVERY = 0.5  # reading what processes hold takes them some time too
LONGEST = 1800.0  # seconds after which something must be wrong
MOST_RUNNING = "AECORE_MAX_RUNS"


@dataclass
class Watched:
    """One run as it was seen from outside; times in seconds since all were put into the queue."""

    began: float | None = None
    ended: float | None = None
    state: str = "queued"


Held = dict[str, tuple[int, int]]
"""The most each kind of process was seen to hold, in bytes: (resident, private)."""


@contextmanager
def executor_for(store: RunStore, most_running: int) -> Iterator[LocalExecutor]:
    """The lab's own executor, allowed so many runs at once."""
    before = os.environ.get(MOST_RUNNING)
    os.environ[MOST_RUNNING] = str(most_running)
    executor = LocalExecutor(store)
    try:
        yield executor
    finally:
        executor.close()
        if before is None:
            del os.environ[MOST_RUNNING]
        else:
            os.environ[MOST_RUNNING] = before


def measure_queue(data: str, settings: Settings) -> dict[str, Any]:
    """The same runs, put into the queue together, for each number of runs at once."""
    found = {}
    for at_once in AT_ONCE:
        log.info("growth: %d runs queued, %d at once", settings.scaled(RUNS, 2), at_once)
        found[str(at_once)] = run_all(data, at_once, settings)
    return found


def run_all(data: str, at_once: int, settings: Settings) -> dict[str, Any]:
    """Queue the runs, wait for the last one.

    Returns:
        `seconds` from the first run's start to the last one's end; of each run, in the order they were queued, when it
        `began` and `ended`, its final `state` and its `rate` in images per second of training alone; `memory` by kind
        of process as (resident, private) bytes.

    Raises:
        TimeoutError: If they do not come to an end.
    """
    training = TrainConfig(budget=settings.scaled(STEPS, 5), budget_unit="steps", evaluation_images=500)
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(f"sqlite:///{Path(folder, 'runs.sqlite')}")
        try:
            with executor_for(store, at_once) as executor:
                ids = [
                    store.create(model=CONV, training=training, dataset=data) for _ in range(settings.scaled(RUNS, 2))
                ]
                executor.nudge()
                runs, held = watch(store, ids)
            rates = [store.get(run_id).metrics.get("images_per_second") for run_id in ids]
        finally:
            store.close()
    times = [(run.began or 0.0, run.ended or 0.0) for run in runs.values()]
    return {
        "seconds": max(ended for _, ended in times) - min(began for began, _ in times),
        "runs": [
            {"began": run.began, "ended": run.ended, "state": run.state, "rate": rate}
            for run, rate in zip(runs.values(), rates, strict=True)
        ],
        "memory": held,
    }


def watch(store: RunStore, ids: list[str]) -> tuple[dict[str, Watched], Held]:
    """Look at the runs until all are over; what each kind of process held meanwhile."""
    runs: dict[str, Watched] = {run_id: Watched() for run_id in ids}
    held: Held = {}
    begun, looked = time.monotonic(), 0.0
    while any(run.ended is None for run in runs.values()):
        now = time.monotonic() - begun
        if now > LONGEST:
            raise TimeoutError(f"after {LONGEST:g} s these runs are not over: {[run.state for run in runs.values()]}")
        for run_id, run in runs.items():
            if run.ended is None:
                seen = store.get(run_id)
                run.state = seen.state
                if run.began is None and seen.state != "queued":
                    run.began = now
                if not seen.unfinished:
                    run.ended = now
        if now - looked >= MEMORY_EVERY:
            looked = now
            note_memory(held, training=any(run.state == "running" for run in runs.values()))
        time.sleep(LOOK_EVERY)
    return runs, held


def note_memory(held: Held, *, training: bool) -> None:
    """What the processes below this one hold now, if it is more than before."""
    for role, processes in by_role(descendants(os.getpid()), training=training).items():
        for process in processes:
            resident, private = held.get(role, (0, 0))
            held[role] = (max(resident, process.resident), max(private, process.private))


def overtaken(runs: list[dict[str, Any]]) -> int:
    """How many runs began before one that was queued earlier."""
    began = [run["began"] for run in runs]
    return sum(1 for place, at in enumerate(began) if any(earlier > at for earlier in began[:place]))


def queue_tables(found: dict[str, Any]) -> list[Table]:
    """What was measured, for people."""
    one_by_one = found[str(AT_ONCE[0])]["seconds"]
    # One at once: side by side nobody could say which of the workers are at work.
    held: Held = found[str(AT_ONCE[0])]["memory"]
    memory: list[tuple[Cell, ...]] = [
        (role, resident / MIB, private / MIB) for role, (resident, private) in held.items()
    ]
    return [
        Table(
            "Many runs queued: conv, nearest, batches of 128",
            (
                "runs at once",
                "runs",
                "finished",
                "seconds for all",
                "times as fast as one by one",
                "images per second of a run",
                "slowest to fastest run",
                "began out of turn",
            ),
            [
                (
                    int(at_once),
                    len(result["runs"]),
                    sum(run["state"] == "finished" for run in result["runs"]),
                    result["seconds"],
                    one_by_one / result["seconds"],
                    with_range(rates := [run["rate"] for run in result["runs"] if run["rate"]]),
                    middle(rates)[1] / middle(rates)[2] if rates else None,
                    overtaken(result["runs"]),
                )
                for at_once, result in found.items()
            ],
            ("From the first start to the last end; loading of images and the final look at the test set are in it.",),
        ),
        Table(
            "Memory of a run's processes, one run at once: the most seen",
            ("process", "resident in MiB", "of it for itself alone in MiB"),
            memory,
            (
                "Workers are forked: what they share with each other is counted in each one's resident memory. The "
                "server's memory is part of the answering benchmark."
                if memory
                else "This system does not tell what processes hold.",
            ),
        ),
    ]
