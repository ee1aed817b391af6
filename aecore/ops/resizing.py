"""Making planes larger: nearest-neighbour and bilinear upsampling, pixel shuffle, and what is built from them.

This module knows nothing of pooling.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from aecore.errors import OperationError
from aecore.ops.convolution import cells, convolution_stage
from aecore.ops.sizes import Pair, pair
from aecore.ops.trace import Array, Cells, Stage, Trace, as_planes


def upsample_nearest(x: ArrayLike, factor: Pair = 2) -> Trace:
    """Every input cell becomes a block of factor x factor cells of its value.

    y[i, j] = x[floor(i / f), floor(j / f)]. Source: `torch.nn.Upsample(mode="nearest")`.

    Args:
        x: Input (C, H, W), or a single plane (H, W).
        factor: Rows and columns of a block.

    Returns:
        The trace, a step for each input cell.

    Raises:
        OperationError: If a factor is below 1.

    Example:
        >>> upsample_nearest([[1, 2]]).result[0].astype(int).tolist()
        [[1, 1, 2, 2], [1, 1, 2, 2]]
    """
    planes = as_planes(x)
    f = pair("factor", factor, 1)
    c, i, j, a, b = np.indices((*planes.shape, *f)).reshape(5, -1)
    stage = Stage(
        name="nearest-neighbour upsampling",
        x=planes,
        out_shape=(planes.shape[0], planes.shape[1] * f[0], planes.shape[2] * f[1]),
        source=cells(c, i, j),
        weight=np.ones(len(c)),
        target=cells(c, i * f[0] + a, j * f[1] + b),
        gathers=False,
    )
    return Trace((stage,))


def upsample_bilinear(x: ArrayLike, factor: Pair = 2, *, align_corners: bool = False) -> Trace:
    """Every output cell mixes the (up to) four input cells around its place, the nearer the more.

    With cells as squares, output cell i lies at (i + 1/2) / f - 1/2 of the input, but not before its first cell; with
    `align_corners`, at i (H - 1) / (H' - 1). Source: `torch.nn.Upsample(mode="bilinear")`.

    Args:
        x: Input (C, H, W), or a single plane (H, W).
        factor: How many times as many rows and columns.
        align_corners: Whether the corner cells' centres, rather than the planes' corners, lie on each other.

    Returns:
        The trace, a step for each output cell.

    Raises:
        OperationError: If a factor is below 1.

    Example:
        >>> upsample_bilinear([[0, 4]], (1, 2)).result.tolist()
        [[[0.0, 1.0, 3.0, 4.0]]]
    """
    planes = as_planes(x)
    f = pair("factor", factor, 1)
    channels, *sides = planes.shape
    height, width = sides[0] * f[0], sides[1] * f[1]
    (rows, row_weights), (columns, column_weights) = (_between(sides[axis], f[axis], align_corners) for axis in (0, 1))
    c, i, j, a, b = np.indices((channels, height, width, 2, 2)).reshape(5, -1)
    weight = row_weights[i, a] * column_weights[j, b]
    needed = weight > 0
    stage = Stage(
        name="bilinear upsampling",
        x=planes,
        out_shape=(channels, height, width),
        source=cells(c, rows[i, a], columns[j, b])[needed],
        weight=weight[needed],
        target=cells(c, i, j)[needed],
        gathers=True,
    )
    return Trace((stage,))


def _between(n: int, factor: int, align_corners: bool) -> tuple[Cells, Array]:
    """For each of n * factor places, the two cells it lies between and their weights, (places, 2) each."""
    place = np.arange(n * factor)
    at = place * (n - 1) / max(1, n * factor - 1) if align_corners else np.maximum(0, (place + 0.5) / factor - 0.5)
    before = np.minimum(np.floor(at).astype(np.int64), n - 1)
    after = np.minimum(before + 1, n - 1)
    share = np.where(after == before, 0.0, at - before)
    return np.stack([before, after], axis=1), np.stack([1 - share, share], axis=1)


def pixel_shuffle(x: ArrayLike, factor: int = 2) -> Trace:
    """The cells at one place of factor x factor channels become a block of cells of one channel.

    y[c, i f + a, j f + b] = x[c f f + a f + b, i, j].
    Source: Shi et al., Real-time single image and video super-resolution using an efficient sub-pixel convolutional
    neural network, CVPR (2016), equation 4; `torch.nn.PixelShuffle`.

    Args:
        x: Input (C f f, H, W).
        factor: f, rows and columns of a block.

    Returns:
        The trace, a step for each input cell.

    Raises:
        OperationError: If the channels cannot be shared out, or the factor is below 1.

    Example:
        >>> pixel_shuffle([[[1]], [[2]], [[3]], [[4]]]).result.tolist()
        [[[1.0, 2.0], [3.0, 4.0]]]
    """
    return Trace((_shuffle_stage(as_planes(x), factor),))


def _shuffle_stage(planes: Array, factor: int) -> Stage:
    f, across = pair("factor", factor, 1)
    if f != across:
        raise OperationError(f"factor is {factor}, expected one whole number: pixel shuffle makes square blocks.")
    channels, height, width = planes.shape
    if channels % (f * f):
        raise OperationError(
            f"{channels} channels cannot be made into blocks of {f}x{f}: their number has to be a multiple of {f * f}."
        )
    c, i, j = np.indices(planes.shape).reshape(3, -1)
    plane, within = np.divmod(c, f * f)
    return Stage(
        name="pixel shuffle",
        x=planes,
        out_shape=(channels // (f * f), height * f, width * f),
        source=cells(c, i, j),
        weight=np.ones(len(c)),
        target=cells(plane, i * f + within // f, j * f + within % f),
        gathers=False,
    )


def resize_conv2d(
    x: ArrayLike,
    kernel: ArrayLike,
    *,
    factor: Pair = 2,
    mode: str = "nearest",
    padding: Pair = 0,
    dilation: Pair = 1,
) -> Trace:
    """Upsampling, then a convolution of stride 1: a decoder's layer that leaves no checkerboard.

    Source: Odena, Dumoulin & Olah, Deconvolution and checkerboard artifacts, Distill (2016).

    Args:
        x: Input (C, H, W), or a single plane (H, W).
        kernel: (O, C, a, b), or a single plane (a, b).
        factor: How many times as many rows and columns before the convolution.
        mode: "nearest" or "bilinear".
        padding: Of the convolution.
        dilation: Of the convolution.

    Returns:
        The trace: a stage that enlarges, a stage that convolves.

    Raises:
        OperationError: If the sizes do not go together, with those that would, or the mode is unknown.

    Example:
        >>> resize_conv2d([[1, 2]], np.ones((3, 3)), padding=1).result[0].astype(int).tolist()
        [[4, 8, 10, 8], [4, 8, 10, 8]]
    """
    if mode not in UPSAMPLING:
        raise OperationError(f"mode is {mode!r}, expected {' or '.join(map(repr, UPSAMPLING))}.")
    larger = UPSAMPLING[mode](x, factor)
    return Trace(
        (*larger.stages, convolution_stage(larger.result, kernel, stride=1, padding=padding, dilation=dilation))
    )


UPSAMPLING = {"nearest": upsample_nearest, "bilinear": upsample_bilinear}


def subpixel_conv2d(
    x: ArrayLike, kernel: ArrayLike, *, factor: int = 2, padding: Pair = 0, dilation: Pair = 1
) -> Trace:
    """A convolution to factor x factor times as many channels, then pixel shuffle.

    Source: Shi et al., CVPR (2016), equations 3 and 4.

    Args:
        x: Input (C, H, W), or a single plane (H, W).
        kernel: (O f f, C, a, b).
        factor: f, how many times as many rows and columns.
        padding: Of the convolution.
        dilation: Of the convolution.

    Returns:
        The trace: a stage that convolves, a stage that shuffles.

    Raises:
        OperationError: If the sizes or channels do not go together, with those that would.

    Example:
        >>> subpixel_conv2d([[10]], [[[[1]]], [[[2]]], [[[3]]], [[[4]]]]).result.tolist()
        [[[10.0, 20.0], [30.0, 40.0]]]
    """
    convolved = convolution_stage(as_planes(x), kernel, stride=1, padding=padding, dilation=dilation)
    return Trace((convolved, _shuffle_stage(convolved.result, factor)))
