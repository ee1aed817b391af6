"""The toy of the home page in a real browser: drawing, pulling at the code, keyboard, theme, phone."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from browser import drag, pixels, settled
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser

NewPage = Callable[..., Page]


def open_home(page: Page, lab: str) -> Page:
    page.goto(lab)
    expect(page.get_by_role("heading", name="What is an autoencoder?")).to_be_visible()
    expect(page.get_by_role("slider").first).to_be_visible()
    settled(page)
    return page


@pytest.fixture
def home(page: Page, lab: str) -> Page:
    """The home page with its toy running."""
    return open_home(page, lab)


def target(page: Page) -> Locator:
    return page.locator(".target canvas")


def reconstruction(page: Page) -> list[int]:
    return pixels(page.locator(".reconstruction canvas"))


def mse(page: Page) -> str:
    return page.locator(".mse").inner_text()


def codes(page: Page) -> list[float]:
    return [float(bar.get_attribute("aria-valuenow") or "nan") for bar in page.get_by_role("slider").all()]


def test_an_example_is_encoded_and_decoded_at_once(home: Page) -> None:
    before, code_before = reconstruction(home), codes(home)
    home.get_by_role("button", name="Example 8 of 10").click()
    assert reconstruction(home) != before
    assert codes(home) != code_before
    expect(home.get_by_role("button", name="Example 8 of 10")).to_have_attribute("aria-pressed", "true")
    assert re.fullmatch(r"\d\.\d+|\d\.\d+e-\d+", mse(home))


def test_the_error_is_that_of_the_pictures_shown(home: Page) -> None:
    difference = [(a - b) / 255 for a, b in zip(pixels(target(home)), reconstruction(home), strict=True)]
    shown = sum(value * value for value in difference) / len(difference)
    assert float(mse(home)) == pytest.approx(shown, rel=0.05)  # the screen rounds to 256 levels


def test_drawing_changes_code_and_reconstruction_while_the_pointer_moves(home: Page) -> None:
    home.get_by_role("button", name="Clear").click()
    assert not any(pixels(target(home)))
    empty = reconstruction(home)
    box = target(home).bounding_box()
    assert box
    home.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 5)
    home.mouse.down()
    home.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    assert any(pixels(target(home)))
    half_way = reconstruction(home)
    assert half_way != empty
    home.mouse.move(box["x"] + box["width"] / 2, box["y"] + 0.8 * box["height"], steps=4)
    home.mouse.up()
    assert reconstruction(home) != half_way


def test_undo_takes_back_strokes_and_clearing(home: Page) -> None:
    first = pixels(target(home))
    expect(home.get_by_role("button", name="Undo")).to_be_disabled()
    drag(home, target(home), (0.1, 0.9), (0.9, 0.9))
    drawn = pixels(target(home))
    home.get_by_role("button", name="Clear").click()
    home.get_by_role("button", name="Undo").click()
    assert pixels(target(home)) == drawn
    home.get_by_role("button", name="Undo").click()
    assert pixels(target(home)) == first
    expect(home.get_by_role("button", name="Undo")).to_be_disabled()


def test_a_bar_can_be_dragged_and_reset(home: Page) -> None:
    before, picture, error = codes(home), reconstruction(home), mse(home)
    bar = home.get_by_role("slider").nth(2)
    drag(home, bar, (0.5, 0.5), (0.5, 0.05))
    after = codes(home)
    assert after[2] == pytest.approx(0.9 * float(bar.get_attribute("aria-valuemax") or 0), rel=0.1)
    assert [v for i, v in enumerate(after) if i != 2] == [v for i, v in enumerate(before) if i != 2]
    assert reconstruction(home) != picture
    assert mse(home) != error
    home.get_by_role("button", name="Reset code").click()
    assert codes(home) == before
    assert reconstruction(home) == picture
    drag(home, bar, (0.5, 0.5), (0.5, 0.95))
    bar.dblclick()
    assert codes(home) == before


def test_a_bar_is_a_slider_for_the_keyboard(home: Page) -> None:
    bar = home.get_by_role("slider", name=re.compile("^Code value 1 of"))
    low, high = float(bar.get_attribute("aria-valuemin") or 0), float(bar.get_attribute("aria-valuemax") or 0)
    value = lambda: float(bar.get_attribute("aria-valuenow") or "nan")  # noqa: E731 - read anew each time
    start, picture = value(), reconstruction(home)
    bar.press("ArrowUp")
    assert value() == pytest.approx(min(high, start + high / 20), abs=1e-5)
    assert reconstruction(home) != picture
    bar.press("ArrowDown")
    assert value() == pytest.approx(start, abs=1e-5)
    bar.press("Home")
    assert value() == pytest.approx(low)
    bar.press("End")
    assert value() == pytest.approx(high)


def test_one_can_draw_by_keyboard(home: Page) -> None:
    home.get_by_role("button", name="Clear").click()
    empty = reconstruction(home)
    canvas = target(home)
    canvas.press("Space")
    for _ in range(6):
        canvas.press("ArrowDown")
    canvas.press("Space")
    drawn = pixels(canvas)
    assert any(drawn)
    assert reconstruction(home) != empty
    canvas.press("ArrowLeft")
    assert pixels(canvas) == drawn, "a lifted pen draws nothing"


def test_the_model_can_be_switched(home: Page) -> None:
    picture, drawn = pixels(target(home)), reconstruction(home)
    home.get_by_role("button", name="Linear").click()
    assert pixels(target(home)) == picture
    assert reconstruction(home) != drawn
    home.get_by_role("button", name="Convolutional").click()
    assert reconstruction(home) == drawn


def test_the_suggestions_set_something_up(home: Page) -> None:
    home.get_by_role("button", name="Half-way between two digits").click()
    expect(home.get_by_role("button", name="Reset code")).to_be_enabled()
    expect(home.get_by_role("status").filter(has_text="mean of two codes")).to_be_visible()
    before = pixels(target(home))
    home.get_by_role("button", name="Show it a letter").click()
    assert pixels(target(home)) != before
    expect(home.get_by_role("button", name="Reset code")).to_be_disabled()


def test_what_was_drawn_outlives_a_change_of_theme(home: Page) -> None:
    drag(home, target(home), (0.1, 0.1), (0.9, 0.9))
    drawn = pixels(target(home))
    home.emulate_media(color_scheme="dark")
    home.wait_for_function(
        "() => getComputedStyle(document.querySelector('.stApp')).backgroundColor === 'rgb(20, 24, 27)'"
    )
    assert pixels(target(home)) == drawn


def test_pictures_have_a_whole_number_zoom_and_fit_a_phone(new_page: NewPage, lab: str) -> None:
    for width, height in ((1280, 800), (1920, 1080), (1024, 768), (768, 1024), (390, 844)):
        page = open_home(new_page(viewport={"width": width, "height": height}), lab)
        for canvas in page.locator(".toy canvas").all():
            shown = canvas.evaluate("(c) => [c.clientWidth / c.width, c.clientHeight / c.height]")
            assert shown[0] == shown[1] == int(shown[0]) >= 1
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0
        toy = page.locator(".toy").evaluate("(toy) => toy.scrollWidth - toy.clientWidth")
        assert toy <= 0


def test_nothing_moves_while_numbers_change(home: Page) -> None:
    places = """(toy) => [...toy.querySelectorAll("canvas, button, .bar, .hint")].map(
        (element) => Object.values(element.getBoundingClientRect().toJSON())
    )"""
    before = home.locator(".toy").evaluate(places)
    home.get_by_role("button", name="Show it a letter").click()
    home.get_by_role("slider").first.press("End")
    assert home.locator(".toy").evaluate(places) == before


def test_every_page_of_the_map_is_a_link(home: Page) -> None:
    expect(home.get_by_role("link", name="Go to Train")).to_have_attribute("href", re.compile("Train$"))
