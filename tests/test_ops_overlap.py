"""How evenly stamps overlap and how far a cell sees, as traces and torch have it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_settings import AXES, Pair, both, pairs

from aecore.ops import avg_pool2d, conv_transpose2d, resize_conv2d, subpixel_conv2d
from aecore.ops.overlap import central_period, evenness, receptive_field_side, stamps_per_phase

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(("kernel", "ratio"), [(2, 1), (3, 4), (4, 1), (5, 2.25)])
def test_a_kernel_overlaps_evenly_at_stride_2_if_2_divides_it(kernel: int, ratio: float) -> None:
    assert evenness(stamps_per_phase(kernel, stride=2)) == ratio


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "counts"),
    [
        (3, 2, 1, [[4, 2], [2, 1]]),
        ((3, 4), (2, 2), 1, [[4, 4], [2, 2]]),
        (3, 2, 2, [[9, 0], [0, 0]]),
        ((2, 1), (1, 3), 1, [[2, 0, 0]]),
    ],
)
def test_stamps_are_counted_by_row_and_by_column(
    kernel: Pair, stride: Pair, dilation: Pair, counts: list[list[int]]
) -> None:
    assert stamps_per_phase(kernel, stride, dilation).tolist() == counts


@settings(max_examples=200, deadline=None)
@given(kernel=pairs(1, 6), stride=pairs(1, 4), dilation=pairs(1, 3), padding=pairs(0, 3), more=st.integers(0, 2))
def test_away_from_the_edges_a_real_trace_overlaps_as_the_phases_say(
    kernel: Pair, stride: Pair, dilation: Pair, padding: Pair, more: int
) -> None:
    k, s, d, p = both(kernel), both(stride), both(dilation), both(padding)
    spans = [d[axis] * (k[axis] - 1) + 1 for axis in AXES]
    # Before the span is over, and after the last input has been stamped, some stamps are missing.
    inputs = [math.ceil((spans[axis] + 2 * s[axis] + 2 * p[axis]) / s[axis]) + more for axis in AXES]
    trace = conv_transpose2d(np.ones(inputs), np.ones(k), stride=stride, padding=padding, dilation=dilation)
    inside = [np.arange(max(spans[axis] - 1, p[axis]), (inputs[axis] - 1) * s[axis] + 1 - p[axis]) for axis in AXES]
    assert all(len(inside[axis]) >= s[axis] for axis in AXES)
    rows, columns = np.ix_(*inside)
    phases = stamps_per_phase(kernel, stride, dilation)
    seen = trace.overlap[0, rows - p[0], columns - p[1]]
    np.testing.assert_array_equal(seen, phases[rows % s[0], columns % s[1]])


@settings(max_examples=200, deadline=None)
@given(kernel=st.integers(1, 5), stride=st.integers(1, 4), padding=st.integers(0, 1), side=st.integers(8, 10))
def test_the_central_period_of_a_map_holds_every_phase_once(kernel: int, stride: int, padding: int, side: int) -> None:
    overlap = conv_transpose2d(
        np.ones((side, side)), np.ones((kernel, kernel)), stride=stride, padding=min(padding, (kernel - 1) // 2)
    ).overlap
    central, phases = central_period(overlap, stride), stamps_per_phase(kernel, stride)
    assert central.shape == (1, stride, stride)
    assert sorted(central.ravel()) == sorted(phases.ravel())
    assert evenness(central) == evenness(phases)


def test_the_central_period_is_the_middle() -> None:
    overlap = np.arange(35.0).reshape(1, 5, 7)
    assert central_period(overlap, 1).tolist() == [[[17]]]
    assert central_period(overlap, (3, 1)).tolist() == [[[10], [17], [24]]]
    assert central_period(overlap, (2, 4)).tolist() == [[[8, 9, 10, 11], [15, 16, 17, 18]]]


@settings(max_examples=100, deadline=None)
@given(kernel=st.integers(1, 4), gap=st.integers(1, 3))
def test_a_kernel_smaller_than_the_stride_leaves_cells_that_are_never_written_to(kernel: int, gap: int) -> None:
    assert evenness(stamps_per_phase(kernel, kernel + gap)) == math.inf
    assert evenness(stamps_per_phase(kernel, kernel)) == 1


def test_a_map_of_nothing_but_zeros_is_not_even() -> None:
    assert evenness(np.zeros((1, 2, 2))) == math.inf


def test_what_replaces_a_transposed_convolution_overlaps_evenly() -> None:
    flat, kernel = np.ones((8, 8)), np.ones((3, 3))
    for trace in (
        resize_conv2d(flat, kernel, padding=1),
        resize_conv2d(flat, kernel, padding=1, mode="bilinear"),
        subpixel_conv2d(flat, np.ones((4, 1, 3, 3)), padding=1),
        avg_pool2d(flat, 3, stride=1),
    ):
        assert evenness(central_period(trace.overlap, 2)) == pytest.approx(1, abs=1e-12)
    assert evenness(central_period(conv_transpose2d(flat, kernel, stride=2).overlap, 2)) == 4


LAYERS = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=4)


@settings(max_examples=200, deadline=None)
@given(LAYERS)
def test_a_receptive_field_is_as_long_as_torchs_gradient_of_one_cell(layers: list[tuple[int, int, int]]) -> None:
    side = 3
    for kernel, stride, dilation in reversed(layers):
        side = (side - 1) * stride + dilation * (kernel - 1) + 1
    row = torch.zeros(1, 1, side, dtype=torch.float64, requires_grad=True)
    result = row
    for kernel, stride, dilation in layers:
        result = F.conv1d(result, torch.ones(1, 1, kernel, dtype=torch.float64), None, stride, 0, dilation)
    assert result.shape == (1, 1, 3)
    result[0, 0, 1].backward()
    assert row.grad is not None
    seen = row.grad[0, 0].nonzero().ravel()
    assert receptive_field_side(layers) == int(seen[-1] - seen[0]) + 1


def test_receptive_fields_of_well_known_stacks() -> None:
    assert receptive_field_side([]) == 1
    assert receptive_field_side(3 * [(3, 1, 1)]) == 7  # Simonyan & Zisserman (2015): three 3x3 layers see 7x7
    assert receptive_field_side([(3, 1, 1), (3, 1, 2), (3, 1, 4)]) == 15  # Yu & Koltun (2016), figure 1
