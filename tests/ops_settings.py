"""For every operation of `aecore.ops` settings at random that are valid by construction, and torch's own operation.

`fits` and `numbers_in` are for the opposite: what is refused, and what the refusal says would fit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from aecore.errors import OperationError
from aecore.ops import (
    Trace,
    avg_pool2d,
    bed_of_nails,
    conv2d,
    conv_transpose2d,
    max_pool2d,
    max_pool_unpool,
    max_unpool2d,
    pixel_shuffle,
    resize_conv2d,
    subpixel_conv2d,
    upsample_bilinear,
    upsample_nearest,
)

Array = NDArray[np.float64]
Pair = int | tuple[int, int]

SEEDS = st.integers(0, 2**32 - 1)
CHANNELS = st.integers(1, 3)
AXES = (0, 1)


@dataclass(frozen=True)
class Case:
    """One operation with everything it takes, and torch's own operation of the same arguments.

    Attributes:
        ours: From `aecore.ops`.
        theirs: Takes a batch of one image and a kernel, gives a batch of one.
        x: Input, (C, H, W) or (H, W).
        kernel: None where there is none.
        arguments: The others, for both.
    """

    ours: Callable[..., Trace]
    theirs: Callable[..., Tensor]
    x: Array
    kernel: Array | None
    arguments: dict[str, Any]

    @property
    def arrays(self) -> tuple[Array, ...]:
        return (self.x,) if self.kernel is None else (self.x, self.kernel)

    def trace(self) -> Trace:
        return self.ours(*self.arrays, **self.arguments)

    def tensors(self) -> tuple[Tensor, ...]:
        """Input (C, H, W) and kernel for torch, which notes what they are used for."""
        planes = self.x.reshape(-1, *self.x.shape[-2:])
        kernel = (
            () if self.kernel is None else (self.kernel.reshape((1,) * (4 - self.kernel.ndim) + self.kernel.shape),)
        )
        return tuple(torch.from_numpy(array.copy()).requires_grad_() for array in (planes, *kernel))

    def torch_result(self, x: Tensor, *kernel: Tensor) -> Tensor:
        """(C, H, W) -> (O, H', W')."""
        return self.theirs(x[None], *kernel, **self.arguments)[0]


def assert_as_torch(case: Case) -> Trace:
    """The result and both gradients are torch's; gives our trace for more to be asked of it."""
    trace = case.trace()
    tensors = case.tensors()
    theirs = case.torch_result(*tensors)
    assert trace.result.shape == tuple(theirs.shape)
    assert_close(trace.result, theirs)
    gradient = np.random.default_rng(0).standard_normal(trace.result.shape)
    theirs.backward(torch.from_numpy(gradient))
    assert_close(trace.backward(gradient).result, tensors[0].grad)
    collected = trace.kernel_gradient(gradient)
    if case.kernel is None:
        assert collected is None
    else:
        assert_close(collected, tensors[1].grad)
    return trace


def assert_close(ours: Array | None, theirs: Array | Tensor | None) -> None:
    """Equal in shape and, but for rounding, in value."""
    assert ours is not None
    assert theirs is not None
    theirs = theirs.detach().numpy() if isinstance(theirs, Tensor) else theirs
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def fits(operation: Callable[..., object], *arrays: object, **arguments: object) -> bool:
    """Whether ours takes it; any error but its own is a defect and comes through."""
    try:
        operation(*arrays, **arguments)
    except OperationError:
        return False
    return True


def torch_makes(operation: Callable[..., Tensor], *arrays: object, **arguments: object) -> Array | None:
    """What torch makes of it, None where it refuses or nothing is left."""
    try:
        made: Array = operation(*arrays, **arguments).numpy()
    except (RuntimeError, ValueError, TypeError):
        return None
    return made if made.size else None


def refusal(operation: Callable[..., object], *arrays: object, **arguments: object) -> str:
    """The message with which ours refuses it."""
    try:
        operation(*arrays, **arguments)
    except OperationError as error:
        return str(error)
    raise AssertionError(f"was not refused: {arguments}")


def numbers_in(pattern: str, message: str) -> tuple[int, ...]:
    """The numbers in the one place of a message where this pattern's groups are; empty if it is not there."""
    found = re.search(pattern, message)
    return tuple(int(number) for number in found.groups() if number is not None) if found else ()


def between(ends: tuple[int, ...]) -> list[int]:
    """All numbers from the first to the last of two, none if there are none."""
    return list(range(ends[0], ends[1] + 1)) if ends else []


def along(axis: int, value: int, other: int) -> tuple[int, int]:
    """(rows, columns), of which the one of interest has the value."""
    return (value, other) if axis == 0 else (other, value)


