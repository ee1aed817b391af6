"""The live toy of the home page: the diagram of an autoencoder, running in the browser.

A visitor draws or picks a picture, sees its code and reconstruction follow, and pulls at the code. Nothing of it comes
back to the server. This module knows nothing of the page around it.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy
import streamlit as st
from numpy.typing import NDArray

from pages.ui.browser import source

_COMPONENT = st.components.v2.component(
    "autoencoder_toy",
    html=source("toy.html"),
    css=source("meaning.css", "buttons.css", "toy.css", "pen.css"),
    js=source("engine.js", "pictures.js", "pen.js", "bars.js", "toy.js"),
)

FIRST_EXAMPLE = 3
USUAL_PEN = 2.5  # pixels, where there are no examples to take it from


def toy(models: Sequence[dict[str, Any]], *, key: str) -> None:
    """Draw the toy.

    Args:
        models: From `browser_model`, at least one, all for images of one shape; the first is shown first, and its
            examples are the pictures offered.
        key: Streamlit's key; the toy keeps its state as long as the key and the models stay.
    """
    examples = models[0]["examples"]
    payload = {
        "version": " ".join(model["digest"] for model in models),
        "models": models,
        "examples": examples,
        "first": min(FIRST_EXAMPLE, examples["shape"][0] - 1) if examples else 0,
        "pen_width": pen_width(_unpack(examples)) if examples else USUAL_PEN,
    }
    _COMPONENT(key=key, data=(payload,))  # in a tuple: given a dictionary, Streamlit loads pandas to look for tables


def pen_width(images: NDArray[numpy.uint8]) -> float:
    """How wide the strokes in line drawings (N, C, H, W) are, in pixels, so that new ones can be drawn alike.

    A line of length l and width w covers A = l w and has the outline P = 2 (l + w), so for long lines w is about
    2 A / P. Both are counted on pixels brighter than half; an outline of pixels is longer than a smooth one, by
    4 / pi on average over all directions.

    Example:
        >>> square = numpy.zeros((1, 1, 28, 28), numpy.uint8)
        >>> square[..., 4:24, 10:13] = 255
        >>> round(pen_width(square), 1)
        3.3
    """
    ink = images.max(axis=1) > 127  # (N, C, H, W) -> (N, H, W)
    padded = numpy.pad(ink, ((0, 0), (1, 1), (1, 1)))
    outline = numpy.count_nonzero(numpy.diff(padded, axis=1)) + numpy.count_nonzero(numpy.diff(padded, axis=2))
    if outline == 0:
        return USUAL_PEN
    return float(2 * numpy.count_nonzero(ink) / (outline * numpy.pi / 4))


def _unpack(packed: dict[str, Any]) -> NDArray[numpy.uint8]:
    return numpy.frombuffer(base64.b64decode(packed["data"]), numpy.uint8).reshape(packed["shape"])
