"""Executor and supervisor, with real processes: runs are carried out, deaths are noticed, and nobody stays behind.

The supervisor begins a session of its own, so its number names all the processes that came of it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path

import pytest
from little_runs import ENDLESS, add_run, claim, open_store, until, url_in
from sqlalchemy import update

from aecore.checkpoint import Checkpoint
from aecore.runs import executor as executor_module
from aecore.runs import schema, supervisor
from aecore.runs.executor import LocalExecutor
from aecore.runs.queue import RunQueue
from aecore.runs.settings import RunSettings
from aecore.runs.store import RunStore
from aecore.runs.supervisor import Supervisor, death_notice, hung_up, serve

ROOT = Path(__file__).resolve().parent.parent

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")


@dataclass(frozen=True)
class Process:
    """A process as /proc shows it."""

    pid: int
    parent: int
    session: int
    begun: int


def processes(session: int) -> list[Process]:
    """The living processes of a session, the oldest first; what is dead and not yet collected does not count."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # gone since the folder was listed
        process = Process(int(folder.name), int(fields[1]), int(fields[3]), int(fields[19]))
        if process.session == session and fields[0] != "Z":
            found.append(process)
    return sorted(found, key=lambda process: (process.begun, process.pid))


def workers(session: int) -> list[Process]:
    """The worker processes under the supervisor `session`, the oldest first: children of the fork server."""
    everybody = processes(session)
    helpers = {process.pid for process in everybody if process.parent == session}
    return [process for process in everybody if process.parent in helpers]


def gone(session: int) -> None:
    """Wait until nothing is left of a session."""
    until(lambda: not processes(session), f"all processes of session {session} end: {processes(session)}")


def supervisor_of(executor: LocalExecutor) -> int:
    return executor._process.pid


def is_running(store: RunStore, run_id: str, step: int = 1) -> bool:
    run = store.get(run_id)
    return run.state == "running" and run.step >= step


def carry_out(store: RunStore, executor: LocalExecutor, run_id: str) -> None:
    """Have a run carried out to its end."""
    executor.nudge()
    until(lambda: not store.get(run_id).unfinished, "the run ends")
    assert store.get(run_id).state == "finished", store.get(run_id).message


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AECORE_MAX_RUNS", "1")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunStore]:
    made = open_store(tmp_path_factory.mktemp("runs"))
    yield made
    made.close()


