"""The Denoising page in a real browser: the slider while it is dragged, drawing, uploads, and the numbers of torch."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import button, drag, expect_state, pixels, settled
from PIL import Image, ImageDraw
from playwright.sync_api import FilePayload, Page, expect

from aecore import pretrained
from aecore.data import is_available
from aecore.data.image_dataset import to_unit
from aecore.metrics import mse, psnr_of_mse
from aecore.noise import CORRUPTIONS, corrupt, draw
from pages.ui.browser import source
from pages.ui.denoising.bench import draws_for, example_images
from pages.ui.engine import WEIGHTS, browser_model, floats_to_json

pytestmark = pytest.mark.browser

NewPage = Callable[..., Page]

CLOSE = 1e-4  # largest difference allowed in any value
SHIPPED = "digits-denoiser"  # its pictures come with the lab
PHOTO_BYTES = 20_000_000


def torchs_picture(strength: float, corruption: str = "gaussian", example: int = 0) -> tuple[torch.Tensor, ...]:
    """Clean, noisy and denoised picture (1, 1, 28, 28), as the page should show them with seed 0."""
    clean = to_unit(torch.from_numpy(example_images("digits")[[example]]))
    noisy = corrupt(clean, corruption, strength, generator=torch.Generator().manual_seed(0), clip=True)
    with torch.inference_mode():
        return clean, noisy, pretrained.load(SHIPPED).build()(noisy).clamp(0, 1)


def open_bench(page: Page, lab: str, address: str = "") -> Page:
    page.goto(f"{lab}/Denoising?denoiser={SHIPPED}{address}")
    expect(page.locator(".denoised output")).to_contain_text("dB", timeout=60_000)
    settled(page)
    return page


@pytest.fixture
def bench(page: Page, lab: str) -> Page:
    """The page with its first picture denoised."""
    return open_bench(page, lab)


def filters_answered(page: Page) -> None:
    expect(page.locator(".filtered.waiting")).to_have_count(0, timeout=30_000)


def painted(page: Page) -> None:
    """Wait until what was done is on the canvases: they are painted with the next frame."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


@pytest.mark.parametrize("shape", [(1, 12, 9), (3, 8, 11)])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_equals_the_one_in_python(page: Page, name: str, shape: tuple[int, int, int]) -> None:
    page.add_script_tag(content=source("engine.js", "noise.js"))
    about = CORRUPTIONS[name]
    clean = torch.rand(1, *shape, generator=torch.Generator().manual_seed(3))
    strengths = [about.low, *about.levels, about.usual, about.high]
    fields = draw(name, (1, *shape), torch.Generator().manual_seed(5))
    results = page.evaluate(
        """([pixels, shape, name, strengths, packed, clips]) => {
            const draws = unpackDraws(packed)
            const x = Float32Array.from(pixels)
            return strengths.flatMap((strength) =>
                clips.map((clip) => Array.from(corruptPixels(x, shape, name, strength, draws, clip))))
        }""",
        [
            clean.flatten().tolist(),
            shape,
            name,
            strengths,
            {field: floats_to_json(values.numpy()) for field, values in fields.items()},
            [True, False],
        ],
    )
    wanted = [
        corrupt(clean, name, strength, generator=torch.Generator().manual_seed(5), clip=clip)
        for strength in strengths
        for clip in (True, False)
    ]
    for ours, pythons in zip(results, wanted, strict=True):
        assert np.abs(np.asarray(ours) - pythons.flatten().double().numpy()).max() < CLOSE


def test_the_browser_knows_every_corruption_and_no_other(page: Page) -> None:
    page.add_script_tag(content=source("engine.js", "noise.js"))
    assert set(page.evaluate("Object.keys(CORRUPTIONS)")) == set(CORRUPTIONS)


