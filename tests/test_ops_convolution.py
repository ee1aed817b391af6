"""Convolution and transposed convolution are torch's, gradients included, and refuse what torch refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_settings import (
    Array,
    Case,
    Pair,
    along,
    assert_as_torch,
    convolutions,
    fits,
    mostly,
    numbers_in,
    pairs,
    refusal,
    torch_makes,
    transposed_convolutions,
    values,
)

from aecore.errors import OperationError
from aecore.ops import conv2d, conv_transpose2d

pytestmark = pytest.mark.usefixtures("one_thread")

SIDES = st.tuples(st.integers(1, 4), st.integers(1, 4))
FEW = st.integers(1, 2)


@settings(max_examples=300, deadline=None)
@given(convolutions())
def test_a_convolution_and_its_gradients_are_torchs(case: Case) -> None:
    assert_as_torch(case)


@settings(max_examples=300, deadline=None)
@given(transposed_convolutions())
def test_a_transposed_convolution_and_its_gradients_are_torchs(case: Case) -> None:
    assert_as_torch(case)


@st.composite
def any_planes_and_kernels(draw: st.DrawFn) -> tuple[Array, Array]:
    """Whether or not their channels and sizes go together; mostly the channels do."""
    channels, kernel_sides = draw(FEW), (draw(FEW), draw(FEW))
    if draw(st.integers(0, 5)):
        kernel_sides = (channels, channels)
    x = draw(values((channels, *draw(SIDES))))
    kernel = draw(values((*kernel_sides, *draw(SIDES))))
    return x.reshape(-1, *x.shape[-2:]), kernel.reshape((1,) * (4 - kernel.ndim) + kernel.shape)


@settings(max_examples=500, deadline=None)
@given(
    arrays=any_planes_and_kernels(),
    stride=mostly(pairs(1, 3), pairs(0, 1)),
    padding=mostly(pairs(0, 2), pairs(-1, 0)),
    dilation=mostly(pairs(1, 3), pairs(0, 1)),
)
def test_a_convolution_is_refused_just_where_torch_refuses_it(
    arrays: tuple[Array, Array], stride: Pair, padding: Pair, dilation: Pair
) -> None:
    arguments = {"stride": stride, "padding": padding, "dilation": dilation}
    theirs = torch_makes(F.conv2d, *map(torch.from_numpy, arrays), **arguments)
    assert fits(conv2d, *arrays, **arguments) is (theirs is not None)


@settings(max_examples=500, deadline=None)
@given(
    arrays=any_planes_and_kernels(),
    stride=mostly(pairs(1, 3), pairs(0, 1)),
    padding=mostly(pairs(0, 2), pairs(-1, 4)),
    output_padding=mostly(pairs(0, 1), pairs(-1, 3)),
    dilation=mostly(pairs(1, 3), pairs(0, 1)),
)
def test_a_transposed_convolution_is_refused_just_where_torch_refuses_it(
    arrays: tuple[Array, Array], stride: Pair, padding: Pair, output_padding: Pair, dilation: Pair
) -> None:
    arguments = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    theirs = torch_makes(F.conv_transpose2d, *map(torch.from_numpy, arrays), **arguments)
    assert fits(conv_transpose2d, *arrays, **arguments) is (theirs is not None)


@settings(max_examples=200, deadline=None)
@given(
    axis=st.integers(0, 1),
    side=st.integers(1, 5),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 3),
    beyond=st.integers(1, 4),
)
def test_what_a_refused_convolution_says_would_fit_does_and_nothing_beyond_it(
    axis: int, side: int, padding: int, dilation: int, beyond: int
) -> None:
    def arguments(**changed: int) -> dict[str, object]:
        own = {"side": side, "kernel": kernel, "padding": padding, **changed}
        return {
            "x": np.ones(along(axis, own["side"], 3)),
            "kernel": np.ones(along(axis, own["kernel"], 2)),
            "padding": along(axis, own["padding"], 0),
            "dilation": along(axis, dilation, 1),
        }

    kernel = (side + 2 * padding - 1) // dilation + 1 + beyond
    message = refusal(conv2d, **arguments())
    (largest,) = numbers_in(r"a kernel from 1 to (\d+)", message)
    (widest,) = numbers_in(r"padding of at least (\d+)", message)
    (smallest,) = numbers_in(r"an input of at least (\d+)", message)
    assert all(fits(conv2d, **arguments(kernel=number)) for number in range(1, largest + 1))
    assert not fits(conv2d, **arguments(kernel=largest + 1))
    assert fits(conv2d, **arguments(padding=widest))
    assert not fits(conv2d, **arguments(padding=widest - 1))
    assert fits(conv2d, **arguments(side=smallest))
    assert not fits(conv2d, **arguments(side=smallest - 1))


@settings(max_examples=200, deadline=None)
@given(
    axis=st.integers(0, 1),
    side=st.integers(1, 4),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 3),
    beyond=st.integers(1, 4),
    rest=st.integers(0, 2),
)
def test_what_a_refused_transposed_convolution_says_would_fit_does_and_nothing_beyond_it(
    axis: int, side: int, kernel: int, stride: int, dilation: int, beyond: int, rest: int
) -> None:
    def arguments(**changed: int) -> dict[str, object]:
        own = {"side": side, "kernel": kernel, "padding": padding, "output_padding": output_padding, **changed}
        return {
            "x": np.ones(along(axis, own["side"], 3)),
            "kernel": np.ones(along(axis, own["kernel"], 2)),
            "stride": along(axis, stride, 1),
            "padding": along(axis, own["padding"], 0),
            "output_padding": along(axis, own["output_padding"], 0),
            "dilation": along(axis, dilation, 1),
        }

    padding, output_padding = 0, max(stride, dilation) - 1 + beyond
    message = refusal(conv_transpose2d, **arguments())
    (most,) = numbers_in(r"What fits: 0 to (\d+)", message)
    assert fits(conv_transpose2d, **arguments(output_padding=most))
    assert not fits(conv_transpose2d, **arguments(output_padding=most + 1))

    output_padding = min(rest, most)
    padding = ((side - 1) * stride + dilation * (kernel - 1) + output_padding) // 2 + beyond
    message = refusal(conv_transpose2d, **arguments())
    (widest,) = numbers_in(r"padding from 0 to (\d+)", message)
    (smallest,) = numbers_in(r"an input of at least (\d+)", message)
    (least,) = numbers_in(r"a kernel of at least (\d+)", message)
    assert all(fits(conv_transpose2d, **arguments(padding=number)) for number in range(widest + 1))
    assert not fits(conv_transpose2d, **arguments(padding=widest + 1))
    assert fits(conv_transpose2d, **arguments(side=smallest))
    assert not fits(conv_transpose2d, **arguments(side=smallest - 1))
    assert fits(conv_transpose2d, **arguments(kernel=least))
    assert not fits(conv_transpose2d, **arguments(kernel=least - 1))


def test_the_channels_of_kernel_and_input_have_to_agree() -> None:
    with pytest.raises(OperationError, match="for 3 input channels, but the input has 2"):
        conv2d(np.ones((2, 4, 4)), np.ones((1, 3, 3, 3)))
    with pytest.raises(OperationError, match="for 3 input channels, but the input has 2"):
        conv_transpose2d(np.ones((2, 4, 4)), np.ones((3, 2, 3, 3)))


# Zhang et al., Dive into Deep Learning, sections 7.2, 7.4 and 14.10.
NINE = [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
FOUR = [[0, 1], [2, 3]]


def test_convolutions_come_to_what_a_textbook_prints() -> None:
    assert conv2d(NINE, FOUR).result[0].tolist() == [[19, 25], [37, 43]]
    two = np.array([NINE, np.add(NINE, 1)])
    assert conv2d(two, [[FOUR, np.add(FOUR, 1)]]).result[0].tolist() == [[56, 72], [104, 120]]


def test_transposed_convolutions_come_to_what_a_textbook_prints() -> None:
    assert conv_transpose2d(FOUR, FOUR).result[0].tolist() == [[0, 0, 1], [0, 4, 6], [4, 12, 9]]
    strided = [[0, 0, 0, 1], [0, 0, 2, 3], [0, 2, 0, 3], [4, 6, 6, 9]]
    assert conv_transpose2d(FOUR, FOUR, stride=2).result[0].tolist() == strided
    assert conv_transpose2d(FOUR, FOUR, padding=1).result[0].tolist() == [[4]]


# Worked out by hand: x holds 1 to 16, and the kernel adds the upper left neighbour to twice the lower right one.
SIXTEEN = np.arange(1, 17).reshape(4, 4)
CORNERS = [[1, 0, 0], [0, 0, 0], [0, 0, 2]]


def test_a_3x3_kernel_with_padding_1_keeps_the_size() -> None:
    expected = [[12, 14, 16, 0], [20, 23, 26, 3], [28, 35, 38, 7], [0, 9, 10, 11]]
    assert conv2d(SIXTEEN, CORNERS, padding=1).result.tolist() == [expected]


def test_stride_2_halves_the_size() -> None:
    assert conv2d(SIXTEEN, CORNERS, stride=2, padding=1).result.tolist() == [[[12, 16], [28, 38]]]


def test_a_transposed_convolution_of_stride_2_doubles_the_size() -> None:
    trace = conv_transpose2d([[1, 2], [3, 4]], CORNERS, stride=2, padding=1, output_padding=1)
    assert trace.result.tolist() == [[[0, 0, 0, 0], [0, 6, 0, 4], [0, 0, 0, 0], [0, 6, 0, 8]]]


@pytest.mark.parametrize(("stride", "sums"), [(1, SIXTEEN), (2, SIXTEEN[::2, ::2])])
def test_a_kernel_that_is_a_single_1_in_the_middle_copies(stride: int, sums: Array) -> None:
    middle = [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert conv2d(SIXTEEN, middle, stride=stride, padding=1).result[0].tolist() == sums.tolist()
