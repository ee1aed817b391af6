"""The Latent Space page in a real browser: the pointer over the plane, pins, a path, a lasso, and torch's numbers."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import button, expect_state, pixels, settled
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from aecore import pretrained
from aecore.analysis.latent import decode_all, decode_grid, interpolate
from aecore.analysis.neighbours import nearest_images
from aecore.data import load_dataset
from pages.ui.browser import source
from pages.ui.engine import WEIGHTS, browser_model

pytestmark = pytest.mark.browser

NewPage = Callable[..., Page]

CLOSE = 1e-4  # largest difference allowed in any value
SHIPPED = "digits-vae"  # its pictures come with the lab


def open_map(page: Page, lab: str, network: str = SHIPPED, address: str = "") -> Page:
    page.goto(f"{lab}/Latent_Space?map={network}{address}")
    ready(page)
    return page


def ready(page: Page) -> None:
    """Wait until the map is drawn, the decoder is there and the page stands still."""
    expect(page.locator(".map .main-svg").first).to_be_visible(timeout=60_000)
    page.wait_for_function(
        """() => [...document.querySelectorAll("*")]
            .some((element) => element.shadowRoot?.querySelector(".decoded canvas")?.dataset.code)""",
        timeout=60_000,
    )
    settled(page)


@pytest.fixture
def latent(page: Page, lab: str) -> Page:
    """The page with the shipped variational network on the map."""
    return open_map(page, lab)


def painted(page: Page) -> None:
    """Wait until what was done is on the canvases: they are painted with the next frame."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def at(page: Page, x: float, y: float) -> tuple[float, float]:
    """A place on the screen, given as fractions of the map."""
    plane = page.locator(".map").first
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    assert box
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def move(page: Page, x: float, y: float) -> None:
    page.mouse.move(*at(page, x, y))
    painted(page)


def press(page: Page, x: float, y: float) -> None:
    page.mouse.click(*at(page, x, y))
    painted(page)


def shown_code(page: Page) -> torch.Tensor:
    """The code that is decoded at this moment, (1, Z)."""
    return torch.tensor([json.loads(page.locator(".decoded canvas").first.get_attribute("data-code") or "[]")])


def torchs(codes: torch.Tensor, network: str = SHIPPED) -> torch.Tensor:
    return decode_all(pretrained.load(network).build(), codes)


def same_picture(canvas: Locator, wanted: torch.Tensor) -> bool:
    return bool(np.abs(np.asarray(pixels(canvas)) - 255 * wanted.flatten().numpy()).max() <= 1)


def test_the_picture_under_the_pointer_is_the_decoders(latent: Page, page: Page) -> None:
    codes = []
    for x, y in ((0.3, 0.3), (0.5, 0.6), (0.8, 0.45)):
        move(latent, x, y)
        code = shown_code(latent)
        assert same_picture(latent.locator(".decoded canvas").first, torchs(code))
        codes.append(code)
    assert len({tuple(code.flatten().tolist()) for code in codes}) == 3
    # the same codes through the same engine, before anything is rounded for the screen
    page.add_script_tag(content=source("engine.js"))
    decoded = page.evaluate(
        """([packed, codes]) => {
            const model = loadModel(packed)
            return codes.map((code) => Array.from(model.decode(Float32Array.from(code))))
        }""",
        [browser_model(WEIGHTS / SHIPPED), torch.cat(codes).tolist()],
    )
    difference = np.abs(np.asarray(decoded) - torchs(torch.cat(codes)).flatten(1).double().numpy()).max()
    print(f"\nthe pictures of browser and torch differ by at most {difference:.1e}")
    assert difference < CLOSE


def test_it_follows_the_pointer_frame_by_frame(latent: Page) -> None:
    """How many frames a second is printed, not judged: a test machine may be busy, and draws without a GPU."""
    latent.evaluate(
        """() => {
            const put = CanvasRenderingContext2D.prototype.putImageData
            window.painted = []
            CanvasRenderingContext2D.prototype.putImageData = function (...given) {
                if (this.canvas.closest(".decoded")) window.painted.push([performance.now(), this.canvas.dataset.code])
                return put.apply(this, given)
            }
        }"""
    )
    move(latent, 0.3, 0.5)
    latent.mouse.move(*at(latent, 0.8, 0.4), steps=120)
    painted(latent)
    shots = latent.evaluate("window.painted")
    pictures = len({code for _, code in shots})
    seconds = (shots[-1][0] - shots[0][0]) / 1000
    told = latent.locator(".speed").first.inner_text()
    print(f"\n{len(shots)} frames, {pictures} different pictures, {(len(shots) - 1) / seconds:.0f} a second; {told}")
    assert pictures > 40
    assert re.fullmatch(r"\d+\.\d ms to decode, here in your browser", told)


