"""Rows of pictures aligned in columns, such as targets above their reconstructions above the differences.

Drawn on canvases in the browser and painted over in place, so that it can change several times a second without a
flicker: keep the key. This module knows nothing of where the pictures come from.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy
import streamlit as st
from numpy.typing import NDArray

from pages.ui.browser import source
from pages.ui.palette import DARK, LIGHT

Role = Literal["target", "noisy", "reconstruction", "difference"]

_COMPONENT = st.components.v2.component(
    "image_strip",
    html=source("strip.html"),
    css=source("meaning.css", "strip.css"),
    js=source("engine.js", "pictures.js", "signed.js", "film.js", "strip.js"),
)


@dataclass(frozen=True)
class StripRow:
    """One row of pictures.

    Attributes:
        label: What they are, in a word or two.
        role: What colour they are framed in.
        images: Pictures, uint8 (N, C, H, W) with C 1 or 3; or signed values, floating point (N, C, H, W), which are
            averaged over the channels and shown on the diverging scale with 0 in its middle.
        limit: Signed values only: the scale goes from -limit to limit and cuts off what lies beyond. Keep it fixed
            while values change, or colours change their meaning.
    """

    label: str
    role: Role
    images: NDArray[Any]
    limit: float = 1.0


@dataclass(frozen=True)
class Moment:
    """What stood in a strip a moment before.

    Attributes:
        rows: Those that have changed since, under the same labels.
        captions: The text under each column then.
    """

    rows: Sequence[StripRow]
    captions: Sequence[str]


def image_strip(
    rows: Sequence[StripRow],
    *,
    key: str,
    alt: str,
    captions: Sequence[str] | None = None,
    caption_label: str = "",
    earlier: Sequence[Moment] = (),
    seconds: float = 0.0,
) -> None:
    """Draw rows of pictures, pixel by pixel, at the largest whole-number zoom at which all columns fit in one line.

    Where they would become too small, on a phone, the columns go on in further lines, the same in all rows.

    Args:
        rows: From top to bottom; all with the same number N of pictures of the same height and width.
        key: Streamlit's key; while it stays, new pictures are painted over the old ones.
        alt: What is to be seen, for those who do not see it.
        captions: One short text under each column, such as its error.
        caption_label: What the captions are, with unit and direction.
        earlier: What is shown on the way to `rows`, in order.
        seconds: How long that way is; all moments have the same share of it, the last one too.
    """
    count, _, height, width = rows[0].images.shape
    for row in rows:
        n, channels, *sides = row.images.shape
        assert (n, sides) == (count, [height, width]), "all rows of a strip hold as many pictures of the same size"
        assert channels in (1, 3), "pictures have one channel or three"
    assert captions is None or len(captions) == count, "one caption for each column"
    payload = {
        "rows": [_pack(row) for row in rows],
        "count": count,
        "height": height,
        "width": width,
        "captions": None if captions is None else list(captions),
        "caption_label": caption_label,
        "alt": alt,
        "earlier": [
            {"rows": {row.label: _pack(row)["data"] for row in moment.rows}, "captions": list(moment.captions)}
            for moment in earlier
        ],
        "seconds": seconds,
        "diverging": {"light": LIGHT.diverging, "dark": DARK.diverging},
    }
    _COMPONENT(key=key, data=(payload,))  # in a tuple: given a dictionary, Streamlit looks for tables in it


def _pack(row: StripRow) -> dict[str, Any]:
    signed = row.images.dtype != numpy.uint8
    values = signed_to_bytes(row.images, row.limit) if signed else row.images
    return {
        "label": row.label,
        "role": row.role,
        "channels": values.shape[1],
        "limit": row.limit if signed else None,
        "data": base64.b64encode(numpy.ascontiguousarray(values).tobytes()).decode("ascii"),
    }


def signed_to_bytes(values: NDArray[Any], limit: float) -> NDArray[numpy.uint8]:
    """Signed values (N, C, H, W) -> (N, 1, H, W): -limit becomes 1, 0 becomes 128, limit becomes 255.

    Example:
        >>> signed_to_bytes(numpy.array([[[[-2.0, 0.0, 0.5]]]]), limit=1.0).tolist()
        [[[[1, 128, 192]]]]
    """
    mean: NDArray[numpy.float32] = values.mean(axis=1, keepdims=True, dtype=numpy.float32)
    steps: NDArray[numpy.float32] = numpy.rint(127 * numpy.clip(mean / limit, -1, 1))
    return (128 + steps).astype(numpy.uint8)
