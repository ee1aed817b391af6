"""Upsampling, pixel shuffle and what is built from them are torch's, gradients included, and refuse what torch does."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_settings import (
    Array,
    Case,
    Pair,
    assert_as_torch,
    bilinear_upsamplings,
    both,
    fits,
    mostly,
    nearest_upsamplings,
    numbers_in,
    pairs,
    pixel_shuffles,
    planes,
    refusal,
    resize_convolutions,
    subpixel_convolutions,
    torch_makes,
    torch_pixel_shuffle,
    torch_resize_conv2d,
    torch_subpixel_conv2d,
    torch_upsample_bilinear,
    torch_upsample_nearest,
)

from aecore.errors import OperationError
from aecore.ops import pixel_shuffle, resize_conv2d, subpixel_conv2d, upsample_bilinear, upsample_nearest

pytestmark = pytest.mark.usefixtures("one_thread")

SIDES = st.tuples(st.integers(1, 5), st.integers(1, 5))


def batch_of_one(x: Array) -> torch.Tensor:
    return torch.from_numpy(x.reshape(1, -1, *x.shape[-2:]))


@settings(max_examples=200, deadline=None)
@given(nearest_upsamplings())
def test_nearest_neighbour_upsampling_and_its_gradient_are_torchs(case: Case) -> None:
    assert_as_torch(case)


@settings(max_examples=300, deadline=None)
@given(bilinear_upsamplings())
def test_bilinear_upsampling_and_its_gradient_are_torchs_with_corners_aligned_or_not(case: Case) -> None:
    assert_as_torch(case)


@settings(max_examples=200, deadline=None)
@given(pixel_shuffles())
def test_pixel_shuffle_and_its_gradient_are_torchs(case: Case) -> None:
    assert_as_torch(case)


@settings(max_examples=300, deadline=None)
@given(resize_convolutions())
def test_resize_convolution_and_its_gradients_are_torchs_two_operations(case: Case) -> None:
    assert_as_torch(case)


@settings(max_examples=300, deadline=None)
@given(subpixel_convolutions())
def test_sub_pixel_convolution_and_its_gradients_are_torchs_two_operations(case: Case) -> None:
    assert_as_torch(case)


@settings(max_examples=200, deadline=None)
@given(x=planes(), factor=pairs(-1, 3))
def test_upsampling_is_refused_just_where_torch_refuses_it(x: Array, factor: Pair) -> None:
    nearest = torch_makes(torch_upsample_nearest, batch_of_one(x), factor)
    bilinear = torch_makes(torch_upsample_bilinear, batch_of_one(x), factor)
    assert fits(upsample_nearest, x, factor) is (nearest is not None)
    assert fits(upsample_bilinear, x, factor) is (bilinear is not None)


@settings(max_examples=200, deadline=None)
@given(channels=st.integers(1, 18), factor=st.integers(-1, 4) | st.sampled_from([(2, 2), (2, 1), (1, 3)]))
def test_pixel_shuffle_is_refused_where_torch_refuses_it_and_two_equal_factors_are_one(
    channels: int, factor: Pair
) -> None:
    x = np.ones((channels, 1, 2))
    rows, columns = both(factor)
    theirs = torch_makes(torch_pixel_shuffle, batch_of_one(x), rows) if rows == columns else None
    assert fits(pixel_shuffle, x, factor) is (theirs is not None)
    if isinstance(factor, int) and factor > 0 and theirs is None:
        (multiple,) = numbers_in(r"has to be a multiple of (\d+)", refusal(pixel_shuffle, x, factor))
        assert [count for count in range(1, 40) if fits(pixel_shuffle, np.ones((count, 1, 2)), factor)] == list(
            range(multiple, 40, multiple)
        )


@settings(max_examples=300, deadline=None)
@given(
    sides=SIDES,
    kernel_sides=SIDES,
    factor=mostly(pairs(1, 3), pairs(0, 1)),
    mode=mostly(st.sampled_from(["nearest", "bilinear"]), st.just("bicubic")),
    padding=mostly(pairs(0, 2), pairs(-1, 0)),
    dilation=mostly(pairs(1, 3), pairs(0, 1)),
)
def test_resize_convolution_is_refused_where_torch_refuses_it_or_the_mode_is_none_of_ours(
    sides: tuple[int, int], kernel_sides: tuple[int, int], factor: Pair, mode: str, padding: Pair, dilation: Pair
) -> None:
    x, kernel = np.ones((1, *sides)), np.ones((1, 1, *kernel_sides))
    arguments = {"factor": factor, "padding": padding, "dilation": dilation, "mode": mode}
    theirs = None
    if mode != "bicubic":
        theirs = torch_makes(torch_resize_conv2d, batch_of_one(x), torch.from_numpy(kernel), **arguments)
    assert fits(resize_conv2d, x, kernel, **arguments) is (theirs is not None)


@settings(max_examples=300, deadline=None)
@given(
    sides=SIDES,
    outputs=mostly(st.sampled_from([4, 9]), st.integers(1, 9)),
    kernel_sides=SIDES,
    factor=mostly(st.integers(1, 3), st.integers(-1, 1)),
    padding=mostly(pairs(0, 2), pairs(-1, 0)),
    dilation=mostly(pairs(1, 3), pairs(0, 1)),
)
def test_sub_pixel_convolution_is_refused_just_where_torch_refuses_it(
    sides: tuple[int, int], outputs: int, kernel_sides: tuple[int, int], factor: int, padding: Pair, dilation: Pair
) -> None:
    x, kernel = np.ones((1, *sides)), np.ones((outputs, 1, *kernel_sides))
    arguments = {"factor": factor, "padding": padding, "dilation": dilation}
    theirs = torch_makes(torch_subpixel_conv2d, batch_of_one(x), torch.from_numpy(kernel), **arguments)
    assert fits(subpixel_conv2d, x, kernel, **arguments) is (theirs is not None)


@settings(max_examples=200, deadline=None)
@given(
    side=st.integers(1, 4),
    factor=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    beyond=st.integers(1, 3),
    mode=st.sampled_from(["nearest", "bilinear"]),
)
def test_what_a_refused_resize_convolution_says_would_fit_does_and_nothing_beyond_it(
    side: int, factor: int, padding: int, dilation: int, beyond: int, mode: str
) -> None:
    def convolves(side: int, kernel: int, padding: int) -> bool:
        x, weights = np.ones((side, side)), np.ones((kernel, kernel))
        return fits(resize_conv2d, x, weights, factor=factor, mode=mode, padding=padding, dilation=dilation)

    kernel = (side * factor + 2 * padding - 1) // dilation + 1 + beyond
    arguments = {"factor": factor, "mode": mode, "padding": padding, "dilation": dilation}
    message = refusal(resize_conv2d, np.ones((side, side)), np.ones((kernel, kernel)), **arguments)
    (largest,) = numbers_in(r"a kernel from 1 to (\d+)", message)
    (widest,) = numbers_in(r"padding of at least (\d+)", message)
    (smallest,) = numbers_in(r"an input of at least (\d+)", message)  # of the convolution, so the enlarged one
    assert convolves(side, largest, padding)
    assert not convolves(side, largest + 1, padding)
    assert convolves(side, kernel, widest)
    assert not convolves(side, kernel, widest - 1)
    assert convolves(math.ceil(smallest / factor), kernel, padding)
    assert not convolves(math.ceil(smallest / factor) - 1, kernel, padding)


def test_an_unknown_mode_is_refused_with_those_there_are() -> None:
    with pytest.raises(OperationError, match="'bicubic', expected 'nearest' or 'bilinear'"):
        resize_conv2d([[1]], [[1]], mode="bicubic")


# The examples in the documentation of torch.nn.Upsample and torch.nn.PixelShuffle.
FOUR = [[1, 2], [3, 4]]


def test_upsampling_comes_to_what_torchs_documentation_prints() -> None:
    assert upsample_nearest(FOUR).result.tolist() == [[[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]]
    assert upsample_bilinear(FOUR).result.tolist() == [
        [[1, 1.25, 1.75, 2], [1.5, 1.75, 2.25, 2.5], [2.5, 2.75, 3.25, 3.5], [3, 3.25, 3.75, 4]]
    ]
    aligned = [
        [1.0000, 1.3333, 1.6667, 2.0000],
        [1.6667, 2.0000, 2.3333, 2.6667],
        [2.3333, 2.6667, 3.0000, 3.3333],
        [3.0000, 3.3333, 3.6667, 4.0000],
    ]
    np.testing.assert_allclose(upsample_bilinear(FOUR, align_corners=True).result[0], aligned, atol=5e-5)


def test_pixel_shuffle_makes_nine_channels_into_one_three_times_as_large() -> None:
    assert pixel_shuffle(np.arange(9).reshape(9, 1, 1), 3).result.tolist() == [[[0, 1, 2], [3, 4, 5], [6, 7, 8]]]
    assert pixel_shuffle(np.ones((9, 4, 4)), 3).result.shape == (1, 12, 12)


def test_a_flat_plane_stays_flat_when_it_is_enlarged() -> None:
    flat = np.full((3, 5), 7.0)
    for enlarged in (
        upsample_nearest(flat, 3),
        upsample_bilinear(flat, 3),
        upsample_bilinear(flat, align_corners=True),
    ):
        np.testing.assert_allclose(enlarged.result, 7.0, rtol=1e-12)
