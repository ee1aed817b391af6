"""How evenly stamps overlap, and how far an output cell sees: what can be said without any values.

This module knows nothing of traces' making; it reads them or works from sizes alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from aecore.ops.sizes import Pair, pair, reach
from aecore.ops.trace import Array


def stamps_per_phase(kernel: Pair, stride: Pair, dilation: Pair = 1) -> NDArray[np.int64]:
    """How many stamps of a transposed convolution reach a cell away from the edges, by its place in the stride.

    A cell at phase r of stride s is reached by the kernel cells a with a d = r (mod s); the counts of rows and of
    columns multiply.
    Source: Odena, Dumoulin & Olah, Deconvolution and checkerboard artifacts, Distill (2016): "uneven overlap".

    Returns:
        (stride rows, stride columns).

    Example:
        >>> stamps_per_phase(kernel=3, stride=2).tolist()
        [[4, 2], [2, 1]]
    """
    k, s, d = pair("kernel", kernel, 1), pair("stride", stride, 1), pair("dilation", dilation, 1)
    rows, columns = (np.bincount(np.arange(k[axis]) * d[axis] % s[axis], minlength=s[axis]) for axis in (0, 1))
    return np.outer(rows, columns)


def evenness(counts: Array | NDArray[np.int64]) -> float:
    """Largest count over smallest: 1 is even; infinite where some cells are never written to.

    Example:
        >>> [evenness(stamps_per_phase(kernel, stride=2)) for kernel in (2, 3, 4, 5)]
        [1.0, 4.0, 1.0, 2.25]
    """
    least = float(counts.min())
    return float(counts.max()) / least if least > 0 else math.inf


def central_period(overlap: Array, period: Pair) -> Array:
    """The middle of an overlap map (C, H, W), one period of the stride high and wide: what edges do not reach.

    Args:
        overlap: Map of an operation on an input large enough to have an inside.
        period: After how many rows and columns the map repeats.
    """
    rows, columns = pair("period", period, 1)
    top, left = (overlap.shape[1] - rows) // 2, (overlap.shape[2] - columns) // 2
    assert top >= 0, "the map holds at least one period"
    assert left >= 0, "the map holds at least one period"
    return overlap[:, top : top + rows, left : left + columns]


def receptive_field_side(layers: Iterable[tuple[int, int, int]]) -> int:
    """Rows of the input that one output cell of a stack of convolutions or poolings sees, away from the edges.

    r = 1 + sum over layers of d (k - 1) times the strides of all layers before it.
    Source: Araujo, Norris & Sim, Computing receptive fields of convolutional neural networks, Distill (2019),
    equation 2, with dilation.

    Args:
        layers: (kernel, stride, dilation) of each, the first one first.

    Example:
        >>> receptive_field_side([(3, 1, 1)]), receptive_field_side([(3, 2, 1), (3, 2, 1)])
        (3, 7)
    """
    side, jump = 1, 1
    for kernel, stride, dilation in layers:
        side += (reach(kernel, dilation) - 1) * jump
        jump *= stride
    return side
