"""Pooling and what undoes it are torch's, gradients included, and refuse what torch refuses.

Ours is stricter in three things, and says so: a window of max-pooling that sees nothing but padding (torch gives minus
infinity), two values that max-unpooling would put in one place (torch's result is then not determined; pooling and
unpooling in one refuses whatever could come to that), and undoing a pooling that cannot be, of no window, no stride or
negative padding (torch does not look).
"""

from __future__ import annotations

import re
from typing import Any

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
    assert_close,
    average_poolings,
    beds_of_nails,
    between,
    both,
    fits,
    max_pool_unpoolings,
    max_poolings,
    max_unpoolings,
    mostly,
    numbers_in,
    pairs,
    planes,
    refusal,
    torch_bed_of_nails,
    torch_makes,
)

from aecore.errors import OperationError
from aecore.ops import avg_pool2d, bed_of_nails, max_indices, max_pool2d, max_pool_unpool, max_unpool2d

pytestmark = pytest.mark.usefixtures("one_thread")


@settings(max_examples=300, deadline=None)
@given(max_poolings())
def test_max_pooling_and_its_gradient_and_its_indices_are_torchs(case: Case) -> None:
    trace = assert_as_torch(case)
    (x,) = case.tensors()
    _, indices = F.max_pool2d(x, **case.arguments, return_indices=True)
    np.testing.assert_array_equal(max_indices(trace), indices.numpy())


@settings(max_examples=300, deadline=None)
@given(average_poolings())
def test_average_pooling_and_its_gradient_are_torchs(case: Case) -> None:
    assert_as_torch(case)


@settings(max_examples=300, deadline=None)
@given(max_unpoolings())
def test_max_unpooling_and_its_gradient_are_torchs(case: Case) -> None:
    assert_as_torch(case)


@settings(max_examples=300, deadline=None)
@given(max_pool_unpoolings())
def test_pooling_and_unpooling_and_their_gradient_are_torchs(case: Case) -> None:
    assert_as_torch(case)


@settings(max_examples=200, deadline=None)
@given(beds_of_nails())
def test_a_bed_of_nails_and_its_gradient_are_torchs_transposed_convolution_with_a_kernel_of_1(case: Case) -> None:
    assert_as_torch(case)


@settings(max_examples=300, deadline=None)
@given(x=planes((3, 3)), kernel=pairs(2, 3), stride=pairs(1, 2))
def test_what_windows_that_overlap_chose_is_put_back_as_torch_does_unless_two_of_them_chose_the_same_cell(
    x: Array, kernel: Pair, stride: Pair
) -> None:
    images = torch.from_numpy(x.reshape(-1, *x.shape[-2:]))
    pooled, indices = F.max_pool2d(images, kernel, stride, return_indices=True)
    arguments = {"kernel_size": kernel, "stride": stride, "output_size": tuple(images.shape[1:])}
    if all(len(plane.unique()) == plane.numel() for plane in indices):
        theirs = F.max_unpool2d(pooled, indices, **arguments)
        assert_close(max_unpool2d(pooled.numpy(), indices.numpy(), **arguments).result, theirs)
    else:
        with pytest.raises(OperationError, match="chose the same cell"):
            max_unpool2d(pooled.numpy(), indices.numpy(), **arguments)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), k=pairs(1, 4), stride=st.none() | pairs(1, 4), side=st.integers(4, 8))
