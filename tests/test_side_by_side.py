"""Rival decoders side by side: what is sent to the browser, and what the browser makes of it."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page
from streamlit.testing.v1 import AppTest

from pages.ui.browser import source
from pages.ui.palette import LIGHT
from pages.ui.side_by_side import Column, payload, spectra_to_bytes

SCRIPT = source("engine.js", "pictures.js", "signed.js", "side_by_side.js")
STYLE = source("meaning.css", "side_by_side.css")
MOUNT = """async ([script, style, html, width]) => {
    const module = await import(URL.createObjectURL(new Blob([script], { type: "text/javascript" })))
    const host = document.createElement("div")
    host.style.width = `${width}px`
    document.body.style.margin = 0
    document.body.replaceChildren(host)
    const root = host.attachShadow({ mode: "open" })
    root.innerHTML = `<style>:host { --st-text-color: #1d2529 } ${style}</style>${html}`
    window.draw = (data) => module.default({ parentElement: root, data: [data] })
}"""
READ = """(canvas) => [canvas.height, canvas.width,
    Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data)]"""
COLOURS = ("#7c8790", "#8c979f")


def pictures(count: int = 6, channels: int = 3, side: int = 32, seed: int = 0) -> Any:
    return numpy.random.default_rng(seed).integers(0, 256, (count, channels, side, side), dtype=numpy.uint8)


def some_columns(rivals: int = 2, spectra: bool = True, seed: int = 0, **shape: int) -> list[Column]:
    columns = []
    for i in range(1 + rivals):
        images = pictures(seed=10 * seed + i, **shape)
        spectrum = numpy.random.default_rng(i).random(images.shape[2:]) if spectra else None
        columns.append(Column("Target" if i == 0 else f"Rival {i}", COLOURS, images, f"PSNR {i}", spectrum))
    return columns


def packed(columns: list[Column], limit: float = 0.25) -> dict[str, Any]:
    names = [str(1 + i) for i in range(len(columns[0].pictures))]
    return payload(columns, names=names, alt="rivals", difference_limit=limit)


def mount(page: Page, columns: list[Column], width: int = 690, **options: float) -> None:
    page.evaluate(MOUNT, [SCRIPT, STYLE, source("side_by_side.html"), width])
    page.evaluate("draw", packed(columns, **options))


def read(canvas: Locator) -> Any:
    """The canvas's own pixels, (H, W, 3)."""
    height, width, values = canvas.evaluate(READ)
    return numpy.array(values, dtype=numpy.uint8).reshape(height, width, 4)[..., :3]


def rgb(image: Any) -> Any:
    """Colours last: (C, H, W) -> (H, W, 3)."""
    return numpy.broadcast_to(image.transpose(1, 2, 0), (*image.shape[1:], 3))


def on_screen(canvas: Locator) -> Any:
    """What a visitor sees of a canvas, (H, W, 3) in pixels of the screen."""
    with Image.open(io.BytesIO(canvas.screenshot())) as picture:
        return numpy.asarray(picture.convert("RGB"))


def lenses(page: Page) -> list[tuple[float, float, float, float]]:
    """Left, top, width and height of the lens in each column, in pixels of the picture."""
    found: list[tuple[float, float, float, float]] = page.locator(".stage").evaluate_all(
        """(stages) => stages.map((stage) => {
            const canvas = stage.querySelector("canvas").getBoundingClientRect()
            const lens = stage.querySelector(".lens").getBoundingClientRect()
            const zoom = canvas.width / stage.querySelector("canvas").width
            return [lens.x - canvas.x, lens.y - canvas.y, lens.width, lens.height].map((length) => length / zoom)
        })"""
    )
    return [tuple(place) for place in found]


