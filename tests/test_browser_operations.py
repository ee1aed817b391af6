"""The Operations page in a real browser: its arithmetic is Python's, and everything follows the finger."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from browser import settled
from playwright.sync_api import Locator, Page, WebSocket, expect

from aecore.ops.operations import OPERATIONS
from aecore.ops.setting import Case, Setting
from pages.ui.browser import source
from pages.ui.operations.bench import pack_stage

pytestmark = pytest.mark.browser

NewPage = Callable[..., Page]
PATIENCE = 30_000  # milliseconds; machines are shared

SAME_SIZE = "operation=conv2d&size=4&kernel=3&stride=1&padding=1"
STRIDED = "operation=conv2d&size=4&kernel=3&stride=2&padding=1"

COUNT_FRAMES = """() => {
    window.frames_seen = 0
    window.frames_since = performance.now()
    const tick = () => { window.frames_seen++; window.frames_handle = requestAnimationFrame(tick) }
    window.frames_handle = requestAnimationFrame(tick)
}"""

# in one frame: how many steps are done, and what the output shows then
WAIT_FOR_STEP = """(bench, least) => new Promise((resolve) => {
    const look = () => {
        const done = parseInt(bench.querySelector('.step').value)
        if (done < least) return requestAnimationFrame(look)
        resolve([done, [...bench.querySelectorAll('.plane.last .cell')].map((cell) => cell.textContent)])
    }
    look()
})"""


def open_operations(page: Page, lab: str, link: str = "") -> Page:
    page.goto(f"{lab}/Operations?{link}")
    expect(page.get_by_role("heading", name="What does each operation do?")).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".bench .cell").first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("heading", name="Check yourself")).to_be_visible(timeout=PATIENCE)
    settled(page)
    return page


def numbers(page: Page, plane: str) -> list[str]:
    """What the cells of a plane say, padding left out; empty for those that have no value yet."""
    cells = page.locator(f".plane.{plane} .cell:not(.outside)")
    return [
        text.replace("−", "-") for text in cells.evaluate_all("cells => cells.map((c) => c.value ?? c.textContent)")
    ]


def cell(page: Page, letter: str, row: int, column: int) -> Locator:
    return page.get_by_role("textbox", name=f"{letter} row {row} column {column}", exact=True)


def type_into(page: Page, letter: str, row: int, column: int, text: str) -> None:
    field = cell(page, letter, row, column)
    field.click()
    field.fill(text)
    field.press("Enter")


def seek(page: Page, step: int) -> None:
    page.get_by_role("slider", name="Step").evaluate(
        "(slider, step) => { slider.value = step; slider.dispatchEvent(new Event('input')) }", step
    )


def parameter(page: Page, name: str) -> str | None:
    found = re.search(rf"[?&]{name}=([^&]*)", page.url)
    return found.group(1) if found else None


def cases() -> list[Case]:
    """Every operation at its usual setting, and with numbers and sizes that make everything differ."""
    other: dict[str, dict[str, Any]] = {
        "conv2d": {"size": 7, "kernel": 3, "stride": 2, "padding": 2, "dilation": 2},
        "max_pool2d": {"size": 7, "kernel": 3, "stride": 2, "padding": 1, "dilation": 1},
        "avg_pool2d": {"size": 7, "kernel": 3, "stride": 2, "padding": 1},
        "upsample_nearest": {"size": 5, "factor": 3},
        "upsample_bilinear": {"size": 5, "factor": 3},
        "bed_of_nails": {"size": 5, "factor": 3},
        "max_unpool2d": {"size": 7, "kernel": 2, "stride": 3, "padding": 1},
        "conv_transpose2d": {
            "size": 4, "kernel": 4, "stride": 3, "padding": 2, "output_padding": 2, "dilation": 2,
        },
        "resize_conv2d": {"size": 4, "factor": 3, "mode": "bilinear", "kernel": 4, "padding": 2},
        "subpixel_conv2d": {"size": 4, "factor": 3, "kernel": 2, "padding": 1},
    }  # fmt: skip
    assert set(other) == set(OPERATIONS)
    random = np.random.default_rng(0)
    made = []
    for name, sizes in other.items():
        made.append(Case.from_presets(Setting(operation=name).usual()))
        varied = Case.from_presets(Setting(operation=name, **sizes))
        varied = varied.replace(x=random.normal(size=varied.x.shape))
        if varied.kernel is not None:
            varied = varied.replace(kernel=random.normal(size=varied.kernel.shape))
        gradient = random.normal(size=varied.trace.result.shape)
        made.append(Case(setting=varied.setting, x=varied.x, kernel=varied.kernel, gradient=gradient))
    return made


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.setting.operation}-{case.setting.size}")
def test_the_browser_computes_what_python_computes(page: Page, case: Case) -> None:
    """Forward, backward, overlaps and matrix; on other numbers than those the products were listed for."""
    moved = case.replace(x=case.x[:, ::-1, ::-1].copy())
    page.add_script_tag(content=source("engine.js", "wiring.js"))
    ours = page.evaluate(
        """([packed, x, w, g]) => {
            const stages = packed.map(unpackStage)
            const planes = runForward(stages, Float64Array.from(x), w && Float64Array.from(w))
            const backward = stages.map(reversed).reverse()
            let gradient = Float64Array.from(g)
            for (const pass of backward) gradient = addUp(pass, gradient, w)
            const list = (values) => Array.from(values)
            return {
                result: list(planes.at(-1)),
                gradient: list(gradient),
                overlap: list(overlapOf(stages).at(-1)),
                back_overlap: list(overlapOf(backward).at(-1)),
                matrix: list(matrixOf(stages, w)),
                steps: stages.reduce((count, stage) => count + stage.steps.length, 0),
            }
        }""",
        [
            [pack_stage(stage) for stage in case.trace.stages],
            moved.x.ravel().tolist(),
            None if case.kernel is None else case.kernel.ravel().tolist(),
            case.gradient.ravel().tolist(),
        ],
    )
    trace = moved.trace
    back = trace.backward(case.gradient)
    expected = {
        "result": trace.result,
        "gradient": back.result,
        "overlap": trace.overlap,
        "back_overlap": back.overlap,
        "matrix": trace.matrix(),
    }
    for name, values in expected.items():
        assert ours[name] == pytest.approx(values.ravel().tolist(), abs=1e-12), name
    assert ours["steps"] == len(trace.steps)


def test_an_edit_an_animation_the_way_back_and_the_link(
    page: Page, new_page: NewPage, lab: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sent: list[str | bytes] = []

    def watch(socket: WebSocket) -> None:
        socket.on("framesent", lambda frame: sent.append(frame))  # noqa: PLW0108 - playwright marks what it is given

    page.on("websocket", watch)
    open_operations(page, lab, f"{SAME_SIZE}&x=counting&w=ones")
    assert numbers(page, "last")[5] == "54"

    type_into(page, "w", 1, 1, "10")
    assert numbers(page, "last")[5] == str(54 + 9 * 6), "the output follows without the server"
    page.wait_for_url(re.compile("w=1_1_1_1_10_1_1_1_1"), timeout=PATIENCE)
    settled(page)
    expect(page.get_by_test_id("stMetricValue").last).to_have_text("0")  # the difference to torch

    seek(page, 0)
    assert numbers(page, "last") == [""] * 16, "nothing has been computed yet"
    page.get_by_label("Speed").select_option("2")
    settled(page)
    quiet = len(sent)
    page.evaluate(COUNT_FRAMES)
    page.get_by_role("button", name="Play").click()
    done, half_way = page.locator(".bench").evaluate(WAIT_FOR_STEP, 6)
    assert half_way.count("") == 16 - done, "a cell for each step"
    assert half_way[5] == "108"
    expect(page.locator(".panel")).to_contain_text("y[")
    expect(page.locator(".bench .step")).to_have_text("16 of 16", timeout=PATIENCE)
    frames, since = page.evaluate("[window.frames_seen, performance.now() - window.frames_since]")
    with capsys.disabled():
        print(f"\n  playing 16 steps: {frames / since * 1000:.0f} frames a second over {since / 1000:.1f} s")
    assert len(sent) == quiet, "playing asks the server for nothing"
    expect(page.get_by_role("button", name="Play")).to_be_visible()

    page.get_by_role("button", name="Backward").click()
    expect(page.locator(".plane.first figcaption b")).to_have_text("dy")
    expected = Case.from_presets(Setting(), x="counting").replace(
        kernel=np.array([[1, 1, 1], [1, 10, 1], [1, 1, 1.0]]).reshape(1, 1, 3, 3)
    )
    gradient = expected.trace.backward(expected.gradient).result
    assert numbers(page, "last")[:16] == [f"{value:g}" for value in gradient.ravel()]
    collected = expected.trace.kernel_gradient(expected.gradient)
    assert collected is not None
    assert numbers(page, "kernelGradient") == [f"{value:g}" for value in collected.ravel()]
    page.wait_for_url(re.compile("direction=backward"), timeout=PATIENCE)
    settled(page)

    again = open_operations(new_page(), lab, page.url.split("?")[1])
    assert numbers(again, "last") == numbers(page, "last")
    assert numbers(again, "kernel") == numbers(page, "kernel") == ["1", "1", "1", "1", "10", "1", "1", "1", "1"]
    expect(again.get_by_role("button", name="Backward")).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize(
    ("link", "output"),
    [
        (SAME_SIZE, [14, 24, 30, 22, 33, 54, 63, 45, 57, 90, 99, 69, 46, 72, 78, 54]),
        (STRIDED, [14, 30, 57, 99]),
    ],
    ids=["same size: 4x4 to 4x4", "strided: 4x4 to 2x2"],
)
def test_the_two_convolutions_of_an_encoder_are_a_link(page: Page, lab: str, link: str, output: list[int]) -> None:
    """The sums of 3x3 windows of 1..16 framed by zeros, added up by hand."""
    open_operations(page, lab, link)
    assert numbers(page, "first") == [str(number) for number in range(1, 17)]
    assert numbers(page, "kernel") == ["1"] * 9
    assert numbers(page, "last") == [str(number) for number in output]
    side = int(len(output) ** 0.5)
    expect(page.get_by_test_id("stMetricValue").first).to_have_text(f"{side}×{side}")
    assert page.locator(".plane.first .cell.outside").count() == 20, "the padding is all around, read or not"


def test_stamps_pile_up_and_overlaps_show(page: Page, lab: str) -> None:
    open_operations(page, lab, "operation=conv_transpose2d&size=3&kernel=3&stride=2&padding=0&x=ones&w=ones")
    seek(page, 1)
    assert [n for n in numbers(page, "last") if n] == ["1"] * 9
    assert not page.locator(".plane.last .cell[data-count]").count()
    seek(page, 2)
    assert numbers(page, "last").count("2") == 3
    counts = page.locator(".plane.last .cell[data-count]").evaluate_all("cells => cells.map((c) => c.dataset.count)")
    assert counts == ["2×", "2×", "2×"]
    page.get_by_role("button", name="Overlap map").click()
    seek(page, 9)
    assert sorted(set(numbers(page, "last"))) == ["1", "2", "4"]
    expect(page.locator(".panel .ratio")).to_have_text("4")
    page.get_by_role("button", name="Matrix").click()
    expect(page.locator(".panel")).to_contain_text("49×9 cells")


def test_a_click_on_a_result_leads_to_its_step(page: Page, lab: str) -> None:
    open_operations(page, lab, SAME_SIZE)
    page.locator(".plane.last .cell").nth(6).click()
    expect(page.locator(".bench .step")).to_have_text("7 of 16")
    expect(page.locator(".panel h4")).to_have_text("Step 7: y[1, 2] adds up")
    expect(page.locator(".panel .sum b")).to_have_text("63")
    products = page.locator(".products b").all_inner_texts()
    assert [float(text) for text in products] == [2, 3, 4, 6, 7, 8, 10, 11, 12]


def test_the_keyboard_is_enough_to_edit_and_to_undo(page: Page, lab: str) -> None:
    open_operations(page, lab, SAME_SIZE)
    before = numbers(page, "last")
    cell(page, "x", 0, 0).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(cell(page, "x", 1, 1)).to_be_focused()
    page.keyboard.type("-2,5")
    page.keyboard.press("Tab")
    assert numbers(page, "first")[5] == "-2.5"
    assert float(numbers(page, "last")[0]) == 14 - 6 - 2.5
    page.wait_for_url(re.compile("x=1_2_3_4_5_-2.5"), timeout=PATIENCE)
    page.keyboard.press("Control+z")
    assert numbers(page, "last") == before
    page.wait_for_url(re.compile("x=1_2_3_4_5_6"), timeout=PATIENCE)


def test_what_is_no_number_changes_nothing_and_is_told(page: Page, lab: str) -> None:
    open_operations(page, lab, SAME_SIZE)
    before = numbers(page, "last")
    for text in ("abc", "1e9"):
        type_into(page, "w", 0, 0, text)
        expect(page.locator(".bench .hint")).to_contain_text(f"“{text}” is not a number from −1000 to 1000")
        assert numbers(page, "kernel")[0] == "1"
        assert numbers(page, "last") == before


def test_a_last_edit_survives_another_setting_and_another_page(page: Page, lab: str) -> None:
    """What was typed a moment ago is not lost to a click elsewhere, and does not break the page it leads to."""
    open_operations(page, lab, SAME_SIZE)
    cell(page, "w", 0, 0).fill("50")
    page.get_by_role("slider", name="Stride").press("ArrowRight")
    expect(page.locator(".plane.last .cell")).to_have_count(4, timeout=PATIENCE)
    assert numbers(page, "kernel")[0] == "50"
    cell(page, "w", 0, 1).fill("60")
    page.get_by_role("link", name="Home").first.click()
    expect(page.get_by_role("heading", name="What is an autoencoder?")).to_be_visible(timeout=PATIENCE)
    settled(page)
    expect(page.get_by_text("encountered an error")).to_have_count(0)
    page.get_by_role("link", name="Operations").first.click()
    expect(cell(page, "w", 0, 0)).to_have_value("50", timeout=PATIENCE)


def test_undo_goes_back_step_by_step_by_keyboard(page: Page, lab: str) -> None:
    open_operations(page, lab, SAME_SIZE)
    for column, text in enumerate(("7", "8", "9")):
        type_into(page, "w", 0, column, text)
    for _ in range(3):
        page.keyboard.press("Control+z")
    assert numbers(page, "kernel") == ["1"] * 9
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


def test_large_numbers_are_short_in_cells_and_whole_beside_them(page: Page, lab: str) -> None:
    open_operations(
        page, lab, "operation=conv2d&size=2&kernel=2&padding=0&x=1000_1000_1000_1000&w=-1000_-1000_-1000_-1"
    )
    assert numbers(page, "last") == ["-3e6"]
    expect(page.locator(".panel .sum b")).to_have_text("−3001000")


def test_the_gradient_of_a_maximum_goes_to_the_winner(page: Page, lab: str) -> None:
    open_operations(page, lab, "operation=max_pool2d&size=4&x=counting&direction=backward")
    expect(page.locator(".panel h4")).to_have_text(
        "Step 4: dy[1, 1] = 1 goes to the winner, dx[3, 3]; the others get nothing"
    )


def test_typing_fast_loses_nothing(page: Page, lab: str) -> None:
    """Edits go on while the server still answers earlier ones."""
    open_operations(page, lab, SAME_SIZE)
    typed = [str(number) for number in range(90, 99)]
    for index, text in enumerate(typed):
        type_into(page, "w", index // 3, index % 3, text)
        page.wait_for_timeout(120)  # about as long as an answer takes: some arrive between two edits
    page.wait_for_url(re.compile("w=" + "_".join(typed)), timeout=PATIENCE)
    settled(page)
    assert numbers(page, "kernel") == typed


def test_sizes_that_do_not_fit_are_told_and_nothing_is_lost(page: Page, lab: str) -> None:
    open_operations(page, lab, "operation=conv2d&size=4&kernel=4&stride=1&padding=0&w=counting")
    size = page.get_by_role("slider", name="Input size")
    size.press("ArrowLeft")
    expect(page.get_by_text("What fits: a kernel from 1 to 3")).to_be_visible(timeout=PATIENCE)
    size.press("ArrowRight")
    expect(page.locator(".plane.last .cell")).to_have_count(1, timeout=PATIENCE)
    assert numbers(page, "kernel") == [str(number) for number in range(1, 17)]


def test_a_wrong_answer_gets_its_reason(page: Page, lab: str) -> None:
    open_operations(page, lab, "operation=conv_transpose2d&size=3&kernel=3&stride=2&padding=0")
    page.get_by_text("some cells are never written to").click()
    expect(page.get_by_text("Every cell is written to at least once.")).to_be_visible(timeout=PATIENCE)


def test_a_link_that_does_not_fit_is_answered_kindly(page: Page, lab: str) -> None:
    open_operations(page, lab, "operation=nosuch&kernel=99&x=1_2_oops&view=none")
    expect(page.get_by_text("The link does not fit.").first).to_be_visible()
    assert numbers(page, "last")
    assert "Traceback" not in page.content()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_fits_a_phone_at_its_largest(new_page: NewPage, lab: str, operation: str) -> None:
    largest = {"size": "8", "kernel": "5", "padding": "2", "stride": "5", "factor": "3"}
    link = "&".join(f"{name}={value}" for name, value in largest.items() if name in OPERATIONS[operation].dials)
    page = open_operations(new_page(viewport={"width": 390, "height": 844}), lab, f"operation={operation}&{link}")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out sideways"
    bench = page.locator(".bench").evaluate("(bench) => bench.scrollWidth - bench.clientWidth")
    assert bench <= 0
    planes = page.locator(".planes").evaluate("(planes) => planes.scrollWidth - planes.clientWidth")
    assert planes <= 0


def test_colours_follow_the_theme(page: Page, lab: str) -> None:
    open_operations(page, lab, SAME_SIZE)
    colour = "(cell) => getComputedStyle(cell).backgroundColor"
    light = page.locator(".plane.last .cell").first.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "getComputedStyle(document.querySelector('.stApp')).backgroundColor === 'rgb(20, 24, 27)'", timeout=PATIENCE
    )
    expect(page.locator(".plane.last .cell").first).not_to_have_css("background-color", light)
    assert json.dumps(numbers(page, "last")[:2]) == '["14", "24"]'


def test_examples_set_up_what_they_say(page: Page, lab: str) -> None:
    open_operations(page, lab, SAME_SIZE)
    page.get_by_role("button", name="Strided convolution").click()
    expect(page.locator(".plane.last .cell")).to_have_count(4, timeout=PATIENCE)
    page.wait_for_url(re.compile("stride=2"), timeout=PATIENCE)
    assert parameter(page, "operation") == "conv2d"
    page.get_by_role("link", name="Home").first.click()
    expect(page.get_by_role("heading", name="What is an autoencoder?")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("link", name="Operations").first.click()
    expect(page.locator(".plane.last .cell")).to_have_count(4, timeout=PATIENCE)
    assert parameter(page, "stride") == "2", "coming back finds what was left"
