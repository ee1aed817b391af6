"""The diagram of a network: one block for each tensor, as tall as its pictures and as wide as its channels.

Drawn as SVG, so that it is sharp at any zoom and costs nothing to show. This module knows nothing of training.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import streamlit as st

from aecore.models.activations import ACTIVATION_TITLES
from aecore.models.layers import Layer
from pages.ui.palette import Palette

TALLEST, WIDEST, GAP, MARGIN = 120, 64, 46, 14  # SVG units, pixels at normal zoom
SILENT_OPS = ("relu", "silu", "tanh", "sigmoid", "crop")  # they keep the shape: named with the layer before them

CONVOLUTIONS = {"conv2d": "conv", "conv_transpose2d": "transposed"}
PLAIN_NAMES = {
    "max_pool2d": "max-pool",
    "nearest_conv2d": "nearest ×2\nconv 3×3",
    "upsample_bilinear": "bilinear ×2",
    "pixel_shuffle": "shuffle ×2",
    "bed_of_nails": "nails ×2",
    "max_unpool2d": "max-unpool",
    "unflatten": "reshape",
}

_FRAME = st.components.v2.component(
    "network_diagram",
    html="""<div class="diagram"></div>
""",
    css=""".diagram { overflow-x: auto; }
.diagram svg { font-family: var(--st-font); font-variant-numeric: tabular-nums; display: block; }
""",
    js="""export default function ({ parentElement, data }) {
  parentElement.querySelector(".diagram").innerHTML = data
}
""",
)  # st.html removes SVG; a component does not


def show_diagram(layers: Sequence[Layer], palette: Palette) -> None:
    """Draw the diagram of a network; wider ones scroll sideways."""
    _FRAME(key="network_diagram", data=network_diagram(layers, palette))


def network_diagram(layers: Sequence[Layer], palette: Palette) -> str:
    """SVG of the tensors on the way from image to code to image, with the layers between them.

    Args:
        layers: As `aecore.models.describe` gives them.
        palette: Colours of the theme.
    """
    image = layers[0].in_shape
    tensors = [("image", image, palette.target.fill)]
    labels: list[list[str]] = []
    for layer in layers:
        if layer.op in SILENT_OPS and labels:
            labels[-1].append(_name(layer))
            tensors[-1] = (tensors[-1][0], layer.out_shape, tensors[-1][2])
            continue
        labels.append(_name(layer).split("\n"))
        colour = (palette.encoder if layer.part == "encoder" else palette.decoder).fill
        tensors.append(("", layer.out_shape, colour))
    first_decoder = next(index for index, layer in enumerate(layers) if layer.part == "decoder")
    code_shape = layers[first_decoder].in_shape
    code_at = sum(layer.op not in SILENT_OPS for layer in layers[:first_decoder])
    tensors[code_at] = ("code", code_shape, palette.code.fill)
    tensors[-1] = ("reconstruction", tensors[-1][1], palette.decoder.fill)

    parts: list[str] = []
    x = float(MARGIN)
    middle = MARGIN + TALLEST / 2 + 14
    for index, (name, shape, colour) in enumerate(tensors):
        wide, tall = _size(shape, image)
        parts.append(
            f'<rect x="{x:.1f}" y="{middle - tall / 2:.1f}" width="{wide:.1f}" height="{tall:.1f}" rx="2" '
            f'fill="{colour}" fill-opacity="0.28" stroke="{colour}" stroke-width="1.5"/>'
        )
        centre = x + wide / 2
        parts.append(_text(centre, middle + TALLEST / 2 + 18, "×".join(map(str, shape)), palette.ink, bold=True))
        if name:
            parts.append(_text(centre, middle - TALLEST / 2 - 10, name, palette.ink))
        x += wide
        if index < len(labels):
            arrow = x + GAP / 2
            parts.append(
                f'<path d="M{x + 8:.1f} {middle:.1f}H{x + GAP - 8:.1f}m-5 -4l5 4l-5 4" fill="none" '
                f'stroke="{palette.ink}" stroke-opacity="0.6"/>'
            )
            for line, word in enumerate(labels[index]):
                parts.append(_text(arrow, middle + TALLEST / 2 + 36 + 14 * line, word, palette.ink, small=True))
            x += GAP
    deepest = max(map(len, labels))
    width, height = x + MARGIN + 50, middle + TALLEST / 2 + 42 + 14 * deepest
    return (
        f'<svg role="img" aria-label="Tensor shapes from image to reconstruction" '
        f'width="{width:.0f}" height="{height:.0f}" viewBox="-10 0 {width:.0f} {height:.0f}" '
        f">{''.join(parts)}</svg>"
    )


def _size(shape: Sequence[int], image: Sequence[int]) -> tuple[float, float]:
    """Width and height of a tensor's block: channels and picture height, or a thin bar for a flat tensor."""
    if len(shape) == 1:
        return 12.0, TALLEST * min(1.0, 0.12 + 0.88 * math.log2(1 + shape[0]) / math.log2(1 + math.prod(image)))
    channels, height, _ = shape
    return min(WIDEST, 14 + 8 * math.log2(channels)), max(10.0, TALLEST * height / image[1])


def _name(layer: Layer) -> str:
    if layer.op in CONVOLUTIONS:
        kernel, stride = layer.args["kernel"], layer.args["stride"]
        return f"{CONVOLUTIONS[layer.op]} {kernel}×{kernel}{f' /{stride}' if stride > 1 else ''}"
    return PLAIN_NAMES.get(layer.op) or ACTIVATION_TITLES.get(layer.op, layer.op)


def _text(x: float, y: float, text: str, colour: str, *, bold: bool = False, small: bool = False) -> str:
    weight, size = (600 if bold else 400), (10.5 if small else 12)
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="{colour}" font-size="{size}" '
        f'font-weight="{weight}">{html.escape(text)}</text>'
    )
