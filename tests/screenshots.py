"""Makes the screenshots in docs/images: `make screenshots`, with Chromium installed. Not a test.

They show the pages as a visitor finds them behind the links below, on a laptop and on a phone, light and dark.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from browser import BROWSER_FLAGS, find_browser, lab_server, settled
from PIL import Image
from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
COLOURS = 256  # enough for a page; a third of the bytes
# name -> (address, what has to be there, the last heading of the page, step to stand at or None)
SHOTS = {
    "operations-convolution": ("Operations?operation=conv2d", ".bench .cell", "Check yourself", 6),
    "operations-checkerboard": (
        "Operations?operation=conv_transpose2d&size=4&x=ones&view=overlap",
        ".bench .cell",
        "Check yourself",
        11,
    ),
    "operations-backward": (
        "Operations?operation=conv2d&stride=2&w=random&direction=backward",
        ".bench .cell",
        "Check yourself",
        3,
    ),
    "decoders": ("Decoders", ".minis canvas", "Before any training", None),
    "denoising": ("Denoising", ".measured tbody .best", "Train a denoiser of your own", None),
    "latent-space": (
        "Latent_Space?map=digits-vae&pins=-1,1;1,-1",
        ".decoded canvas[data-code]",
        "Holes and cover",
        None,
    ),
    "vae": ("VAE?vae=digits-vae-10", ".grid[data-drawn]", "Train a variational autoencoder of your own", None),
    "vae-averaged": (
        "VAE?vae=digits-vae-10&averaged=true",
        ".grid[data-drawn]",
        "Train a variational autoencoder of your own",
        None,
    ),
}


def shoot(page: Page, url: str, awaited: str, heading: str, step: int | None, target: Path) -> None:
    """Open a page, wait until it stands still, and keep what a visitor sees first."""
    page.goto(url)
    page.locator(awaited).first.wait_for(timeout=60_000)
    page.get_by_role("heading", name=heading).wait_for(timeout=60_000)
    settled(page)
    page.wait_for_function("""() => !document.querySelector('[data-testid="stSkeleton"]')""")
    if step is not None:
        page.get_by_role("slider", name="Step").evaluate(
            "(slider, step) => { slider.value = step; slider.dispatchEvent(new Event('input')) }", step
        )
    page.evaluate("document.fonts.ready")
    page.screenshot(path=target, animations="disabled")
    with Image.open(target) as picture:
        small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(target, optimize=True)


def main() -> None:
    """Make all of them."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as runs,
        lab_server({"AECORE_RUNS": runs}) as server,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=find_browser(), args=BROWSER_FLAGS)
        for name, (address, awaited, heading, step) in SHOTS.items():
            for size, (width, height) in SIZES.items():
                for scheme in ("light", "dark"):
                    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
                    target = IMAGES / f"{name}-{size}-{scheme}.png"
                    shoot(context.new_page(), f"{server.url}/{address}", awaited, heading, step, target)
                    context.close()
                    print(f"{target.relative_to(IMAGES.parents[1])}  {target.stat().st_size:,} bytes")
        chromium.close()


if __name__ == "__main__":
    main()