def assert_lens_shows(page: Page, columns: list[Column], picture: int, left: int, top: int, side: int) -> None:
    """The frame is at that place in all columns, and below it are just the pixels it frames."""
    assert lenses(page) == [(left, top, side, side)] * len(columns)
    for c, column in enumerate(columns):
        cut = column.pictures[picture][:, top : top + side, left : left + side]
        assert (read(page.locator(".view canvas").nth(c)) == rgb(cut)).all()


def chosen(page: Page) -> list[int]:
    """Which picture is outlined, column by column."""
    found: list[int] = page.locator(".minis").evaluate_all(
        "(grids) => grids.map((grid) => [...grid.children].findIndex((mini) => mini.matches('.chosen')))"
    )
    return found


# ---- what Python sends ----


def test_columns_that_do_not_match_are_a_mistake() -> None:
    target, rival = some_columns(rivals=1)
    with pytest.raises(AssertionError, match="as many pictures"):
        packed([target, Column("fewer", COLOURS, rival.pictures[:-1])])
    with pytest.raises(AssertionError, match="as many pictures"):
        packed([target, Column("grey", COLOURS, rival.pictures[:, :1])])
    with pytest.raises(AssertionError, match="uint8"):
        packed([target, Column("floats", COLOURS, rival.pictures / 255)])
    with pytest.raises(AssertionError, match="size of a picture"):
        packed([target, Column("half", COLOURS, rival.pictures, spectrum=numpy.ones((16, 16)))])
    with pytest.raises(AssertionError, match="one channel or three"):
        packed([Column("two", COLOURS, pictures(channels=2))] * 2)
    for wrong in ([target], [target] * 6):
        with pytest.raises(AssertionError, match="rivals"):
            packed(wrong)
    with pytest.raises(AssertionError, match="one name"):
        payload([target, rival], names=["1"], alt="", difference_limit=0.25)


def test_spectra_share_one_scale_set_by_the_rivals() -> None:
    powers = [numpy.array([[1e6, 1e-9]]), numpy.array([[100.0, 1.0]]), None, numpy.array([[10.0, 0.0]])]
    steps = spectra_to_bytes(powers)
    assert [None if step is None else step.tolist() for step in steps] == [[[255, 0]], [[255, 128]], None, [[191, 0]]]


def test_spectra_of_nothing_are_empty() -> None:
    nothing = numpy.zeros((2, 2))
    assert [step.tolist() for step in spectra_to_bytes([nothing, nothing]) if step is not None] == [[[0, 0]] * 2] * 2
    alone, missing = spectra_to_bytes([numpy.array([[1.0, 100.0]]), None])
    assert missing is None
    assert alone is not None
    assert alone.tolist() == [[128, 255]]


def test_the_matrix_is_drawn_by_streamlit() -> None:
    def script() -> None:
        import numpy

        from pages.ui.side_by_side import Column, side_by_side

        images = numpy.zeros((2, 3, 8, 8), dtype=numpy.uint8)
        target = Column("Target", ("#7c8790", "#8c979f"), images)
        rival = Column("Bilinear", ("#2f6fd6", "#5b97f0"), images, "PSNR 31.2 dB", numpy.ones((8, 8)))
        side_by_side([target, rival], names=["1", "flat"], key="rivals", alt="two decoders", difference_limit=0.5)

    app = AppTest.from_function(script).run()
    assert not app.exception
    [data] = json.loads(app.get("bidi_component")[0].proto.json)
    assert [(column["label"], column["note"]) for column in data["columns"]] == [
        ("Target", ""),
        ("Bilinear", "PSNR 31.2 dB"),
    ]
    assert data["columns"][1]["colour"] == {"light": "#2f6fd6", "dark": "#5b97f0"}
    assert [column["spectrum"] is None for column in data["columns"]] == [True, False]
    assert (data["names"], data["channels"], data["limit"]) == (["1", "flat"], 3, 0.5)


# ---- what the browser makes of it ----


