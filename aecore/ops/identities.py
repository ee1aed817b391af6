"""The identities that tie the operations to each other, each proved by computing both sides.

This module knows nothing of how anything is shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aecore.errors import OperationError
from aecore.ops.convolution import as_kernel, conv2d, conv_transpose2d
from aecore.ops.resizing import resize_conv2d
from aecore.ops.sizes import Pair, pair, reach
from aecore.ops.trace import Array, Trace


@dataclass(frozen=True, eq=False)
class Identity:
    """Two ways to the same numbers.

    Attributes:
        left: What the one way gives.
        right: What the other gives, of the same shape.
        call: How torch is asked for the right side; `w` is the kernel.
    """

    left: Array
    right: Array
    call: str = ""

    @property
    def difference(self) -> float:
        """The largest difference of any value; rounding leaves about 1e-15 of the values' size."""
        return float(np.abs(self.left - self.right).max())


def gradient_is_transposed(
    x: ArrayLike,
    kernel: ArrayLike,
    gradient: ArrayLike,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
) -> Identity:
    """The gradient of a convolution with respect to its input is the transposed convolution of the output's gradient.

    Kernel, stride, padding and dilation are the same; the output padding makes up for the rows that the stride left
    over. Source: Dumoulin & Visin, A guide to convolution arithmetic for deep learning (2016), section 4.1.

    Args:
        x: Input of the convolution, (C, H, W) or (H, W).
        kernel: Its kernel, (O, C, a, b) or (a, b).
        gradient: Gradient of its output, shaped as that.
        stride: Its stride.
        padding: Its padding.
        dilation: Its dilation.

    Returns:
        Left: the gradient by the chain rule. Right: the transposed convolution.

    Raises:
        OperationError: If the sizes do not go together.
    """
    forward = conv2d(x, kernel, stride=stride, padding=padding, dilation=dilation)
    back = _transpose(forward, gradient, stride, padding, dilation)
    return Identity(forward.backward(gradient).result, back.result, _call("dy", stride, padding, dilation, forward))


def matrices_are_transposed(
    x: ArrayLike, kernel: ArrayLike, *, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1
) -> Identity:
    """The matrix of a convolution, turned over, is the matrix of the transposed convolution: hence the name.

    Args and errors as of `gradient_is_transposed`.

    Returns:
        Left: the convolution's matrix, transposed. Right: the transposed convolution's matrix.
    """
    forward = conv2d(x, kernel, stride=stride, padding=padding, dilation=dilation)
    back = _transpose(forward, np.zeros(forward.result.shape), stride, padding, dilation)
    return Identity(forward.matrix().T, back.matrix(), _call("y", stride, padding, dilation, forward))


def _transpose(forward: Trace, y: ArrayLike, stride: Pair, padding: Pair, dilation: Pair) -> Trace:
    """The transposed convolution that leads from the shape of a convolution's output back to that of its input."""
    assert forward.kernel is not None, "a convolution has a kernel"
    left_over = _left_over(forward, stride, padding, dilation)
    return conv_transpose2d(
        y, forward.kernel, stride=stride, padding=padding, output_padding=left_over, dilation=dilation
    )


def _left_over(forward: Trace, stride: Pair, padding: Pair, dilation: Pair) -> tuple[int, int]:
    """Rows and columns at the end that the stride of a convolution left unread: the output padding of the way back."""
    assert forward.kernel is not None, "a convolution has a kernel"
    s, p, d = pair("stride", stride, 1), pair("padding", padding, 0), pair("dilation", dilation, 1)
    sides, spans = forward.x.shape[1:], forward.kernel.shape[2:]
    rows, columns = ((sides[axis] + 2 * p[axis] - reach(spans[axis], d[axis])) % s[axis] for axis in (0, 1))
    return rows, columns


def _call(argument: str, stride: Pair, padding: Pair, dilation: Pair, forward: Trace) -> str:
    rows, columns = _left_over(forward, stride, padding, dilation)
    return (
        f"F.conv_transpose2d({argument}, w, stride={stride}, padding={padding}, "
        f"output_padding={rows if rows == columns else (rows, columns)}, dilation={dilation})"
    )


