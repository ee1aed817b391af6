"""Rows of pictures: what is sent to the browser, and what the browser makes of it."""

from __future__ import annotations

import json
from typing import Any

import numpy
import pytest
from playwright.sync_api import Page
from streamlit.testing.v1 import AppTest

from pages.ui.browser import source
from pages.ui.palette import LIGHT
from pages.ui.strip import StripRow, _pack, signed_to_bytes

SCRIPT = source("engine.js", "pictures.js", "signed.js", "film.js", "strip.js")
MOUNT = """async ([script, style, width]) => {
    const module = await import(URL.createObjectURL(new Blob([script], { type: "text/javascript" })))
    const host = document.createElement("div")
    host.style.width = `${width}px`
    document.body.replaceChildren(host)
    const root = host.attachShadow({ mode: "open" })
    root.innerHTML = `<style>:host { --st-text-color: #1d2529 } ${style}</style><div class="strip" role="figure"></div>`
    window.draw = (data) => module.default({ parentElement: root, data: [data] })
}"""
READ = """(canvas) => Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data)"""


def strip_data(rows: list[StripRow], captions: list[str] | None = None) -> dict[str, Any]:
    count, _, height, width = rows[0].images.shape
    return {
        "rows": [_pack(row) for row in rows],
        "count": count,
        "height": height,
        "width": width,
        "captions": captions,
        "caption_label": "MSE",
        "alt": "pictures",
        "earlier": [],
        "seconds": 0,
        "diverging": {"light": LIGHT.diverging, "dark": LIGHT.diverging},
    }


def pictures(count: int, channels: int = 1, side: int = 28, seed: int = 0) -> Any:
    return numpy.random.default_rng(seed).integers(0, 256, (count, channels, side, side), dtype=numpy.uint8)


def test_signed_values_are_centred_and_cut_off() -> None:
    values = numpy.array([-5.0, -0.5, -0.25, 0.0, 0.25, 0.5, 5.0], dtype=numpy.float32).reshape(1, 1, 1, 7)
    assert signed_to_bytes(values, limit=0.5).flatten().tolist() == [1, 1, 64, 128, 192, 255, 255]
    assert signed_to_bytes(numpy.repeat(values, 3, axis=1), limit=0.5).shape == (1, 1, 1, 7)


def test_a_strip_is_drawn_by_streamlit() -> None:
    def script() -> None:
        import numpy

        from pages.ui.strip import StripRow, image_strip

        images = numpy.zeros((4, 3, 8, 8), dtype=numpy.uint8)
        rows = [StripRow("target", "target", images), StripRow("difference", "difference", images / 255, limit=0.5)]
        image_strip(rows, key="strip", alt="four pictures", captions=["1", "2", "3", "4"], caption_label="MSE")

    app = AppTest.from_function(script).run()
    assert not app.exception
    [data] = json.loads(app.get("bidi_component")[0].proto.json)
    assert [(row["channels"], row["limit"]) for row in data["rows"]] == [(3, None), (1, 0.5)]
    assert (data["count"], data["captions"]) == (4, ["1", "2", "3", "4"])
    assert data["earlier"] == []


def test_rows_that_do_not_match_are_a_mistake() -> None:
    from pages.ui.strip import image_strip

    with pytest.raises(AssertionError, match="as many pictures"):
        image_strip([StripRow("a", "target", pictures(3)), StripRow("b", "noisy", pictures(4))], key="k", alt="")


@pytest.mark.browser
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_shown_exactly_and_painted_over_in_place(page: Page, channels: int) -> None:
    page.evaluate(MOUNT, [SCRIPT, source("meaning.css", "strip.css"), 900])
    first, second = pictures(5, channels), pictures(5, channels, seed=1)
    page.evaluate("draw", strip_data([StripRow("target", "target", first)]))
    cells = page.locator(".cell")
    nodes = cells.element_handles()
    for images in (first, second):
        page.evaluate("draw", strip_data([StripRow("target", "target", images)]))
        for node, image in zip(nodes, images, strict=True):
            rgba = numpy.array(node.evaluate(READ)).reshape(28, 28, 4)
            expected = numpy.broadcast_to(image.transpose(1, 2, 0), (28, 28, 3))
            assert (rgba[..., :3] == expected).all()
            assert node.evaluate("(canvas) => canvas.isConnected"), "the canvas is the same as before"