def test_the_denoised_picture_equals_torchs(page: Page) -> None:
    """From the draws to the estimate, at every tenth place of the slider, before anything is rounded for the screen."""
    page.add_script_tag(content=source("engine.js", "noise.js"))
    steps = np.arange(0, 1.001, 0.1).round(6).tolist()
    clean, *_ = torchs_picture(0)
    results = page.evaluate(
        """([packed, pixels, strengths, draws]) => {
            const model = loadModel(packed)
            const fields = unpackDraws(draws)
            const x = Float32Array.from(pixels)
            return strengths.map((strength) =>
                Array.from(model.reconstruct(corruptPixels(x, [1, 28, 28], "gaussian", strength, fields, true))))
        }""",
        [
            browser_model(WEIGHTS / SHIPPED),
            clean.flatten().tolist(),
            steps,
            draws_for((1, 28, 28), 0)["gaussian"],
        ],
    )
    differences = [
        np.abs(np.asarray(ours) - torchs_picture(strength)[2].flatten().double().numpy()).max()
        for ours, strength in zip(results, steps, strict=True)
    ]
    print(f"\ndenoised pictures of browser and torch differ by at most {max(differences):.1e}")
    assert max(differences) < CLOSE


def test_it_opens_with_a_denoiser_at_work(bench: Page) -> None:
    clean, noisy, denoised = torchs_picture(0.3)
    for name, wanted in (("clean", clean), ("noisy", noisy), ("denoised", denoised)):
        shown = np.asarray(pixels(bench.locator(f".{name} canvas")))
        assert np.abs(shown - 255 * wanted.flatten().numpy()).max() <= 1, name
    assert f"{psnr_of_mse(mse(denoised, clean)):.1f} dB" in bench.locator(".denoised output").inner_text()
    assert f"{psnr_of_mse(mse(noisy, clean)):.1f} dB" in bench.locator(".noisy output").inner_text()
    filters_answered(bench)
    expect(bench.locator(".winner")).to_contain_text("The autoencoder wins here")
    expect(bench.locator("tbody tr")).to_have_count(9)


def test_the_picture_follows_the_slider_while_it_is_dragged(bench: Page) -> None:
    filters_answered(bench)
    # every painting of the denoised picture is noted with its time, in the page itself
    bench.evaluate(
        """() => {
            const put = CanvasRenderingContext2D.prototype.putImageData
            window.painted = []
            CanvasRenderingContext2D.prototype.putImageData = function (...args) {
                put.apply(this, args)
                if (this.canvas.closest(".denoised")) window.painted.push([performance.now(), args[0].data.slice()])
            }
        }"""
    )
    slider = bench.get_by_role("slider", name="Strength of the noise")
    box = slider.bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    bench.mouse.move(box["x"] + 0.3 * box["width"], middle)
    bench.mouse.down()
    for sweep in (0.95, 0.05, 0.6):
        bench.mouse.move(box["x"] + sweep * box["width"], middle, steps=40)
    while_held = bench.evaluate(
        """() => {
            const times = window.painted.map(([time]) => time)
            const pictures = new Set(window.painted.map(([, data]) => data.join()))
            const gaps = times.slice(1).map((time, i) => time - times[i]).sort((a, b) => a - b)
            return [times.length, times.at(-1) - times[0], pictures.size, gaps[Math.floor(gaps.length / 2)]]
        }"""
    )
    strength = float(slider.input_value())
    shown = np.asarray(pixels(bench.locator(".denoised canvas")))
    assert np.abs(shown - 255 * torchs_picture(strength)[2].flatten().numpy()).max() <= 1, "torch's, before letting go"
    bench.mouse.up()
    frames, milliseconds, different, gap = while_held
    print(
        f"\n{frames} frames in {milliseconds:.0f} ms while dragged: {1000 * frames / milliseconds:.0f} a second "
        f"({1000 / gap:.0f} by the median gap), {different} different pictures"
    )
    assert different > 20, "the picture changes while the pointer is down"
    filters_answered(bench)
    assert f"{strength:g} of white" in bench.locator(".strength output").inner_text()
    bench.wait_for_function(f"new URLSearchParams(location.search).get('level') === '{strength:g}'")


