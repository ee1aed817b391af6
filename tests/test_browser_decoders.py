"""The Decoders page in a real browser: from training to the verdict, under one lens, on a laptop and on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from browser import button, expect_state, settled
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser

NewPage = Callable[..., Page]
PATIENCE = 60_000  # milliseconds; machines are shared, and nothing here asserts speed


def open_decoders(page: Page, lab: str, settings: str = "") -> Page:
    page.goto(f"{lab}/Decoders?{settings}")
    expect(page.get_by_role("heading", name="Which decoder leaves a checkerboard?")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("heading", name="Before any training")).to_be_visible(timeout=PATIENCE)
    settled(page)
    return page


def test_from_training_to_the_verdict(page: Page, lab: str) -> None:
    open_decoders(page, lab, "dataset=digits8&budget=30")
    expect(page.locator(".st-key-verdict")).to_contain_text("leaves the strongest pattern of its own")
    button(page, "Train").click()
    expect_state(page, "Training")
    expect(button(page, "Train")).to_be_disabled()
    button(page, "Pause").click()
    expect_state(page, "Paused")
    for name in ("Target", "Transposed, kernel 3", "Transposed, kernel 4", "Resize-convolution, nearest"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    button(page, "Resume").click()
    expect_state(page, "Finished")
    settled(page)

    numbers = page.locator("table").filter(has_text="PSNR")
    expect(numbers).to_contain_text("Transposed, kernel 3", timeout=PATIENCE)
    rows = {cells[0]: cells[1:] for cells in table(numbers)}
    verdict = page.locator(".st-key-verdict").inner_text()
    best = max(rows, key=lambda name: float(rows[name][0].removesuffix("dB")))
    assert best in verdict, "the verdict names the most exact one of this run"
    scores = {name: float(cells[2]) for name, cells in rows.items()}
    weakest = min(scores, key=lambda name: scores[name])
    assert weakest in verdict or "No clear difference" in verdict
    for title in (
        "Test MSE",
        "PSNR",
        "SSIM",
        "Checkerboard in the images",
        "Unevenness",
        "Checkerboard in the gradient",
    ):
        assert page.locator(f"[aria-label^='{title}']").count() or page.get_by_text(title).count()

    address = page.url
    assert re.search(r"comparison=[0-9a-f]{12}", address)
    page.reload()
    expect_state(page, "Finished")
    expect(page.locator(".st-key-verdict")).to_have_text(verdict.strip(), use_inner_text=True, timeout=PATIENCE)


def table(numbers: Locator) -> list[list[str]]:
    """The cells of every row, as text."""
    rows: list[list[str]] = numbers.evaluate(
        "table => [...table.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => cell.innerText))"
    )
    return rows


@pytest.mark.parametrize("width", [1280, 390])
def test_one_lens_for_all_columns(new_page: NewPage, lab: str, width: int) -> None:
    page = open_decoders(new_page(viewport={"width": width, "height": 844}), lab)
    places = [page.get_by_role("slider", name=re.compile(f"Lens, moved.*{name}")) for name in ("Target", "nearest")]
    for place in places:
        expect(place).to_have_attribute("aria-valuetext", re.compile("columns.13–20, rows.13–20"))
    places[0].focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    for place in places:
        expect(place).to_have_attribute("aria-valuetext", re.compile("columns.14–21, rows.14–21"))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing hangs over the edge"


def test_the_untrained_view_follows_the_kernel(page: Page, lab: str) -> None:
    open_decoders(page, lab)
    kernel = page.get_by_role("slider", name="Kernel of the transposed convolution")
    for side in (4, 5):
        kernel.press("ArrowRight")
        expect(page.get_by_text(re.compile(rf"Layer score.*Transposed, kernel {side}"))).to_be_visible(timeout=PATIENCE)
    settled(page)
    assert "kernel=5" in page.url
