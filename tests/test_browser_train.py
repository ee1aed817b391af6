"""The Train page in a real browser: a whole run from the first loss to the saved file, reloads, phone, keyboard."""

from __future__ import annotations

import contextlib
import io
import os
import re
import statistics
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from browser import button, expect_state, settled
from playwright.sync_api import Page, expect

from aecore.checkpoint import Checkpoint
from aecore.data import is_available

pytestmark = pytest.mark.browser

NewPage = Callable[..., Page]
PATIENCE = 60_000  # milliseconds; machines are shared, and nothing here asserts speed

WATCH_UPDATES = """() => {
    window.stamps = []
    let last = ''
    const look = () => {
        const text = document.querySelector('.st-key-run_status')?.innerText ?? ''
        if (text !== last) { last = text; window.stamps.push(performance.now()) }
        requestAnimationFrame(look)
    }
    look()
}"""


def open_train(page: Page, lab: str, settings: str = "") -> Page:
    page.goto(f"{lab}/Train?{settings}")
    expect(page.get_by_role("heading", name="How does an autoencoder learn?")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("heading", name="Your runs")).to_be_visible(timeout=PATIENCE)
    settled(page)
    return page


def status(page: Page) -> str:
    return page.locator(".st-key-run_status").inner_text()


def step(page: Page) -> int:
    """Steps done, as the page says."""
    found = re.search(r"step ([\d,]+)", status(page))
    return int(found.group(1).replace(",", "")) if found else 0


def wait_for_step(page: Page, at_least: int) -> None:
    page.wait_for_function(
        """(least) => {
            const text = document.querySelector('.st-key-run_status')?.innerText ?? ''
            const found = text.match(/step ([\\d,]+)/)
            return found && Number(found[1].replaceAll(',', '')) >= least
        }""",
        arg=at_least,
        timeout=PATIENCE,
    )


def press(page: Page, key: str, until: str) -> None:
    """Press a key, again if it fell into a moment in which the page was being drawn, until the status says so."""
    for _ in range(5):
        page.keyboard.press(key)
        with contextlib.suppress(AssertionError):
            expect(page.locator(".st-key-run_status")).to_contain_text(until, timeout=PATIENCE / 6)
            return
    pytest.fail(f"pressing {key!r} did not lead to {until!r}")


def errors_shown(page: Page) -> list[float]:
    """The MSE under each picture of the strip."""
    captions = page.locator(".st-key-strip_run .caption")
    expect(captions.first).to_have_text(re.compile(r"\d"), timeout=PATIENCE)  # words may be painted before it
    return [float(text) for text in captions.all_inner_texts()]


def reconstructions(page: Page) -> list[int]:
    """Brightness of every pixel of the reconstructions on the page."""
    return page.locator(".st-key-strip_run canvas.reconstruction").evaluate_all(
        """(canvases) => canvases.flatMap((canvas) => {
            const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
            return Array.from(data.filter((_, i) => i % 4 === 0))
        })"""
    )


