"""What a visitor of the lab does, each with its time in milliseconds, measured inside the page.

It knows what stands on the pages, and nothing of how often or in which state of the machine things are done.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize

from benchmarks import chromium, stopwatch
from benchmarks.server import lab_server
from benchmarks.stopwatch import AT_REST, changed, stands
from pages.ui.navigation import PAGES

PATIENCE = 60_000  # milliseconds
VIEWPORT = ViewportSize(width=1280, height=800)

# what a page's stage is known by; a canvas counts once something was painted on it
STAGES = {
    "home": ".toy .reconstruction canvas",
    "train": "canvas.reconstruction",
    "operations": ".planes .cell",
    "decoders": ".minis canvas",
    "denoising": ".denoised canvas",
    "latent_space": ".decoded canvas[data-code]",
    "vae": ".grid[data-drawn]",
}
# the last heading of those that are opened by their address: once it is there, nothing moves under the hand any more
LAST = {
    "home": "The lab",
    "train": "Your runs",
    "operations": "Check yourself",
    "denoising": "Train a denoiser of your own",
    "latent_space": "Holes and cover",
}
TOUR = ("train", "operations", "decoders", "denoising", "latent_space", "vae", "home")


def new_page(browser: Browser) -> Page:
    """An empty page of a new visitor, with a stopwatch; closing it forgets the visitor."""
    page = browser.new_page(viewport=VIEWPORT)
    page.set_default_timeout(PATIENCE)
    stopwatch.install(page)
    return page


# -- start to first paint ------------------------------------------------------------------------------------------


def first_paint(browser: Browser) -> dict[str, float]:
    """Start another server, and open its home page with a browser that has seen nothing of it yet."""
    home = PAGES["home"].question
    with (
        tempfile.TemporaryDirectory() as folder,
        lab_server({"AECORE_RUNS": folder}) as server,
        closing(browser.new_page(viewport=VIEWPORT)) as page,
    ):
        stopwatch.install(page, watch=[stands(home), stands(home, STAGES["home"])])
        page.goto(server.url, wait_until="commit")
        words, stage = stopwatch.read(page)
        painted = page.evaluate(
            "performance.timeOrigin + performance.getEntriesByName('first-contentful-paint')[0].startTime"
        )
        moments = {
            "the server answers": 1000 * server.answered,
            "something is painted": painted,
            "the question can be read": words,
            "the stage stands": stage,
        }
        return {what: moment - 1000 * server.launched for what, moment in moments.items()}


# -- page to page --------------------------------------------------------------------------------------------------


def tour(page: Page) -> dict[str, tuple[float, float]]:
    """From home, where `page` is, through all pages by the navigation, and home again.

    Returns:
        For each page milliseconds from the click until its stage stands, and until all is at rest.
    """
    return {name: visit(page, name) for name in TOUR}


def visit(page: Page, name: str) -> tuple[float, float]:
    """Go to a page by the navigation, as `tour` does."""
    link = page.get_by_test_id("stSidebar").get_by_role("link", name=PAGES[name].name, exact=True)
    goals = [stands(PAGES[name].question, STAGES[name]), AT_REST]
    stage, rest = stopwatch.timed(page, "click", goals, link.click)
    return stage, rest


# -- hand to picture -----------------------------------------------------------------------------------------------


def drag_noise(page: Page, url: str, times: int) -> Iterator[float]:
    """Drag the noise slider to and fro, and wait for the denoised picture each time."""
    stand_on(page, url, "denoising")
    slider = page.get_by_role("slider", name="Strength of the noise")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box
    height = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.5 * box["width"], height)
    page.mouse.down()
    for number in range(times):
        x = box["x"] + to_and_fro(number) * box["width"]
        yield stopwatch.timed(page, "pointermove", [changed(".denoised canvas")], partial(page.mouse.move, x, height))[
            0
        ]
    page.mouse.up()


def walk_map(page: Page, url: str, times: int) -> Iterator[float]:
    """Move over the map of codes, and wait for the decoded picture each time."""
    stand_on(page, url, "latent_space")
    plane = page.locator(".map").first
    plane.locator(".main-svg").first.wait_for()
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    assert box
    height = box["y"] + 0.5 * box["height"]
    page.mouse.move(box["x"] + 0.5 * box["width"], height)
    for number in range(times):
        x = box["x"] + to_and_fro(number) * box["width"]
        goal = changed(".decoded canvas")
        yield stopwatch.timed(page, "pointermove", [goal], partial(page.mouse.move, x, height))[0]


def edit_kernel(page: Page, url: str, times: int) -> Iterator[float]:
    """Type another digit over a number of the kernel, and wait for the result each time."""
    stand_on(page, url, "operations", "?operation=conv2d&x=counting")
    yield from type_digits(page, times)


def type_digits(page: Page, times: int) -> Iterator[float]:
    """The same where the Operations page is open already."""
    cell = page.get_by_role("textbox", name="w row 0 column 0", exact=True)
    for number in range(times):
        cell.blur()
        cell.focus()  # selects what is in it, so that a digit takes its place
        digit = str(2 + number % 7)
        goal = changed(".plane.last .cell")
        yield stopwatch.timed(page, "keydown", [goal], partial(page.keyboard.press, digit))[0]


def turn_dial(page: Page, url: str, times: int) -> Iterator[float]:
    """Choose another kind of network on the Train page, and wait for the numbers the server works out for it."""
    stand_on(page, url, "train", "?dataset=digits")
    for number in range(times):
        choice = page.get_by_role("radio", name=("MLP", "Convolutional")[number % 2], exact=True)
        yield stopwatch.timed(page, "click", [changed('[data-testid="stMetricValue"]')], choice.click)[0]
        chromium.settled(page)


def watch(page: Page, url: str, run: str) -> None:
    """Open the Train page on a run, and wait until it shows how fast that goes."""
    page.goto(f"{url}/{_path('train')}?run={run}")
    page.locator(".st-key-run_status").get_by_text("images/s").wait_for()


def to_and_fro(number: int, low: float = 0.3, high: float = 0.7, step: float = 0.025) -> float:
    """The place of the pointer after so many moves, as a share of the width; never twice the same in a row."""
    there = round((high - low) / step)
    along = (number + 1) % (2 * there)
    return low + step * min(along, 2 * there - along)


def stand_on(page: Page, url: str, name: str, address: str = "") -> None:
    """Open a page by its address, and wait until it stands still."""
    page.goto(f"{url}/{_path(name)}{address}", wait_until="commit")
    page.get_by_role("heading", name=PAGES[name].question).wait_for()
    page.locator(STAGES[name]).first.wait_for()
    page.get_by_role("heading", name=LAST[name]).wait_for()
    chromium.settled(page)


def _path(name: str) -> str:
    """The address of a page, as Streamlit makes it from the script's name."""
    return "" if name == "home" else Path(PAGES[name].path).stem.partition("_")[2]
