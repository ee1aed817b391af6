"""Pooling, and the ways to undo its loss of size: max-unpooling and the bed of nails.

This module knows nothing of kernels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aecore.errors import OperationError
from aecore.ops.convolution import cells
from aecore.ops.sizes import Pair, pair, pool_size, unpool_size
from aecore.ops.trace import Array, Cells, Stage, Trace, as_planes, inside, read


def max_pool2d(
    x: ArrayLike,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Trace:
    """Every output cell takes the largest value of its window, the first of them in reading order if there are ties.

    Source: Zhou & Chellappa, Computation of optical flow using a neural network, ICNN (1988); `torch.nn.MaxPool2d`.

    Args:
        x: Input (C, H, W), or a single plane (H, W).
        kernel_size: Rows and columns of the window.
        stride: Cells the window moves at a time; the window's own size if not given.
        padding: Rows and columns around the input that never win.
        dilation: Cells from one place of the window to the next.
        ceil_mode: Whether a last window may hang over the edge.

    Returns:
        The trace, a step for each output cell. `max_indices` of it says where the maxima were.

    Raises:
        OperationError: If the sizes do not go together, with those that would.

    Example:
        >>> max_pool2d([[1, 2, 5, 6], [3, 4, 7, 8]], 2).result.tolist()
        [[[4.0, 8.0]]]
    """
    planes = as_planes(x)
    source, target, out_shape = _windows(planes, kernel_size, stride, padding, dilation, ceil_mode)
    seen = inside(source, planes.shape)
    shape = (int(np.prod(out_shape)), -1)
    values = np.where(seen, read(planes, source), -np.inf).reshape(shape)
    if np.isneginf(values.max(axis=1)).any():
        raise OperationError(
            "Some windows fall between the cells of the input and see only padding. What fits: dilation 1, or a larger "
            f"input; one of {' x '.join(map(str, pair('dilation', dilation, 1)))} is always large enough."
        )
    weight = np.zeros(values.shape)
    weight[np.arange(len(values)), values.argmax(axis=1)] = 1
    return Trace(
        (
            Stage(
                name="max-pooling",
                x=planes,
                out_shape=out_shape,
                source=source,
                weight=weight.ravel(),
                target=target,
                gathers=True,
                rule="max",
                padding=pair("padding", padding, 0),
            ),
        )
    )


def max_indices(pooled: Trace) -> NDArray[np.int64]:
    """Where the maxima of a max-pooling were: row * W + column in the input's plane, shaped as the output.

    Source: `torch.nn.MaxPool2d(return_indices=True)`.

    Example:
        >>> max_indices(max_pool2d([[1, 2, 5, 6], [3, 4, 7, 8]], 2)).tolist()
        [[[5, 7]]]
    """
    stage = pooled.stages[-1]
    _, rows, columns = stage.source[stage.weight == 1].T
    places: NDArray[np.int64] = rows * stage.x.shape[2] + columns
    return places.reshape(stage.out_shape)


def avg_pool2d(
    x: ArrayLike,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Trace:
    """Every output cell takes the mean of its window.

    Source: LeCun et al., Gradient-based learning applied to document recognition (1998); `torch.nn.AvgPool2d`.

    Args:
        x: Input (C, H, W), or a single plane (H, W).
        kernel_size: Rows and columns of the window.
        stride: Cells the window moves at a time; the window's own size if not given.
        padding: Rows and columns of zeros around the input.
        ceil_mode: Whether a last window may hang over the edge; what lies beyond the padding is not counted.
        count_include_pad: Whether the zeros of the padding count in the mean.

    Returns:
        The trace, a step for each output cell.

    Raises:
        OperationError: If the sizes do not go together, with those that would.

    Example:
        >>> avg_pool2d([[1, 2, 5, 6], [3, 4, 7, 8]], 2).result.tolist()
        [[[2.5, 6.5]]]
    """
    planes = as_planes(x)
    source, target, out_shape = _windows(planes, kernel_size, stride, padding, 1, ceil_mode)
    p = pair("padding", padding, 0)
    seen = inside(source, planes.shape)
    rows, columns = source[:, 1], source[:, 2]
    counted = (rows < planes.shape[1] + p[0]) & (columns < planes.shape[2] + p[1]) if count_include_pad else seen
    by_window = counted.reshape(int(np.prod(out_shape)), -1)
    weight = by_window / by_window.sum(axis=1, keepdims=True)
    stage = Stage(
        name="average pooling",
        x=planes,
        out_shape=out_shape,
        source=source,
        weight=weight.ravel(),
        target=target,
        gathers=True,
        padding=p,
    )
    return Trace((stage,))


def max_unpool2d(
    x: ArrayLike,
    indices: NDArray[np.int64],
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Pair = 0,
    output_size: tuple[int, int] | None = None,
) -> Trace:
    """Every input cell goes back to the place its maximum came from; all other places are 0.

    Source: Zeiler & Fergus, Visualizing and understanding convolutional networks, ECCV (2014);
    `torch.nn.MaxUnpool2d`.

    Args:
        x: Input (C, H, W), or a single plane (H, W).
        indices: Where each cell goes, row * W' + column, shaped as the input; from `max_indices`.
        kernel_size: Window of the pooling that is undone.
        stride: Its stride; the window's own size if not given.
        padding: Its padding.
        output_size: Height and width of the output, less than a stride from what fits the pooling, which it is if
            not given.

    Returns:
        The trace, a step for each input cell.

    Raises:
        OperationError: If the sizes do not go together, an index lies outside the output, or two cells want the same
            place: torch's result is then not determined.

    Example:
        >>> max_unpool2d([[4, 8]], np.array([[[5, 7]]]), 2).result[0].astype(int).tolist()
        [[0, 0, 0, 0], [0, 4, 0, 8]]
    """
    planes = as_planes(x)
    k = pair("kernel_size", kernel_size, 1)
    s = k if stride is None else pair("stride", stride, 1)
    p = pair("padding", padding, 0)
    wanted = (None, None) if output_size is None else pair("output_size", output_size, 1)
    height, width = (unpool_size(n, k[axis], s[axis], p[axis], wanted[axis]) for axis, n in enumerate(planes.shape[1:]))
    places = np.asarray(indices)
    if places.ndim == 2:
        places = places[None]
    if places.shape != planes.shape or places.dtype.kind not in "iu":
        raise OperationError(
            f"The indices are {places.dtype} of shape {places.shape}, expected whole numbers of shape {planes.shape}."
        )
    if places.min() < 0 or places.max() >= height * width:
        raise OperationError(
            f"An index of {places.max() if places.max() >= height * width else places.min()} lies outside the output "
            f"of {height}x{width} cells. Take the indices and sizes of the pooling that is undone."
        )
    if any(len(np.unique(plane)) < plane.size for plane in places):
        raise OperationError(
            "Two windows of the pooling chose the same cell, so two values want one place. What fits: windows that do "
            "not overlap, with a stride of at least the window's size."
        )
    c, i, j = np.indices(planes.shape).reshape(3, -1)
    to = places.ravel().astype(np.int64)
    stage = Stage(
        name="max-unpooling",
        x=planes,
        out_shape=(planes.shape[0], height, width),
        source=cells(c, i, j),
        weight=np.ones(len(c)),
        target=cells(c, to // width, to % width),
        gathers=False,
        rule="place",
    )
    return Trace((stage,))


def bed_of_nails(x: ArrayLike, factor: Pair = 2) -> Trace:
    """Every input cell goes to the top left of a block of factor x factor cells; the rest of the block is 0.

    Source: Dumoulin & Visin (2016), section 4.2, the zeros between the inputs; it equals a transposed convolution
    with a 1x1 kernel of 1.

    Args:
        x: Input (C, H, W), or a single plane (H, W).
        factor: Rows and columns of a block.

    Returns:
        The trace, a step for each input cell.

    Raises:
        OperationError: If a factor is below 1.

    Example:
        >>> bed_of_nails([[1, 2]]).result[0].astype(int).tolist()
        [[1, 0, 2, 0], [0, 0, 0, 0]]
    """
    planes = as_planes(x)
    f = pair("factor", factor, 1)
    c, i, j = np.indices(planes.shape).reshape(3, -1)
    stage = Stage(
        name="bed of nails",
        x=planes,
        out_shape=(planes.shape[0], planes.shape[1] * f[0], planes.shape[2] * f[1]),
        source=cells(c, i, j),
        weight=np.ones(len(c)),
        target=cells(c, i * f[0], j * f[1]),
        gathers=False,
    )
    return Trace((stage,))


def max_pool_unpool(
    x: ArrayLike, kernel_size: Pair, *, stride: Pair | None = None, padding: Pair = 0, ceil_mode: bool = False
) -> Trace:
    """Max-pooling, then max-unpooling to the size the input had, with the places the pooling remembered.

    Args as of `max_pool2d`.

    Returns:
        The trace: a stage that pools, a stage that puts back.

    Raises:
        OperationError: If the sizes do not go together, or windows overlap, with the sizes that would fit: in windows
            that overlap, two may choose the same cell, and for some inputs the result would not be determined.

    Example:
        >>> max_pool_unpool([[1, 2, 5, 6], [3, 4, 7, 8]], 2).result[0].astype(int).tolist()
        [[0, 0, 0, 0], [0, 4, 0, 8]]
    """
    k = pair("kernel_size", kernel_size, 1)
    s = k if stride is None else pair("stride", stride, 1)
    if s[0] < k[0] or s[1] < k[1]:
        least = max(1, 2 * max(pair("padding", padding, 0)))
        smaller = f", or a window from {least} to {min(s)}" if least <= min(s) else ""
        raise OperationError(
            f"Windows of {k[0]}x{k[1]} that move by {s[0]} and {s[1]} overlap, so two of them may choose the same "
            f"cell, and two values would want one place. What fits: a stride of at least {max(k)}{smaller}."
        )
    pooled = max_pool2d(x, kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    height, width = pooled.x.shape[1:]
    back = max_unpool2d(
        pooled.result, max_indices(pooled), kernel_size, stride=stride, padding=padding, output_size=(height, width)
    )
    return Trace((*pooled.stages, *back.stages))


def _windows(
    planes: Array, kernel_size: Pair, stride: Pair | None, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[Cells, Cells, tuple[int, int, int]]:
    """Source and target of every place of every window, and the shape of the output."""
    k = pair("kernel_size", kernel_size, 1)
    s = k if stride is None else pair("stride", stride, 1)
    p, d = pair("padding", padding, 0), pair("dilation", dilation, 1)
    height, width = (
        pool_size(planes.shape[1 + axis], k[axis], s[axis], p[axis], d[axis], ceil_mode=ceil_mode) for axis in (0, 1)
    )
    out_shape = (planes.shape[0], height, width)
    c, i, j, a, b = np.indices((*out_shape, *k)).reshape(5, -1)
    return cells(c, i * s[0] - p[0] + a * d[0], j * s[1] - p[1] + b * d[1]), cells(c, i, j), out_shape