def test_pooling_and_unpooling_is_refused_where_windows_overlap_and_nowhere_else(
    data: st.DataObject, k: Pair, stride: Pair | None, side: int
) -> None:
    x = np.arange(float(side**2)).reshape(side, side)
    arguments = {"stride": stride, "padding": data.draw(pairs(0, (both(k)[0] // 2, both(k)[1] // 2)))}
    rows, columns = both(k if stride is None else stride)
    apart = rows >= both(k)[0] and columns >= both(k)[1]
    assert fits(max_pool_unpool, x, k, **arguments) is apart
    if not apart:
        message = refusal(max_pool_unpool, x, k, **arguments)
        (widest,) = numbers_in(r"a stride of at least (\d+)", message)
        steps = [step for step in range(1, 9) if fits(max_pool_unpool, x, k, **{**arguments, "stride": step})]
        assert steps == list(range(widest, 9))
        windows = numbers_in(r"a window from (\d+) to (\d+)", message)
        assert [window for window in range(1, 9) if fits(max_pool_unpool, x, window, **arguments)] == between(windows)


POOLING = {
    "kernel_size": mostly(pairs(1, 4), pairs(0, 6)),
    "stride": mostly(st.none() | pairs(1, 3), pairs(0, 1)),
    "padding": mostly(pairs(0, 1), pairs(-1, 3)),
    "ceil_mode": st.booleans(),
}


@settings(max_examples=500, deadline=None)
@given(x=planes(), arguments=st.fixed_dictionaries({**POOLING, "dilation": mostly(pairs(1, 3), pairs(0, 1))}))
def test_max_pooling_is_refused_where_torch_refuses_it_or_sees_only_padding(
    x: Array, arguments: dict[str, Any]
) -> None:
    theirs = torch_makes(F.max_pool2d, torch.from_numpy(x.reshape(1, -1, *x.shape[-2:])), **arguments)
    only_padding = theirs is not None and bool(np.isneginf(theirs).any())
    assert fits(max_pool2d, x, **arguments) is (theirs is not None and not only_padding)
    if only_padding:
        message = refusal(max_pool2d, x, **arguments)
        assert "see only padding" in message
        enough = numbers_in(r"one of (\d+) x (\d+) is always large enough", message)
        assert fits(max_pool2d, x, **{**arguments, "dilation": 1})
        larger = np.maximum(enough, x.shape[-2:])
        assert fits(max_pool2d, np.zeros(larger), **arguments)
        assert enough == both(arguments["dilation"])


@settings(max_examples=500, deadline=None)
@given(x=planes(), arguments=st.fixed_dictionaries({**POOLING, "count_include_pad": st.booleans()}))
def test_average_pooling_is_refused_just_where_torch_refuses_it(x: Array, arguments: dict[str, Any]) -> None:
    theirs = torch_makes(F.avg_pool2d, torch.from_numpy(x.reshape(1, -1, *x.shape[-2:])), **arguments)
    assert fits(avg_pool2d, x, **arguments) is (theirs is not None)


@settings(max_examples=500, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 2)),
    indices=mostly(st.permutations(range(8)), st.lists(st.integers(-1, 9), min_size=8, max_size=8)),
    kernel_size=pairs(1, 4),
    stride=st.none() | pairs(1, 3),
    padding=mostly(st.just(0), pairs(0, 2)),
    output_size=st.none() | st.tuples(st.integers(0, 6), st.integers(0, 6)),
)
def test_max_unpooling_is_refused_where_torch_refuses_it_or_two_values_want_one_place(
    shape: tuple[int, int, int],
    indices: list[int],
    kernel_size: Pair,
    stride: Pair | None,
    padding: Pair,
    output_size: tuple[int, int] | None,
) -> None:
    arguments = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "output_size": output_size}
    x, places = np.ones(shape), np.reshape(indices[: np.prod(shape)], shape)
    theirs = torch_makes(F.max_unpool2d, torch.from_numpy(x), torch.from_numpy(places), **arguments)
    apart = all(len(np.unique(plane)) == plane.size for plane in places)
    assert fits(max_unpool2d, x, places, **arguments) is (theirs is not None and apart)


@pytest.mark.parametrize(
    ("name", "value", "least"), [("kernel_size", 0, 1), ("stride", (0, 2), 1), ("padding", (0, -1), 0)]
)
def test_no_pooling_is_undone_that_cannot_be(name: str, value: Pair, least: int) -> None:
    arguments: dict[str, Any] = {"kernel_size": 2, name: value}
    with pytest.raises(OperationError, match=f"{name} is .* expected at least {least}"):
        max_unpool2d([[4, 8]], np.array([[0, 1]]), **arguments)


@settings(max_examples=200, deadline=None)
@given(x=planes(), factor=pairs(-1, 3))
def test_a_bed_of_nails_is_refused_just_where_torch_refuses_it(x: Array, factor: Pair) -> None:
    theirs = torch_makes(torch_bed_of_nails, torch.from_numpy(x.reshape(1, -1, *x.shape[-2:])), factor)
    assert fits(bed_of_nails, x, factor) is (theirs is not None)


@settings(max_examples=400, deadline=None)
@given(
    axis=st.integers(0, 1),
    side=st.integers(1, 4),
    kernel=st.integers(2, 8),
    stride=st.integers(1, 3),
    padding=st.integers(0, 5),
    ceil_mode=st.booleans(),
)
def test_what_a_refused_pooling_says_would_fit_does_and_nothing_beyond_it(
    axis: int, side: int, kernel: int, stride: int, padding: int, ceil_mode: bool
) -> None:
    def pools(side: int = side, kernel: int = kernel, padding: int = padding) -> bool:
        x, window = np.ones(along(axis, side, 3)), along(axis, kernel, 2)
        arguments = {"stride": along(axis, stride, 1), "padding": along(axis, padding, 0), "ceil_mode": ceil_mode}
        ways = [fits(pool, x, window, **arguments) for pool in (avg_pool2d, max_pool2d)]
        assert len(set(ways)) == 1
        if not ways[0]:
            messages.append(refusal(avg_pool2d, x, window, **arguments))
        return ways[0]

    messages: list[str] = []
    if pools():
        return
    message = messages[0]
    windows = numbers_in(r"a window from (\d+) to (\d+)", message)
    paddings = numbers_in(r"padding from (\d+) to (\d+)", message)
    inputs = numbers_in(r"an input of at least (\d+)(?: with padding (\d+))?", message)
    assert windows or paddings or inputs
    assert [number for number in range(1, 20) if pools(kernel=number)] == between(windows)
    assert [number for number in range(20) if pools(padding=number)] == between(paddings)
    if inputs:
        least, *rest = inputs
        assert [number for number in range(1, 20) if pools(number, padding=[*rest, padding][0])] == [*range(least, 20)]


@settings(max_examples=200, deadline=None)
@given(
    side=st.integers(1, 3), kernel=st.integers(1, 3), stride=st.integers(1, 3), wanted=st.integers(1, 20) | st.just(99)
)
def test_the_output_sizes_a_refused_max_unpooling_says_would_fit_are_all_that_do(
    side: int, kernel: int, stride: int, wanted: int
) -> None:
    x, indices = np.ones((1, side)), np.arange(side)[None]

    def unpools(size: int) -> bool:
        # No index lies outside, however small the output.
        rows = kernel + side
        return fits(max_unpool2d, x, indices, (rows, kernel), stride=(side + 1, stride), output_size=(rows, size))

    if unpools(wanted):
        return
    arguments = {"stride": (side + 1, stride), "output_size": (kernel + side, wanted)}
    message = refusal(max_unpool2d, x, indices, (kernel + side, kernel), **arguments)
    assert [size for size in range(20) if unpools(size)] == between(numbers_in(r"What fits: (\d+) to (\d+)", message))


@pytest.mark.parametrize(("kernel", "padding"), [(1, 1), (2, 3), (3, 4)])
def test_the_padding_a_refused_max_unpooling_says_would_fit_does_and_no_more(kernel: int, padding: int) -> None:
    message = refusal(max_unpool2d, [[5.0]], np.array([[0]]), kernel, padding=padding)
    (most,) = numbers_in(r"padding from 0 to (\d+)", message)
    assert fits(max_unpool2d, [[5.0]], np.array([[0]]), kernel, padding=most)
    assert not fits(max_unpool2d, [[5.0]], np.array([[0]]), kernel, padding=most + 1)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([[0, 1, 2]], "shape (1, 1, 3), expected whole numbers of shape (1, 1, 2)"),
        ([0, 1], "shape (2,), expected"),
        ([[0.0, 1.0]], "The indices are float64"),
        ([[0, 8]], "An index of 8 lies outside the output of 2x4 cells"),
        ([[-1, 0]], "An index of -1 lies outside"),
        ([[3, 3]], "two values want one place"),
    ],
)
def test_indices_that_do_not_belong_to_the_input_are_refused(indices: list[Any], message: str) -> None:
    with pytest.raises(OperationError, match=re.escape(message)):
        max_unpool2d([[4, 8]], np.array(indices), 2)


