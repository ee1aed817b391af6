"""A trace is complete: its steps, its matrix, its overlap map and its receptive fields all tell of one operation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from ops_settings import CASES, SEEDS, Array, Case, assert_close

from aecore.errors import OperationError
from aecore.ops import (
    Stage,
    Trace,
    avg_pool2d,
    bed_of_nails,
    conv2d,
    conv_transpose2d,
    max_indices,
    max_pool2d,
    max_pool_unpool,
    pixel_shuffle,
    resize_conv2d,
    upsample_bilinear,
    upsample_nearest,
)

pytestmark = pytest.mark.usefixtures("one_thread")

ANY = st.one_of(list(CASES.values()))
EXAMPLES = settings(max_examples=200, deadline=None)


def gradient_for(trace: Trace) -> Array:
    return np.random.default_rng(1).standard_normal(trace.result.shape)


def at(array: NDArray[np.float64], cell: tuple[int, ...]) -> float:
    """Value of a cell, 0 outside."""
    there = all(0 <= place < side for place, side in zip(cell, array.shape, strict=True))
    return float(array[cell]) if there else 0.0


def assert_complete(trace: Trace) -> None:
    """Every stage's products, added where their steps say, are its result; and every step is consistent."""
    for index, stage in enumerate(trace.stages):
        steps = [step for step in trace.steps if step.stage == index]
        assert [step.cell for step in steps] == list(np.ndindex(stage.out_shape if stage.gathers else stage.x.shape))
        sums = np.zeros(stage.out_shape)
        for step in steps:
            assert step.gathers is stage.gathers
            for term in step.terms:
                assert (term.target if step.gathers else term.source) == step.cell
                assert term.product == term.weight * term.value * term.kernel_value
                assert term.value == at(stage.x, term.source)
                if stage.kernel is None:
                    assert (term.tap, term.kernel_value) == (None, 1)
                else:
                    assert term.tap is not None
                    assert term.kernel_value == stage.kernel[term.tap]
                if all(0 <= place < side for place, side in zip(term.target, stage.out_shape, strict=True)):
                    sums[term.target] += term.product
        assert_close(stage.result, sums)
        if index:
            np.testing.assert_array_equal(stage.x, trace.stages[index - 1].result)
    assert sum(len(step.terms) for step in trace.steps) == sum(len(stage.weight) for stage in trace.stages)


@EXAMPLES
@given(ANY)
def test_the_steps_of_an_operation_are_complete(case: Case) -> None:
    trace = case.trace()
    assert_complete(trace)
    for own, given_array in zip((trace.x, trace.kernel), (*case.tensors(), None), strict=False):
        if given_array is None:
            assert own is None
        else:
            assert_close(own, given_array)


@settings(max_examples=100, deadline=None)
@given(ANY)
def test_the_steps_of_a_gradient_are_complete(case: Case) -> None:
    trace = case.trace()
    assert_complete(trace.backward(gradient_for(trace)))


def test_a_step_holds_as_many_products_as_cells_meet() -> None:
    x, kernel, turned = np.ones((2, 4, 5)), np.ones((3, 2, 2, 3)), np.ones((2, 3, 2, 3))
    for trace, steps, terms in (
        (conv2d(x, kernel, padding=1), 3 * 5 * 5, 2 * 2 * 3),
        (conv_transpose2d(x, turned, stride=2), 2 * 4 * 5, 3 * 2 * 3),
        (max_pool2d(x, 2), 2 * 2 * 2, 2 * 2),
        (avg_pool2d(x, 3, stride=1), 2 * 2 * 3, 3 * 3),
        (bed_of_nails(x), 2 * 4 * 5, 1),
        (upsample_nearest(x, 3), 2 * 4 * 5, 3 * 3),
        (pixel_shuffle(np.ones((8, 2, 2))), 8 * 2 * 2, 1),
    ):
        assert [len(step.terms) for step in trace.steps] == steps * [terms]


def test_bilinear_upsampling_reads_one_two_or_four_cells() -> None:
    assert [len(step.terms) for step in upsample_bilinear([[1, 2]], (1, 2)).steps] == [1, 2, 2, 1]
    counts = [len(step.terms) for step in upsample_bilinear([[1, 2], [3, 4]], 2).steps]
    assert counts == [1, 2, 2, 1, 2, 4, 4, 2, 2, 4, 4, 2, 1, 2, 2, 1]


def test_the_steps_of_a_chain_come_stage_by_stage() -> None:
    trace = resize_conv2d([[1, 2], [3, 4]], np.ones((3, 3)), padding=1)
    assert [step.stage for step in trace.steps] == 4 * [0] + 16 * [1]
    assert [stage.name for stage in trace.stages] == ["nearest-neighbour upsampling", "convolution"]


