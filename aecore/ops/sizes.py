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
        OperationError: If the window does not fit, or padding is more than half of it, with the sizes that would fit.

    Example:
        >>> pool_size(5, kernel=2, stride=2), pool_size(5, kernel=2, stride=2, ceil_mode=True)
        (2, 3)
    """
    span, room, hang = reach(kernel, dilation), n + 2 * padding, stride - 1 if ceil_mode else 0
    ways = _ways_to_fit(n, kernel, padding, dilation, hang)
    if 2 * padding > kernel:
        raise OperationError(f"Padding {padding} is more than half of a window of {kernel}. What fits: {ways}.")
    if span > room + hang:
        raise OperationError(
            f"A window of {kernel}{f' with dilation {dilation}' if dilation > 1 else ''} spans {span} cells, but the "
            f"input of {n} with padding {padding} has {room}{f', and {hang} may hang over' if hang else ''}. "
            f"What fits: {ways}."
        )
    size = (room + hang - span) // stride + 1
    return size - 1 if (size - 1) * stride >= n + padding else size


def _ways_to_fit(n: int, kernel: int, padding: int, dilation: int, hang: int) -> str:
    """Which windows, paddings and inputs would fit a pooling if all else stays; `hang` cells may lie over the edge."""
    span, half = reach(kernel, dilation), min(padding, kernel // 2)
    windows = max(1, 2 * padding), (n + 2 * padding + hang - 1) // dilation + 1
    paddings = max(0, math.ceil((span - n - hang) / 2)), kernel // 2
    ranges = [("a window", *windows), ("padding", *paddings)]
    ways = [f"{what} from {least} to {most}" for what, least, most in ranges if least <= most]
    if half == padding or not ways:
        smaller = f" with padding {half}" if half < padding else ""
        ways.append(f"an input of at least {max(1, span - 2 * half - hang)}{smaller}")
    return ", or ".join(ways)


def unpool_size(n: int, kernel: int, stride: int, padding: int = 0, wanted: int | None = None) -> int:
    """Side of a max-unpooling's output: (n - 1)s - 2p + k, or another that a pooling could have made the same n of.

    Raises:
        OperationError: If nothing is left of the output, or `wanted` is a stride or more away from the formula.

    Example:
        >>> unpool_size(2, kernel=2, stride=2), unpool_size(2, kernel=2, stride=2, wanted=5)
        (4, 5)
    """
    full = (n - 1) * stride + kernel
    size = full - 2 * padding
    least, most = (size, size) if wanted is None else (max(1, size - stride + 1), size + stride - 1)
    if most < 1:
        raise OperationError(
            f"Padding {padding} cuts the whole output away: the windows cover {full} cells, and padding takes "
            f"{2 * padding}. What fits: padding from 0 to {(full - 1) // 2}."
        )
    if wanted is not None and not least <= wanted <= most:
        raise OperationError(
            f"An output of {wanted} does not fit: no pooling with a window of {kernel}, stride {stride} and padding "
            f"{padding} makes {n} of it. What fits: {least} to {most}."
        )
    return size if wanted is None else wanted
