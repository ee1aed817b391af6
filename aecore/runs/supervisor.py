"""The process that gives waiting runs to worker processes on this machine.

It keeps one warm worker ready (torch loaded, nothing to do), hands it the run that waited longest as soon as there
is room, and notes the death of any worker. Started by `LocalExecutor` with `python -m aecore.runs.supervisor`; it
leaves when its standard input closes, so it never outlives the process that started it.

A process of its own, because Streamlit's `__main__` is whatever page ran last: children forked or spawned from the
server would run that page again.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import multiprocessing
import os
import secrets
import signal
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from aecore.runs.database import Database
from aecore.runs.queue import RunQueue
from aecore.runs.settings import RunSettings

LOOK_EVERY = 0.25  # seconds between two looks at the queue when nobody nudges
SIGN_EVERY = 3.0  # seconds between two signs of life
GRACE = 10.0  # seconds the workers get to save when the lab stops
WARM = ("aecore.runs.worker", "torchvision", "torch._dynamo")  # what a run would otherwise wait seconds for

log = logging.getLogger(__name__)


def process_context() -> Any:
    """How workers are started: on Linux forked from a clean process with torch loaded, elsewhere anew.

    macOS can fork too, but some of its frameworks, which torch loads, crash in a forked child.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(WARM))
    return context


def serve(orders: Connection, url: str) -> None:
    """A worker process: get warm, wait for the id of one run, carry it out, leave.

    The connection stays open while the run goes on; when the other end closes, for whatever reason, the run is
    saved and left.
    """
    for module in WARM:  # here already if the worker was forked
        importlib.import_module(module)
    import torch

    from aecore.runs.store import RunStore
    from aecore.runs.worker import work
    from aecore.training.process import prepare_process

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the lab, which then lets its workers save
    if hasattr(os, "nice"):
        os.nice(19)  # the pages come first
    prepare_process()
    torch.set_num_threads(1)
    store = RunStore(url)
    try:
        work(store, orders.recv(), abandoned=lambda: hung_up(orders))
    except EOFError:
        pass  # never needed
    finally:
        store.close()


def hung_up(orders: Connection) -> bool:
    """Whether the other end is gone: after the one order nothing is sent, so anything to read is the end."""
    try:
        return orders.poll()
    except BrokenPipeError:  # Windows has this word for it
        return True


@dataclass(frozen=True)
class Worker:
    """A worker process, and the connection that tells it what to do."""

    process: Any
    orders: Connection


class Supervisor:
    """Gives waiting runs to worker processes, up to a number at a time.

    Args:
        database: Where the runs are.
        settings: How many at a time.
    """

    def __init__(self, database: Database, settings: RunSettings) -> None:
        self._url, self._queue, self._settings = database.url, RunQueue(database), settings
        self.id = secrets.token_hex(8)
        self._context = process_context()
        self._busy: dict[str, Worker] = {}
        self._signed = 0.0

    def follow(self, nudges: Connection) -> None:
        """Give out runs until the other end of `nudges` closes; anything sent there means 'look now'."""
        self._queue.sign_of_life(self.id)
        self._queue.prune(self._settings.keep)
        self._warm = self._start()
        try:
            while True:
                self._wait(nudges)
                if time.monotonic() - self._signed >= SIGN_EVERY:
                    self._queue.sign_of_life(self.id)
                    self._signed = time.monotonic()
                self._bury()
                self._hand_out()
        except EOFError:
            log.info("the lab is closing; %d runs are being saved", len(self._busy))
        finally:
            self._close()

    def _wait(self, nudges: Connection) -> None:
        """Until something may have happened; raises EOFError when `nudges` is closed."""
        sentinels = [worker.process.sentinel for worker in self._busy.values()]
        if nudges in wait([nudges, *sentinels], timeout=LOOK_EVERY):
            nudges.recv()

    def _start(self) -> Worker:
        theirs, ours = self._context.Pipe(duplex=False)
        process = self._context.Process(target=serve, args=(theirs, self._url), name="aecore-worker")
        process.start()
        theirs.close()
        return Worker(process, ours)

    def _hand_out(self) -> None:
        if not self._warm.process.is_alive():
            self._warm = self._start()
        while len(self._busy) < self._settings.most_running:
            run_id = self._queue.claim_next(self.id)
            if run_id is None:
                return
            with contextlib.suppress(BrokenPipeError):  # died just now; it will be buried with its run
                self._warm.orders.send(run_id)
            self._busy[run_id] = self._warm
            self._warm = self._start()

    def _bury(self) -> None:
        """Take leave of workers that ended; one that left without releasing its run has died."""
        for run_id, worker in list(self._busy.items()):
            if worker.process.is_alive():
                continue
            del self._busy[run_id]
            worker.process.join()
            worker.orders.close()
            self._queue.declare_dead(run_id, self.id, death_notice(worker.process.exitcode))
            self._queue.prune(self._settings.keep)

    def _close(self) -> None:
        """Let the workers save their runs, then make sure that nobody stays behind."""
        workers = [self._warm, *self._busy.values()]
        for worker in workers:
            worker.orders.close()
        deadline = time.monotonic() + GRACE
        for worker in workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            worker.process.kill()
        self._queue.sign_off(self.id)


def death_notice(exit_code: int | None) -> str:
    """Why a worker ended without a word, from its exit code: negative for a signal."""
    how = f"exit code {exit_code}"
    if exit_code is not None and exit_code < 0:
        how = f"signal {signal.Signals(-exit_code).name}; the machine may be short of memory"
    return f"The worker process died ({how}). Resume goes on from the last checkpoint, or from the start."


def listen_to_standard_input(nudges: Connection) -> None:
    """Pass every byte on standard input on as a nudge; when it closes, close `nudges`."""
    while os.read(sys.stdin.fileno(), 4096):
        nudges.send(True)
    nudges.close()


def main() -> None:
    """Supervise until standard input closes."""
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    inside, outside = multiprocessing.Pipe(duplex=False)
    threading.Thread(target=listen_to_standard_input, args=(outside,), daemon=True).start()
    Supervisor(Database(), RunSettings.from_environment()).follow(inside)


if __name__ == "__main__":
    main()