def test_pins_a_path_and_what_they_say(latent: Page) -> None:
    press(latent, 0.35, 0.35)
    press(latent, 0.7, 0.6)
    pinned = latent.locator(".pinned li")
    expect(pinned).to_have_count(2)
    expect(pinned.nth(0)).to_contain_text("nearest training picture: MSE", timeout=30_000)
    link = re.search(r"pins=([^&]*)", latent.url.replace("%2C", ",").replace("%3B", ";"))
    assert link
    ends = torch.tensor([[float(number) for number in pin.split(",")] for pin in link[1].split(";")])
    expect(latent.locator(".path .title")).to_have_text("Path from A to B")
    strip = latent.locator(".path .strip canvas")
    expect(strip).to_have_count(9)
    for how in ("straight", "spherical"):
        latent.locator(".how").select_option(how)
        painted(latent)
        along = torchs(interpolate(ends[0], ends[1], 9, how))  # the link rounds to three decimals
        for place in (0, 4, 8):
            ours = np.asarray(pixels(strip.nth(place))) / 255
            assert np.abs(ours - along[place].flatten().numpy()).max() < 0.02, (how, place)
    distances, _ = nearest_images(torchs(ends[:1]), load_dataset("digits").train)
    said = float(re.findall(r"MSE ([\d.e-]+)", pinned.nth(0).inner_text())[0])
    assert said == pytest.approx(float(distances), rel=0.05)


def test_a_pin_dragged_moves_the_path_and_dragged_onto_another_joins_them(latent: Page) -> None:
    for place in ((0.3, 0.3), (0.5, 0.6), (0.75, 0.4)):
        press(latent, *place)
    expect(latent.locator(".path .title")).to_have_text("Path from B to C")
    expect(latent.locator(".sum")).to_contain_text("A − B + C")
    before = pixels(latent.locator(".path .strip canvas").last)
    latent.mouse.move(*at(latent, 0.75, 0.4))
    latent.mouse.down()
    latent.mouse.move(*at(latent, 0.8, 0.7), steps=8)
    painted(latent)
    assert pixels(latent.locator(".path .strip canvas").last) != before, "the path follows while the pin is dragged"
    latent.mouse.up()
    latent.mouse.move(*at(latent, 0.8, 0.7))
    latent.mouse.down()
    latent.mouse.move(*at(latent, 0.3, 0.3), steps=8)
    latent.mouse.up()
    expect(latent.locator(".path .title")).to_have_text("Path from C to A")
    expect(latent.locator(".pinned li")).to_have_count(3)


def test_a_path_becomes_a_gif(latent: Page) -> None:
    press(latent, 0.35, 0.35)
    press(latent, 0.7, 0.6)
    with latent.expect_download(timeout=30_000) as download:
        button(latent, "Save as GIF").click()
    assert download.value.suggested_filename == "path.gif"
    picture = Image.open(io.BytesIO(Path(download.value.path()).read_bytes()))
    assert (picture.format, getattr(picture, "n_frames", 1)) == ("GIF", 16)  # nine forward, seven back


def test_saving_a_file_leaves_what_is_known_of_the_pins(latent: Page) -> None:
    press(latent, 0.35, 0.35)
    press(latent, 0.7, 0.6)
    pinned = latent.locator(".pinned li")
    expect(pinned.nth(0)).to_contain_text("nearest training picture: MSE", timeout=30_000)
    with latent.expect_download(timeout=30_000):
        button(latent, "Save as GIF").click()
    expect(pinned.nth(0)).to_contain_text("nearest training picture: MSE")


def test_a_run_left_alone_gives_the_map_back(new_page: NewPage, lab: str) -> None:
    page = new_page()
    page.goto(f"{lab}/Latent_Space?dataset=digits&body=mlp&latent_dim=2&budget=400&map={SHIPPED}")
    ready(page)
    button(page, "Train").click()
    expect(page.locator(".hint").first).to_contain_text("In training", timeout=60_000)
    expect_state(page, "Training")
    button(page, "New run").click()
    expect(page.locator(".hint").first).to_contain_text("means of", timeout=60_000)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    page.get_by_role("button", name="Show").first.click()
    button(page, "Stop").click()
    expect_state(page, "Stopped", 60_000)