@EXAMPLES
@given(ANY)
def test_the_matrix_does_what_the_operation_does_and_turned_over_what_its_gradient_does(case: Case) -> None:
    trace = case.trace()
    gradient, matrix = gradient_for(trace), trace.matrix()
    assert matrix.shape == (trace.result.size, trace.x.size)
    assert_close(matrix @ trace.x.ravel(), trace.result.ravel())
    back = trace.backward(gradient)
    assert_close(matrix.T @ gradient.ravel(), back.result.ravel())
    assert_close(back.matrix(), matrix.T)
    assert np.vdot(gradient, trace.result) == pytest.approx(np.vdot(back.result, trace.x), rel=1e-9, abs=1e-9)


@EXAMPLES
@given(st.one_of([cases for name, cases in CASES.items() if name != "max_pool_unpool"]))
def test_the_overlap_map_is_torchs_output_for_an_input_of_ones_and_a_kernel_of_ones(case: Case) -> None:
    ones = [torch.ones_like(array) for array in case.tensors()]
    assert_close(case.trace().overlap, case.torch_result(*ones))


@settings(max_examples=100, deadline=None)
@given(CASES["max_pool_unpool"])
def test_the_overlap_map_of_pooling_and_unpooling_is_1_where_the_maxima_were(case: Case) -> None:
    trace = case.trace()
    marked = np.zeros((trace.x.shape[0], math.prod(trace.x.shape[1:])))
    for plane, places in zip(marked, max_indices(Trace(trace.stages[:1])), strict=True):
        plane[places.ravel()] = 1
    assert_close(trace.overlap, marked.reshape(trace.x.shape))


@EXAMPLES
@given(case=st.one_of([cases for name, cases in CASES.items() if not name.startswith("max_pool")]), seed=SEEDS)
def test_a_receptive_field_is_where_torchs_gradient_of_one_output_cell_is_not_zero(case: Case, seed: int) -> None:
    trace = case.trace()
    positive = None if case.kernel is None else np.abs(case.kernel) + 0.5
    tensors = replace(case, kernel=positive).tensors()
    cell = np.unravel_index(np.random.default_rng(seed).integers(trace.result.size), trace.result.shape)
    case.torch_result(*tensors)[cell].backward()
    assert tensors[0].grad is not None
    channel, row, column = map(int, cell)
    seen = trace.receptive_field((channel, row, column))
    np.testing.assert_array_equal(seen, tensors[0].grad.numpy() > 1e-12)


@EXAMPLES
@given(case=CASES["max_pool2d"], seed=SEEDS)
def test_the_receptive_field_of_max_pooling_is_where_a_single_larger_value_changes_torchs_output(
    case: Case, seed: int
) -> None:
    trace = case.trace()
    singles = torch.eye(trace.x.size, dtype=torch.float64).reshape(-1, *trace.x.shape)
    cell = np.unravel_index(np.random.default_rng(seed).integers(trace.result.size), trace.result.shape)
    channel, row, column = map(int, cell)
    changed = case.theirs(singles, **case.arguments)[:, channel, row, column].reshape(trace.x.shape)
    np.testing.assert_array_equal(trace.receptive_field((channel, row, column)), changed.numpy() > 0)


@settings(max_examples=100, deadline=None)
@given(CASES["max_pool_unpool"])
def test_what_pooling_put_back_depends_on_the_window_it_came_from(case: Case) -> None:
    trace = case.trace()
    pooled = Trace(trace.stages[:1])
    for window, place in np.ndenumerate(max_indices(pooled)):
        cell = (window[0], *map(int, divmod(place, trace.x.shape[2])))
        np.testing.assert_array_equal(trace.receptive_field(cell), pooled.receptive_field(window))


def test_a_product_of_three_is_three_in_every_gradient() -> None:
    cells = np.array([[0, 0, 0], [0, 0, 1]])
    stage = Stage(
        name="two cells by one weight each, times one kernel value",
        x=np.array([[[2.0, 3.0]]]),
        kernel=np.array([[[[5.0]]]]),
        out_shape=(1, 1, 1),
        source=cells,
        tap=np.zeros((2, 4), dtype=np.int64),
        weight=np.array([0.5, 4.0]),
        target=np.zeros((2, 3), dtype=np.int64),
        gathers=True,
    )
    trace = Trace((stage,))
    assert_complete(trace)
    assert trace.result.tolist() == [[[0.5 * 2 * 5 + 4 * 3 * 5]]]
    assert trace.backward([[10]]).result.tolist() == [[[0.5 * 5 * 10, 4 * 5 * 10]]]
    collected = trace.kernel_gradient([[10]])
    assert collected is not None
    assert collected.tolist() == [[[[(0.5 * 2 + 4 * 3) * 10]]]]
    assert trace.matrix().tolist() == [[0.5 * 5, 4 * 5]]
    assert trace.overlap.tolist() == [[[4.5]]]