def test_marker_and_table_follow_the_slider(bench: Page) -> None:
    slider = bench.get_by_role("slider", name="Strength of the noise")
    marker = bench.locator("svg .marker")
    before = marker.get_attribute("x1") or "nan"
    slider.focus()
    slider.press("End")
    expect(marker).not_to_have_attribute("x1", before)
    assert float(marker.get_attribute("x1") or "nan") > float(before)
    expect(bench.locator(".range")).to_contain_text("stronger than all it was trained on")
    slider.press("Home")
    expect(bench.locator(".winner")).to_contain_text("The autoencoder loses here: Doing nothing")
    expect(bench.locator("tbody tr").first).to_contain_text("Doing nothing")


def test_a_link_reopens_what_was_on_the_bench(new_page: NewPage, lab: str) -> None:
    page = open_bench(new_page(), lab, "&noise=salt_and_pepper&level=0.4&draw=7&cut=no&picture=4")
    assert page.locator(".corruption").input_value() == "salt_and_pepper"
    assert page.locator(".strength output").inner_text() == "0.4 of the pixels"
    assert page.locator(".seed").input_value() == "7"
    assert not page.locator(".clip input").is_checked()
    expect(page.get_by_role("button", name="Test picture 4")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Draw again").click()
    page.wait_for_function("new URLSearchParams(location.search).get('draw') === '8'")
    filters_answered(page)


def test_every_noise_can_be_chosen(bench: Page) -> None:
    for name, about in CORRUPTIONS.items():
        bench.locator(".corruption").select_option(name)
        expect(bench.locator(".strength output")).to_have_text(f"{about.usual:g} {about.unit}".rstrip())
        filters_answered(bench)
        shown = np.asarray(pixels(bench.locator(".noisy canvas")))
        _, noisy, _ = torchs_picture(about.usual, name)
        assert np.abs(shown - 255 * noisy.flatten().numpy()).max() <= 1, name


def test_drawing_with_the_pointer(bench: Page) -> None:
    bench.get_by_role("button", name="Draw your own").click()
    painted(bench)
    assert not any(pixels(bench.locator(".clean canvas")))
    empty = pixels(bench.locator(".denoised canvas"))
    drag(bench, bench.locator(".clean canvas"), (0.5, 0.15), (0.5, 0.85))
    painted(bench)
    drawn = pixels(bench.locator(".clean canvas"))
    assert any(drawn)
    assert pixels(bench.locator(".denoised canvas")) != empty
    filters_answered(bench)
    expect(bench.locator(".unlike")).to_contain_text("of the test pictures")
    bench.get_by_role("button", name="Undo").click()
    painted(bench)
    assert not any(pixels(bench.locator(".clean canvas")))


def test_drawing_with_a_finger(new_page: NewPage, lab: str) -> None:
    page = open_bench(new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True), lab)
    page.get_by_role("button", name="Draw your own").tap()
    canvas = page.locator(".clean canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    places = [{"x": box["x"] + box["width"] / 2, "y": box["y"] + share * box["height"]} for share in (0.2, 0.5, 0.8)]
    touch = page.context.new_cdp_session(page)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": places[:1]})
    for place in places[1:]:
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [place]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    painted(page)
    column = np.asarray(pixels(canvas)).reshape(28, 28)[:, 13:15].max(axis=1)
    assert column[8:20].min() > 127, "a line from above to below"
    filters_answered(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def picture(size: tuple[int, int]) -> Image.Image:
    """A dark seven on white paper."""
    image = Image.new("RGB", size, "white")
    width, height = size
    pen = ImageDraw.Draw(image)
    corners = [(0.3 * width, 0.25 * height), (0.7 * width, 0.25 * height), (0.45 * width, 0.8 * height)]
    pen.line(corners, fill="black", width=width // 12, joint="curve")
    return image


def upload(page: Page, name: str, kind: str, content: bytes | Path) -> None:
    field = page.locator('.upload input[type="file"]')
    if isinstance(content, Path):
        field.set_input_files(content)
    else:
        field.set_input_files(FilePayload(name=name, mimeType=kind, buffer=content))


def bytes_of(image: Image.Image, kind: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def test_a_png_can_be_uploaded(bench: Page) -> None:
    upload(bench, "seven.png", "image/png", bytes_of(picture((280, 280)), "PNG"))
    expect(bench.locator(".told")).to_contain_text("“seven.png”: its middle, shrunk to 28×28 pixels")
    shown = np.asarray(pixels(bench.locator(".clean canvas"))).reshape(28, 28)
    small = np.asarray(picture((280, 280)).convert("L").resize((28, 28), Image.Resampling.BOX))
    assert np.abs(shown - (255.0 - small)).mean() < 8, "light on dark now, like the training pictures"
    filters_answered(bench)


def test_a_photograph_of_20_megabytes_can_be_uploaded(bench: Page, tmp_path: Path) -> None:
    grain = np.random.default_rng(0).integers(-60, 60, (3600, 3600, 3))
    paper = np.asarray(picture((3600, 3600))).astype(np.int16) + grain
    data = bytes_of(Image.fromarray(paper.clip(0, 255).astype(np.uint8)), "JPEG", quality=96, subsampling=0)
    assert len(data) >= PHOTO_BYTES
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(data)
    upload(bench, photo.name, "image/jpeg", photo)
    expect(bench.locator(".told")).to_contain_text("“photo.jpg”: its middle, shrunk to 28×28 pixels", timeout=60_000)
    shown = np.asarray(pixels(bench.locator(".clean canvas"))).reshape(28, 28)
    assert shown[7, 10:18].min() > 150, "the bar of the seven"
    assert shown[:4].max() < 80, "the paper above it"
    filters_answered(bench)


def test_what_is_no_picture_is_told_kindly_and_nothing_is_lost(bench: Page) -> None:
    before = pixels(bench.locator(".clean canvas"))
    upload(bench, "notes.png", "image/png", b"These are only words.\n" * 100)
    expect(bench.locator(".told")).to_contain_text("“notes.png” is no picture this browser can read")
    expect(bench.locator(".told")).to_contain_text("Take a PNG, JPEG, WebP or GIF file")
    assert pixels(bench.locator(".clean canvas")) == before
    noisy = pixels(bench.locator(".noisy canvas"))
    slider = bench.get_by_role("slider", name="Strength of the noise")
    slider.focus()
    slider.press("ArrowRight")
    bench.wait_for_function("new URLSearchParams(location.search).get('level') === '0.305'")
    assert pixels(bench.locator(".noisy canvas")) != noisy, "the page lives on"


def test_what_is_unlike_the_training_data_is_said(bench: Page) -> None:
    checks = Image.fromarray((np.indices((28, 28)).sum(0) % 4 < 2).astype(np.uint8) * 255)
    upload(bench, "checks.png", "image/png", bytes_of(checks, "PNG"))
    expect(bench.locator(".unlike.warning")).to_contain_text("Unlike the training data")
    bench.get_by_role("button", name="Test picture 1", exact=True).click()
    expect(bench.locator(".unlike.warning")).to_have_count(0)


def test_a_denoiser_trained_here_stands_on_the_bench(new_page: NewPage, lab: str) -> None:
    page = open_bench(new_page(), lab, "&dataset=digits8&budget=60&budget_unit=steps&corruption=masking&body=mlp")
    button(page, "Train").click()
    expect_state(page, "Finished")
    expect(page.get_by_role("combobox", name="Network on the bench")).to_have_value(
        re.compile("^Your run: MLP, Masking")
    )
    expect(page.locator(".range")).to_contain_text("trained on Masking 0 to 0.5 of the pixels", timeout=60_000)
    assert page.locator(".clean canvas").evaluate("(canvas) => [canvas.width, canvas.height]") == [8, 8]
    expect(page.locator(".measured .title")).to_contain_text("test pictures of Digits", timeout=120_000)
    filters_answered(page)


def test_a_picture_of_ones_own_is_there_again_after_another_page(bench: Page) -> None:
    bench.get_by_role("button", name="Draw your own").click()
    drag(bench, bench.locator(".clean canvas"), (0.5, 0.15), (0.5, 0.85))
    filters_answered(bench)
    drawn = pixels(bench.locator(".clean canvas"))
    bench.get_by_role("link", name="Home").first.click()
    expect(bench.get_by_role("heading", name="What is an autoencoder?")).to_be_visible()
    bench.get_by_role("link", name="Denoising").first.click()
    expect(bench.locator(".denoised output")).to_contain_text("dB", timeout=60_000)
    assert pixels(bench.locator(".clean canvas")) == drawn
    filters_answered(bench)


@pytest.mark.mnist
def test_pictures_change_with_the_network_though_their_size_does_not(new_page: NewPage, lab: str) -> None:
    if not is_available("mnist"):
        pytest.skip("the files of mnist are not here: set AECORE_DATA to a folder that holds them")
    page = open_bench(new_page(), lab)
    page.get_by_role("combobox", name="Network on the bench").click()
    page.get_by_role("option", name="MNIST: Convolutional, Gaussian").click()
    expect(page.locator(".measured .title")).to_contain_text("of MNIST", timeout=60_000)
    shown = np.asarray(pixels(page.locator(".clean canvas")))
    assert (shown == example_images("mnist")[0].flatten()).all()
    filters_answered(page)
    page.wait_for_function("new URLSearchParams(location.search).get('denoiser') === 'mnist-denoiser'")


def test_without_clipping_no_verdict_of_clipped_noise_is_given(bench: Page) -> None:
    filters_answered(bench)
    bench.get_by_role("checkbox", name="Clip to [0, 1]").uncheck()
    expect(bench.locator(".winner")).to_have_text("Curves and verdict are of clipped noise. Clip it to see them.")
    expect(bench.locator(".measured")).to_be_hidden()
    expect(bench.locator(".range")).to_contain_text("clipping is another now")
    filters_answered(bench)
    clean, *_ = torchs_picture(0.3)
    noisy = corrupt(clean, "gaussian", 0.3, generator=torch.Generator().manual_seed(0), clip=False)
    nothing = psnr_of_mse(mse(noisy.clamp(0, 1), clean))
    assert f"{nothing:.1f} dB" in bench.locator(".noisy output").inner_text(), "estimates are cut off, this one too"


def test_turning_the_slider_leaves_no_trail_in_the_history(bench: Page) -> None:
    filters_answered(bench)
    before = bench.evaluate("history.length")
    slider = bench.get_by_role("slider", name="Strength of the noise")
    slider.focus()
    for level in ("0.305", "0.31"):
        slider.press("ArrowRight")
        bench.wait_for_function(f"new URLSearchParams(location.search).get('level') === '{level}'")
    filters_answered(bench)
    settled(bench)
    assert bench.evaluate("history.length") == before


def test_light_strokes_on_a_transparent_ground_can_be_seen(bench: Page) -> None:
    image = Image.new("RGBA", (56, 56), (0, 0, 0, 0))
    ImageDraw.Draw(image).line([(28, 8), (28, 48)], fill="white", width=6)
    upload(bench, "logo.png", "image/png", bytes_of(image, "PNG"))
    expect(bench.locator(".told")).to_contain_text("“logo.png”: its middle")
    shown = np.asarray(pixels(bench.locator(".clean canvas"))).reshape(28, 28)
    assert shown[14, 14] > 200
    assert shown[14, 4] < 50
    upload(bench, "blank.png", "image/png", bytes_of(Image.new("RGB", (56, 56), "white"), "PNG"))
    expect(bench.locator(".told")).to_contain_text("nothing is left to see of “blank.png”")
    assert (np.asarray(pixels(bench.locator(".clean canvas"))).reshape(28, 28) == shown).all()
