"""The store: what pages read and ask for, what workers write, and that neither gets in the other's way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from little_runs import MODEL, SHORT, add_run, claim, open_store
from sqlalchemy import func, select, update
from sqlalchemy.exc import StatementError

from aecore.errors import RunError
from aecore.models.config import ModelConfig
from aecore.runs import schema
from aecore.runs.records import Snapshot, Stage
from aecore.runs.store import MOST_SNAPSHOTS, NEWEST_SNAPSHOTS, RunLostError, RunStore
from aecore.training.config import TrainConfig


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    made = open_store(tmp_path)
    yield made
    made.close()


def picture(step: int) -> Snapshot:
    return Snapshot(step, np.full((1, 1, 2, 2), step % 256, np.uint8), np.zeros((0, 2), np.float32))


def set_row(store: RunStore, run_id: str, **values: object) -> None:
    """Bring a run into any state, as if by a worker."""
    with store.database.writing() as connection:
        connection.execute(update(schema.runs).where(schema.runs.c.id == run_id).values(**values))


# -- making and finding -------------------------------------------------------------------------------------------


def test_a_new_run_waits_and_knows_what_it_is(store: RunStore) -> None:
    model, training = ModelConfig(body="linear", latent_dim=5), TrainConfig(budget=7, seed=3)
    run = store.get(store.create(model=model, training=training, dataset="mnist", owner="me"))
    assert (run.model, run.training, run.dataset, run.owner, run.kind) == (model, training, "mnist", "me", "training")
    assert (run.state, run.wanted, run.step_requests, run.message, run.executor) == ("queued", "run", 0, "", "")
    assert (run.progress, run.step, run.total_steps, run.metrics, run.has_checkpoint) == (0.0, 0, None, {}, False)
    assert run.unfinished
    assert (store.stage(run.id), store.snapshot(run.id), store.checkpoint(run.id)) == (None, None, None)
    assert (store.points(run.id), store.snapshot_steps(run.id)) == ([], [])


def test_names_are_short_and_never_the_same(store: RunStore) -> None:
    names = {add_run(store) for _ in range(50)}
    assert len(names) == 50
    assert all(len(name) <= 16 and name.isalnum() for name in names)


def test_runs_are_listed_newest_first_by_owner_and_up_to_a_limit(store: RunStore) -> None:
    made = [add_run(store, owner=owner) for owner in ("me", "you", "me", "me")]
    assert [run.id for run in store.runs()] == made[::-1]
    assert [run.id for run in store.runs(owner="me")] == [made[3], made[2], made[0]]
    assert [run.id for run in store.runs(owner="me", limit=2)] == [made[3], made[2]]
    assert store.runs(owner="nobody") == []


@pytest.mark.parametrize("ask", [RunStore.get, RunStore.delete])
def test_an_unknown_run_is_told(store: RunStore, ask: Callable[[RunStore, str], object]) -> None:
    with pytest.raises(RunError, match="There is no run 'nosuchrun' here"):
        ask(store, "nosuchrun")


def test_an_unknown_run_has_nothing_and_wants_nothing(store: RunStore) -> None:
    for ask in (store.ask_run, store.ask_pause, store.ask_step, store.ask_stop):
        ask("nosuchrun")
    assert store.place_in_queue("nosuchrun") == 0
    assert store.points("nosuchrun") == []
    assert (store.stage("nosuchrun"), store.snapshot("nosuchrun"), store.checkpoint("nosuchrun")) == (None, None, None)
    assert store.holder("nosuchrun") == ""


def test_a_run_of_another_version_is_told_and_hides_no_other(store: RunStore) -> None:
    strange, plain = add_run(store), add_run(store)
    set_row(store, strange, model={**MODEL.to_dict(), "dial_of_tomorrow": 3})
    with pytest.raises(RunError, match=r"made by another version of the lab\. .*dial_of_tomorrow"):
        store.get(strange)
    assert [run.id for run in store.runs()] == [plain]


def test_several_stores_see_each_others_writes(store: RunStore, tmp_path: Path) -> None:
    other = open_store(tmp_path)
    run_id = add_run(store)
    assert other.get(run_id).state == "queued"
    claim(other)
    assert store.get(run_id).state == "preparing"
    other.report(run_id, holder="tester", points=[(1, "train", {"loss": 2.0})])
    store.ask_pause(run_id)
    assert len(store.points(run_id)) == 1
    assert other.get(run_id).wanted == "pause"
    other.close()


# -- limits and places --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (1, "You already have 1 unfinished run, and 1 is allowed at a time. Stop one, or wait for it."),
        (2, "You already have 2 unfinished runs, and 2 are allowed at a time. Stop one, or wait for it."),
    ],
)
def test_an_owner_may_have_so_many_unfinished_runs(store: RunStore, limit: int, words: str) -> None:
    mine = [add_run(store, owner="me", most_unfinished=limit) for _ in range(limit)]
    with pytest.raises(RunError) as error:
        add_run(store, owner="me", most_unfinished=limit)
    assert str(error.value) == words
    add_run(store, owner="you", most_unfinished=limit)
    store.ask_stop(mine[0])
    add_run(store, owner="me", most_unfinished=limit)


@pytest.mark.parametrize("state", ["queued", "preparing", "running", "paused"])
def test_whatever_is_not_over_counts(store: RunStore, state: str) -> None:
    set_row(store, add_run(store, owner="me"), state=state)
    with pytest.raises(RunError):
        add_run(store, owner="me", most_unfinished=1)


@pytest.mark.parametrize("state", ["finished", "stopped", "failed", "interrupted"])
def test_what_is_over_does_not_count(store: RunStore, state: str) -> None:
    set_row(store, add_run(store, owner="me"), state=state)
    add_run(store, owner="me", most_unfinished=1)


def test_a_limit_holds_when_many_press_at_once(store: RunStore) -> None:
    ready = threading.Barrier(8)

    def press(_: int) -> bool:
        ready.wait(20)
        try:
            add_run(store, owner="me", most_unfinished=3)
        except RunError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(press, range(8))) == 3


def test_the_place_in_the_queue_counts_down(store: RunStore) -> None:
    runs = [add_run(store) for _ in range(3)]
    assert [store.place_in_queue(run_id) for run_id in runs] == [1, 2, 3]
    claim(store)
    assert [store.place_in_queue(run_id) for run_id in runs] == [0, 1, 2]
    store.ask_stop(runs[1])
    assert [store.place_in_queue(run_id) for run_id in runs] == [0, 0, 1]


# -- what is wanted -----------------------------------------------------------------------------------------------

HELD, FREE = "some executor", ""
ASK_AND_RESULT = [
    # state, held by, asked for -> state, wanted
    ("queued", FREE, "run", "queued", "run"),
    ("queued", FREE, "pause", "queued", "pause"),
    ("queued", FREE, "step", "queued", "pause"),
    ("queued", FREE, "stop", "stopped", "stop"),
    *(
        (state, HELD, asked, state, wanted)
        for state in ("preparing", "running", "paused")
        for asked, wanted in (("run", "run"), ("pause", "pause"), ("step", "pause"), ("stop", "stop"))
    ),
    ("paused", FREE, "run", "queued", "run"),
    ("paused", FREE, "pause", "paused", "pause"),
    ("paused", FREE, "step", "queued", "pause"),
    ("paused", FREE, "stop", "stopped", "stop"),
    ("interrupted", FREE, "run", "queued", "run"),
    ("interrupted", FREE, "pause", "interrupted", "pause"),
    ("interrupted", FREE, "step", "queued", "pause"),
    ("interrupted", FREE, "stop", "stopped", "stop"),
    *(
        (state, FREE, asked, then, wanted)
        for state in ("stopped", "failed")
        for asked, then, wanted in (
            ("run", "queued", "run"),
            ("pause", state, "pause"),
            ("step", "queued", "pause"),
            ("stop", state, "stop"),
        )
    ),
    *(
        ("finished", FREE, asked, "finished", wanted)
        for asked, wanted in (("run", "run"), ("pause", "pause"), ("step", "pause"), ("stop", "stop"))
    ),
]


@pytest.mark.parametrize(("state", "holder", "asked", "then", "wanted"), ASK_AND_RESULT)
def test_asking(store: RunStore, state: str, holder: str, asked: str, then: str, wanted: str) -> None:
    run_id = add_run(store)
    set_row(store, run_id, state=state, executor=holder, message="before")
    getattr(store, f"ask_{asked}")(run_id)
    run = store.get(run_id)
    assert (run.state, run.wanted, run.executor) == (then, wanted, holder)
    assert run.step_requests == (1 if asked == "step" else 0)
    if then == "queued" and state != "queued":
        assert run.message == "", "what was said about its end no longer holds"
        assert store.place_in_queue(run_id) == 1


def test_every_state_was_asked_everything() -> None:
    asked = {(state, asked) for state, _, asked, *_ in ASK_AND_RESULT}
    states = ("queued", "preparing", "running", "paused", "interrupted", "stopped", "failed", "finished")
    assert asked == {(state, what) for state in states for what in ("run", "pause", "step", "stop")}


@pytest.mark.parametrize(("then", "left"), [("run", 0), ("pause", 0), ("stop", 0), ("step", 4)])
def test_steps_add_up_until_something_else_is_asked_for(store: RunStore, then: str, left: int) -> None:
    run_id = add_run(store)
    for _ in range(3):
        store.ask_step(run_id)
    assert store.get(run_id).step_requests == 3
    getattr(store, f"ask_{then}")(run_id)
    assert store.get(run_id).step_requests == left


def test_steps_taken_are_counted_down_to_none(store: RunStore) -> None:
    run_id = add_run(store)
    store.ask_step(run_id)
    store.step_taken(run_id)
    store.step_taken(run_id)  # asked for nothing more: its owner pressed pause in between
    assert store.get(run_id).step_requests == 0


@pytest.mark.parametrize(
    ("asked", "then"),
    [(None, "paused"), ("pause", "paused"), ("run", "queued"), ("step", "queued"), ("stop", "stopped")],
)
def test_what_is_asked_for_while_a_worker_leaves_a_paused_run_is_not_lost(
    store: RunStore, asked: str | None, then: str
) -> None:
    """The worker has looked, the owner presses a button, the worker gives the run back."""
    run_id = add_run(store)
    claim(store)
    store.ask_pause(run_id)
    store.report(run_id, holder="tester", state="paused")
    if asked:
        getattr(store, f"ask_{asked}")(run_id)
    store.release(run_id, "paused", "", holder="tester")
    assert (store.get(run_id).state, store.get(run_id).executor) == (then, "")


# -- what workers write -------------------------------------------------------------------------------------------


def test_a_report_changes_what_it_names_and_nothing_else(store: RunStore) -> None:
    run_id = add_run(store)
    store.report(run_id, state="running", message="Loading", progress=0.25, step=5, total_steps=20)
    store.report(run_id, step=6)
    run = store.get(run_id)
    assert (run.state, run.message, run.progress, run.step, run.total_steps) == ("running", "Loading", 0.25, 6, 20)
    store.report(run_id, message="", progress=0.0)
    assert (store.get(run_id).message, store.get(run_id).progress) == ("", 0.0)


def test_points_come_in_order_and_after_the_last_one_seen(store: RunStore) -> None:
    run_id, other = add_run(store), add_run(store)
    store.report(run_id, points=[(1, "train", {"loss": 3.0}), (1, "test", {"loss": 4.0, "mse": 0.5})])
    store.report(other, points=[(9, "train", {"loss": 9.0})])
    seen = store.points(run_id)
    assert [(p.step, p.kind, p.values) for p in seen] == [
        (1, "train", {"loss": 3.0}),
        (1, "test", {"loss": 4.0, "mse": 0.5}),
    ]
    assert store.points(run_id, after=seen[-1].id) == []
    store.report(run_id, points=[(2, "train", {"loss": 2.0})])
    assert [p.step for p in store.points(run_id, after=seen[-1].id)] == [2]
    assert [p.step for p in store.points(run_id)] == [1, 1, 2]


def test_a_report_is_written_whole_or_not_at_all(store: RunStore) -> None:
    run_id = add_run(store)
    with pytest.raises((StatementError, TypeError)):  # which one depends on the database's driver
        store.report(run_id, step=1, points=[(1, "train", {"loss": object()})])  # type: ignore[dict-item]
    assert store.get(run_id).step == 0


def test_the_stage_is_replaced(store: RunStore) -> None:
    run_id = add_run(store)
    for value in (1, 2):
        store.set_stage(run_id, Stage(np.full((1, 1, 2, 2), value, np.uint8), np.array([value])))
    stage = store.stage(run_id)
    assert stage is not None
    assert (stage.targets.max(), stage.labels.tolist()) == (2, [2])


def test_the_newest_snapshot_or_the_one_of_a_moment(store: RunStore) -> None:
    run_id = add_run(store)
    for step in (0, 10, 20):
        store.report(run_id, snapshot=picture(step))

    def step_at(at: int | None) -> int | None:
        found = store.snapshot(run_id, at=at)
        return None if found is None else found.step

    assert [step_at(at) for at in (None, 0, 9, 10, 15, 999, -1)] == [20, 0, 0, 10, 10, 20, None]
    assert store.snapshot_steps(run_id) == [0, 10, 20]


def test_the_snapshots_since_a_moment(store: RunStore) -> None:
    run_id = add_run(store)
    for step in (0, 10, 20, 30):
        store.report(run_id, snapshot=picture(step))

    def steps(after: int, most: int) -> list[int]:
        return [snapshot.step for snapshot in store.snapshots(run_id, after=after, most=most)]

    assert (steps(0, 9), steps(15, 9), steps(0, 2), steps(30, 9)) == ([10, 20, 30], [20, 30], [20, 30], [])


def test_the_newest_snapshots_are_not_thinned(store: RunStore) -> None:
    run_id = add_run(store)
    for step in range(3 * MOST_SNAPSHOTS):
        store.report(run_id, snapshot=picture(step))
    newest = store.snapshots(run_id, after=0, most=NEWEST_SNAPSHOTS)
    assert np.diff([snapshot.step for snapshot in newest]).tolist() == [1] * (NEWEST_SNAPSHOTS - 1)


def test_a_second_look_at_the_same_step_takes_the_place_of_the_first(store: RunStore) -> None:
    run_id = add_run(store)
    store.report(run_id, snapshot=picture(5))
    bright = Snapshot(5, np.full((1, 1, 2, 2), 255, np.uint8), np.zeros((0, 2), np.float32))
    store.report(run_id, snapshot=bright)
    found = store.snapshot(run_id)
    assert found is not None
    assert found.reconstructions.max() == 255
    assert store.snapshot_steps(run_id) == [5]


@pytest.mark.parametrize("count", [MOST_SNAPSHOTS, MOST_SNAPSHOTS + 1, 3 * MOST_SNAPSHOTS + 17])
def test_snapshots_are_thinned_evenly(store: RunStore, count: int) -> None:
    run_id = add_run(store)
    for number in range(count):
        store.report(run_id, snapshot=picture(3 * number))
    steps = store.snapshot_steps(run_id)
    gaps = np.diff(steps)
    assert (steps[0], steps[-1]) == (0, 3 * (count - 1))
    assert MOST_SNAPSHOTS / 2 <= len(steps) <= MOST_SNAPSHOTS
    assert gaps[:-1].max() <= 4 * gaps[:-1].min(), "the beginning is seen as often as the end"
    halves = [sum(steps[0] <= s < steps[-1] / 2 for s in steps), sum(s >= steps[-1] / 2 for s in steps)]
    assert max(halves) <= 2 * min(halves)


def test_a_checkpoint_takes_the_place_of_the_one_before(store: RunStore) -> None:
    run_id, other = add_run(store), add_run(store)
    store.save_checkpoint(other, 1, b"other")
    for step, data in enumerate((b"old", b"new")):
        store.save_checkpoint(run_id, step, data)
    assert store.checkpoint(run_id) == b"new"
    assert store.checkpoint(other) == b"other"
    assert store.get(run_id).has_checkpoint
    with store.database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(schema.checkpoints)).scalar_one() == 2


def test_rewinding_forgets_what_comes_after(store: RunStore) -> None:
    run_id, other = add_run(store), add_run(store)
    for run in (run_id, other):
        for step in (1, 2, 3):
            store.report(run, points=[(step, "train", {"loss": 1.0})], snapshot=picture(step))
    store.rewind(run_id, 2)
    assert [p.step for p in store.points(run_id)] == store.snapshot_steps(run_id) == [1, 2]
    store.rewind(run_id, -1)
    assert store.points(run_id) == store.snapshot_steps(run_id) == []
    assert len(store.points(other)) == 3


def test_releasing_says_how_it_ended(store: RunStore) -> None:
    run_id = add_run(store)
    claim(store)
    store.release(run_id, "finished", "Done.", {"test_mse": 0.5}, holder="tester")
    run = store.get(run_id)
    assert (run.state, run.message, run.metrics, run.executor) == ("finished", "Done.", {"test_mse": 0.5}, "")


def test_computing_runs_are_counted_by_executor(store: RunStore) -> None:
    for state, executor in (("running", "a"), ("preparing", "a"), ("paused", "a"), ("running", "b"), ("queued", "")):
        set_row(store, add_run(store), state=state, executor=executor)
    assert [store.count_computing(executor) for executor in ("a", "b", "c")] == [2, 1, 0]


WRITES: dict[str, Callable[[RunStore, str], None]] = {
    "report": lambda store, run_id: store.report(run_id, holder="old", state="running", snapshot=picture(9)),
    "step_taken": lambda store, run_id: store.step_taken(run_id, holder="old"),
    "set_stage": lambda store, run_id: store.set_stage(
        run_id, Stage(np.zeros((1, 1, 2, 2), np.uint8), np.zeros(1, np.int64)), holder="old"
    ),
    "save_checkpoint": lambda store, run_id: store.save_checkpoint(run_id, 9, b"old", holder="old"),
    "rewind": lambda store, run_id: store.rewind(run_id, -1, holder="old"),
    "release": lambda store, run_id: store.release(run_id, "failed", "old", holder="old"),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("holder", ["", "new"])
def test_who_lost_a_run_cannot_write_to_it(
    store: RunStore, write: Callable[[RunStore, str], None], holder: str
) -> None:
    """Or a worker that was frozen for a minute would bring an interrupted run to life that nobody carries out."""
    run_id = add_run(store)
    store.report(run_id, points=[(1, "train", {"loss": 1.0})], snapshot=picture(1))
    store.save_checkpoint(run_id, 1, b"kept")
    set_row(store, run_id, state="interrupted", executor=holder, step_requests=1)
    before = store.get(run_id)
    with pytest.raises(RunLostError):
        write(store, run_id)
    assert store.get(run_id) == before
    assert (store.checkpoint(run_id), store.snapshot_steps(run_id), store.stage(run_id)) == (b"kept", [1], None)
    assert len(store.points(run_id)) == 1


def test_every_way_to_write_was_tried() -> None:
    source = Path(__file__).parents[1] / "aecore" / "runs" / "store.py"
    assert source.read_text(encoding="utf-8").count("with self._held(") == len(WRITES)


# -- forgetting ---------------------------------------------------------------------------------------------------


def test_deleting_takes_everything_along(store: RunStore) -> None:
    gone, kept = add_run(store), add_run(store)
    for run_id in (gone, kept):
        store.set_stage(run_id, Stage(np.zeros((1, 1, 2, 2), np.uint8), np.zeros(1, np.int64)))
        store.report(run_id, points=[(1, "train", {"loss": 1.0})], snapshot=picture(1))
        store.save_checkpoint(run_id, 1, b"data")
        store.release(run_id, "finished", "")
    store.delete(gone)
    with pytest.raises(RunError, match="There is no run"):
        store.get(gone)
    with store.database.reading() as connection:
        for table in (schema.stages, schema.points, schema.snapshots, schema.checkpoints):
            assert list(connection.execute(select(table.c.run_id)).scalars()) == [kept], table.name


@pytest.mark.parametrize("state", ["finished", "stopped", "failed", "interrupted"])
def test_what_is_over_can_be_deleted(store: RunStore, state: str) -> None:
    run_id = add_run(store)
    set_row(store, run_id, state=state)
    store.delete(run_id)
    assert store.runs() == []


@pytest.mark.parametrize("state", ["queued", "preparing", "running", "paused"])
def test_what_is_not_over_cannot(store: RunStore, state: str) -> None:
    run_id = add_run(store)
    set_row(store, run_id, state=state)
    with pytest.raises(RunError, match=r"not over yet\. Stop it first, then delete it"):
        store.delete(run_id)
    assert store.get(run_id).state == state


# -- many at once -------------------------------------------------------------------------------------------------


def test_many_writers_and_readers_do_not_lock_each_other_out(store: RunStore, tmp_path: Path) -> None:
    """Each with connections of its own, as processes have; 'database is locked' would end this with an error."""
    runs = [add_run(store) for _ in range(4)]
    reports = 25
    done = threading.Event()

    def write(run_id: str) -> None:
        mine = open_store(tmp_path)
        for step in range(reports):
            mine.report(run_id, step=step, points=[(step, "train", {"loss": 1.0})], snapshot=picture(step))
            mine.save_checkpoint(run_id, step, bytes(50_000))
        mine.close()

    def watch(run_id: str) -> int:
        looks = 0
        while not done.is_set():
            assert len(store.points(run_id)) <= reports
            assert len(store.runs()) == 4
            looks += 1
        return looks

    with ThreadPoolExecutor(8) as pool:
        watching = [pool.submit(watch, run_id) for run_id in runs[:2]]
        asking = [pool.submit(lambda: [store.ask_step(runs[0]) for _ in range(reports)])]
        for task in [pool.submit(write, run_id) for run_id in runs] + asking:
            task.result(60)
        done.set()
        assert all(task.result(10) > 0 for task in watching)
    assert [len(store.points(run_id)) for run_id in runs] == [reports] * 4
    assert store.get(runs[0]).step_requests == reports


def test_the_configuration_given_is_the_one_kept(store: RunStore) -> None:
    assert (store.get(add_run(store)).model, store.get(add_run(store)).training) == (MODEL, SHORT)
