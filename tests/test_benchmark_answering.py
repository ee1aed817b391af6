"""The measuring of answers: whether frames and processes are found. How fast anything is, is not judged here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
from playwright.sync_api import Page

from benchmarks import chromium, stopwatch, visitor
from benchmarks.answering import Effort
from benchmarks.answers import IDLE, TRAINING, UNWATCHED, WATCHED, Found, section
from benchmarks.background import Speed
from benchmarks.lab_processes import by_role, memory_of_the_lab, parse_ticks
from benchmarks.memory import PROCESSES, Process
from benchmarks.report import markdown
from benchmarks.server import LabServer
from benchmarks.stopwatch import changed, stands
from pages.ui.navigation import PAGES

NewPage = Callable[..., Page]

# a page of our own: a click changes a canvas and a text in a shadow root, 120 ms later
LATE = """
    <h1>Late</h1><button>Go</button><div id="host"></div>
    <script>
        const root = document.querySelector("#host").attachShadow({ mode: "open" })
        root.innerHTML = '<canvas width="4" height="4"></canvas><output>0</output>'
        const pen = root.querySelector("canvas").getContext("2d")
        const put = (value) => pen.putImageData(new ImageData(new Uint8ClampedArray(64).fill(value), 4, 4), 0, 0)
        document.querySelector("button").onclick = () => {
            put(0) // the same picture once more, which is not yet an answer
            setTimeout(() => { put(200); root.querySelector("output").value = "1" }, 120)
        }
        put(0)
    </script>
"""


@pytest.mark.browser
def test_the_stopwatch_waits_for_what_changes_and_not_for_less(new_page: NewPage) -> None:
    page = new_page()
    stopwatch.install(page)
    page.route("http://127.0.0.1:1/", lambda route: route.fulfill(body=LATE, content_type="text/html"))
    page.goto("http://127.0.0.1:1/")
    goals = [stands("Late", "canvas"), changed("canvas"), changed("output")]
    stands_at, canvas, text = stopwatch.timed(page, "click", goals, page.locator("button").click)
    assert 0 < stands_at < canvas <= text
    assert canvas >= 120


@pytest.mark.browser
def test_a_page_and_a_number_typed_are_timed(new_page: NewPage, lab: str) -> None:
    page = new_page()
    stopwatch.install(page)
    visitor.stand_on(page, lab, "home")
    stage, rest = visitor.visit(page, "operations")
    assert 0 < stage <= rest
    chromium.settled(page)
    times = list(visitor.type_digits(page, 2))
    assert len(times) == 2
    assert all(milliseconds > 0 for milliseconds in times)


@pytest.mark.browser
@pytest.mark.skipif(not (PROCESSES / "self" / "smaps_rollup").exists(), reason="only Linux tells")
def test_the_server_is_found_among_the_processes(server: LabServer) -> None:
    held = memory_of_the_lab(server.process.pid, training=False)
    assert held["server"]["count"] == 1
    assert held["server"]["resident"] >= held["server"]["private"] > 10


def test_processes_are_told_apart() -> None:
    fork = "python -c from multiprocessing.forkserver import main"
    commands = {
        2: (1, "python -m aecore.runs.supervisor"),
        3: (2, "python -c from multiprocessing.resource_tracker import main"),
        4: (2, fork),
        5: (4, fork),
        6: (4, fork),
    }
    below = [Process(number, parent, command, 0, 0) for number, (parent, command) in commands.items()]
    ids = partial(by_role, below)
    assert {role: [one.id for one in ones] for role, ones in ids(training=False).items()} == {
        "supervisor": [2],
        "resource tracker": [3],
        "what workers are forked from": [4],
        "worker, warm and waiting": [5, 6],
    }
    assert len(ids(training=True)["worker that trains"]) == 1


def test_a_name_with_brackets_does_not_confuse_the_clock() -> None:
    assert parse_ticks("7 (a) S (b) R 3 7 7 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 9 4096 25 0") == 200


def test_every_page_has_a_stage_and_is_toured() -> None:
    assert set(visitor.STAGES) == set(visitor.TOUR) == set(PAGES)


def test_the_pointer_never_stands_still() -> None:
    places = [visitor.to_and_fro(number) for number in range(Effort().moves * 3)]
    assert all(one != other for one, other in pairwise(places))
    assert min(places) >= 0.3
    assert max(places) <= 0.7


def test_the_report_compares_medians() -> None:
    times = {"something": {IDLE: [10.0, 20.0, 30.0], TRAINING: [50.0, 60.0, 40.0]}}
    speed = Speed(in_steps=100.0, by_the_clock=80.0, seconds=1.0)
    found = Found(
        starts=times,
        hands=times,
        memory={IDLE: {}, TRAINING: {}},
        speeds={UNWATCHED: [speed], WATCHED: [speed]},
        cores={"server": {UNWATCHED: [0.0], WATCHED: [0.5]}},
    )
    result = section(found)
    text = markdown([result], {})
    assert "| something | 20 | 10 | 30 | 50 | 40 | 60 | 2.5 |" in text
    assert "Not measured" in text
    assert result.data["hands"] == times
