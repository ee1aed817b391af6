"""Ready-made numbers for inputs and kernels, each for any size.

This module knows nothing of operations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aecore.ops.trace import Array

DIGIT = 4  # a test image with strokes in every direction


@dataclass(frozen=True)
class Preset:
    """Numbers for a square plane.

    Attributes:
        title: Name for people.
        make: Side -> (side, side).
    """

    title: str
    make: Callable[[int], Array]


def _counting(n: int) -> Array:
    return np.arange(1.0, n * n + 1).reshape(n, n)


def _ones(n: int) -> Array:
    return np.ones((n, n))


def _dot(n: int) -> Array:
    """A single 1; in the middle, or just before it."""
    plane = np.zeros((n, n))
    plane[(n - 1) // 2, (n - 1) // 2] = 1
    return plane


def _ramp(n: int) -> Array:
    return np.tile(np.arange(n, dtype=np.float64), (n, 1))


def _step(n: int) -> Array:
    """Dark on the left, bright on the right."""
    plane = np.zeros((n, n))
    plane[:, n // 2 :] = 9
    return plane


def _checkerboard(n: int) -> Array:
    places: Array = np.indices((n, n)).sum(axis=0).astype(np.float64)
    return 1 - places % 2


def _random(n: int) -> Array:
    """Whole numbers from 0 to 9, the same at every call."""
    return np.random.default_rng(n).integers(0, 10, (n, n)).astype(np.float64)


def _digit(n: int) -> Array:
    """The middle of a handwritten digit on empty paper, ink from 0 to 16: of the 8x8 digits scikit-learn brings."""
    from aecore.data import load_dataset  # late: it loads torch, and no other preset needs that

    ink = np.rint(load_dataset("digits8").test[DIGIT, 0].numpy() * (16 / 255))
    paper = np.pad(ink, max(0, (n - len(ink) + 1) // 2)).astype(np.float64)
    first = (len(paper) - n) // 2
    patch: Array = paper[first : first + n, first : first + n]
    return patch


def _blur(n: int) -> Array:
    """Products of binomial coefficients, with a sum of 1: the discrete bell."""
    row = np.ones(1)
    for _ in range(n - 1):
        row = np.convolve(row, [0.5, 0.5])
    return np.outer(row, row)


def _outline(n: int) -> Array:
    """What differs from its neighbours: the neighbours count -1, the middle as much as all of them (Laplace)."""
    plane = -_ones(n)
    plane[(n - 1) // 2, (n - 1) // 2] += n * n
    return plane


def _edge(n: int) -> Array:
    """Bright on the right minus bright on the left, smoothed along the edge (Sobel & Feldman, 1968, for n = 3)."""
    smooth, slope = np.ones(1), np.ones(1)
    for _ in range(n - 1):
        smooth = np.convolve(smooth, [1, 1])
    for _ in range(n - 2):
        slope = np.convolve(slope, [1, 1])
    return np.outer(smooth, np.convolve(slope, [-1, 1]) if n > 1 else slope)


def _signs(n: int) -> Array:
    return 2 * _checkerboard(n) - 1


def _tent(n: int) -> Array:
    """With stride (n + 1) // 2, a transposed convolution with it interpolates linearly (Long et al., CVPR 2015)."""
    half = (n + 1) // 2
    row = 1 - np.abs(np.arange(n) - (n - 1) / 2) / half
    return np.outer(row, row)


def _random_signed(n: int) -> Array:
    """Whole numbers from -3 to 3, the same at every call."""
    return np.random.default_rng(n).integers(-3, 4, (n, n)).astype(np.float64)


INPUTS: dict[str, Preset] = {
    "counting": Preset("1, 2, 3, …", _counting),
    "ones": Preset("All ones", _ones),
    "dot": Preset("A single 1", _dot),
    "ramp": Preset("Ramp", _ramp),
    "step": Preset("Edge", _step),
    "checkerboard": Preset("Checkerboard", _checkerboard),
    "digit": Preset("Patch of a digit", _digit),
    "random": Preset("Random", _random),
}

KERNELS: dict[str, Preset] = {
    "ones": Preset("All ones", _ones),
    "copy": Preset("Copy (a single 1)", _dot),
    "blur": Preset("Blur", _blur),
    "edge": Preset("Edge, left to right", _edge),
    "outline": Preset("Outline", _outline),
    "checkerboard": Preset("Checkerboard, ±1", _signs),
    "tent": Preset("Tent (bilinear)", _tent),
    "counting": Preset("1, 2, 3, …", _counting),
    "random": Preset("Random", _random_signed),
}
