"""Who starts workers. An executor only gives waiting runs to `worker.work` somewhere; the store says the rest."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from pathlib import Path

from aecore.runs.store import RunStore


class Executor(ABC):
    """Sees to it that waiting runs are carried out."""

    @abstractmethod
    def nudge(self) -> None:
        """A run was put into the queue: look soon. Cheap, and safe to call too often."""

    @abstractmethod
    def close(self) -> None:
        """Let what runs be saved, and stop."""


class LocalExecutor(Executor):
    """Worker processes on this machine, under a supervisor process that lives as long as this object.

    Args:
        store: Where the runs are.
    """

    def __init__(self, store: RunStore) -> None:
        self._url = store.url
        self._lock = threading.Lock()
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        root = str(Path(__file__).resolve().parents[2])  # aecore need not be installed
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        return subprocess.Popen(
            [sys.executable, "-m", "aecore.runs.supervisor"],
            stdin=subprocess.PIPE,
            env={**os.environ, "AECORE_RUNS": self._url, "PYTHONPATH": path},
            start_new_session=os.name == "posix",  # Ctrl-C is for the lab; it then lets its workers save
        )

    def nudge(self) -> None:
        """See `Executor.nudge`; a supervisor that died is started again."""
        with self._lock:
            if self._process.poll() is not None:
                self._process = self._start()
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # died just now; the next nudge starts another
                self._process.stdin.write(b".")
                self._process.stdin.flush()

    def close(self) -> None:
        """See `Executor.close`."""
        with self._lock:
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # died before it read the last nudge
                self._process.stdin.close()
            self._process.wait()
