"""The VAE page in a real browser: a code drawn by hand, its arithmetic, samples, the collapse, a run to its end."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from browser import button, pixels, settled
from playwright.sync_api import Page, expect

from aecore import pretrained
from pages.ui.browser import source
from pages.ui.engine import WEIGHTS, browser_model
from pages.ui.vae import bench as vae_bench
from pages.ui.vae import choices

pytestmark = pytest.mark.browser

NewPage = Callable[..., Page]

CLOSE = 1e-4  # largest difference allowed in any value
SHIPPED = "digits-vae-10"  # its pictures come with the lab
SIDE = 28
ACROSS = 6  # pictures of the grid in a row


def painted(page: Page) -> None:
    """Wait until what was done is on the canvases: they are painted with the next frame."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def open_bench(page: Page, lab: str, address: str = "") -> Page:
    page.goto(f"{lab}/VAE?vae={SHIPPED}{address}")
    page.locator(".grid[data-drawn]").wait_for(timeout=60_000)
    settled(page)
    painted(page)
    return page


@pytest.fixture
def bench(page: Page, lab: str) -> Page:
    """The page with a shipped model at work."""
    return open_bench(page, lab)


def code_of(page: Page) -> np.ndarray:
    said = page.locator(".drawn canvas").get_attribute("data-code")
    assert said
    return np.array([float(number) for number in said.split()], np.float32)


def decoded(code: np.ndarray, name: str = SHIPPED) -> np.ndarray:
    with torch.inference_mode():
        image = pretrained.load(name).build().decode(torch.from_numpy(code)[None])
    return image.flatten().numpy()


def tiles(page: Page) -> np.ndarray:
    """The pictures drawn from the prior (36, 28, 28), 0-255."""
    canvas = page.locator("canvas.grid")
    side = ACROSS * (SIDE + 1) - 1
    values = np.array(pixels(canvas)).reshape(side, side)
    step = SIDE + 1
    return np.stack([values[y : y + SIDE, x : x + SIDE] for y in range(0, side, step) for x in range(0, side, step)])


def numbers_in(words: str) -> list[float]:
    return [float(number.replace("−", "-")) for number in re.findall(r"−?\d+\.\d+", words)]


def noise_by_unit(page: Page) -> dict[str, str]:
    rows = page.locator(".all tbody tr")
    expect(rows).to_have_count(10)
    return {cells[0]: cells[3] for row in rows.all() if (cells := row.locator("td").all_inner_texts())}


def test_a_code_decodes_to_torchs_picture(page: Page) -> None:
    """Before anything is rounded for the screen."""
    page.add_script_tag(content=source("engine.js"))
    choice = choices.choose(SHIPPED, None)
    generator = torch.Generator().manual_seed(3)
    codes = torch.from_numpy(choice.means) + torch.randn(choice.means.shape, generator=generator)
    results = page.evaluate(
        """([packed, codes]) => {
            const model = loadModel(packed)
            return codes.map((code) => Array.from(model.decode(Float32Array.from(code))))
        }""",
        [browser_model(WEIGHTS / SHIPPED), codes.tolist()],
    )
    with torch.inference_mode():
        wanted = choice.model.decode(codes).flatten(1).numpy()
    difference = np.abs(np.array(results) - wanted).max()
    print(f"\ndecoded pictures of browser and torch differ by at most {difference:.1e}")
    assert difference < CLOSE


def test_the_picture_on_show_is_torchs_for_the_code_on_show(bench: Page) -> None:
    shown = np.array(pixels(bench.locator(".drawn canvas")))
    assert np.abs(shown - 255 * decoded(code_of(bench))).max() <= 1
    mean = choices.choose(SHIPPED, None).means[3]
    assert np.abs(np.array(pixels(bench.locator(".mean canvas"))) - 255 * decoded(mean)).max() <= 1