def pairs(low: int, high: Pair) -> st.SearchStrategy[Pair]:
    """One number for rows and columns or one for each, from `low` to `high`, which may differ by axis."""
    rows, columns = both(high)
    return st.integers(low, min(rows, columns)) | st.tuples(st.integers(low, rows), st.integers(low, columns))


@st.composite
def mostly(draw: st.DrawFn, usual: st.SearchStrategy[Any], other: st.SearchStrategy[Any]) -> Any:
    """Seven times out of eight the usual, so that not nearly everything is refused."""
    return draw(usual if draw(st.integers(0, 7)) else other)


def both(pair: Pair) -> tuple[int, int]:
    return (pair, pair) if isinstance(pair, int) else pair


@st.composite
def values(draw: st.DrawFn, shape: tuple[int, ...]) -> Array:
    """Numbers of any size, or small whole ones, of which many are equal; one plane may come without its channel."""
    chance = np.random.default_rng(draw(SEEDS))
    whole = draw(st.booleans())
    numbers = chance.integers(-2, 3, shape).astype(np.float64) if whole else chance.standard_normal(shape)
    single = all(side == 1 for side in shape[:-2])
    return numbers.reshape(shape[-2:]) if single and draw(st.booleans()) else numbers


@st.composite
def planes(draw: st.DrawFn, least: tuple[int, ...] = (1, 1), more: int = 4, channels: int | None = None) -> Array:
    """Input planes of at least these sides."""
    sides = tuple(draw(st.integers(side, side + more)) for side in least)
    array: Array = draw(values((draw(CHANNELS) if channels is None else channels, *sides)))
    return array


@st.composite
def some_of(draw: st.DrawFn, /, **optional: st.SearchStrategy[Any]) -> dict[str, Any]:
    """Each of these arguments three times out of four; the fourth time the operation's own default is meant."""
    return {name: draw(strategy) for name, strategy in optional.items() if draw(st.integers(0, 3))}


@st.composite
def convolutions(draw: st.DrawFn) -> Case:
    channels, outputs, *sides = draw(st.tuples(CHANNELS, CHANNELS, st.integers(1, 4), st.integers(1, 4)))
    optional = {"stride": pairs(1, 3), "padding": pairs(0, 3), "dilation": pairs(1, 3)}
    arguments = draw(some_of(**optional))
    x = draw(planes(_sides_a_kernel_fits(sides, arguments), channels=channels))
    return Case(conv2d, F.conv2d, x, draw(values((outputs, channels, *sides))), arguments)


def _sides_a_kernel_fits(sides: list[int], arguments: dict[str, Pair]) -> tuple[int, int]:
    p, d = both(arguments.get("padding", 0)), both(arguments.get("dilation", 1))
    rows, columns = (max(1, d[axis] * (sides[axis] - 1) + 1 - 2 * p[axis]) for axis in AXES)
    return rows, columns


@st.composite
def transposed_convolutions(draw: st.DrawFn) -> Case:
    channels, outputs, *sides = draw(st.tuples(CHANNELS, CHANNELS, st.integers(1, 4), st.integers(1, 4)))
    optional = {"stride": pairs(1, 3), "padding": pairs(0, 3), "dilation": pairs(1, 3)}
    arguments = draw(some_of(**optional))
    s, p, d = (both(arguments.get(name, usual)) for name, usual in (("stride", 1), ("padding", 0), ("dilation", 1)))
    rows, columns = (max(s[axis], d[axis]) - 1 for axis in AXES)
    arguments["output_padding"] = draw(pairs(0, (rows, columns)))
    q = both(arguments["output_padding"])
    ends = [d[axis] * (sides[axis] - 1) + 1 + q[axis] - 2 * p[axis] for axis in AXES]  # side of the output for n = 1
    least = tuple(1 + max(0, math.ceil((1 - ends[axis]) / s[axis])) for axis in AXES)
    x = draw(planes(least, more=3, channels=channels))
    return Case(conv_transpose2d, F.conv_transpose2d, x, draw(values((channels, outputs, *sides))), arguments)


