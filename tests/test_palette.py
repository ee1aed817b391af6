"""Colours: the theme repeats the palette, text can be read, and colour-blind eyes can tell the classes apart."""

from __future__ import annotations

import tomllib
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy
import pytest
from numpy.typing import NDArray

from pages.ui.palette import DARK, LIGHT, Palette, Tone

THEME = tomllib.loads((Path(__file__).parents[1] / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"]
BOTH = [pytest.param(LIGHT, "light", id="light"), pytest.param(DARK, "dark", id="dark")]
STREAMLIT_NAMES = {
    "encoder": "blue",
    "code": "orange",
    "decoder": "green",
    "target": "gray",
    "noise": "violet",
    "trouble": "red",
}

# Machado, Oliveira & Fernandes (2009), severity 1, for linear RGB
EYES = {
    "usual": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear_rgb(colour: str) -> NDArray[numpy.float64]:
    srgb = numpy.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return numpy.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio, 1 to 21."""
    low, high = sorted(float(linear_rgb(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def oklab(rgb: NDArray[numpy.float64]) -> NDArray[numpy.float64]:
    """Linear RGB -> OKLab (Ottosson, 2020)."""
    lms = numpy.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    lab = numpy.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return lab @ numpy.cbrt(lms @ numpy.clip(rgb, 0, 1))


@pytest.mark.parametrize(("palette", "name"), BOTH)
def test_the_theme_repeats_the_palette(palette: Palette, name: str) -> None:
    theme: dict[str, Any] = THEME[name]
    assert theme["backgroundColor"] == palette.page
    assert theme["secondaryBackgroundColor"] == theme["sidebar"]["backgroundColor"] == palette.panel
    assert theme["textColor"] == palette.ink
    assert theme["borderColor"] == palette.line
    assert theme["primaryColor"] == palette.accent
    for meaning, colour in STREAMLIT_NAMES.items():
        tone: Tone = getattr(palette, meaning)
        assert (theme[f"{colour}Color"], theme[f"{colour}TextColor"]) == (tone.fill, tone.text), meaning
    assert tuple(theme["chartCategoricalColors"]) == palette.classes
    assert tuple(theme["chartSequentialColors"]) == palette.sequential
    assert tuple(theme["chartDivergingColors"]) == palette.diverging[:5] + palette.diverging[6:]


@pytest.mark.parametrize(("palette", "name"), BOTH)
def test_everything_can_be_read(palette: Palette, name: str) -> None:
    assert contrast(palette.ink, palette.page) > 7
    assert contrast(palette.ink, palette.panel) > 7
    assert contrast("#ffffff", palette.accent) > 4.5
    for meaning in STREAMLIT_NAMES:
        tone: Tone = getattr(palette, meaning)
        assert contrast(tone.text, palette.page) > 4.5, f"{meaning} as text in {name}"
        assert contrast(tone.text, palette.panel) > 4.5, f"{meaning} as text on a panel in {name}"
        assert contrast(tone.fill, palette.page) > 3, f"{meaning} as an area in {name}"


@pytest.mark.parametrize(("palette", "name"), BOTH)
@pytest.mark.parametrize("eye", EYES)
def test_classes_can_be_told_apart(palette: Palette, name: str, eye: str) -> None:
    seen = [oklab(numpy.array(EYES[eye]) @ linear_rgb(colour)) for colour in palette.classes]
    closest = min(float(numpy.linalg.norm(one - other)) for one, other in combinations(seen, 2))
    assert closest > 0.119, f"{eye} in {name}"
    assert min(contrast(colour, palette.page) for colour in palette.classes) > 2.1


@pytest.mark.parametrize(("palette", "name"), BOTH)
def test_the_diverging_scale_is_centred(palette: Palette, name: str) -> None:
    away = [contrast(colour, palette.page) for colour in palette.diverging]
    assert away[5] == min(away) < 1.25, f"0 looks like the page in {name}"
    assert away[:5] == sorted(away[:5], reverse=True)
    assert away[6:] == sorted(away[6:])
    for negative, positive in zip(away[:5], away[:5:-1], strict=True):
        assert 0.55 < negative / positive < 1.8, "the two sides are about equally strong"