def test_drawing_again_changes_code_and_picture(bench: Page) -> None:
    code, picture = code_of(bench), pixels(bench.locator(".drawn canvas"))
    button(bench, "Draw ε again").click()
    painted(bench)
    assert (code_of(bench) != code).all()
    assert pixels(bench.locator(".drawn canvas")) != picture
    assert np.abs(np.array(pixels(bench.locator(".drawn canvas"))) - 255 * decoded(code_of(bench))).max() <= 1
    button(bench, "All ε to 0").click()
    painted(bench)
    assert pixels(bench.locator(".drawn canvas")) == pixels(bench.locator(".mean canvas"))


def test_the_lines_add_up_and_are_those_of_torch(bench: Page) -> None:
    choice = choices.choose(SHIPPED, None)
    for row in range(vae_bench.SLIDERS):
        line = bench.locator(".units tbody tr").nth(row)
        line.get_by_role("radio").check()
        painted(bench)
        unit = int(line.locator("label").inner_text()) - 1
        words = bench.locator(".sum").inner_text()
        assert words.startswith(f"Unit {unit + 1}:")
        mean, log_variance, noise, _, scale, _, again, moved, code = numbers_in(
            words.replace("+ ", "").replace("− ", "−")
        )
        assert mean == again == pytest.approx(choice.means[3, unit], abs=6e-4)
        assert log_variance == pytest.approx(choice.log_variances[3, unit], abs=6e-4)
        assert scale == pytest.approx(np.exp(choice.log_variances[3, unit] / 2), abs=6e-5)
        assert moved == pytest.approx(scale * noise, abs=6e-4)
        assert code == pytest.approx(mean + moved, abs=1e-6), "as it is read"
        assert code == pytest.approx(code_of(bench)[unit], abs=2e-3)
        assert line.locator("td").nth(2).inner_text().replace("−", "-") == f"{code:.3f}"
        words = bench.locator(".charge").inner_text()
        l_, square, variance, inside, kl = numbers_in(words.replace("+ ", "").replace("− ", "−"))
        assert inside == pytest.approx(1 + l_ + square + variance, abs=1e-6), "as it is read"
        assert kl == pytest.approx(-inside / 2, abs=6e-4)
        assert line.locator("td").nth(3).inner_text() == f"{kl:.3f}"
        mean, log_variance = float(choice.means[3, unit]), float(choice.log_variances[3, unit])
        assert kl == pytest.approx(-0.5 * (1 + log_variance - mean**2 - np.exp(log_variance)), abs=2e-3)


def test_a_slider_moves_one_number_of_the_code_from_the_keyboard(bench: Page) -> None:
    line = bench.locator(".units tbody tr").nth(2)
    unit = int(line.locator("label").inner_text()) - 1
    before, picture = code_of(bench), pixels(bench.locator(".drawn canvas"))
    slider = line.get_by_role("slider")
    slider.focus()
    slider.press("End")
    painted(bench)
    after = code_of(bench)
    assert [index for index in range(10) if before[index] != after[index]] == [unit]
    assert pixels(bench.locator(".drawn canvas")) != picture
    expect(bench.locator(".sum")).to_contain_text(f"Unit {unit + 1}:")
    assert line.locator("output").inner_text() == "4.00"


def test_the_picture_follows_the_slider_while_it_is_dragged(bench: Page) -> None:
    bench.evaluate(
        """() => {
            const put = CanvasRenderingContext2D.prototype.putImageData
            window.painted = []
            CanvasRenderingContext2D.prototype.putImageData = function (...args) {
                put.apply(this, args)
                if (this.canvas.closest(".drawn")) window.painted.push(args[0].data.join())
            }
        }"""
    )
    slider = bench.locator(".units tbody tr").first.get_by_role("slider")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    bench.mouse.move(box["x"] + box["width"] / 2, middle)
    bench.mouse.down()
    for sweep in (0.95, 0.05, 0.6):
        bench.mouse.move(box["x"] + sweep * box["width"], middle, steps=30)
    painted(bench)
    frames = bench.evaluate("() => window.painted")
    bench.mouse.up()
    print(f"\n{len(frames)} frames, {len(set(frames))} different pictures, before letting go")
    assert len(set(frames)) > 20


