"""The queue: every waiting run is given out once and in order, and no run is left to a dead executor."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from little_runs import add_run, claim, open_store, url_in
from sqlalchemy import update

from aecore.runs import queue as queue_module
from aecore.runs import schema
from aecore.runs.database import Database
from aecore.runs.queue import SILENT_AFTER, RunQueue
from aecore.runs.store import RunStore

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    made = open_store(tmp_path)
    yield made
    made.close()


@pytest.fixture
def queue(store: RunStore) -> RunQueue:
    return RunQueue(store.database)


def test_runs_are_given_out_in_the_order_of_their_coming(store: RunStore, queue: RunQueue) -> None:
    waiting = [add_run(store) for _ in range(3)]
    assert [queue.claim_next("a"), queue.claim_next("b"), queue.claim_next("a")] == waiting
    assert queue.claim_next("a") is None
    assert [store.get(run_id).executor for run_id in waiting] == ["a", "b", "a"]
    assert {store.get(run_id).state for run_id in waiting} == {"preparing"}


def test_a_run_asked_for_again_stands_at_the_end(store: RunStore, queue: RunQueue) -> None:
    first, second = add_run(store), add_run(store)
    assert claim(store) == first
    store.release(first, "interrupted", "", holder="tester")
    store.ask_run(first)
    assert [store.place_in_queue(run_id) for run_id in (first, second)] == [2, 1]
    assert [queue.claim_next("a"), queue.claim_next("a")] == [second, first]


def test_equal_times_have_an_order_too(store: RunStore, queue: RunQueue) -> None:
    runs = [add_run(store) for _ in range(4)]
    with store.database.writing() as connection:  # the clock of Windows ticks 64 times a second
        connection.execute(update(schema.runs).values(queued=1.0))
    places = {store.place_in_queue(run_id): run_id for run_id in runs}
    assert sorted(places) == [1, 2, 3, 4]
    assert [queue.claim_next("a") for _ in runs] == [places[place] for place in (1, 2, 3, 4)]


def test_threads_never_get_the_same_run(store: RunStore, tmp_path: Path) -> None:
    runs = {add_run(store) for _ in range(40)}

    def claim_all(name: str) -> list[str]:
        database = Database(url_in(tmp_path))
        mine = list(iter(lambda: RunQueue(database).claim_next(name), None))
        database.close()
        return mine

    with ThreadPoolExecutor(8) as pool:
        claimed = [run_id for mine in pool.map(claim_all, "abcdefgh") for run_id in mine]
    assert len(claimed) == 40
    assert set(claimed) == runs


CLAIM_ALL = """
import sys
from aecore.runs.database import Database
from aecore.runs.queue import RunQueue
queue = RunQueue(Database(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
while run_id := queue.claim_next(sys.argv[2]):
    print(run_id)
"""


def test_processes_never_get_the_same_run(store: RunStore, tmp_path: Path) -> None:
    runs = [add_run(store) for _ in range(60)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM_ALL, url_in(tmp_path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for name in "abc"
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    outputs = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        outputs.append(process.communicate(timeout=60)[0].split())
        assert process.returncode == 0
    assert Counter(run_id for output in outputs for run_id in output) == Counter(runs)


def test_what_only_hands_out_runs_does_not_load_torch() -> None:
    """The supervisor stays small, and quick to start."""
    check = "import aecore.runs.supervisor, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0


# -- executors that live and die ----------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of day as the queue sees it, to be set by the test."""
    now = [1_000_000.0]
    monkeypatch.setattr(queue_module.time, "time", lambda: now[0])
    return now


def test_runs_of_a_silent_executor_are_interrupted(store: RunStore, queue: RunQueue, clock: list[float]) -> None:
    for name in ("silent", "lively"):
        queue.sign_of_life(name)
    add_run(store), add_run(store)
    lost, kept = claim(store, "silent"), claim(store, "lively")
    waiting = add_run(store)
    clock[0] += SILENT_AFTER - 1
    queue.sign_of_life("lively")
    assert store.get(lost).state == "preparing", "it may still come back"
    clock[0] += 2
    queue.sign_of_life("lively")
    assert (store.get(lost).state, store.get(lost).executor) == ("interrupted", "")
    assert "stopped while this run was going" in store.get(lost).message
    assert (store.get(kept).state, store.get(kept).executor) == ("preparing", "lively")
    assert store.get(waiting).state == "queued"


def test_an_executor_that_slept_with_its_machine_finds_its_runs_again(
    store: RunStore, queue: RunQueue, clock: list[float]
) -> None:
    queue.sign_of_life("only")
    add_run(store)
    run_id = claim(store, "only")
    clock[0] += 8 * 3600
    queue.sign_of_life("only")
    assert (store.get(run_id).state, store.get(run_id).executor) == ("preparing", "only")


def test_runs_of_an_executor_that_never_signed_are_interrupted(store: RunStore, queue: RunQueue) -> None:
    add_run(store)
    run_id = claim(store, "of another lab")
    queue.sign_of_life("new")
    assert store.get(run_id).state == "interrupted"


def test_signing_off_interrupts_what_is_still_held(store: RunStore, queue: RunQueue) -> None:
    queue.sign_of_life("other")
    add_run(store), add_run(store)
    mine, others = claim(store, "leaving"), claim(store, "other")
    queue.sign_off("leaving")
    assert (store.get(mine).state, store.get(mine).executor) == ("interrupted", "")
    assert (store.get(others).state, store.get(others).executor) == ("preparing", "other")


def test_only_the_holder_can_declare_a_run_dead(store: RunStore, queue: RunQueue) -> None:
    add_run(store)
    run_id = claim(store, "a")
    queue.declare_dead(run_id, "b", "no")
    assert store.get(run_id).state == "preparing"
    queue.declare_dead(run_id, "a", "It died.")
    assert (store.get(run_id).state, store.get(run_id).message, store.get(run_id).executor) == (
        "failed",
        "It died.",
        "",
    )


def test_a_run_that_was_released_in_time_is_not_declared_dead(store: RunStore, queue: RunQueue) -> None:
    add_run(store)
    run_id = claim(store, "a")
    store.release(run_id, "finished", "Done.", holder="a")
    queue.declare_dead(run_id, "a", "It died.")
    assert (store.get(run_id).state, store.get(run_id).message) == ("finished", "Done.")


# -- forgetting ---------------------------------------------------------------------------------------------------


def ended_run(store: RunStore, state: str = "finished") -> str:
    add_run(store)
    run_id = claim(store)
    store.release(run_id, state, "", holder="tester")  # type: ignore[arg-type]
    return run_id


def test_the_newest_ended_runs_are_kept(store: RunStore, queue: RunQueue) -> None:
    ended = [ended_run(store, state) for state in ("finished", "stopped", "failed", "interrupted", "finished")]
    assert queue.prune(2) == 3
    assert [run.id for run in store.runs()] == [ended[4], ended[3]]
    assert queue.prune(2) == 0


def test_runs_that_wait_or_have_a_worker_are_never_forgotten(store: RunStore, queue: RunQueue) -> None:
    ended = ended_run(store)
    add_run(store)
    held = claim(store)
    waiting = add_run(store)
    states = {run.id: run.state for run in store.runs()}
    queue.prune(1)
    assert {run.id: run.state for run in store.runs()} == states
    assert set(states) == {ended, held, waiting}


def test_paused_runs_that_were_left_are_forgotten_in_time(store: RunStore, queue: RunQueue) -> None:
    add_run(store)
    left = claim(store)
    store.ask_pause(left)
    store.release(left, "paused", "", holder="tester")
    newer = [ended_run(store) for _ in range(2)]
    queue.prune(2)
    assert {run.id for run in store.runs()} == set(newer)


def test_many_runs_can_be_forgotten_at_once(store: RunStore, queue: RunQueue) -> None:
    """More than a database takes as arguments of one statement."""
    template = store.get(ended_run(store))
    rows = [
        {
            "id": f"old{number}",
            "kind": "training",
            "owner": "",
            "created": time.time() - 1000,
            "queued": 0.0,
            "model": template.model.to_dict(),
            "training": template.training.to_dict(),
            "dataset": "digits8",
            "state": "stopped",
            "wanted": "stop",
            "metrics": {},
        }
        for number in range(33_000)
    ]
    with store.database.writing() as connection:
        connection.execute(schema.runs.insert(), rows)
    assert queue.prune(1) == 33_000
    assert [run.id for run in store.runs()] == [template.id]
