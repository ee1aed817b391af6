"""The ready-made numbers are what their titles say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from aecore.data import load_dataset
from aecore.ops import conv_transpose2d, upsample_bilinear
from aecore.ops.presets import INPUTS, KERNELS

SIZES = range(1, 9)


@pytest.mark.parametrize("n", SIZES)
def test_kernels_do_to_flat_regions_what_they_should(n: int) -> None:
    """A blur and a copy keep them, edge and outline kernels see nothing in them."""
    assert KERNELS["blur"].make(n).sum() == pytest.approx(1)
    assert KERNELS["copy"].make(n).sum() == 1
    if n > 1:
        assert KERNELS["edge"].make(n).sum() == 0
        assert KERNELS["outline"].make(n).sum() == 0


def test_the_well_known_kernels_are_the_published_ones() -> None:
    assert KERNELS["edge"].make(3).tolist() == [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    assert (KERNELS["blur"].make(3) * 16).tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    assert KERNELS["outline"].make(3).tolist() == [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]


def test_a_tent_makes_a_transposed_convolution_interpolate() -> None:
    """Away from the edges, where torch's interpolation takes the nearest cell for missing ones."""
    x = np.random.default_rng(0).normal(size=(6, 6))
    stamped = conv_transpose2d(x, KERNELS["tent"].make(4), stride=2, padding=1).result[0]
    assert stamped[1:-1, 1:-1] == pytest.approx(upsample_bilinear(x).result[0][1:-1, 1:-1])
    torchs = functional.interpolate(torch.tensor(x)[None, None], scale_factor=2, mode="bilinear")[0, 0].numpy()
    assert stamped[1:-1, 1:-1] == pytest.approx(torchs[1:-1, 1:-1])


def test_checkerboards_alternate() -> None:
    board = INPUTS["checkerboard"].make(4)
    assert board[0].tolist() == [1, 0, 1, 0]
    assert (board + np.roll(board, 1, axis=0) == 1).all()
    assert KERNELS["checkerboard"].make(3).tolist() == [[1, -1, 1], [-1, 1, -1], [1, -1, 1]]


def test_the_digit_is_one_of_the_digits() -> None:
    whole = INPUTS["digit"].make(8)
    assert whole.min() == 0
    assert whole.max() == 16
    images = load_dataset("digits8").test[:, 0].numpy()
    assert any((np.rint(image / 255 * 16) == whole).all() for image in images)
    assert (INPUTS["digit"].make(4) == whole[2:6, 2:6]).all(), "a patch from its middle"
    for side in range(9, 49):
        large = INPUTS["digit"].make(side)
        assert large.shape == (side, side), "as a gradient of a large output: on empty paper"
        assert large.sum() == whole.sum()


@pytest.mark.parametrize("n", SIZES)
def test_random_numbers_are_the_same_every_time(n: int) -> None:
    for presets in (INPUTS, KERNELS):
        assert (presets["random"].make(n) == presets["random"].make(n)).all()