@pytest.mark.browser
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_shown_pixel_by_pixel(page: Page, channels: int) -> None:
    columns = some_columns(rivals=4, channels=channels)
    mount(page, columns)
    assert page.locator(".head b").all_inner_texts() == [column.label for column in columns]
    for c, column in enumerate(columns):
        minis = page.locator(".minis").nth(c).locator("canvas")
        for i, image in enumerate(column.pictures):
            assert (read(minis.nth(i)) == rgb(image)).all()
        large = page.locator(".stage canvas").nth(c)
        assert (read(large) == rgb(column.pictures[0])).all()
    page.locator(".lens").evaluate_all("(lenses) => lenses.forEach((lens) => (lens.style.display = 'none'))")
    enlarged = rgb(columns[1].pictures[0]).repeat(4, axis=0).repeat(4, axis=1)
    assert (on_screen(page.locator(".stage canvas").nth(1)) == enlarged).all()
    under = rgb(columns[1].pictures[0][:, 12:20, 12:20]).repeat(16, axis=0).repeat(16, axis=1)
    assert (on_screen(page.locator(".view canvas").nth(1)) == under).all()


@pytest.mark.browser
def test_dragging_moves_the_lens_in_all_columns(page: Page) -> None:
    columns = some_columns(rivals=3)
    mount(page, columns)
    assert_lens_shows(page, columns, picture=0, left=12, top=12, side=8)
    page.locator(".stage canvas").nth(2).scroll_into_view_if_needed()
    box = page.locator(".stage canvas").nth(2).bounding_box()
    assert box is not None
    zoom = box["width"] / 32

    def pointer(x: float, y: float) -> None:
        page.mouse.move(box["x"] + zoom * x, box["y"] + zoom * y)

    pointer(10, 20)
    assert_lens_shows(page, columns, picture=0, left=12, top=12, side=8)
    page.mouse.down()
    assert_lens_shows(page, columns, picture=0, left=6, top=16, side=8)
    pointer(21, 9)
    assert_lens_shows(page, columns, picture=0, left=17, top=5, side=8)
    pointer(-40, 50)  # beyond the picture the lens stops at its edge
    assert_lens_shows(page, columns, picture=0, left=0, top=24, side=8)
    page.mouse.up()
    pointer(16, 16)
    assert_lens_shows(page, columns, picture=0, left=0, top=24, side=8)


@pytest.mark.browser
def test_a_finger_moves_the_lens_and_not_the_page(new_page: Any) -> None:
    page = new_page(viewport={"width": 390, "height": 844}, has_touch=True)
    columns = some_columns(rivals=4)
    mount(page, columns, width=358)
    stage = page.locator(".stage").nth(4)
    assert stage.evaluate("(stage) => getComputedStyle(stage).touchAction") == "none"
    box = stage.locator("canvas").bounding_box()
    page.touchscreen.tap(box["x"] + 2 * 8, box["y"] + 2 * 24)
    assert_lens_shows(page, columns, picture=0, left=4, top=20, side=8)


@pytest.mark.browser
def test_the_slider_sets_the_size_of_the_lens_around_its_middle(page: Page) -> None:
    columns = some_columns()
    mount(page, columns)
    slider = page.get_by_role("slider", name="Size of the lens")
    heights = set()
    for side in (4, 7, 16):
        slider.fill(str(side))
        assert page.locator(".tools output").inner_text() == f"{side} px"
        left = {4: 14, 7: 13, 16: 8}[side]
        assert_lens_shows(page, columns, picture=0, left=left, top=left, side=side)
        view = page.locator(".view canvas").first
        room = page.locator(".stage canvas").first.evaluate("(canvas) => canvas.clientWidth")
        assert view.evaluate("(canvas) => canvas.clientWidth") == room // side * side
        heights.add(page.locator(".matrix").evaluate("(matrix) => matrix.clientHeight"))
    assert len(heights) == 1, "nothing moves when the lens changes its size"


