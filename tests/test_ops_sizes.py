"""Sizes are torch's for every setting in a range, and what a refusal says would fit is all that does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from ops_settings import Pair, between, fits, numbers_in, refusal, torch_makes
from torch import Tensor

from aecore.errors import OperationError
from aecore.ops.sizes import conv_size, conv_transpose_size, pair, pool_size, reach, unpool_size

pytestmark = pytest.mark.usefixtures("one_thread")

INPUTS, KERNELS, STRIDES, PADDINGS, DILATIONS = range(1, 8), range(1, 6), range(1, 5), range(4), range(1, 4)


def line(side: int) -> Tensor:
    return torch.ones(1, 1, side, dtype=torch.float64)


def size_in_torch(operation: Callable[..., Tensor], *arguments: Any, **more: Any) -> int | None:
    made = torch_makes(operation, *arguments, **more)
    return None if made is None else made.shape[-1]


def size_here(size: Callable[..., int], *arguments: Any, **more: Any) -> int | None:
    return size(*arguments, **more) if fits(size, *arguments, **more) else None


def convolutions() -> Iterator[tuple[int, int, int, int, int]]:
    return product(INPUTS, KERNELS, STRIDES, PADDINGS, DILATIONS)


def test_a_convolutions_size_is_torchs() -> None:
    for n, kernel, stride, padding, dilation in convolutions():
        theirs = size_in_torch(F.conv1d, line(n), line(kernel), None, stride, padding, dilation)
        ours = size_here(conv_size, n, kernel, stride, padding, dilation)
        assert ours == theirs, (n, kernel, stride, padding, dilation)


def test_a_transposed_convolutions_size_is_torchs() -> None:
    for (n, kernel, stride, padding, dilation), output_padding in product(convolutions(), range(4)):
        arguments = (stride, padding, output_padding)
        theirs = size_in_torch(F.conv_transpose1d, line(n), line(kernel), None, *arguments, 1, dilation)
        ours = size_here(conv_transpose_size, n, kernel, *arguments, dilation)
        assert ours == theirs, (n, kernel, *arguments, dilation)


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_a_poolings_size_is_torchs(ceil_mode: bool) -> None:
    for n, kernel, stride, padding, dilation in convolutions():
        theirs = size_in_torch(F.max_pool1d, line(n), kernel, stride, padding, dilation, ceil_mode)
        ours = size_here(pool_size, n, kernel, stride, padding, dilation, ceil_mode=ceil_mode)
        assert ours == theirs, (n, kernel, stride, padding, dilation)


def test_a_max_unpoolings_size_is_torchs() -> None:
    for n, kernel, stride, padding, wanted in product(range(1, 5), KERNELS, STRIDES, PADDINGS, [None, *range(1, 14)]):
        size = None if wanted is None else (1, wanted)
        images, indices = torch.ones(1, 1, n), torch.zeros(1, 1, n, dtype=torch.int64)
        theirs = size_in_torch(F.max_unpool2d, images, indices, (1, kernel), (1, stride), (0, padding), size)
        ours = size_here(unpool_size, n, kernel, stride, padding, wanted)
        assert ours == theirs, (n, kernel, stride, padding, wanted)


def test_a_max_unpooling_can_give_back_every_size_that_a_pooling_took() -> None:
    for n, kernel, stride, padding in product(INPUTS, KERNELS, STRIDES, PADDINGS):
        for ceil_mode in (False, True):
            pooled = size_here(pool_size, n, kernel, stride, padding, ceil_mode=ceil_mode)
            if pooled is not None:
                assert unpool_size(pooled, kernel, stride, padding, wanted=n) == n


@pytest.mark.parametrize(
    ("n", "kernel", "stride", "padding", "size"),
    [
        (4, 3, 1, 0, 2),
        (5, 4, 1, 2, 6),
        (5, 3, 1, 1, 5),
        (5, 3, 1, 2, 7),
        (5, 3, 2, 0, 2),
        (5, 3, 2, 1, 3),
        (6, 3, 2, 1, 3),
    ],
)
def test_a_convolutions_size_is_that_of_the_figures_in_dumoulin_and_visin(
    n: int, kernel: int, stride: int, padding: int, size: int
) -> None:
    assert conv_size(n, kernel, stride, padding) == size
    rest = (n + 2 * padding - kernel) % stride
    assert conv_transpose_size(size, kernel, stride, padding, rest) == n


@pytest.mark.parametrize(("kernel", "dilation", "cells"), [(3, 1, 3), (3, 2, 5), (1, 3, 1), (2, 3, 4), (5, 2, 9)])
def test_a_dilated_kernel_reaches_from_its_first_cell_to_its_last(kernel: int, dilation: int, cells: int) -> None:
    assert reach(kernel, dilation) == cells


def allowed(size: Callable[..., int], name: str, among: range, settings: dict[str, Any]) -> list[int]:
    """Which values of one argument would do, all others staying."""
    return [value for value in among if fits(size, **{**settings, name: value})]


def test_what_a_refused_convolution_says_would_fit_is_all_that_does() -> None:
    refused = 0
    for n, kernel, padding, dilation in product(INPUTS, KERNELS, PADDINGS, DILATIONS):
        settings = {"n": n, "kernel": kernel, "padding": padding, "dilation": dilation}
        if fits(conv_size, **settings):
            continue
        refused += 1
        message = refusal(conv_size, **settings)
        (largest,) = numbers_in(r"a kernel from 1 to (\d+)", message)
        (widest,) = numbers_in(r"padding of at least (\d+)", message)
        (smallest,) = numbers_in(r"an input of at least (\d+)", message)
        assert allowed(conv_size, "kernel", range(1, 20), settings) == list(range(1, largest + 1))
        assert allowed(conv_size, "padding", range(20), settings) == list(range(widest, 20))
        assert allowed(conv_size, "n", range(1, 20), settings) == list(range(smallest, 20))
    assert refused > 50


def test_what_a_refused_transposed_convolution_says_would_fit_is_all_that_does() -> None:
    refused = 0
    for n, kernel, stride, padding, dilation in product(range(1, 4), KERNELS, STRIDES, range(8), DILATIONS):
        for output_padding in range(max(stride, dilation)):
            arguments = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
            settings = {"n": n, "kernel": kernel, **arguments}
            if fits(conv_transpose_size, **settings):
                continue
            refused += 1
            message = refusal(conv_transpose_size, **settings)
            (widest,) = numbers_in(r"padding from 0 to (\d+)", message)
            (smallest,) = numbers_in(r"an input of at least (\d+)", message)
            (least,) = numbers_in(r"a kernel of at least (\d+)", message)
            assert allowed(conv_transpose_size, "padding", range(20), settings) == list(range(widest + 1))
            assert allowed(conv_transpose_size, "n", range(1, 20), settings) == list(range(smallest, 20))
            assert allowed(conv_transpose_size, "kernel", range(1, 20), settings) == list(range(least, 20))
    assert refused > 50


def test_the_output_padding_a_refusal_says_would_fit_is_all_that_does() -> None:
    for stride, dilation, output_padding in product(STRIDES, DILATIONS, range(8)):
        settings = {"n": 3, "kernel": 3, "stride": stride, "output_padding": output_padding, "dilation": dilation}
        if not fits(conv_transpose_size, **settings):
            (most,) = numbers_in(r"What fits: 0 to (\d+)", refusal(conv_transpose_size, **settings))
            assert allowed(conv_transpose_size, "output_padding", range(20), settings) == list(range(most + 1))


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_what_a_refused_pooling_says_would_fit_is_all_that_does(ceil_mode: bool) -> None:
    seen = set()
    for n, kernel, stride, padding, dilation in convolutions():
        own = {"n": n, "kernel": kernel, "stride": stride, "padding": padding}
        settings: dict[str, Any] = {**own, "dilation": dilation, "ceil_mode": ceil_mode}
        if fits(pool_size, **settings):
            continue
        message = refusal(pool_size, **settings)
        windows = numbers_in(r"a window from (\d+) to (\d+)", message)
        paddings = numbers_in(r"padding from (\d+) to (\d+)", message)
        inputs = numbers_in(r"an input of at least (\d+)(?: with padding (\d+))?", message)
        seen.add((bool(windows), bool(paddings), len(inputs)))
        assert allowed(pool_size, "kernel", range(1, 20), settings) == between(windows)
        assert allowed(pool_size, "padding", range(20), settings) == between(paddings)
        if inputs:
            smallest, *less = inputs
            settings["padding"] = less[0] if less else padding
            assert allowed(pool_size, "n", range(1, 30), settings) == list(range(smallest, 30))
        assert windows or paddings or inputs
    assert len(seen) > 3


def test_the_output_sizes_a_refused_max_unpooling_says_would_fit_are_all_that_do() -> None:
    for n, kernel, stride, padding, wanted in product(range(1, 5), KERNELS, STRIDES, PADDINGS, (1, 5, 40)):
        settings = {"n": n, "kernel": kernel, "stride": stride, "padding": padding, "wanted": wanted}
        if not fits(unpool_size, **settings):
            fitting = numbers_in(r"What fits: (\d+) to (\d+)", refusal(unpool_size, **settings))
            assert allowed(unpool_size, "wanted", range(1, 40), settings) == between(fitting)


def test_the_padding_a_refused_max_unpooling_says_would_fit_is_all_that_does() -> None:
    for n, kernel, stride in product(range(1, 5), KERNELS, STRIDES):
        settings = {"n": n, "kernel": kernel, "stride": stride, "padding": 30}
        widest = numbers_in(r"padding from (\d+) to (\d+)", refusal(unpool_size, **settings))
        assert allowed(unpool_size, "padding", range(30), settings) == between(widest)


def test_a_refusal_says_what_came_and_what_there_is_room_for() -> None:
    with pytest.raises(OperationError, match=r"A kernel of 3 with dilation 2 spans 5 cells, but the input of 2 .* 4\."):
        conv_size(2, 3, padding=1, dilation=2)
    with pytest.raises(OperationError, match="the stamps cover 3 cells, and padding takes 4"):
        conv_transpose_size(1, 3, padding=2)
    with pytest.raises(OperationError, match="Padding 2 is more than half of a window of 3"):
        pool_size(9, 3, 1, padding=2)
    with pytest.raises(OperationError, match="spans 6 cells, but the input of 2 with padding 0 has 2, and 1 may hang"):
        pool_size(2, 6, 2, ceil_mode=True)


@pytest.mark.parametrize(("value", "expected"), [(3, (3, 3)), ((2, 5), (2, 5))])
def test_one_number_counts_for_rows_and_columns(value: Pair, expected: tuple[int, int]) -> None:
    assert pair("stride", value, 1) == expected


@pytest.mark.parametrize("value", [1.0, math.nan, True, (True, 2), "2", None, (1,), (1, 2, 3), [1, 2], (1, 2.0), "12"])
def test_an_argument_has_to_be_a_whole_number_or_two(value: Any) -> None:
    with pytest.raises(OperationError, match=r"stride is .*, expected a whole number or two of them"):
        pair("stride", value, 1)


@pytest.mark.parametrize("value", [0, (1, 0), (-1, 2)])
def test_an_argument_has_its_least_value(value: Pair) -> None:
    with pytest.raises(OperationError, match=r"stride is .*, expected at least 1"):
        pair("stride", value, 1)
