"""What the browser tests stand on: a server of the lab of their own, and Debian's Chromium.

Used through the fixtures in `conftest.py`. Only loopback is ever spoken to.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest
from playwright.sync_api import Locator, Page, expect

ROOT = Path(__file__).parents[1]
BROWSER_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
START_SECONDS = 60
STOP_SECONDS = 30


def find_browser() -> str:
    """The path of an installed Chromium or Chrome; without one the test is skipped, or fails if one is required."""
    for name in BROWSER_NAMES:
        if path := shutil.which(name):
            return path
    message = f"no browser: none of {', '.join(BROWSER_NAMES)} is installed"
    if os.environ.get("AECORE_REQUIRE_BROWSER") == "1":
        pytest.fail(message)
    pytest.skip(message)


@dataclass
class LabServer:
    """A running `streamlit run app.py`.

    Attributes:
        url: Where it answers, without a slash at the end.
        process: The server itself.
        log: What it has printed so far, line by line.
    """

    url: str
    process: subprocess.Popen[str]
    log: list[str] = field(default_factory=list)


@contextlib.contextmanager
def lab_server(environment: dict[str, str]) -> Iterator[LabServer]:
    """Start the lab on a free port, wait until it answers, and stop it at the end.

    Args:
        environment: Variables on top of this process's own, such as `AECORE_RUNS`.
    """
    server = _start({**os.environ, "PYTHONUNBUFFERED": "1", **environment})
    try:
        with urllib.request.urlopen(f"{server.url}/_stcore/health", timeout=10) as answer:
            assert answer.read() == b"ok"
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
    process = subprocess.Popen(
        [*command, "--server.address=127.0.0.1", f"--server.port={port}"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    server = LabServer(f"http://127.0.0.1:{port}", process)
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
    pytest.fail(f"the lab's server did not start within {START_SECONDS} s:\n{log}")


def _keep_reading(stream: IO[str], log: list[str]) -> None:
    """Read on, or the server would wait for somebody to read once the pipe is full."""
    log.extend(stream)


def settled(page: Page) -> None:
    """Wait until the page's script has run to its end and nothing stale is left on the screen."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    page.wait_for_function("""() => !document.querySelector('[data-stale="true"]')""")


def button(page: Page, name: str) -> Locator:
    """The button of that name."""
    return page.get_by_role("button", name=name).first


def expect_state(page: Page, state: str, patience: float = 60_000) -> None:
    """Wait until the run on the stage says that it is in this state; fail after `patience` milliseconds."""
    expect(page.locator(".st-key-run_status")).to_contain_text(state, timeout=patience)


def pixels(canvas: Locator) -> list[int]:
    """The brightness of a canvas's pixels, 0-255."""
    return canvas.evaluate(
        """(canvas) => {
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
            return Array.from(data.filter((_, i) => i % 4 === 0))
        }"""
    )


def drag(page: Page, canvas: Locator, *points: tuple[float, float]) -> None:
    """Draw a line through points given as fractions of the canvas."""
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()
