"""The measures agree with their closed forms, with torch, and with published numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy
from skimage.metrics import structural_similarity

from aecore.data import load_dataset
from aecore.metrics import (
    ACTIVE_VARIANCE,
    active_units,
    mse,
    perplexity,
    psnr_of_mse,
    squared_error_per_image,
    ssim,
    ssim_per_image,
)

pytestmark = pytest.mark.usefixtures("one_thread")


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


def noisy(clean: torch.Tensor, strength: float, seed: int = 0) -> torch.Tensor:
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    return (clean + strength * noise).clamp(0, 1)


def real_images(name: str, count: int) -> torch.Tensor:
    return load_dataset(name).test[:count].float() / 255


def scikit_images(reconstruction: torch.Tensor, target: torch.Tensor) -> list[float]:
    """scikit-image leaves out a border of half a window (11x11 with these settings), so it keeps what lies inside."""
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    pairs = zip(reconstruction.double().numpy(), target.double().numpy(), strict=True)
    return [structural_similarity(a, b, channel_axis=0, **options) for a, b in pairs]


def window_by_window(a: np.ndarray, b: np.ndarray, size: int) -> float:
    """The formula of the paper for each channel and window of one image, with deviations from the mean."""
    distances = np.arange(size) - (size - 1) / 2
    weights = np.exp(-(distances[:, None] ** 2 + distances**2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for channel, top, left in np.ndindex(a.shape[0], a.shape[1] - size + 1, a.shape[2] - size + 1):
        x, y = (image[channel, top : top + size, left : left + size] for image in (a, b))
        mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
        dx, dy = x - mean_x, y - mean_y
        brightness = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
        structure = (2 * (weights * dx * dy).sum() + 0.03**2) / ((weights * (dx**2 + dy**2)).sum() + 0.03**2)
        values.append(brightness * structure)
    return float(np.mean(values))


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (2, 11, 11), (3, 12, 25)])
def test_ssim_of_random_images_is_scikit_images(shape: tuple[int, ...]) -> None:
    a, b = torch.rand((2, 6, *shape), generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(ssim_per_image(a, b), scikit_images(a, b), rtol=0, atol=1e-6)


@pytest.mark.parametrize("strength", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("name", ["shapes", "digits"])
def test_ssim_of_noisy_images_is_scikit_images(name: str, strength: float) -> None:
    clean = real_images(name, 20)
    dirty = noisy(clean, strength)
    expected = scikit_images(dirty, clean)
    assert max(expected) - min(expected) > 0.01  # the images are told apart
    np.testing.assert_allclose(ssim_per_image(dirty, clean), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("grey", [0.05, 0.5, 0.95])
def test_ssim_of_nearly_flat_images_is_scikit_images(grey: float) -> None:
    # in float32 the variances, of the order of 1e-6 to 1e-4, would drown in the rounding of their squares
    flat = torch.full((4, 3, 24, 24), grey)
    strengths = torch.tensor([0.001, 0.003, 0.005, 0.01]).view(4, 1, 1, 1)
    a, b = (flat + strengths * torch.randn(flat.shape, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    np.testing.assert_allclose(ssim_per_image(a, b), scikit_images(a, b), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        # the largest window of odd size that fits, 11 at most
        (8, 8, 7),
        (9, 13, 9),
        (13, 10, 9),
        (5, 40, 5),
        (2, 6, 1),
        (1, 1, 1),
        (11, 12, 11),
        (14, 13, 11),
    ],
)
def test_ssim_of_small_images_is_the_papers_formula(height: int, width: int, size: int) -> None:
    b = torch.rand((3, 2, height, width), generator=torch.Generator().manual_seed(0))
    a = noisy(b, 0.2)
    expected = [window_by_window(x, y, size) for x, y in zip(a.double().numpy(), b.double().numpy(), strict=True)]
    np.testing.assert_allclose(ssim_per_image(a, b), expected, rtol=0, atol=1e-6)


def test_the_two_oracles_agree() -> None:
    b = real_images("shapes", 2)
    a = noisy(b, 0.1)
    expected = [window_by_window(x, y, 11) for x, y in zip(a.double().numpy(), b.double().numpy(), strict=True)]
    np.testing.assert_allclose(scikit_images(a, b), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (0.2, 0.4), (0.5, 0.5), (0.9, 0.1)])
def test_ssim_of_flat_images_is_that_of_their_brightness(a: float, b: float) -> None:
    expected = (2 * a * b + 1e-4) / (a * a + b * b + 1e-4)
    assert ssim(torch.full((1, 3, 16, 16), a), torch.full((1, 3, 16, 16), b)) == pytest.approx(expected, abs=1e-6)


def test_equal_images_have_a_similarity_of_one() -> None:
    for same in (images(3, 0), real_images("shapes", 20), real_images("digits8", 20), torch.full((2, 1, 20, 20), 0.3)):
        np.testing.assert_allclose(ssim_per_image(same, same.clone()), 1, rtol=0, atol=1e-9)
        np.testing.assert_allclose(ssim_per_image(same.double(), same.double()), 1, rtol=0, atol=1e-9)
        assert ssim(same, same.clone()) == pytest.approx(1, abs=1e-9)


def test_the_similarity_of_each_image_is_its_own() -> None:
    # more images than are worked on at a time
    a, b = images(250, 0), noisy(images(250, 0), 0.1)
    together = ssim_per_image(a, b)
    assert together.shape == (250,)
    np.testing.assert_allclose(together, [ssim(x[None], y[None]) for x, y in zip(a, b, strict=True)], atol=1e-6)
    np.testing.assert_allclose(ssim_per_image(a.flip(0), b.flip(0)), together.flip(0), atol=1e-6)
    assert ssim(a, b) == pytest.approx(together.double().mean().item(), abs=1e-9)


def test_ssim_runs_where_training_measures() -> None:
    with torch.inference_mode():
        a, b = images(3, 0), images(3, 1)
        values = ssim_per_image(a, b)
    assert values.dtype == torch.float32
    assert not values.requires_grad


@settings(max_examples=100, deadline=None)
@given(
    sides=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    channels=st.integers(1, 3),
    seed=st.integers(0, 999),
    mix=st.floats(0, 1),
    hard=st.booleans(),
)
def test_ssim_is_symmetric_and_never_above_one(
    sides: tuple[int, int], channels: int, seed: int, mix: float, hard: bool
) -> None:
    a, b = torch.rand((2, 2, channels, *sides), generator=torch.Generator().manual_seed(seed))
    if hard:
        a, b = a.round(), b.round()
    b = mix * a + (1 - mix) * b
    values = ssim_per_image(a, b)
    assert values.max() <= 1
    assert values.min() >= -1
    np.testing.assert_allclose(ssim_per_image(b, a), values, rtol=0, atol=1e-7)


def test_more_noise_is_less_similar() -> None:
    clean = real_images("shapes", 20)
    similarities = [ssim(noisy(clean, strength), clean) for strength in (0, 0.02, 0.05, 0.1, 0.2, 0.5)]
    assert similarities == sorted(similarities, reverse=True)
    assert similarities[0] == pytest.approx(1)
    assert similarities[-1] < 0.3


# -- codes -------------------------------------------------------------------------------------------------------


def test_active_units_are_those_whose_variance_numpy_finds_large_enough() -> None:
    spreads = torch.logspace(-3, 1, 24)
    means = spreads * torch.randn((200, 24), generator=torch.Generator().manual_seed(0)) + torch.arange(24)
    expected = np.var(means.double().numpy(), axis=0, ddof=1) > ACTIVE_VARIANCE
    assert active_units(means).tolist() == expected.tolist()
    assert 0 < expected.sum() < 24


def test_a_unit_far_from_zero_is_not_active_for_that() -> None:
    # in float32 the mean of squares less the square of the mean would be off by more than the limit
    still = 5000 + 1e-3 * torch.randn((1000, 1), generator=torch.Generator().manual_seed(0))
    assert active_units(still).tolist() == [False]
    assert active_units(torch.tensor([[5000.0], [5000.5]])).tolist() == [True]


def test_the_limit_of_activity_is_that_of_the_source() -> None:
    assert ACTIVE_VARIANCE == 0.01
    for variance, active in ((0.0099, False), (0.0101, True)):
        deviation = math.sqrt(variance / 2)  # of two values, either side of their mean, with variance 2 d^2
        assert active_units(torch.tensor([[-deviation], [deviation]])).tolist() == [active]


@pytest.mark.parametrize(("parts", "words"), [(1, 2), (3, 7), (16, 64)])
def test_perplexity_is_that_of_scipys_entropy(parts: int, words: int) -> None:
    chance = torch.Generator().manual_seed(words)
    chosen = (words * torch.rand((500, parts), generator=chance) ** 2).long()
    shares = [np.bincount(column, minlength=words) / 500 for column in chosen.T.numpy()]
    assert perplexity(chosen, words) == pytest.approx(np.mean([np.exp(entropy(share)) for share in shares]))


@pytest.mark.parametrize("words", [2, 8, 100])
def test_perplexity_is_how_many_words_are_in_use(words: int) -> None:
    everyone = torch.arange(words).repeat(3)[:, None]
    assert perplexity(everyone, words) == pytest.approx(words)
    assert perplexity(everyone, 5 * words) == pytest.approx(words), "those never used do not count"
    assert perplexity(torch.full((30, 1), words - 1), words) == 1
    assert perplexity(torch.cat([everyone, torch.zeros_like(everyone)], dim=1), words) == pytest.approx((words + 1) / 2)


def test_perplexity_of_a_biased_coin_is_its_closed_form() -> None:
    chosen = torch.tensor([0] * 9 + [1])[:, None]
    assert perplexity(chosen, 2) == pytest.approx(1 / (0.9**0.9 * 0.1**0.1))


def test_perplexity_of_the_largest_code_needs_little_memory() -> None:
    # one number for each image, part and word would be 20 GB
    chosen = torch.arange(1024).repeat(10)[:10_000, None].expand(10_000, 256)
    assert perplexity(chosen, 1024) == pytest.approx(1024, rel=1e-3)
