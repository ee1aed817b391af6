"""How large an output is, and what to say when there is none.

Each function works on one axis. This module knows nothing of values.
"""

from __future__ import annotations

import math

from aecore.errors import OperationError

Pair = int | tuple[int, int]


def pair(name: str, value: Pair, least: int) -> tuple[int, int]:
    """An argument for (rows, columns): one whole number for both, or two.

    Raises:
        OperationError: If it is neither, or below `least`.
    """
    both = (value, value) if isinstance(value, int) else value
    if not isinstance(both, tuple) or len(both) != 2 or any(type(number) is not int for number in both):
        raise OperationError(f"{name} is {value!r}, expected a whole number or two of them.")
    if min(both) < least:
        raise OperationError(f"{name} is {value}, expected at least {least}.")
    return both


def reach(kernel: int, dilation: int) -> int:
    """How many cells a kernel spans: dilation (kernel - 1) + 1.

    Source: Dumoulin & Visin, A guide to convolution arithmetic for deep learning (2016), section 5.1.
    """
    return dilation * (kernel - 1) + 1


def conv_size(n: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Side of a convolution's output: floor((n + 2p - d(k - 1) - 1) / s) + 1.

    Source: Dumoulin & Visin (2016), relationship 15.

    Raises:
        OperationError: If the kernel does not fit, with the sizes that would.

    Example:
        >>> conv_size(4, kernel=3, stride=2, padding=1)
        2
    """
    room = n + 2 * padding
    span = reach(kernel, dilation)
    if span > room:
        fits = (room - 1) // dilation + 1
        raise OperationError(
            f"A kernel of {kernel}{f' with dilation {dilation}' if dilation > 1 else ''} spans {span} cells, but the "
            f"input of {n} with padding {padding} has {room}. What fits: a kernel from 1 to {fits}, or padding of at "
            f"least {math.ceil((span - n) / 2)}, or an input of at least {span - 2 * padding}."
        )
    return (room - span) // stride + 1


def conv_transpose_size(
    n: int, kernel: int, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> int:
    """Side of a transposed convolution's output: (n - 1)s - 2p + d(k - 1) + q + 1.

    Source: Dumoulin & Visin (2016), relationship 14, with dilation.

    Raises:
        OperationError: If nothing is left of the output, or the output padding is not smaller than stride or
            dilation, with the sizes that would fit.

    Example:
        >>> conv_transpose_size(2, kernel=3, stride=2, padding=1, output_padding=1)
        4
    """
    if output_padding >= max(stride, dilation):
        raise OperationError(
            f"Output padding {output_padding} does not fit: it must be smaller than the stride ({stride}) or the "
            f"dilation ({dilation}). What fits: 0 to {max(stride, dilation) - 1}."
        )
    full = (n - 1) * stride + reach(kernel, dilation) + output_padding
    size = full - 2 * padding
    if size < 1:
        short = 1 - size
        raise OperationError(
            f"Padding {padding} cuts the whole output away: the stamps cover {full} cells, and padding takes "
            f"{2 * padding}. What fits: padding from 0 to {(full - 1) // 2}, or an input of at least "
            f"{n + math.ceil(short / stride)}, or a kernel of at least {kernel + math.ceil(short / dilation)}."
        )
    return size


def pool_size(n: int, kernel: int, stride: int, padding: int = 0, dilation: int = 1, *, ceil_mode: bool = False) -> int:
    """Side of a pooling's output, as of a convolution; `ceil_mode` keeps a last window that hangs over the edge.

    That last window is dropped again if it would begin beyond the input and its padding, as torch has it.

    Raises:
        OperationError: If the window does not fit, with the sizes that would.

    Example:
        >>> pool_size(5, kernel=2, stride=2), pool_size(5, kernel=2, stride=2, ceil_mode=True)
        (2, 3)
    """
    span = reach(kernel, dilation)
    if 2 * padding > span:
        raise OperationError(
            f"Padding {padding} is more than half of a window that spans {span}, so some windows would see nothing "
            f"but padding. What fits: padding from 0 to {span // 2}, or a window that spans at least {2 * padding}."
        )
    if not ceil_mode or span > n + 2 * padding:
        return conv_size(n, kernel, stride, padding, dilation)
    size = math.ceil((n + 2 * padding - span) / stride) + 1
    return size - 1 if (size - 1) * stride >= n + padding else size