@pytest.mark.mnist
@pytest.mark.skipif(not is_available("mnist"), reason="MNIST is not on this machine: set AECORE_DATA to its folder")
def test_a_whole_run_on_mnist(
    page: Page, new_page: NewPage, lab: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_train(page, lab, "dataset=mnist&latent_dim=8&budget=50&channels=8&upsample=transpose2")
    pressed = time.monotonic()
    button(page, "Train").click()
    wait_for_step(page, 1)
    first_loss = time.monotonic() - pressed
    page.evaluate(WATCH_UPDATES)
    early, early_pictures = statistics.fmean(errors_shown(page)), reconstructions(page)
    wait_for_step(page, 60)
    assert statistics.fmean(errors_shown(page)) < early, "the error falls"
    assert reconstructions(page) != early_pictures, "the reconstructions change"
    stamps = page.evaluate("window.stamps")
    updates = (len(stamps) - 1) / max(1e-9, (stamps[-1] - stamps[0]) / 1000)

    button(page, "Pause").click()
    expect_state(page, "Paused")
    held = step(page)
    button(page, "Step").click()
    wait_for_step(page, held + 1)
    expect_state(page, "Paused")
    assert step(page) == held + 1, "one step, and no more"
    button(page, "Resume").click()
    wait_for_step(page, held + 5)

    page.reload()
    expect(page.locator(".st-key-run_status")).to_be_visible(timeout=PATIENCE)
    after_reload = step(page)
    assert after_reload >= held + 5, "the run went on"
    wait_for_step(page, after_reload + 5)

    watcher = open_train(new_page(), lab, page.url.split("?")[1])
    expect(watcher.get_by_text("somebody else's run")).to_be_visible(timeout=PATIENCE)
    expect(button(watcher, "Stop")).to_be_disabled(timeout=PATIENCE)

    clicks = answer_times(new_page, lab)
    expect(button(page, "Stop")).to_be_enabled(timeout=PATIENCE)
    button(page, "Stop").click()
    expect_state(page, "Stopped")
    with page.expect_download(timeout=PATIENCE) as download:
        page.get_by_role("button", name="Save checkpoint").first.click()
    saved = tmp_path / "checkpoint.zip"
    download.value.save_as(saved)
    with zipfile.ZipFile(io.BytesIO(saved.read_bytes())) as archive:
        archive.extractall(tmp_path / "model")
    checkpoint = Checkpoint.load(tmp_path / "model")
    assert checkpoint.model_config.latent_dim == 8
    checkpoint.build()
    with capsys.disabled():
        print(
            f"\n  press to first loss {first_loss:.2f} s, {updates:.1f} updates/s; a click elsewhere while it trains: "
            f"median {statistics.median(clicks):.0f} ms, 95th percentile {percentile_95(clicks):.0f} ms "
            f"of {len(clicks)} clicks"
        )


def percentile_95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def answer_times(new_page: NewPage, lab: str, count: int = 40) -> list[float]:
    """Milliseconds from a click on a form elsewhere in the lab to its answer on the screen, in another session."""
    page = open_train(new_page(), lab, "dataset=digits")
    times = []
    for number in range(count):
        body = ("MLP", "Convolutional")[number % 2]
        before = page.get_by_test_id("stMetricValue").first.inner_text()
        times.append(
            page.evaluate(
                """([body, before]) => new Promise((resolve, reject) => {
                    const choice = [...document.querySelectorAll('button')].find((b) => b.innerText.trim() === body)
                    const value = () => document.querySelector('[data-testid="stMetricValue"]').innerText
                    const begun = performance.now()
                    choice.click()
                    const look = () => {
                        if (value() !== before) return resolve(performance.now() - begun)
                        if (performance.now() - begun > 30000) return reject(new Error('no answer'))
                        requestAnimationFrame(look)
                    }
                    look()
                })""",
                [body, before],
            )
        )
        settled(page)
    return times


def test_the_keyboard_is_enough(page: Page, lab: str) -> None:
    open_train(page, lab, "dataset=digits8&body=mlp&latent_dim=2&budget=2000")
    expect(button(page, "Train")).to_be_enabled()
    press(page, "t", until="step")
    press(page, "p", until="Paused")
    expect_state(page, "Paused")
    held = step(page)
    press(page, "s", until=f"step {held + 1:,}")
    press(page, "x", until="Stopped")
    expect(page.locator(".st-key-plane_chart")).to_be_visible()


def test_more_is_shown_than_the_page_looks_at(page: Page, lab: str) -> None:
    """Each look draws the whole page; what was reported between two looks is written and painted in between."""
    open_train(page, lab, "dataset=digits8&body=mlp&latent_dim=4&budget=60&budget_unit=Seconds")
    button(page, "Train").click()
    wait_for_step(page, 1)
    page.evaluate(WATCH_UPDATES)
    page.evaluate(
        """() => {
            window.looks = 0
            const app = document.querySelector('[data-testid="stApp"]')
            const note = () => (window.looks += app.dataset.testScriptState === 'running')
            new MutationObserver(note).observe(app, { attributes: true, attributeFilter: ['data-test-script-state'] })
        }"""
    )
    pictures = reconstructions(page)
    page.wait_for_function("() => looks > 2 && stamps.length > 2 * looks", timeout=PATIENCE)
    assert reconstructions(page) != pictures
    button(page, "Stop").click()
    expect_state(page, "Stopped")


def test_a_finished_run_can_be_found_again_and_deleted(page: Page, lab: str) -> None:
    open_train(page, lab, "dataset=digits8&body=linear&budget=30&budget_unit=Steps")
    button(page, "Train").click()
    expect_state(page, "Finished")
    page.get_by_role("link", name="Home").first.click()
    expect(page.get_by_role("heading", name="What is an autoencoder?")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("link", name="Train").first.click()
    expect_state(page, "Finished")
    shelf = page.get_by_role("button", name="Delete")
    expect(shelf.first).to_be_enabled(timeout=PATIENCE)  # it is drawn after the stage
    settled(page)
    count = shelf.count()
    shelf.first.click()
    expect(page.get_by_role("button", name="Delete")).to_have_count(count - 1, timeout=PATIENCE)


def test_it_fits_a_phone(new_page: NewPage, lab: str) -> None:
    page = open_train(new_page(viewport={"width": 390, "height": 844}), lab, "dataset=digits8&body=linear&budget=20")
    button(page, "Train").click()
    expect_state(page, "Finished")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out sideways"


def test_a_link_carries_every_setting_the_smallest_values_too(page: Page, new_page: NewPage, lab: str) -> None:
    """Also after it was opened in the command line's words and something was changed."""
    open_train(page, lab, "dataset=digits8&body=linear&latent_dim=1")
    code = page.get_by_role("spinbutton", name="Code size")
    expect(code).to_have_value("1")
    budget = page.get_by_role("spinbutton", name="Budget")
    budget.fill("1")
    budget.press("Enter")
    page.wait_for_url(re.compile("budget=1"), timeout=PATIENCE)
    settled(page)
    again = open_train(new_page(), lab, page.url.split("?")[1])
    expect(again.get_by_role("combobox", name="Images")).to_have_value("Digits, 8x8")
    expect(again.get_by_role("spinbutton", name="Code size")).to_have_value("1")
    expect(again.get_by_role("spinbutton", name="Budget")).to_have_value("1")
    expect(again.get_by_role("radio", name="Linear")).to_be_checked()


def test_wrong_links_are_answered_kindly(page: Page, lab: str) -> None:
    open_train(page, lab, "run=nosuchrun&latent_dim=abc&dataset=none")
    expect(page.get_by_text("There is no run")).to_be_visible()
    expect(button(page, "Train")).to_be_enabled()
    assert "Traceback" not in page.content()


def test_the_page_names_no_server_paths(page: Page, lab: str) -> None:
    open_train(page, lab, "dataset=digits8")
    assert os.fspath(Path(__file__).parents[1]) not in page.content()