@pytest.mark.parametrize("cell", [(0, 2, 0), (0, 0, 2), (1, 0, 0), (-1, 0, 0), (0, -1, 0)])
def test_there_is_no_receptive_field_of_no_cell(cell: tuple[int, int, int]) -> None:
    with pytest.raises(OperationError, match=r"There is no output cell .*: the output is \(1, 2, 2\)"):
        conv2d(np.ones((3, 3)), np.ones((2, 2))).receptive_field(cell)


def test_the_matrix_of_a_convolution_is_the_one_a_textbook_prints() -> None:
    # Zhang et al., Dive into Deep Learning, section 14.10.3.
    assert conv2d(np.ones((3, 3)), [[1, 2], [3, 4]]).matrix().tolist() == [
        [1, 2, 0, 3, 4, 0, 0, 0, 0],
        [0, 1, 2, 0, 3, 4, 0, 0, 0],
        [0, 0, 0, 1, 2, 0, 3, 4, 0],
        [0, 0, 0, 0, 1, 2, 0, 3, 4],
    ]


def test_stamps_of_a_3x3_kernel_two_cells_apart_overlap_as_in_odena() -> None:
    trace = conv_transpose2d(np.random.default_rng(0).standard_normal((3, 3)), np.zeros((3, 3)), stride=2)
    row = [1, 1, 2, 1, 2, 1, 1]
    assert trace.overlap[0].tolist() == np.outer(row, row).tolist()


def test_the_padding_a_step_reads_has_its_own_cells_outside_the_plane() -> None:
    (step, *_) = conv2d([[5]], [[2, 3], [4, 7]], padding=1).steps
    assert [term.source for term in step.terms] == [(0, -1, -1), (0, -1, 0), (0, 0, -1), (0, 0, 0)]
    assert [term.product for term in step.terms] == [0, 0, 0, 35]
    assert [term.tap for term in step.terms] == [(0, 0, 0, 0), (0, 0, 0, 1), (0, 0, 1, 0), (0, 0, 1, 1)]


UNARY: list[Callable[..., Trace]] = [
    lambda x: conv2d(x, [[1]]),
    lambda x: conv_transpose2d(x, [[1]]),
    lambda x: max_pool2d(x, 1),
    lambda x: avg_pool2d(x, 1),
    lambda x: max_pool_unpool(x, 1),
    bed_of_nails,
    upsample_nearest,
    upsample_bilinear,
    lambda x: pixel_shuffle(x, 1),
    lambda x: resize_conv2d(x, [[1]]),
]

NO_PLANES: dict[str, Any] = {
    "a number": 3,
    "one row": [1, 2],
    "a batch": np.ones((1, 1, 2, 2)),
    "nothing": [],
    "no columns": [[]],
    "no channels": np.ones((0, 2, 2)),
    "ragged rows": [[1], [2, 3]],
    "words": [["one", "two"]],
    "a word": "one",
    "numbers in words": [["1", "2"]],
    "not a number": [[1, math.nan]],
    "infinite": [[1, -math.inf]],
    "None": [[None]],
    "complex": [[1j]],
    "too large to be a float": [[10**400]],
}


@pytest.mark.parametrize("operation", UNARY)
@pytest.mark.parametrize("values", NO_PLANES.values(), ids=NO_PLANES)
def test_what_is_no_plane_of_finite_numbers_is_refused(operation: Callable[..., Trace], values: Any) -> None:
    with pytest.raises(OperationError):
        operation(values)
    assert operation([[1, 2], [3, 4]]).result.size


@pytest.mark.parametrize("values", [value for name, value in NO_PLANES.items() if name != "a batch"])
@pytest.mark.parametrize("operation", [conv2d, conv_transpose2d, resize_conv2d])
def test_what_is_no_kernel_of_finite_numbers_is_refused(operation: Callable[..., Trace], values: Any) -> None:
    with pytest.raises(OperationError):
        operation(np.ones((3, 3)), values)
    with pytest.raises(OperationError):
        operation(np.ones((3, 3)), np.ones((1, 2, 2)))


def test_a_gradient_has_the_shape_of_the_output() -> None:
    trace = conv2d(np.ones((3, 3)), np.ones((2, 2)))
    assert trace.backward(np.ones((2, 2))).result.tolist() == trace.backward(np.ones((1, 2, 2))).result.tolist()
    for call in (trace.backward, trace.kernel_gradient):
        with pytest.raises(OperationError, match=r"shape \(1, 3, 3\), expected \(1, 2, 2\)"):
            call(np.ones((3, 3)))
        with pytest.raises(OperationError, match=r"shape \(1, 1, 4\), expected \(1, 2, 2\)"):
            call(np.ones((1, 4)))


def test_what_is_given_is_left_as_it_was() -> None:
    x, kernel = np.arange(9.0).reshape(1, 3, 3), np.arange(4.0).reshape(1, 1, 2, 2)
    trace = conv2d(x, kernel)
    assert trace.kernel_gradient(np.ones((2, 2))) is not None
    assert trace.steps
    assert x.ravel().tolist() == list(range(9))
    assert kernel.ravel().tolist() == list(range(4))