@st.composite
def max_poolings(draw: st.DrawFn) -> Case:
    kernel = draw(pairs(1, 4))
    rows, columns = both(kernel)
    optional = {
        "stride": pairs(1, 4) | st.none(),
        "padding": pairs(0, (rows // 2, columns // 2)),
        "dilation": pairs(1, 3),
        "ceil_mode": st.booleans(),
    }
    arguments = {"kernel_size": kernel, **draw(some_of(**optional))}
    x = draw(planes(_sides_a_window_fits(arguments), more=8))
    return Case(max_pool2d, F.max_pool2d, x, None, arguments)


@st.composite
def average_poolings(draw: st.DrawFn) -> Case:
    kernel = draw(pairs(1, 4))
    rows, columns = both(kernel)
    optional = {
        "stride": pairs(1, 4) | st.none(),
        "padding": pairs(0, (rows // 2, columns // 2)),
        "ceil_mode": st.booleans(),
        "count_include_pad": st.booleans(),
    }
    arguments = {"kernel_size": kernel, **draw(some_of(**optional))}
    x = draw(planes(_sides_a_window_fits(arguments), more=8))
    return Case(avg_pool2d, F.avg_pool2d, x, None, arguments)


def _sides_a_window_fits(arguments: dict[str, Any]) -> tuple[int, int]:
    k, p, d = (
        both(arguments.get(name, usual)) for name, usual in (("kernel_size", 1), ("padding", 0), ("dilation", 1))
    )
    s = both(arguments.get("stride") or k)
    hang = [(s[axis] - 1) * arguments.get("ceil_mode", False) for axis in AXES]
    rows, columns = (
        # In a plane smaller than the dilation a window that begins in the padding may step over all of it.
        max(d[axis] if p[axis] else 1, d[axis] * (k[axis] - 1) + 1 - 2 * p[axis] - hang[axis])
        for axis in AXES
    )
    return rows, columns


@st.composite
def windows_apart(draw: st.DrawFn) -> dict[str, Any]:
    """Window, stride and padding of a pooling of which no two windows overlap."""
    k = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    arguments: dict[str, Any] = {"kernel_size": k[0] if k[0] == k[1] and draw(st.booleans()) else k}
    if draw(st.booleans()):
        stride = tuple(draw(st.integers(side, side + 2)) for side in k)
        arguments["stride"] = max(stride) if draw(st.booleans()) else stride
    if draw(st.booleans()):
        arguments["padding"] = draw(pairs(0, (k[0] // 2, k[1] // 2)))
    return arguments


@st.composite
def max_unpoolings(draw: st.DrawFn) -> Case:
    arguments = draw(windows_apart())
    k, p = both(arguments["kernel_size"]), both(arguments.get("padding", 0))
    s = both(arguments.get("stride", k))
    shape = draw(CHANNELS), *(draw(st.integers(2 if k[axis] == 2 * p[axis] else 1, 4)) for axis in AXES)
    sides = tuple((shape[1 + axis] - 1) * s[axis] - 2 * p[axis] + k[axis] for axis in AXES)
    output_size = None
    if draw(st.booleans()):
        most = tuple(sides[axis] + s[axis] - 1 for axis in AXES)
        sides = tuple(draw(st.integers(sides[axis], most[axis])) for axis in AXES)
        output_size = tuple(draw(st.integers(sides[axis], most[axis])) for axis in AXES)
    whole = torch.from_numpy(np.random.default_rng(draw(SEEDS)).integers(-2, 3, (shape[0], *sides)).astype(np.float64))
    pooled, indices = F.max_pool2d(whole, **arguments, return_indices=True)
    assert tuple(pooled.shape) == shape

    def ours(x: Array, **rest: Any) -> Trace:
        return max_unpool2d(x, indices.numpy(), **rest)

    def theirs(x: Tensor, **rest: Any) -> Tensor:
        return F.max_unpool2d(x, indices[None], **rest)

    return Case(ours, theirs, draw(values(shape)), None, {**arguments, "output_size": output_size})


def torch_max_pool_unpool(
    x: Tensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, ceil_mode: bool = False
) -> Tensor:
    pooled, indices = F.max_pool2d(x, kernel_size, stride, padding, ceil_mode=ceil_mode, return_indices=True)
    back: Tensor = F.max_unpool2d(pooled, indices, kernel_size, stride, padding, output_size=x.shape[-2:])
    return back


@st.composite
def max_pool_unpoolings(draw: st.DrawFn) -> Case:
    arguments = {**draw(windows_apart()), **draw(some_of(ceil_mode=st.booleans()))}
    x = draw(planes(_sides_a_window_fits(arguments), more=8))
    return Case(max_pool_unpool, torch_max_pool_unpool, x, None, arguments)


def torch_bed_of_nails(x: Tensor, factor: Pair = 2) -> Tensor:
    """The transposed convolution of each channel with a kernel that is a single 1."""
    channels = x.shape[1]
    rest = tuple(side - 1 for side in both(factor))
    return F.conv_transpose2d(
        x, torch.ones(channels, 1, 1, 1, dtype=x.dtype), stride=factor, output_padding=rest, groups=channels
    )


def torch_upsample_nearest(x: Tensor, factor: Pair = 2) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="nearest")


def torch_upsample_bilinear(x: Tensor, factor: Pair = 2, align_corners: bool = False) -> Tensor:
    scale: Any = tuple(map(float, both(factor)))
    return F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=align_corners)


def torch_pixel_shuffle(x: Tensor, factor: int = 2) -> Tensor:
    return F.pixel_shuffle(x, factor)


TORCH_UPSAMPLING = {"nearest": torch_upsample_nearest, "bilinear": torch_upsample_bilinear}


def torch_resize_conv2d(
    x: Tensor, kernel: Tensor, factor: Pair = 2, mode: str = "nearest", padding: Pair = 0, dilation: Pair = 1
) -> Tensor:
    return F.conv2d(TORCH_UPSAMPLING[mode](x, factor), kernel, padding=padding, dilation=dilation)


def torch_subpixel_conv2d(x: Tensor, kernel: Tensor, factor: int = 2, padding: Pair = 0, dilation: Pair = 1) -> Tensor:
    return F.pixel_shuffle(F.conv2d(x, kernel, padding=padding, dilation=dilation), factor)


@st.composite
def beds_of_nails(draw: st.DrawFn) -> Case:
    arguments = draw(some_of(factor=pairs(1, 4)))
    return Case(bed_of_nails, torch_bed_of_nails, draw(planes()), None, arguments)


@st.composite
def nearest_upsamplings(draw: st.DrawFn) -> Case:
    arguments = draw(some_of(factor=pairs(1, 5)))
    return Case(upsample_nearest, torch_upsample_nearest, draw(planes()), None, arguments)


@st.composite
def bilinear_upsamplings(draw: st.DrawFn) -> Case:
    arguments = draw(some_of(factor=pairs(1, 5), align_corners=st.booleans()))
    return Case(upsample_bilinear, torch_upsample_bilinear, draw(planes()), None, arguments)


@st.composite
def pixel_shuffles(draw: st.DrawFn) -> Case:
    arguments = draw(some_of(factor=st.integers(1, 4)))
    channels = draw(CHANNELS) * arguments.get("factor", 2) ** 2
    return Case(pixel_shuffle, torch_pixel_shuffle, draw(planes(channels=channels)), None, arguments)


@st.composite
def resize_convolutions(draw: st.DrawFn) -> Case:
    channels, outputs, *sides = draw(st.tuples(CHANNELS, CHANNELS, st.integers(1, 4), st.integers(1, 4)))
    optional = {
        "factor": pairs(1, 3),
        "mode": st.sampled_from(["nearest", "bilinear"]),
        "padding": pairs(0, 3),
        "dilation": pairs(1, 2),
    }
    arguments = draw(some_of(**optional))
    f, larger = both(arguments.get("factor", 2)), _sides_a_kernel_fits(sides, arguments)
    least = tuple(math.ceil(larger[axis] / f[axis]) for axis in AXES)
    x = draw(planes(least, more=3, channels=channels))
    return Case(resize_conv2d, torch_resize_conv2d, x, draw(values((outputs, channels, *sides))), arguments)


@st.composite
def subpixel_convolutions(draw: st.DrawFn) -> Case:
    channels, *sides = draw(st.tuples(CHANNELS, st.integers(1, 4), st.integers(1, 4)))
    optional = {"factor": st.integers(1, 3), "padding": pairs(0, 3), "dilation": pairs(1, 2)}
    arguments = draw(some_of(**optional))
    outputs = draw(st.integers(1, 2)) * arguments.get("factor", 2) ** 2
    x = draw(planes(_sides_a_kernel_fits(sides, arguments), more=3, channels=channels))
    return Case(subpixel_conv2d, torch_subpixel_conv2d, x, draw(values((outputs, channels, *sides))), arguments)


CASES: dict[str, st.SearchStrategy[Case]] = {
    "conv2d": convolutions(),
    "conv_transpose2d": transposed_convolutions(),
    "max_pool2d": max_poolings(),
    "avg_pool2d": average_poolings(),
    "max_unpool2d": max_unpoolings(),
    "max_pool_unpool": max_pool_unpoolings(),
    "bed_of_nails": beds_of_nails(),
    "upsample_nearest": nearest_upsamplings(),
    "upsample_bilinear": bilinear_upsamplings(),
    "pixel_shuffle": pixel_shuffles(),
    "resize_conv2d": resize_convolutions(),
    "subpixel_conv2d": subpixel_convolutions(),
}