def test_a_lasso_shows_the_pictures_inside(latent: Page) -> None:
    button(latent, "Lasso").click()
    corners = [(0.2, 0.2), (0.8, 0.2), (0.8, 0.85), (0.2, 0.85), (0.2, 0.25)]
    latent.mouse.move(*at(latent, *corners[0]))
    latent.mouse.down()
    for corner in corners[1:]:
        latent.mouse.move(*at(latent, *corner), steps=8)
    latent.mouse.up()
    title = latent.locator(".chosen .title")
    expect(title).to_contain_text("selected:", timeout=10_000)
    count = int(re.findall(r"^(\d+)", title.inner_text())[0])
    assert count > 10
    expect(latent.locator(".gallery canvas")).to_have_count(min(count, 120))
    button(latent, "Clear").click()
    expect(title).to_be_hidden()


def test_the_zoom_is_kept_when_the_page_is_drawn_again(latent: Page) -> None:
    ticks = latent.locator(".map .xtick")
    whole = ticks.all_text_contents()
    for _ in range(4):
        button(latent, "Zoom in").click()
    expect(ticks).not_to_have_text(whole)
    zoomed = ticks.all_text_contents()
    press(latent, 0.5, 0.5)  # the pin asks the server, and the map is drawn anew with its answer
    expect(latent.locator(".pinned li").first).to_contain_text("nearest training picture: MSE", timeout=30_000)
    assert ticks.all_text_contents() == zoomed
    button(latent, "Whole map").click()
    expect(ticks).to_have_text(whole)


def test_hovering_a_point_shows_its_picture_and_its_posterior(latent: Page) -> None:
    place = latent.evaluate(
        """() => {
            const roots = [...document.querySelectorAll("*")].map((element) => element.shadowRoot)
            const map = roots.find((root) => root?.querySelector(".latent"))
            const box = map.querySelector(".map .scatterlayer .point").getBoundingClientRect()
            return [box.x + box.width / 2, box.y + box.height / 2]
        }"""
    )
    latent.mouse.move(*place)
    painted(latent)
    expect(latent.locator(".thumb").first).to_be_visible()
    expect(latent.locator(".map ellipse")).to_have_count(2)


def test_samples_of_the_prior_are_drawn(latent: Page) -> None:
    button(latent, "Draw from the prior").click()
    expect(latent.locator(".map .drawn")).to_have_count(24)
    expect(latent.locator(".pinned li")).to_have_count(24)
    button(latent, "Remove all").click()
    expect(latent.locator(".map .drawn")).to_have_count(0)


def test_the_grid_stands_at_the_quantiles_of_the_prior(latent: Page, page: Page) -> None:
    latent.locator(".backdrop select").select_option("quantiles")
    side = 5
    latent.locator(".resolution input").fill(str(side))
    shown = latent.locator(".quantiles canvas")
    expect(shown).to_be_visible()
    expect(shown).to_have_js_property("width", side * 28, timeout=10_000)
    _, wanted = decode_grid(pretrained.load(SHIPPED).build(), side, spacing="quantiles")
    rows = np.asarray(pixels(shown)).reshape(side, 28, side, 28).transpose(0, 2, 1, 3)
    assert np.abs(rows.reshape(side * side, 28, 28) - 255 * wanted[:, 0].numpy()).max() <= 1
    page.add_script_tag(content=source("latent_geometry.js"))
    shares = torch.tensor([1e-6, 0.01, 0.02425, 0.3, 0.5, 0.8, 0.99, 1 - 1e-6], dtype=torch.float64)
    ours = torch.tensor(page.evaluate("(shares) => shares.map(normalQuantile)", shares.tolist()), dtype=torch.float64)
    torch.testing.assert_close(ours, torch.special.ndtri(shares), rtol=2e-9, atol=2e-9)


