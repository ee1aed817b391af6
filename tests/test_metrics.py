"""The measures agree with their closed forms, with torch, and with published numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from aecore.metrics import mse, psnr_of_mse, squared_error_per_image


def images(count: int, seed: int) -> torch.Tensor:
    return torch.rand((count, 3, 9, 13), generator=torch.Generator().manual_seed(seed))


def test_mse_is_torchs() -> None:
    ours, theirs = mse(images(5, 0), images(5, 1)), F.mse_loss(images(5, 0).double(), images(5, 1).double())
    assert ours == pytest.approx(theirs.item(), rel=1e-6)


def test_the_error_of_each_image_is_its_own() -> None:
    a, b = images(5, 0), images(5, 1)
    expected = np.square(a.numpy().astype(float) - b.numpy()).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(squared_error_per_image(a, b).numpy(), expected, rtol=1e-6)


def test_equal_images_have_no_error() -> None:
    assert mse(images(2, 0), images(2, 0)) == 0
    assert psnr_of_mse(0) == math.inf


def test_many_images_keep_their_precision() -> None:
    # 1e-8 is lost when it is added to 1 in float32
    reconstruction = torch.zeros(10_001, 1, 1, 1)
    reconstruction[0], reconstruction[1:] = 1.0, 1e-4
    assert mse(reconstruction, torch.zeros_like(reconstruction)) == pytest.approx((1 + 1e-4) / 10_001, rel=1e-6)


@pytest.mark.parametrize(
    ("grey_levels", "decibels"),
    [
        # PSNR of 8-bit images whose pixels are all off by so many grey levels: 20 log10(255 / difference)
        (1, 48.1308),
        (2, 42.1102),
        (5, 34.1514),
        (255, 0.0),
    ],
)
def test_psnr_of_a_known_difference(grey_levels: int, decibels: float) -> None:
    assert psnr_of_mse((grey_levels / 255) ** 2) == pytest.approx(decibels, abs=5e-5)


@pytest.mark.parametrize(
    ("mse_of_8_bits", "decibels"),
    [
        # Wikipedia, "Peak signal-to-noise ratio" and MATLAB's documentation of psnr use the same definition:
        # 10 log10(peak^2 / MSE). A mean squared error of 65.025 is a thousandth of the squared peak.
        (65.025, 30.0),
        (6.5025, 40.0),
    ],
)
def test_psnr_of_a_share_of_the_peak(mse_of_8_bits: float, decibels: float) -> None:
    assert psnr_of_mse(mse_of_8_bits / 255**2) == pytest.approx(decibels)


@given(st.lists(st.floats(1e-9, 1), min_size=1, max_size=20))
def test_psnr_of_the_mean_is_at_most_the_mean_of_psnrs(errors: list[float]) -> None:
    mean_of_psnrs = sum(map(psnr_of_mse, errors)) / len(errors)
    assert psnr_of_mse(sum(errors) / len(errors)) <= mean_of_psnrs + 1e-9
