"""The identities between operations hold for every setting, and their proof would notice if they did not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_settings import SEEDS, Array, Case, assert_close, convolutions, planes, values

from aecore.errors import OperationError
from aecore.ops import conv2d, conv_transpose2d, identities
from aecore.ops.identities import (
    Identity,
    fold_nearest,
    gradient_is_transposed,
    matrices_are_transposed,
    nearest_is_transposed,
    phase_sums,
)

pytestmark = pytest.mark.usefixtures("one_thread")

EXAMPLES = settings(max_examples=200, deadline=None)


@st.composite
def square_convolutions(draw: st.DrawFn) -> tuple[Array, Array, int, int]:
    """Input, kernel, factor and padding of a nearest-neighbour upsampling followed by a convolution."""
    channels, outputs, side = draw(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 5)))
    factor, padding = draw(st.integers(2, 4)), draw(st.integers(0, side - 1))
    least = max(1, -(-(side - 2 * padding) // factor))
    x = draw(planes((least, least), more=3, channels=channels))
    return x, draw(values((outputs, channels, side, side))), factor, padding


@EXAMPLES
@given(case=convolutions(), seed=SEEDS)
def test_the_gradient_of_a_convolution_is_a_transposed_convolution_and_torchs_gradient(case: Case, seed: int) -> None:
    x, kernel = case.tensors()
    theirs = case.torch_result(x, kernel)
    gradient = np.random.default_rng(seed).standard_normal(theirs.shape)
    theirs.backward(torch.from_numpy(gradient))
    identity = gradient_is_transposed(*case.arrays, gradient, **case.arguments)
    assert identity.difference < 1e-12
    assert_close(identity.left, x.grad)
    assert_close(identity.right, x.grad)


@EXAMPLES
@given(convolutions())
def test_the_matrix_of_a_convolution_turned_over_is_that_of_the_transposed_one(case: Case) -> None:
    identity = matrices_are_transposed(*case.arrays, **case.arguments)
    assert identity.difference == 0
    x, kernel = case.tensors()
    jacobian = torch.autograd.functional.jacobian(lambda images: case.torch_result(images, kernel), x)
    assert_close(identity.right.T, jacobian.reshape(-1, x.numel()))


@EXAMPLES
@given(square_convolutions())
def test_nearest_neighbour_and_convolution_is_one_transposed_convolution(
    drawn: tuple[Array, Array, int, int],
) -> None:
    x, kernel, factor, padding = drawn
    identity = nearest_is_transposed(x, kernel, factor=factor, padding=padding)
    assert identity.difference < 1e-12
    images = torch.from_numpy(x.reshape(1, -1, *x.shape[-2:]))
    weights = torch.from_numpy(kernel.reshape((1,) * (4 - kernel.ndim) + kernel.shape))
    two = F.conv2d(F.interpolate(images, scale_factor=factor, mode="nearest"), weights, padding=padding)
    cut = kernel.shape[-1] - 1 - padding
    one = F.conv_transpose2d(images, torch.from_numpy(fold_nearest(kernel, factor)), stride=factor, padding=cut)
    assert_close(identity.left, two[0])
    assert_close(identity.right, one[0])
    assert_close(two[0].numpy(), one[0])


@EXAMPLES
@given(values((2, 3, 3, 3)))
def test_a_folded_3x3_kernel_is_4x4_and_sums_windows_of_2x2_of_the_turned_kernel(kernel: Array) -> None:
    folded = fold_nearest(kernel)
    assert folded.shape == (3, 2, 4, 4)
    for c, o, row, column in np.ndindex(folded.shape):
        window = [
            kernel[o, c, 2 - a, 2 - b]
            for a in (row - 1, row)
            for b in (column - 1, column)
            if a in range(3) and b in range(3)
        ]
        assert folded[c, o, row, column] == pytest.approx(sum(window), abs=1e-12)


def test_a_folded_kernel_by_hand() -> None:
    assert fold_nearest([[1, 2, 3], [4, 5, 6], [7, 8, 9]])[0, 0].tolist() == [
        [9, 17, 15, 7],
        [15, 28, 24, 11],
        [9, 16, 12, 5],
        [3, 5, 3, 1],
    ]
    assert fold_nearest([[7]], 3)[0, 0].tolist() == 3 * [[7, 7, 7]]


@EXAMPLES
@given(square_convolutions())
def test_every_phase_of_a_folded_kernel_sums_to_the_whole_kernel(drawn: tuple[Array, Array, int, int]) -> None:
    _, kernel, factor, _ = drawn
    whole = kernel.reshape((1,) * (4 - kernel.ndim) + kernel.shape).sum(axis=(1, 2, 3))
    sums = phase_sums(fold_nearest(kernel, factor), factor)
    assert sums.shape == (len(whole), factor, factor)
    np.testing.assert_allclose(sums, np.broadcast_to(whole[:, None, None], sums.shape), atol=1e-12)


@EXAMPLES
@given(kernel=values((2, 2, 5, 4)), stride=st.integers(1, 4))
def test_phase_sums_are_what_torch_makes_of_a_flat_input_away_from_the_edges(kernel: Array, stride: int) -> None:
    flat = torch.ones(1, 2, 12, 12, dtype=torch.float64)
    inner = F.conv_transpose2d(flat, torch.from_numpy(kernel), stride=stride)[0, :, 4 * stride :, 4 * stride :]
    assert_close(phase_sums(kernel, stride), inner[:, :stride, :stride])


def test_phase_sums_of_a_3x3_kernel_are_uneven() -> None:
    assert phase_sums(np.ones((1, 1, 3, 3)), 2).tolist() == [[[4, 2], [2, 1]]]
    assert phase_sums(np.ones((5, 1, 2, 2)), 2).tolist() == [[[5, 5], [5, 5]]]


def test_the_difference_is_the_largest_in_either_direction() -> None:
    zeros = np.zeros((1, 2, 2))
    assert Identity(zeros, zeros).difference == 0
    assert Identity(zeros, np.array([[[1, -3], [2, 0]]])).difference == 3
    assert Identity(np.array([[[1, 4], [2, 0]]]), zeros).difference == 4


X = np.random.default_rng(1).standard_normal((2, 4, 5))
KERNEL = np.random.default_rng(2).standard_normal((3, 2, 3, 3))
DAMAGE: dict[str, Callable[[Array], Array]] = {
    "negated": lambda kernel: -kernel,
    "turned": lambda kernel: kernel[:, :, ::-1, ::-1],
    "shifted": lambda kernel: np.roll(kernel, 1, axis=2),
    "rows for columns": lambda kernel: kernel.swapaxes(2, 3),
    "a single value": lambda kernel: kernel + 0.1 * np.eye(kernel.size)[7].reshape(kernel.shape),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_wrong_kernel_on_one_side_makes_a_difference(
    damage: Callable[[Array], Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    gradient = np.ones((3, 4, 5))
    gradient[0, 1, 2] = 5

    def differences() -> list[float]:
        return [
            gradient_is_transposed(X, KERNEL, gradient, padding=1).difference,
            matrices_are_transposed(X, KERNEL, padding=1).difference,
            nearest_is_transposed(X, KERNEL).difference,
        ]

    assert max(differences()) < 1e-12
    right = identities.conv_transpose2d
    monkeypatch.setattr(identities, "conv_transpose2d", lambda x, kernel, **rest: right(x, damage(kernel), **rest))
    assert min(differences()) > 0.01


def test_a_transposed_convolution_of_other_stride_or_padding_is_not_the_gradient() -> None:
    back = conv2d(X, KERNEL, padding=1).backward(np.ones((3, 4, 5)))
    other = conv_transpose2d(np.ones((3, 6, 7)), KERNEL, padding=2)
    assert Identity(back.result, other.result).difference > 0.01


def test_what_has_no_equal_transposed_convolution_is_refused() -> None:
    with pytest.raises(OperationError, match=r"What fits: padding from 0 to 2\."):
        nearest_is_transposed(X, KERNEL, padding=3)
    assert nearest_is_transposed(X, KERNEL, padding=2).difference < 1e-12
    with pytest.raises(OperationError, match="The kernel is 3x2, expected a square one"):
        nearest_is_transposed(X, KERNEL[..., :2])
    with pytest.raises(OperationError):
        nearest_is_transposed(X, KERNEL[0])
    with pytest.raises(OperationError):
        gradient_is_transposed(X, KERNEL, np.ones((3, 4, 5)))