def fold_nearest(kernel: ArrayLike, factor: int = 2) -> Array:
    """The transposed convolution's kernel that does the work of nearest-neighbour upsampling and a convolution.

    Each input value fills factor x factor cells, which the convolution reads with neighbouring kernel cells. So the
    stamp of one input value is the kernel, turned by 180 degrees (a convolution reads, a transposed convolution
    writes), summed over windows of factor x factor: a 3x3 kernel becomes a 4x4 one.
    Source: Shi et al., Is the deconvolution layer the same as a convolutional layer? arXiv:1609.07009 (2016);
    Odena, Dumoulin & Olah, Distill (2016).

    Args:
        kernel: Of the convolution, (O, C, a, b) or (a, b).
        factor: Of the upsampling.

    Returns:
        Kernel of the transposed convolution, (C, O, a + factor - 1, b + factor - 1); to be used with stride `factor`
        and padding a - 1 - (padding of the convolution).

    Raises:
        OperationError: If it is no kernel.

    Example:
        >>> fold_nearest(np.ones((3, 3)))[0, 0].astype(int).tolist()
        [[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]
    """
    weights = as_kernel(kernel).swapaxes(0, 1)[:, :, ::-1, ::-1]
    inputs, outputs, height, width = weights.shape
    folded = np.zeros((inputs, outputs, height + factor - 1, width + factor - 1))
    for a in range(factor):
        for b in range(factor):
            folded[:, :, a : a + height, b : b + width] += weights
    return folded


def nearest_is_transposed(x: ArrayLike, kernel: ArrayLike, *, factor: int = 2, padding: int = 1) -> Identity:
    """Nearest-neighbour upsampling and a convolution is one transposed convolution, with the kernel of `fold_nearest`.

    Every phase of its stride gets the whole kernel: the sums of its taps by phase are all the same. So a flat input
    gives a flat output away from the edges, whatever the kernel: there is no checkerboard.

    Args:
        x: Input, (C, H, W) or (H, W).
        kernel: Of the convolution, square, (O, C, a, a) or (a, a).
        factor: Of the upsampling.
        padding: Of the convolution; at most a - 1.

    Returns:
        Left: the two operations. Right: the transposed convolution.

    Raises:
        OperationError: If the sizes do not go together.
    """
    resized = resize_conv2d(x, kernel, factor=factor, padding=padding)
    assert resized.kernel is not None, "a convolution has a kernel"
    side, across = resized.kernel.shape[2:]
    if side != across:
        raise OperationError(f"The kernel is {side}x{across}, expected a square one.")
    if padding > side - 1:
        raise OperationError(
            f"With padding {padding} the outermost cells see nothing of the input; a transposed convolution has no "
            f"such cells. What fits: padding from 0 to {side - 1}."
        )
    folded = fold_nearest(resized.kernel, factor)
    right = conv_transpose2d(x, folded, stride=factor, padding=side - 1 - padding).result
    return Identity(resized.result, right, f"F.conv_transpose2d(x, w, stride={factor}, padding={side - 1 - padding})")


def phase_sums(kernel: Array, stride: int) -> Array:
    """Sums of the taps of a transposed convolution's kernel by phase, over its channels of input.

    It is what a flat input of 1 gives away from the edges. Equal sums: no checkerboard on flat regions.
    Source: Aitken et al., Checkerboard artifact free sub-pixel convolution, arXiv:1707.02937 (2017), section 2.

    Args:
        kernel: (C, O, a, b).
        stride: Of the transposed convolution.

    Returns:
        (O, stride, stride).
    """
    sums = np.zeros((kernel.shape[1], stride, stride))
    for row in range(stride):
        for column in range(stride):
            sums[:, row, column] = kernel[:, :, row::stride, column::stride].sum(axis=(0, 2, 3))
    return sums
