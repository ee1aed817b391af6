"""The one place of colours with a meaning, for light and for dark pages.

One colour, one meaning, on all pages: encoder blue, code amber, decoder green, target grey, noise violet, trouble
red. `.streamlit/config.toml` repeats these values as Streamlit's theme (a test holds the two equal), so that in
Markdown `:blue[encoder]`, `:orange[code]`, `:green[decoder]`, `:gray[target]`, `:violet[noise]` and in a component's
CSS `var(--st-blue-color)` and so on have the right colour in either theme. This module knows nothing of charts.
"""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st


@dataclass(frozen=True)
class Tone:
    """One meaning's colour.

    Attributes:
        fill: For areas, bars, lines and frames; at least 3 : 1 against the page.
        text: For words and numbers; at least 4.5 : 1 against the page.
    """

    fill: str
    text: str


@dataclass(frozen=True)
class Palette:
    """All colours of one theme, as #rrggbb.

    Attributes:
        page: Background of the page.
        panel: Background of fields, cards and the navigation.
        ink: Text.
        line: Borders.
        accent: What can be pressed; white text on it is readable.
        encoder, code, decoder, target, noise, trouble: The colours with a meaning.
        diverging: Eleven colours from the lowest negative to the highest positive value; the sixth stands for 0
            and is close to the page, so that no error looks like nothing.
        sequential: Ten colours from little to much.
        classes: Ten colours for classes 0-9. They are Petroff's, moved apart until the closest two are 0.12 apart
            in OKLab, also as seen with protanopia, deuteranopia or tritanopia (Machado's simulation), twice the
            distance of the originals, while each stays at least 2.1 : 1 against the page.
            Sources: Petroff, Accessible Color Sequences for Data Visualization, arXiv:2107.02270 (2021);
            Machado, Oliveira & Fernandes, A Physiologically-based Model for Simulation of Color Vision Deficiency,
            IEEE TVCG 15 (2009).
    """

    page: str
    panel: str
    ink: str
    line: str
    accent: str
    encoder: Tone
    code: Tone
    decoder: Tone
    target: Tone
    noise: Tone
    trouble: Tone
    diverging: tuple[str, ...]
    sequential: tuple[str, ...]
    classes: tuple[str, ...]


LIGHT = Palette(
    page="#fcfcfb",
    panel="#f2f3f1",
    ink="#1d2529",
    line="#d3d8d8",
    accent="#2f4a5c",
    encoder=Tone("#2f6fd6", "#2259b8"),
    code=Tone("#c98100", "#8f5800"),
    decoder=Tone("#2b9659", "#1a7341"),
    target=Tone("#7c8790", "#5a656d"),
    noise=Tone("#8a52cf", "#6d35b3"),
    trouble=Tone("#cf4436", "#b03023"),
    # ColorBrewer's RdBu, reversed (Harrower & Brewer, 2003): safe for colour-blind eyes
    diverging=(
        "#053061", "#2166ac", "#4393c3", "#92c5de", "#d1e5f0",
        "#f7f7f7",
        "#fddbc7", "#f4a582", "#d6604d", "#b2182b", "#67001f",
    ),
    sequential=(
        "#e9eff2", "#d3dfe5", "#bccdd6", "#a3bac6", "#8aa6b5", "#7192a4", "#587d92", "#416880", "#2c526b", "#193c54",
    ),
    classes=(
        "#1867d7", "#e6a20d", "#750913", "#8b768b", "#490e7d", "#be7027", "#a53a10", "#aaa28f", "#535376", "#60b9e4",
    ),
)  # fmt: skip

DARK = Palette(
    page="#14181b",
    panel="#1d2327",
    ink="#e4e8ea",
    line="#3a4349",
    accent="#4a7690",
    encoder=Tone("#5b97f0", "#85b4ff"),
    code=Tone("#eba92f", "#f4bb55"),
    decoder=Tone("#4dbb78", "#6cd093"),
    target=Tone("#8c979f", "#a9b3ba"),
    noise=Tone("#a97bec", "#c3a0f7"),
    trouble=Tone("#ee6f5d", "#ff9382"),
    diverging=(
        "#d6eaff", "#a5cff8", "#6fa9e2", "#4179b5", "#2a4a70",
        "#1f252a",
        "#6b3328", "#a84a37", "#db6b52", "#f59b82", "#ffd8cb",
    ),
    sequential=(
        "#20292f", "#2a3942", "#344a56", "#3f5c6b", "#4b6f81", "#5c8397", "#7198ab", "#8badbd", "#a9c3cf", "#cbdce3",
    ),
    classes=(
        "#6c93f1", "#f6a900", "#ae4a20", "#a5bde0", "#9636d8", "#a78e90", "#df6f12", "#f7dc9a", "#4d6c87", "#85fbfe",
    ),
)  # fmt: skip


def current() -> Palette:
    """The palette of the theme this visitor sees; the light one until the browser has said which."""
    return DARK if st.context.theme.type == "dark" else LIGHT
