"""Convolution and transposed convolution: the same meetings of cells, read in opposite directions.

As in all of deep learning, "convolution" is cross-correlation: the kernel is not turned around. This module knows
nothing of pooling or resizing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from aecore.errors import OperationError
from aecore.ops.sizes import Pair, conv_size, conv_transpose_size, pair
from aecore.ops.trace import Array, Cells, Stage, Trace, as_numbers, as_planes


def conv2d(x: ArrayLike, kernel: ArrayLike, *, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1) -> Trace:
    """Every output cell lays the kernel on the input, multiplies what lies on each other and adds up.

    y[o, i, j] = sum over c, a, b of x[c, i s - p + a d, j s - p + b d] w[o, c, a, b], x being 0 outside.
    Source: Dumoulin & Visin, A guide to convolution arithmetic for deep learning (2016); `torch.nn.Conv2d`.

    Args:
        x: Input (C, H, W), or a single plane (H, W).
        kernel: (O, C, a, b), or a single plane (a, b).
        stride: Cells the kernel moves at a time.
        padding: Rows and columns of zeros around the input.
        dilation: Cells from one kernel value to the next.

    Returns:
        The trace, a step for each output cell; its result is (O, H', W').

    Raises:
        OperationError: If the sizes do not go together, with those that would.

    Example:
        >>> conv2d(np.ones((4, 4)), np.ones((3, 3)), padding=1).result[0].astype(int).tolist()
        [[4, 6, 6, 4], [6, 9, 9, 6], [6, 9, 9, 6], [4, 6, 6, 4]]
    """
    return Trace((convolution_stage(as_planes(x), kernel, stride=stride, padding=padding, dilation=dilation),))


def convolution_stage(x: Array, kernel: ArrayLike, *, stride: Pair, padding: Pair, dilation: Pair) -> Stage:
    """`conv2d` as a stage, for operations of which it is one part."""
    weights = as_kernel(kernel, channels=x.shape[0], channel_axis=1)
    outputs, inputs, *sides = weights.shape
    s, p, d = pair("stride", stride, 1), pair("padding", padding, 0), pair("dilation", dilation, 1)
    height, width = (conv_size(x.shape[1 + axis], sides[axis], s[axis], p[axis], d[axis]) for axis in (0, 1))
    o, i, j, c, a, b = np.indices((outputs, height, width, inputs, *sides)).reshape(6, -1)
    return Stage(
        name="convolution",
        x=x,
        kernel=weights,
        out_shape=(outputs, height, width),
        source=cells(c, i * s[0] - p[0] + a * d[0], j * s[1] - p[1] + b * d[1]),
        tap=cells(o, c, a, b),
        weight=np.ones(len(o)),
        target=cells(o, i, j),
        gathers=True,
        padding=p,
    )


def conv_transpose2d(
    x: ArrayLike,
    kernel: ArrayLike,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
) -> Trace:
    """Every input cell stamps the kernel, multiplied by its value, onto the output; where stamps overlap they add up.

    y[o, i s - p + a d, j s - p + b d] += x[c, i, j] w[c, o, a, b].
    Source: Dumoulin & Visin (2016), chapter 4; `torch.nn.ConvTranspose2d`.

    Args:
        x: Input (C, H, W), or a single plane (H, W).
        kernel: (C, O, a, b), or a single plane (a, b).
        stride: Cells from one stamp to the next.
        padding: Rows and columns cut off around the output.
        output_padding: Rows and columns added at the bottom and on the right.
        dilation: Cells from one kernel value to the next.

    Returns:
        The trace, a step for each input cell; its result is (O, H', W').

    Raises:
        OperationError: If the sizes do not go together, with those that would.

    Example:
        >>> conv_transpose2d(np.ones((2, 2)), np.ones((3, 3)), stride=2).result[0].astype(int).tolist()
        [[1, 1, 2, 1, 1], [1, 1, 2, 1, 1], [2, 2, 4, 2, 2], [1, 1, 2, 1, 1], [1, 1, 2, 1, 1]]
    """
    planes = as_planes(x)
    weights = as_kernel(kernel, channels=planes.shape[0], channel_axis=0)
    outputs, *sides = weights.shape[1:]
    s, p, d = pair("stride", stride, 1), pair("padding", padding, 0), pair("dilation", dilation, 1)
    q = pair("output_padding", output_padding, 0)
    height, width = (
        conv_transpose_size(planes.shape[1 + axis], sides[axis], s[axis], p[axis], q[axis], d[axis]) for axis in (0, 1)
    )
    c, i, j, o, a, b = np.indices((*planes.shape, outputs, *sides)).reshape(6, -1)
    stage = Stage(
        name="transposed convolution",
        x=planes,
        kernel=weights,
        out_shape=(outputs, height, width),
        source=cells(c, i, j),
        tap=cells(c, o, a, b),
        weight=np.ones(len(c)),
        target=cells(o, i * s[0] - p[0] + a * d[0], j * s[1] - p[1] + b * d[1]),
        gathers=False,
    )
    return Trace((stage,))


def as_kernel(values: ArrayLike, channels: int | None = None, channel_axis: int = 1) -> Array:
    """A kernel as a four-dimensional float64 array; a single plane may come as (a, b).

    Raises:
        OperationError: If it has another number of dimensions or of input channels, or holds what is no finite number.
    """
    kernel = as_numbers(values)
    if kernel.ndim == 2:
        kernel = kernel[None, None]
    if kernel.ndim != 4 or not kernel.size:
        raise OperationError(f"The kernel has shape {kernel.shape}, expected (height, width) or four dimensions.")
    if channels is not None and kernel.shape[channel_axis] != channels:
        raise OperationError(
            f"The kernel is for {kernel.shape[channel_axis]} input channels, but the input has {channels}."
        )
    return kernel


def cells(*coordinates: Cells) -> Cells:
    """Coordinates (T,) each -> cells (T, D)."""
    return np.stack(coordinates, axis=1)
