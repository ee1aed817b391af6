"""Times in a real browser: from what a visitor does to the painted frame that shows its effect (`stopwatch.js`).

The clock runs inside the page, so neither Playwright nor the way to it is measured. It knows nothing of what is on the
pages.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

Goal = dict[str, str | bool]

_SCRIPT = Path(__file__).with_suffix(".js").read_text()


def changed(selector: str) -> Goal:
    """What is found there shows something else than when the stopwatch was armed: other pixels, text or values."""
    return {"changed": selector}


def stands(heading: str, stage: str = "") -> Goal:
    """The page of that heading is there, and what is found under `stage`, if given, has been painted on it."""
    return {"heading": heading, "stage": stage}


AT_REST: Goal = {"rest": True}
"""The page's script has run to its end, and nothing stale is left."""


def install(page: Page, *, watch: list[Goal] | None = None) -> None:
    """Put a stopwatch into whatever the page will open; it looks at once for the goals to `watch`, if any."""
    at_once = f"\nif (top === self) stopwatch.watch({json.dumps(watch)})" if watch else ""
    page.add_init_script(_SCRIPT + at_once)


def timed(page: Page, event: str, goals: list[Goal], act: Callable[[], Any]) -> list[float]:
    """Do something, and give the milliseconds from its event to each goal, one goal after the other.

    Args:
        page: With a stopwatch, see `install`.
        event: What `act` makes happen in the page, such as "click" or "pointermove".
        goals: What to wait for.
        act: Moves the mouse or presses a key, once.
    """
    page.evaluate("([event, goals]) => stopwatch.arm(event, goals)", [event, goals])
    act()
    return read(page)


def read(page: Page) -> list[float]:
    """Wait until all goals are reached and give their times.

    Raises:
        playwright.sync_api.Error: If one is not reached within a minute.
    """
    times: list[float] = page.evaluate("stopwatch.read()")
    return times