@pytest.mark.browser
def test_earlier_moments_are_shown_on_the_way_and_broken_off_by_news(page: Page) -> None:
    page.clock.install(time=0)
    page.clock.pause_at(1)
    page.evaluate(MOUNT, [SCRIPT, source("meaning.css", "strip.css"), 900])
    target, *changing = (pictures(1, seed=seed) for seed in range(5))

    def film(*numbers: int) -> dict[str, Any]:
        *before, now = (StripRow("again", "reconstruction", changing[number]) for number in numbers)
        earlier = [
            {"rows": {"again": _pack(row)["data"]}, "captions": [str(number)]}
            for number, row in zip(numbers, before, strict=False)
        ]
        data = strip_data([StripRow("target", "target", target), now], [str(numbers[-1])])
        return {**data, "earlier": earlier, "seconds": 0.9}

    def grey(role: str) -> Any:
        return numpy.array(page.locator(f".cell.{role}").evaluate(READ)).reshape(28, 28, 4)[..., 0]

    def shown() -> int:
        number = int(page.locator(".caption").inner_text())
        assert (grey("reconstruction") == changing[number][0, 0]).all(), "picture and caption are of the same moment"
        assert (grey("target") == target[0, 0]).all(), "what does not change stands"
        return number

    page.evaluate("draw", film(0, 1, 2))
    for number in range(3):
        assert shown() == number
        page.clock.run_for(300)
    assert shown() == 2, "the last one stays"
    page.evaluate("draw", film(0, 1, 2))
    page.evaluate("draw", film(3))
    page.clock.run_for(900)
    assert shown() == 3, "what was playing is broken off"


@pytest.mark.browser
def test_the_middle_of_the_scale_is_zero_and_the_scale_is_stated(page: Page) -> None:
    page.evaluate(MOUNT, [SCRIPT, source("meaning.css", "strip.css"), 900])
    values = numpy.zeros((1, 1, 8, 8), dtype=numpy.float32)
    values[0, 0, 0, :2] = [-9, 9]
    page.evaluate("draw", strip_data([StripRow("difference", "difference", values, limit=0.5)]))
    rgba = numpy.array(page.locator(".cell").evaluate(READ)).reshape(64, 4)
    hexes = ["#" + "".join(f"{int(value):02x}" for value in pixel[:3]) for pixel in rgba[:3]]
    assert hexes == [LIGHT.diverging[0], LIGHT.diverging[-1], LIGHT.diverging[5]]
    assert page.locator(".scale span").all_inner_texts() == ["−0.5", "+0.5"]


@pytest.mark.browser
@pytest.mark.parametrize(
    ("width", "count", "side", "columns"),
    [(900, 10, 28, 10), (358, 10, 28, 5), (358, 8, 64, 4), (900, 16, 32, 8), (900, 3, 8, 3), (358, 7, 28, 4)],
)
def test_columns_stay_aligned_at_a_whole_number_zoom(
    page: Page, width: int, count: int, side: int, columns: int
) -> None:
    page.evaluate(MOUNT, [SCRIPT, source("meaning.css", "strip.css"), width])
    rows = [
        StripRow("target", "target", pictures(count, side=side)),
        StripRow("again", "reconstruction", pictures(count, side=side)),
    ]
    page.evaluate("draw", strip_data(rows, captions=[str(i) for i in range(count)]))
    boxes = page.evaluate(
        """() => [...document.querySelector("div").shadowRoot.querySelectorAll(".cell")].map((cell) => {
            const { x, y, right } = cell.getBoundingClientRect()
            return { x, y, right, zoom: cell.clientWidth / cell.width, row: cell.className }
        })"""
    )
    above = [box for box in boxes if "target" in box["row"]]
    below = [box for box in boxes if "reconstruction" in box["row"]]
    assert [box["x"] for box in above] == [box["x"] for box in below]
    assert len({box["x"] for box in above}) == columns
    assert len({box["zoom"] for box in boxes}) == 1
    assert boxes[0]["zoom"] == int(boxes[0]["zoom"]) >= 1
    assert max(box["right"] for box in boxes) <= width + 8, "the body's margin is 8 pixels"
