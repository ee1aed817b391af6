"""The outlines of the drawn shapes, as signed distances.

Each function takes coordinates in the shape's own frame, where the origin is its centroid, x points right, y points
down and its area is 1, and gives the distance to its outline: negative inside, exact to first order at the outline,
which is all that anti-aliasing needs. Only + - * /, square root, comparison: IEEE 754 fixes each of these to the last
bit, so every machine draws the same. It knows nothing of pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


def square(x: Field, y: Field) -> Field:
    """A square with sides along the axes."""
    return np.maximum(np.abs(x), np.abs(y)) - np.float32(0.5)


_SHORT = 1 / math.sqrt(math.pi * 1.75)
_LONG = 1.75 * _SHORT


def ellipse(x: Field, y: Field) -> Field:
    """An ellipse 1.75 times as wide as high."""
    x, y = x * np.float32(1 / _LONG), y * np.float32(1 / _SHORT)
    radius = np.sqrt(x * x + y * y)
    x, y = x * np.float32(1 / _LONG), y * np.float32(1 / _SHORT)
    slope = np.sqrt(x * x + y * y) + np.float32(1e-6)  # of the line below; never 0, not even at the centre
    distance: Field = (radius - np.float32(1)) * radius / slope
    return distance


_INRADIUS = 1 / math.sqrt(3 * math.sqrt(3))


def triangle(x: Field, y: Field) -> Field:
    """An equilateral triangle standing on its base."""
    sides = np.float32(math.sqrt(0.75)) * np.abs(x) - np.float32(0.5) * y
    return np.maximum(sides, y) - np.float32(_INRADIUS)


_EDGE = 1 / math.sqrt(1 + math.pi / 4)
_LIFT = _EDGE * (math.pi / 8 + 1 / 6) / (math.sqrt(2) * (1 + math.pi / 4))  # from the square's centre to the centroid


def heart(x: Field, y: Field) -> Field:
    """A heart: a square on its corner with a half disc on each of its upper edges."""
    x, y = np.abs(x), y - np.float32(_LIFT)
    corner = (x + np.abs(y)) * np.float32(math.sqrt(0.5))
    lobe_x, lobe_y = x - np.float32(_EDGE / math.sqrt(8)), y + np.float32(_EDGE / math.sqrt(8))
    lobe = np.sqrt(lobe_x * lobe_x + lobe_y * lobe_y)
    nearest: Field = np.minimum(corner, lobe)
    return nearest - np.float32(_EDGE / 2)


OUTLINES: dict[str, Callable[[Field, Field], Field]] = {
    "square": square,
    "ellipse": ellipse,
    "triangle": triangle,
    "heart": heart,
}
