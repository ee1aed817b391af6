"""The lab as others meet it: `streamlit run app.py` in a process of its own, on a free port of this machine.

Benchmarks and browser tests start it here. It lies with the benchmarks because the way is down only from tests to what
they test: a benchmark must not need pytest, and `aecore` must not know of Streamlit. It knows nothing of browsers.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]
START_SECONDS = 60
STOP_SECONDS = 30


class ServerError(RuntimeError):
    """The lab's server did not start."""


@dataclass
class LabServer:
    """A running `streamlit run app.py`.

    Attributes:
        url: Where it answers, without a slash at the end.
        process: The server itself.
        launched: When it was started, in seconds since 1970.
        answered: When it first answered.
        log: What it has printed so far, line by line.
    """

    url: str
    process: subprocess.Popen[str]
    launched: float
    answered: float = 0.0
    log: list[str] = field(default_factory=list)


@contextlib.contextmanager
def lab_server(environment: dict[str, str]) -> Iterator[LabServer]:
    """Start the lab on a free port, wait until it answers, and stop it at the end.

    Args:
        environment: Variables on top of this process's own, such as `AECORE_RUNS`.

    Raises:
        ServerError: If it does not start within `START_SECONDS`.
    """
    server = _start({**os.environ, "PYTHONUNBUFFERED": "1", **environment})
    try:
        with urllib.request.urlopen(f"{server.url}/_stcore/health", timeout=10) as answer:
            assert answer.read() == b"ok"
        server.answered = time.time()
        yield server
    finally:
        server.process.terminate()
        try:
            server.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()


def _start(environment: dict[str, str], attempts: int = 3) -> LabServer:
    """Start the server; again on another port if somebody took ours between the choice and the start.

    Streamlit prints its address only once it has bound the port itself, and ends if it cannot, so an address printed
    by our own process cannot be another server's.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true"]
    launched = time.time()
    process = subprocess.Popen(
        [*command, "--server.address=127.0.0.1", f"--server.port={port}"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    server = LabServer(f"http://127.0.0.1:{port}", process, launched)
    too_late = threading.Timer(START_SECONDS, process.kill)
    too_late.start()
    assert process.stdout is not None
    for line in process.stdout:
        server.log.append(line)
        if "URL:" in line:
            too_late.cancel()
            threading.Thread(target=_keep_reading, args=(process.stdout, server.log), daemon=True).start()
            return server
    too_late.cancel()
    process.wait()
    log = "".join(server.log)
    if "not available" in log and attempts > 1:
        return _start(environment, attempts - 1)
    raise ServerError(f"the lab's server did not start within {START_SECONDS} s:\n{log}")


def _keep_reading(stream: IO[str], log: list[str]) -> None:
    """Read on, or the server would wait for somebody to read once the pipe is full."""
    log.extend(stream)