@pytest.mark.browser
def test_keys_move_the_lens_and_stop_at_the_edge(page: Page) -> None:
    columns = some_columns()
    mount(page, columns)
    stage = page.locator(".stage").first
    stage.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    assert_lens_shows(page, columns, picture=0, left=14, top=11, side=8)
    assert stage.get_attribute("aria-valuetext") == "columns\u00a015–22, rows\u00a012–19"
    page.keyboard.press("Shift+ArrowDown")
    assert_lens_shows(page, columns, picture=0, left=14, top=19, side=8)
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    assert_lens_shows(page, columns, picture=0, left=24, top=19, side=8)
    page.keyboard.press("ArrowLeft")
    assert_lens_shows(page, columns, picture=0, left=23, top=19, side=8)


@pytest.mark.browser
def test_a_click_or_a_key_chooses_a_picture_in_all_columns(page: Page) -> None:
    columns = some_columns()
    mount(page, columns)
    assert chosen(page) == [0, 0, 0]
    page.locator(".minis").nth(2).locator("canvas").nth(3).click()
    assert chosen(page) == [3, 3, 3]
    assert_lens_shows(page, columns, picture=3, left=12, top=12, side=8)
    for c, column in enumerate(columns):
        assert (read(page.locator(".stage canvas").nth(c)) == rgb(column.pictures[3])).all()
    page.keyboard.press("ArrowRight")  # the click has brought the keys to the list
    assert chosen(page) == [4, 4, 4]
    for key, expected in (("ArrowLeft", 3), ("Home", 0), ("ArrowLeft", 0), ("End", 5), ("ArrowRight", 5)):
        page.keyboard.press(key)
        assert chosen(page) == [expected] * 3
    options = page.get_by_role("listbox").get_by_role("option")
    assert options.evaluate_all("(all) => all.map((option) => option.ariaSelected)") == ["false"] * 5 + ["true"]


@pytest.mark.browser
def test_differences_are_on_a_fixed_scale_with_zero_in_its_middle(page: Page) -> None:
    target = numpy.full((1, 3, 8, 8), 100, dtype=numpy.uint8)
    rival = target.copy()
    rival[0, :, 0, 1] = 0  # beyond the limit of 0.2, which is 51
    rival[0, :, 0, 2] = 100 - 51
    rival[0, :, 0, 3] = 100 + 51
    rival[0, :, 0, 4] = 255
    rival[0, :, 0, 5] = [90, 100, 110]  # nothing on the mean of the channels
    mount(page, [Column("Target", COLOURS, target), Column("Rival", COLOURS, rival)], limit=0.2)
    [canvas] = page.get_by_role("img", name="Difference to the target").locator("canvas").all()
    hexes = ["#" + "".join(f"{value:02x}" for value in pixel) for pixel in read(canvas)[0]]
    low, zero, high = (LIGHT.diverging[i] for i in (0, 5, -1))
    assert hexes == [zero, low, low, high, high, zero, zero, zero]
    assert page.locator(".scale span").all_inner_texts() == ["−0.2", "+0.2"]
    assert page.locator(".none").all_inner_texts() == ["–"]


@pytest.mark.browser
def test_spectra_are_drawn_for_those_who_have_one_and_marked(page: Page) -> None:
    columns = some_columns(rivals=2, spectra=False)
    mount(page, columns)
    assert page.locator(".spectrum").count() == 0
    power = numpy.full((32, 32), 1e-9)
    power[0, 0] = 1.0
    columns[1] = Column("Rival 1", COLOURS, columns[1].pictures, spectrum=power)
    page.evaluate("draw", packed(columns))
    spectrum = page.locator(".spectrum")
    assert spectrum.count() == 1
    drawn = read(spectrum.locator("canvas"))
    most, least = (tuple(bytes.fromhex(LIGHT.sequential[i][1:])) for i in (-1, 0))
    assert (tuple(drawn[0, 0]), tuple(drawn[16, 16])) == (most, least)
    assert spectrum.locator("small").all_inner_texts() == ["½", "¼", "0", "¼"]
    places = spectrum.evaluate(
        """(frame) => {
            const { x } = frame.querySelector("canvas").getBoundingClientRect()
            const zoom = frame.querySelector("canvas").clientWidth / 32
            const marks = frame.querySelectorAll("i:not(.down)")
            return [...marks].map((mark) => Math.floor((mark.getBoundingClientRect().x - x) / zoom))
        }"""
    )
    assert places == [0, 8, 16, 24], "a mark stands at the middle of its frequency's pixel"