def test_pictures_from_the_prior_change_with_each_draw_and_with_the_temperature(bench: Page) -> None:
    first = tiles(bench)
    assert first.std(0).mean() > 10, "they differ"
    grid = bench.locator("canvas.grid")

    def after(do: Callable[[], None]) -> np.ndarray:
        drawn = int(grid.get_attribute("data-drawn") or 0)
        do()
        bench.wait_for_function(
            "([canvas, drawn]) => Number(canvas.dataset.drawn) > drawn", arg=[grid.element_handle(), drawn]
        )
        return tiles(bench)

    again = after(button(bench, "Draw again").click)
    assert (again != first).any()
    slider = bench.get_by_role("slider", name="Temperature")
    slider.focus()
    cold = after(lambda: slider.press("Home"))
    assert cold.std(0).max() == 0, "at 0 all codes are alike"
    assert np.abs(cold[0].flatten() - 255 * decoded(np.zeros(10, np.float32))).max() <= 1


def test_the_switch_shows_the_collapse_with_the_same_noise(bench: Page) -> None:
    bench.get_by_text("All units of this picture").click()
    noise = noise_by_unit(bench)
    toggle = bench.get_by_role("switch", name="Average over pixels").or_(
        bench.get_by_role("checkbox", name="Average over pixels")
    )
    toggle.first.press("Space")
    expect(bench.get_by_text("The code has collapsed")).to_be_visible(timeout=30_000)
    expect(bench.locator(".told")).to_contain_text("All alike", timeout=30_000)
    settled(bench)
    painted(bench)
    assert tiles(bench).std(0).max() <= 3, "one picture for all codes"
    name = pretrained.AVERAGED[SHIPPED]
    assert np.abs(np.array(pixels(bench.locator(".drawn canvas"))) - 255 * decoded(code_of(bench), name)).max() <= 1
    assert noise_by_unit(bench) == noise, "only the model is another"
    code = code_of(bench)
    button(bench, "Test picture 8").click()
    painted(bench)
    assert np.abs(code_of(bench) - code).max() < 0.05, "the encoder says the same of every picture"


def test_a_small_run_trained_to_its_end_stands_on_the_stage_with_its_terms(new_page: NewPage, lab: str) -> None:
    page = new_page()
    page.goto(f"{lab}/VAE?vae={SHIPPED}&dataset=digits8&budget=3")
    page.locator(".grid[data-drawn]").wait_for(timeout=60_000)
    settled(page)
    page.locator(".st-key-train").get_by_role("button").first.click()
    chart = page.locator(".st-key-vae_terms_ended canvas").first
    chart.wait_for(timeout=120_000)
    settled(page)
    expect(page.get_by_role("combobox", name="Model on the stage")).to_have_value(re.compile("Your run"))
    page.wait_for_timeout(500)
    coloured = chart.evaluate(
        """(canvas) => {
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
            let [green, amber] = [0, 0]
            for (let i = 0; i < data.length; i += 4) {
                const [r, g, b] = data.slice(i, i + 3)
                if (g > r + 60 && g > b + 30) green++
                if (r > b + 120 && r > g + 40) amber++
            }
            return [green, amber]
        }"""
    )
    assert min(coloured) > 50, f"reconstruction and KL are drawn: {coloured}"
    expect(page.locator(".units tbody tr")).to_have_count(6)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_scrolling_sideways(new_page: NewPage, lab: str, scheme: str) -> None:
    page = open_bench(new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme), lab)
    for part in (".vae", "canvas.grid", ".units", ".sums"):
        box = page.locator(part).bounding_box()
        assert box, part
        assert box["x"] >= 0, part
        assert box["x"] + box["width"] <= 390, part
