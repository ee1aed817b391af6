"""How quickly the lab answers: from start to first paint, page to page, hand to picture; idle and while it trains.

A server of its own and headless Chromium on this machine. There is no other lab to set beside it, so it is set beside
itself: the same things are done by turns while nothing trains and while a run goes on. It knows nothing of what stands
on the pages.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from aecore.runs.store import RunStore
from benchmarks import chromium, visitor
from benchmarks.answers import IDLE, TRAINING, UNWATCHED, WATCHED, Found, keep, section, unmeasured
from benchmarks.background import BackgroundRun, going
from benchmarks.lab_processes import memory_of_the_lab, processor_time
from benchmarks.report import Section
from benchmarks.server import lab_server
from benchmarks.settings import Settings
from pages.ui.navigation import PAGES

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How often everything is done.

    Attributes:
        rounds: Turns of idle and training; the next five are for each turn of each.
        starts, tours: Starts of a server; ways through all pages.
        moves, edits, dials: Moves of the pointer on a page, numbers typed, settings changed.
        watches: Pairs of a while unwatched and a while watched.
        watch_seconds: The length of that while.
        warm: Seconds a run trains before anything is measured beside it.
    """

    rounds: int = 2
    starts: int = 3
    tours: int = 3
    moves: int = 30
    edits: int = 15
    dials: int = 10
    watches: int = 4
    watch_seconds: float = 6.0
    warm: float = 3.0


QUICK = Effort(rounds=1, starts=1, tours=1, moves=8, edits=4, dials=2, watches=1, watch_seconds=3.0, warm=1.0)


def measure(settings: Settings) -> Section:
    """Measure everything; where there is no Chromium, the section says so.

    Raises:
        ServerError: If the lab does not start.
    """
    path = chromium.find()
    if path is None:
        return unmeasured(chromium.MISSING)
    effort, found = QUICK if settings.quick else Effort(), Found()
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(RunStore(f"sqlite:///{Path(folder, 'runs.sqlite').as_posix()}")) as store,
        lab_server({"AECORE_RUNS": store.url}) as server,
        sync_playwright() as playwright,
        closing(playwright.chromium.launch(executable_path=path, args=chromium.FLAGS)) as browser,
    ):
        page = visitor.new_page(browser)
        visitor.stand_on(page, server.url, "home")
        found.first_visits = {PAGES[name].name: stage for name, (stage, _) in visitor.tour(page).items()}
        found.memory[IDLE] = memory_of_the_lab(server.process.pid, training=False)
        run = BackgroundRun(store, settings.data)  # now: a page that needs workers has started them
        found.trained_on = run.dataset
        with going(run, effort.warm):
            watching(run, browser, server.url, effort, found)
            found.memory[TRAINING] = memory_of_the_lab(server.process.pid, training=True)
        for _ in range(effort.rounds):
            answers(IDLE, page, server.url, effort, found)
            with going(run, effort.warm):
                answers(TRAINING, page, server.url, effort, found)
        run.stop()
    return section(found)


def answers(state: str, page: Page, url: str, effort: Effort, found: Found) -> None:
    """One turn of everything that is done by turns; `page` is at home, and so it is left."""
    log.info("answering: %s", state)
    browser = page.context.browser
    assert browser is not None
    for _ in range(effort.starts):
        for moment, milliseconds in visitor.first_paint(browser).items():
            keep(found.starts, moment, state, [milliseconds])
    for _ in range(effort.tours):
        for name, (stage, rest) in visitor.tour(page).items():
            keep(found.stages, PAGES[name].name, state, [stage])
            keep(found.rests, PAGES[name].name, state, [rest])
    hands: dict[str, tuple[Callable[[Page, str, int], Iterator[float]], int]] = {
        "Denoising: noise slider, denoised picture": (visitor.drag_noise, effort.moves),
        "Latent Space: pointer, decoded picture": (visitor.walk_map, effort.moves),
        "Operations: number of the kernel, result": (visitor.edit_kernel, effort.edits),
        "Train: kind of network, its size from the server": (visitor.turn_dial, effort.dials),
    }
    for what, (measured, times) in hands.items():
        with closing(visitor.new_page(browser)) as hand:
            keep(found.hands, what, state, measured(hand, url, times))


def watching(run: BackgroundRun, browser: Browser, url: str, effort: Effort, found: Found) -> None:
    """How fast a run trains by turns while nobody looks and while a page shows it, and who keeps the cores busy."""
    log.info("answering: training unwatched and watched")

    def note(how: str) -> None:
        before = processor_time()
        speed = run.speed(effort.watch_seconds)
        after = processor_time()
        found.speeds[how].append(speed)
        for whose, seconds in after.items():
            keep(found.cores, whose, how, [(seconds - before[whose]) / speed.seconds])

    for _ in range(effort.watches):
        note(UNWATCHED)
        with closing(visitor.new_page(browser)) as page:
            visitor.watch(page, url, run.id)
            note(WATCHED)
