"""The browser that benchmarks and browser tests drive: which one, how it is started, and when a page stands still.

It knows nothing of what is on the pages.
"""

from __future__ import annotations

import shutil

from playwright.sync_api import Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
MISSING = f"no browser: none of {', '.join(NAMES)} is installed"


def find() -> str | None:
    """The path of an installed Chromium or Chrome; None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def settled(page: Page) -> None:
    """Wait until the page's script has run to its end and nothing stale is left on the screen."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    page.wait_for_function("""() => !document.querySelector('[data-stale="true"]')""")