@pytest.mark.parametrize("how", ["straight", "spherical"])
def test_the_browsers_way_from_code_to_code_is_pythons(page: Page, how: str) -> None:
    page.add_script_tag(content=source("latent_geometry.js"))
    ends = torch.randn(2, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pairs = [(ends[0], ends[1]), (ends[0], 2 * ends[0]), (ends[0], -ends[0]), (ends[0], 0 * ends[0])]
    for a, b in pairs:
        ours = page.evaluate(
            "([a, b, how]) => evenly(0, 1, 7).map((share) => wayBetween(a, b, share, how))",
            [a.tolist(), b.tolist(), how],
        )
        torch.testing.assert_close(torch.tensor(ours, dtype=torch.float64), interpolate(a, b, 7, how))


def test_it_can_be_walked_with_the_keyboard(latent: Page) -> None:
    latent.locator(".map").first.focus()
    before = shown_code(latent)
    latent.keyboard.press("ArrowRight")
    latent.keyboard.press("Shift+ArrowUp")
    painted(latent)
    after = shown_code(latent)
    assert (after > before).all()
    latent.keyboard.press("Enter")
    expect(latent.locator(".pinned li")).to_have_count(1)
    latent.keyboard.press("Delete")
    expect(latent.locator(".pinned li")).to_have_count(0)


def test_a_link_brings_its_pins(page: Page, lab: str) -> None:
    open_map(page, lab, address="&pins=0.5,-0.25;1,1")
    expect(page.locator(".pinned li")).to_have_count(2)
    assert same_picture(page.locator(".pinned canvas").first, torchs(torch.tensor([[0.5, -0.25]])))


def test_larger_codes_have_views_and_a_slider_for_each_unit(page: Page, lab: str) -> None:
    network = "digits-vae-10"
    open_map(page, lab, network)
    rows = page.locator(".unitrow")
    expect(rows).to_have_count(8)
    button(page, "Show more units").click()
    expect(rows).to_have_count(10)
    before = shown_code(page)
    slider = rows.first.get_by_role("slider")
    slider.focus()
    for _ in range(20):
        slider.press("ArrowRight")
    painted(page)
    after = shown_code(page)
    assert (after != before).sum() >= 1
    assert same_picture(page.locator(".decoded canvas").first, torchs(after, network))
    page.locator(".view").select_option("units")
    painted(page)
    move(page, 0.4, 0.4)
    assert same_picture(page.locator(".decoded canvas").first, torchs(shown_code(page), network))
    page.locator(".view").select_option("tsne")
    expect(page.locator(".hint").first).to_contain_text("cannot be turned back into codes", timeout=120_000)
    expect(page.locator(".map .scatterlayer .point").first).to_be_attached()
    move(page, 0.5, 0.5)
    assert same_picture(page.locator(".decoded canvas").first, torchs(shown_code(page), network))


def test_plain_and_variational_side_by_side(page: Page, lab: str) -> None:
    open_map(page, lab, address="&pair_shown=true")
    expect(page.locator(".decoded canvas[data-code]")).to_have_count(3, timeout=60_000)
    expect(page.get_by_text("Plane covered ↑")).to_have_count(3, timeout=60_000)


def test_the_map_moves_while_a_run_trains_and_the_training_can_be_replayed(new_page: NewPage, lab: str) -> None:
    """From Train to a map of the network just trained, its decoder under the pointer, and back through its training."""
    page = new_page()
    page.goto(f"{lab}/Latent_Space?dataset=digits&body=mlp&latent_dim=2&bottleneck=plain&budget=40&map={SHIPPED}")
    ready(page)
    button(page, "Train").click()
    expect(page.locator(".hint").first).to_contain_text("In training", timeout=60_000)
    expect_state(page, "Finished", 120_000)
    expect(page.locator(".hint").first).to_contain_text("The codes of", timeout=60_000)
    expect(page.locator(".replay")).to_be_visible(timeout=30_000)
    move(page, 0.5, 0.5)
    expect(page.locator(".place").first).to_contain_text("at (")
    first = page.locator(".replay input")
    first.focus()
    first.press("Home")
    expect(page.locator(".replay output")).to_have_text("after 0 steps")
    expect(page.locator(".place").first).to_contain_text("after 0 steps")
    expect(page.locator(".then canvas")).to_have_count(16)
    first.press("End")
    expect(page.locator(".replay output")).to_contain_text("now")


def test_it_fits_a_phone(new_page: NewPage, lab: str) -> None:
    page = new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    open_map(page, lab)
    width = page.evaluate("() => document.documentElement.scrollWidth")
    assert width <= 390
    box = page.locator(".map").first.bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


def test_nothing_is_drawn_while_nothing_moves(latent: Page) -> None:
    move(latent, 0.5, 0.5)
    expect(latent.get_by_text("Plane covered ↑")).to_be_visible(timeout=60_000)
    settled(latent)
    latent.wait_for_function(  # the grid behind the map is decoded once things stand still
        """() => {
            window.counted ??= (() => {
                const put = CanvasRenderingContext2D.prototype.putImageData
                CanvasRenderingContext2D.prototype.putImageData = function (...given) {
                    window.last = performance.now()
                    return put.apply(this, given)
                }
                window.last = performance.now()
                return true
            })()
            return performance.now() - window.last > 1500
        }""",
        timeout=30_000,
    )
