"""Fixtures that more than one test file uses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from browser import BROWSER_FLAGS, LabServer, find_browser, lab_server
from playwright.sync_api import Browser, Page, sync_playwright

NewPage = Callable[..., Page]


def pytest_configure(config: pytest.Config) -> None:
    """Where several processes share the tests, each has one core: more threads would wait for each other."""
    if hasattr(config, "workerinput"):
        torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All browser tests go to one process, for they share a browser and a server."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="session", autouse=True)
def fresh_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What was measured on this machine before, perhaps by another version, has no say in the tests."""
    os.environ["AECORE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One torch thread during the test: sums come out the same every time, and no other test has to wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, one for all tests; skips where there is none."""
    path = find_browser()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=BROWSER_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """The lab, running as a server of its own for all browser tests, with an empty store of runs."""
    find_browser()  # no use in starting a server nobody will look at
    runs: Path = tmp_path_factory.mktemp("runs")
    with lab_server({"AECORE_RUNS": str(runs)}) as running:
        yield running


@pytest.fixture
def lab(server: LabServer) -> str:
    """The address of the running lab."""
    return server.url


@pytest.fixture
def new_page(browser: Browser) -> Iterator[NewPage]:
    """Open pages, each in a fresh session; takes the options of a browser context (viewport, color_scheme, ...).

    In the end no script may have failed in any of them, and none may have asked for anything outside this machine.
    """
    contexts, failures, outside = [], [], []

    def note_request(url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "data:", "blob:", "about:")):
            outside.append(url)

    def open_page(**options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("request", lambda request: note_request(request.url))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not failures, f"scripts failed in the browser: {failures}"
    assert not outside, f"the page asked for things from elsewhere: {outside}"


@pytest.fixture
def page(new_page: NewPage) -> Page:
    """A page of the size of a laptop's screen."""
    return new_page()