def test_of_equal_values_the_first_in_reading_order_wins() -> None:
    pooled = max_pool2d([[1, 3, 2], [3, 3, 2], [0, 2, 2]], 2, stride=1)
    assert max_indices(pooled).tolist() == [[[1, 1], [3, 4]]]
    assert pooled.backward([[1, 10], [100, 1000]]).result.tolist() == [[[0, 11, 0], [100, 1000, 0], [0, 0, 0]]]


def test_padding_never_wins_a_max_pooling() -> None:
    assert max_pool2d([[-3, -5]], 2, padding=1).result.tolist() == [[[-3, -5]]]


def test_poolings_come_to_what_is_printed_elsewhere() -> None:
    # Zhang et al., Dive into Deep Learning, section 7.5.
    nine = np.arange(9).reshape(3, 3)
    assert max_pool2d(nine, 2, stride=1).result.tolist() == [[[4, 5], [7, 8]]]
    assert avg_pool2d(nine, 2, stride=1).result.tolist() == [[[2, 3], [5, 6]]]
    # The example in the documentation of torch.nn.MaxUnpool2d.
    restored = max_pool_unpool(np.arange(1, 17).reshape(4, 4), 2)
    assert restored.result.tolist() == [[[0, 0, 0, 0], [0, 6, 0, 8], [0, 0, 0, 0], [0, 14, 0, 16]]]


def test_whether_padding_counts_in_a_mean_is_a_choice() -> None:
    counted = avg_pool2d([[8, 4], [2, 2]], 2, padding=1)
    assert counted.result.tolist() == [[[2, 1], [0.5, 0.5]]]
    assert avg_pool2d([[8, 4], [2, 2]], 2, padding=1, count_include_pad=False).result.tolist() == [[[8, 4], [2, 2]]]