@pytest.mark.browser
def test_new_pictures_keep_the_choice_the_lens_and_the_canvases(page: Page) -> None:
    mount(page, some_columns())
    page.locator(".minis").first.locator("canvas").nth(2).click()
    page.get_by_role("slider", name="Size of the lens").fill("6")
    page.locator(".stage").first.focus()
    page.keyboard.press("ArrowRight")
    nodes = page.locator("canvas").element_handles()
    columns = some_columns(seed=1)
    columns[1] = Column("Rival 1", COLOURS, columns[1].pictures, "PSNR 40", columns[1].spectrum)
    page.evaluate("draw", packed(columns))
    assert all(node.evaluate("(canvas) => canvas.isConnected") for node in nodes)
    assert chosen(page) == [2, 2, 2]
    assert_lens_shows(page, columns, picture=2, left=14, top=13, side=6)
    assert page.locator(".head span").all_inner_texts() == ["PSNR 0", "PSNR 40", "PSNR 2"]
    page.keyboard.press("ArrowLeft")  # the lens still has the focus
    assert_lens_shows(page, columns, picture=2, left=13, top=13, side=6)


@pytest.mark.browser
def test_another_number_of_columns_or_size_of_pictures_starts_sensibly(page: Page) -> None:
    mount(page, some_columns())
    page.locator(".minis").first.locator("canvas").nth(4).click()
    page.locator(".stage").first.focus()
    page.keyboard.press("ArrowRight")
    more = some_columns(rivals=4)
    page.evaluate("draw", packed(more))
    assert_lens_shows(page, more, picture=4, left=13, top=12, side=8)
    small = some_columns(side=8, count=3)
    page.evaluate("draw", packed(small))
    assert chosen(page) == [0, 0, 0]
    assert_lens_shows(page, small, picture=0, left=0, top=0, side=8)
    assert page.get_by_role("slider", name="Size of the lens").get_attribute("max") == "8"


@pytest.mark.browser
@pytest.mark.parametrize(
    ("width", "rivals", "side", "zoom", "labelled"),
    [
        (690, 4, 32, 4, False),
        (358, 4, 32, 2, False),
        (1000, 4, 32, 6, False),
        (1000, 2, 32, 7, True),
        (358, 1, 28, 6, False),
        (690, 4, 8, 16, False),
        (358, 4, 64, 1, False),
    ],
)
def test_columns_stand_side_by_side_at_a_whole_number_zoom(
    page: Page, width: int, rivals: int, side: int, zoom: int, labelled: bool
) -> None:
    mount(page, some_columns(rivals, side=side, count=10), width=width)
    zooms = page.locator(".stage canvas").evaluate_all("(all) => all.map((one) => one.clientWidth / one.width)")
    assert zooms == [zoom] * (1 + rivals)
    fits = (1 + rivals) * (zoom * side + 4) + 4 * rivals <= width
    lefts = []
    for row in (".head", ".minis", ".stage", ".view", ".spectrum"):
        boxes = page.locator(row).evaluate_all(
            "(all) => all.map((one) => one.getBoundingClientRect()).map(({ left, right, top }) => [left, right, top])"
        )
        lefts.append([left for left, _, _ in boxes])
        assert len({top for _, _, top in boxes}) == 1, "one line for each row"
        assert max(right for _, right, _ in boxes) <= width or not fits
    assert all(row == lefts[0] for row in lefts)
    assert (lefts[0][0] > 50) == labelled
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
