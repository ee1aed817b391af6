"""The pictures of rival decoders side by side, with one lens on the same place of all of them.

A matrix drawn on canvases in the browser: the columns are the target and its rivals, the rows what there is to see of
them. Which picture is chosen and where the lens stands is the browser's affair; new pictures are painted over the old
ones in place, so keep the key. This module knows nothing of what made the pictures.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import streamlit as st
from numpy.typing import NDArray

from pages.ui.browser import source
from pages.ui.palette import DARK, LIGHT

MOST_RIVALS = 4  # more columns would leave no room for pictures on a phone
DECADES = 4  # of power, from the darkest to the brightest colour of a spectrum

_COMPONENT = st.components.v2.component(
    "side_by_side",
    html=source("side_by_side.html"),
    css=source("meaning.css", "side_by_side.css"),
    js=source("engine.js", "pictures.js", "signed.js", "side_by_side.js"),
)


@dataclass(frozen=True)
class Column:
    """The target, or one rival.

    Attributes:
        label: What it is, in a few words.
        colour: Its colour as #rrggbb, on light and on dark pages.
        pictures: Pictures, uint8 (N, C, H, W) with C 1 or 3, the same N in all columns.
        note: One short line under the label, such as its PSNR.
        spectrum: Mean power by frequency, (H, W), not negative, frequency 0 at [H // 2, W // 2]: of what a rival leaves
            wrong, or of the target itself.
    """

    label: str
    colour: tuple[str, str]
    pictures: NDArray[numpy.uint8]
    note: str = ""
    spectrum: NDArray[numpy.floating[Any]] | None = None


def side_by_side(
    columns: Sequence[Column],
    *,
    names: Sequence[str],
    key: str,
    alt: str,
    difference_limit: float = 0.25,
) -> None:
    """Draw the target and its rivals: all pictures, the chosen one, what is under the lens, differences, spectra.

    Args:
        columns: The target first, then one to four rivals.
        names: One short name for each picture.
        key: Streamlit's key; while it stays, so do the chosen picture and the lens.
        alt: What is to be seen, for those who do not see it.
        difference_limit: The scale of column - target goes from -difference_limit to difference_limit, white being 1,
            and cuts off what lies beyond.
    """
    _COMPONENT(key=key, data=(payload(columns, names=names, alt=alt, difference_limit=difference_limit),))


def payload(columns: Sequence[Column], *, names: Sequence[str], alt: str, difference_limit: float) -> dict[str, Any]:
    """What the browser needs to draw; arguments as for `side_by_side`."""
    assert 2 <= len(columns) <= 1 + MOST_RIVALS, f"a target and 1 to {MOST_RIVALS} rivals, not {len(columns)} columns"
    shape = columns[0].pictures.shape
    for column in columns:
        assert column.pictures.dtype == numpy.uint8, "pictures are uint8"
        assert column.pictures.shape == shape, f"all columns hold as many pictures of the same size: {column.label}"
        assert column.spectrum is None or column.spectrum.shape == shape[2:], "a spectrum has the size of a picture"
    count, channels, height, width = shape
    assert channels in (1, 3), "pictures have one channel or three"
    assert len(names) == count > 0, "one name for each picture"
    assert difference_limit > 0, "a scale has two ends"
    spectra = spectra_to_bytes([column.spectrum for column in columns])
    return {
        "columns": [
            {
                "label": column.label,
                "note": column.note,
                "colour": dict(zip(("light", "dark"), column.colour, strict=True)),
                "data": _base64(column.pictures),
                "spectrum": None if spectrum is None else _base64(spectrum),
            }
            for column, spectrum in zip(columns, spectra, strict=True)
        ],
        "names": list(names),
        "channels": channels,
        "height": height,
        "width": width,
        "limit": difference_limit,
        "decades": DECADES,
        "alt": alt,
        "palette": {
            name: {"diverging": palette.diverging, "sequential": palette.sequential}
            for name, palette in (("light", LIGHT), ("dark", DARK))
        },
    }


def spectra_to_bytes(spectra: Sequence[NDArray[Any] | None]) -> list[NDArray[numpy.uint8] | None]:
    """Powers, the target's first, on one logarithmic scale: 255 is the largest power of a rival, 0 is 4 decades less.

    The target's may be far larger and is cut off, so that what the rivals leave wrong is seen. Where no rival has a
    spectrum, or nothing is wrong with any, the target's own largest power is 255.

    Example:
        >>> target, rival = numpy.array([[1e9, 1.0]]), numpy.array([[100.0, 1.0, 0.0]])
        >>> [steps.tolist() for steps in spectra_to_bytes([target, rival])]
        [[[255, 128]], [[255, 128, 0]]]
    """
    largest = [0.0 if spectrum is None else float(spectrum.max()) for spectrum in spectra]
    most = max(largest[1:]) or largest[0]
    return [None if spectrum is None else _decades_to_bytes(spectrum, most) for spectrum in spectra]


def _decades_to_bytes(power: NDArray[Any], most: float) -> NDArray[numpy.uint8]:
    if most == 0:
        return numpy.zeros(power.shape, dtype=numpy.uint8)
    share: NDArray[numpy.float64] = numpy.clip(power.astype(numpy.float64) / most, 10.0**-DECADES, 1)
    steps: NDArray[numpy.float64] = numpy.rint(255 * (1 + numpy.log10(share) / DECADES))
    return steps.astype(numpy.uint8)


def _base64(values: NDArray[numpy.uint8]) -> str:
    return base64.b64encode(numpy.ascontiguousarray(values).tobytes()).decode("ascii")
