"""What the browser tests stand on: Debian's Chromium, and what one does with a page of the lab.

Used through the fixtures in `conftest.py`. Only loopback is ever spoken to.
"""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import Locator, Page, expect

from benchmarks import chromium
from benchmarks.chromium import settled
from benchmarks.server import LabServer, lab_server

BROWSER_FLAGS = chromium.FLAGS

__all__ = [
    "BROWSER_FLAGS",
    "LabServer",
    "button",
    "drag",
    "expect_state",
    "find_browser",
    "lab_server",
    "pixels",
    "settled",
]


def find_browser() -> str:
    """The path of an installed Chromium or Chrome; without one the test is skipped, or fails if one is required."""
    if path := chromium.find():
        return path
    if os.environ.get("AECORE_REQUIRE_BROWSER") == "1":
        pytest.fail(chromium.MISSING)
    pytest.skip(chromium.MISSING)


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