@pytest.fixture
def own_store(tmp_path: Path) -> Iterator[RunStore]:
    made = open_store(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def executor(store: RunStore) -> Iterator[LocalExecutor]:
    """One supervisor for the tests that leave it as they found it: idle, with a warm worker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AECORE_MAX_RUNS", "1")
        made = LocalExecutor(store)
    yield made
    made.close()


def test_a_run_is_carried_out_soon(
    store: RunStore, executor: LocalExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    carry_out(store, executor, add_run(store))  # by now a second worker has got warm
    begun = time.perf_counter()
    run_id = add_run(store)
    executor.nudge()
    until(lambda: any(point.kind == "train" for point in store.points(run_id)), "the first loss")
    waited = time.perf_counter() - begun
    until(lambda: store.get(run_id).state == "finished", "the run finishes")
    with capsys.disabled():
        print(f"\nfrom create() and nudge() to the first loss, worker warm: {waited:.2f} s")


@needs_proc
def test_a_killed_worker_fails_its_run_and_the_next_ones_go_in_order(store: RunStore, executor: LocalExecutor) -> None:
    killed, second, third = add_run(store, ENDLESS), add_run(store), add_run(store)
    executor.nudge()
    until(lambda: is_running(store, killed), "the first run is under way")
    assert [store.place_in_queue(run_id) for run_id in (killed, second, third)] == [0, 1, 2]
    busy, *idle = workers(supervisor_of(executor))
    assert len(idle) <= 1, "one warm worker at most"
    os.kill(busy.pid, signal.SIGKILL)
    until(lambda: store.get(killed).state == "failed", "the death is noticed")
    assert "signal SIGKILL" in store.get(killed).message
    assert store.get(killed).executor == ""
    until(lambda: store.get(third).state == "finished", "the last run finishes")
    assert store.get(second).state == "finished"
    ids = [[point.id for point in store.points(run_id)] for run_id in (killed, second, third)]
    assert max(ids[0]) < min(ids[1]) <= max(ids[1]) < min(ids[2]), "one after the other, as they came"


@needs_proc
def test_a_killed_warm_worker_is_replaced(store: RunStore, executor: LocalExecutor) -> None:
    (warm,) = until(lambda: workers(supervisor_of(executor)), "a worker is kept warm")
    os.kill(warm.pid, signal.SIGKILL)
    until(lambda: {process.pid for process in workers(supervisor_of(executor))} - {warm.pid}, "another takes its place")
    carry_out(store, executor, add_run(store))


@needs_proc
def test_runs_leave_no_process_and_no_file_behind(store: RunStore, executor: LocalExecutor) -> None:
    def open_files() -> int:
        return len(os.listdir(f"/proc/{supervisor_of(executor)}/fd"))

    def settled() -> bool:
        return len(workers(supervisor_of(executor))) == 1

    until(settled, "one warm worker is left")
    before, held = len(processes(supervisor_of(executor))), open_files()
    for _ in range(2):
        carry_out(store, executor, add_run(store))
    until(settled, "one warm worker is left")
    assert len(processes(supervisor_of(executor))) == before
    until(lambda: open_files() <= held, "the supervisor closes what the runs needed")


@needs_proc
def test_a_lab_that_stops_saves_its_runs_and_the_next_one_goes_on(store: RunStore, executor: LocalExecutor) -> None:
    """The last test of the shared executor: it is closed, another takes over, and that one's supervisor is killed."""
    run_id = add_run(store, ENDLESS)
    executor.nudge()
    until(lambda: is_running(store, run_id, 20), "the run is under way")
    executor.close()
    assert store.get(run_id).state == "interrupted"
    assert "stopped while this run was going" in store.get(run_id).message
    gone(supervisor_of(executor))
    saved = saved_step(store, run_id)
    assert saved >= 20

    shorter = dict(ENDLESS.to_dict(), budget=saved + 10)
    with store.database.writing() as connection:
        connection.execute(update(schema.runs).where(schema.runs.c.id == run_id).values(training=shorter))
    store.ask_run(run_id)
    following = LocalExecutor(store)
    carry_out(store, following, run_id)
    assert store.get(run_id).step == saved + 10
    assert len({point.step for point in store.points(run_id)}) > 2, "the curve of before is still there"

    run_id = add_run(store, ENDLESS)
    following.nudge()
    until(lambda: is_running(store, run_id, 20), "the run is under way")
    os.kill(supervisor_of(following), signal.SIGKILL)
    until(lambda: store.get(run_id).state == "interrupted", "the worker saves the run when its supervisor is gone")
    gone(supervisor_of(following))
    assert saved_step(store, run_id) >= 20
    following.close()


def saved_step(store: RunStore, run_id: str) -> int:
    checkpoint = Checkpoint.from_bytes(store.checkpoint(run_id) or b"")
    return checkpoint.resume(checkpoint.build()).step


LAB = """
import sys
from aecore.runs.executor import LocalExecutor
from aecore.runs.store import RunStore
executor = LocalExecutor(RunStore(sys.argv[1]))
executor.nudge()
print(executor._process.pid, flush=True)
sys.stdin.readline()
"""


@needs_proc
def test_a_killed_lab_leaves_no_process_behind(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    run_id = add_run(store, ENDLESS)
    lab = subprocess.Popen(
        [sys.executable, "-c", LAB, url_in(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert lab.stdout is not None
    session = int(lab.stdout.readline())
    until(lambda: is_running(store, run_id, 5), "the run is under way")
    assert len(workers(session)) >= 1
    lab.kill()
    lab.communicate()
    gone(session)
    assert store.get(run_id).state == "interrupted"
    assert saved_step(store, run_id) >= 5
    store.close()


def test_a_worker_can_be_a_fresh_interpreter(own_store: RunStore) -> None:
    """As on Windows, where nothing can be forked."""
    run_id = add_run(own_store)
    assert claim(own_store) == run_id
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    process = context.Process(target=serve, args=(theirs, own_store.url))
    process.start()
    theirs.close()
    ours.send(run_id)
    process.join(120)
    assert process.exitcode == 0
    assert own_store.get(run_id).state == "finished"
    ours.close()


@pytest.mark.parametrize(("system", "chosen"), [("linux", "forkserver"), ("darwin", "spawn"), ("win32", "spawn")])
def test_workers_are_forked_where_that_can_be_done_cleanly(
    system: str, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor.sys, "platform", system)
    assert supervisor.process_context().get_start_method() == chosen


# -- without processes --------------------------------------------------------------------------------------------


class Stub:
    """A worker process that does what the test says."""

    def __init__(self) -> None:
        self.exitcode: int | None = None
        self.sentinel, self._end = Pipe(duplex=False)

    def is_alive(self) -> bool:
        return self.exitcode is None

    def die(self, exitcode: int) -> None:
        """End with this exit code."""
        self.exitcode = exitcode
        self._end.close()

    def join(self, timeout: float | None = None) -> None:
        """It has ended already, or never will."""

    def kill(self) -> None:
        """End it."""
        if self.is_alive():
            self.die(-signal.SIGTERM)


class Stubs(Supervisor):
    """A supervisor whose workers are stubs."""

    def __init__(self, store: RunStore, most_running: int) -> None:
        super().__init__(store.database, RunSettings(most_running=most_running))
        self.started: list[tuple[Stub, object]] = []
        self._warm = self._start()

    def _start(self) -> supervisor.Worker:
        theirs, ours = Pipe(duplex=False)
        stub = Stub()
        self.started.append((stub, theirs))
        return supervisor.Worker(stub, ours)

    def order(self, number: int) -> str | None:
        """The run that worker `number` was told to carry out."""
        orders = self.started[number][1]
        return orders.recv() if orders.poll() else None  # type: ignore[attr-defined]


def test_as_many_runs_are_given_out_as_may_run(own_store: RunStore) -> None:
    runs = [add_run(own_store) for _ in range(3)]
    stubs = Stubs(own_store, most_running=2)
    stubs._hand_out()
    assert [stubs.order(0), stubs.order(1), stubs.order(2)] == [runs[0], runs[1], None]
    own_store.release(runs[0], "finished", "", holder=stubs.id)
    stubs.started[0][0].die(0)
    stubs._bury()
    stubs._hand_out()
    assert stubs.order(2) == runs[2]
    assert own_store.get(runs[0]).state == "finished", "it went in peace"


def test_a_worker_that_dies_between_two_looks_costs_its_run_only(own_store: RunStore) -> None:
    first, second = add_run(own_store), add_run(own_store)
    stubs = Stubs(own_store, most_running=1)
    _, theirs = stubs.started[0]
    theirs.close()  # type: ignore[attr-defined]  # gone, and not yet known to be
    stubs._hand_out()
    stubs.started[0][0].die(-signal.SIGKILL)
    stubs._bury()
    assert own_store.get(first).state == "failed"
    stubs._hand_out()
    assert stubs.order(1) == second


def test_a_run_asked_for_again_before_its_worker_is_gone_is_not_taken_for_dead(own_store: RunStore) -> None:
    """A worker that gave its run back needs a moment to leave; by then the run may have another one."""
    run_id = add_run(own_store)
    stubs = Stubs(own_store, most_running=2)
    stubs._hand_out()
    own_store.release(run_id, "stopped", "", holder=stubs.id)
    own_store.ask_run(run_id)
    stubs._hand_out()
    assert stubs.order(1) == run_id
    stubs.started[0][0].die(0)
    stubs._bury()
    assert own_store.get(run_id).state == "preparing"


def test_runs_of_a_dead_supervisor_are_found_by_the_next(own_store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Machine and all: nobody was left to say what happened."""
    run_id = add_run(own_store)
    dead = Stubs(own_store, most_running=1)
    RunQueue(own_store.database).sign_of_life(dead.id)
    dead._hand_out()
    monkeypatch.setattr("aecore.runs.queue.SILENT_AFTER", 0.0)
    inside, outside = Pipe(duplex=False)
    outside.close()
    Stubs(own_store, most_running=1).follow(inside)
    assert own_store.get(run_id).state == "interrupted"


@pytest.mark.parametrize(("exit_code", "said"), [(-signal.SIGTERM, "signal SIGTERM"), (3, "exit code 3")])
def test_a_death_notice_names_the_reason(exit_code: int, said: str) -> None:
    assert said in death_notice(exit_code)
    assert "Resume" in death_notice(exit_code)


def test_a_worker_knows_when_its_supervisor_is_gone() -> None:
    theirs, ours = Pipe(duplex=False)
    assert not hung_up(theirs)
    ours.close()
    assert hung_up(theirs)

    class Windows:
        def poll(self) -> bool:
            raise BrokenPipeError

    assert hung_up(Windows())  # type: ignore[arg-type]


@pytest.fixture
def short_lived(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Supervisors that end at the first nudge; gives all that were started."""
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def start_short_lived(*_: object, **__: object) -> subprocess.Popen[bytes]:
        started.append(start([sys.executable, "-c", "import os; os.read(0, 1)"], stdin=subprocess.PIPE))
        return started[-1]

    monkeypatch.setattr(executor_module.subprocess, "Popen", start_short_lived)
    return started


def test_a_nudge_starts_another_supervisor_when_one_has_died(
    own_store: RunStore, short_lived: list[subprocess.Popen[bytes]]
) -> None:
    executor = LocalExecutor(own_store)
    for number in (1, 2, 3):
        assert len(short_lived) == number
        executor.nudge()
        short_lived[-1].wait(20)
        executor.nudge()
    executor.close()
    assert all(process.returncode is not None for process in short_lived)


def test_an_executor_whose_supervisor_died_unread_can_be_closed(
    own_store: RunStore, short_lived: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = LocalExecutor(own_store)
    (process,) = short_lived
    process.kill()
    process.wait(20)
    monkeypatch.setattr(process, "poll", lambda: None)  # the nudge comes before the death is known
    executor.nudge()
    executor.close()
    assert process.stdin is not None
    assert process.stdin.closed
