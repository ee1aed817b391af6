"""Denoisers keep one contract, equal what scipy and scikit-image give, and are measured by the usual definitions."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import scipy.stats
import torch
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet
from torch import Tensor

from aecore.analysis.denoising import (
    DENOISERS,
    MEASURES,
    SMALLEST_MSE,
    TUNED_ON,
    TUNING_SEED,
    Denoiser,
    Mean,
    Measured,
    curve_strengths,
    curves,
    denoising_curve,
    noisy_and_clean,
    psnr_per_image,
    scored,
    trained,
    tuned,
    typical_errors,
)
from aecore.data import ImageDataset, is_available, load_dataset
from aecore.data.image_dataset import to_unit
from aecore.errors import ConfigError
from aecore.metrics import squared_error_per_image, ssim_per_image
from aecore.models import ModelConfig, build_model
from aecore.noise import CORRUPTIONS, NoiseConfig, corrupt
from aecore.training import TrainConfig, train
from aecore.training.evaluation import BATCH, NOISE_SEED, reconstruct_unrounded, seen_and_meant

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPES = [(2, 1, 8, 8), (2, 3, 9, 13), (1, 1, 28, 28)]

Plane = NDArray[np.float32]


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture(params=DENOISERS)
def denoiser(request: pytest.FixtureRequest) -> Denoiser:
    return DENOISERS[request.param]


def smooth_images(shape: tuple[int, int, int, int], seed: int = 0) -> Tensor:
    """Blurred random numbers, stretched to [0, 1]: something a denoiser can find under noise."""
    x = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    generator = torch.Generator()
    blurred = corrupt(x, "gaussian_blur", 1.5, generator=generator, clip=False)
    low, high = blurred.amin((2, 3), keepdim=True), blurred.amax((2, 3), keepdim=True)
    return (blurred - low) / (high - low)


def noisy_images(
    shape: tuple[int, int, int, int], seed: int = 0, *, clip: bool = True, strength: float = 0.2
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return corrupt(smooth_images(shape, seed), "gaussian", strength, generator=generator, clip=clip)


def settings_of(denoiser: Denoiser) -> tuple[float, ...]:
    return denoiser.settings or (0.0,)


def middle_of(denoiser: Denoiser) -> float:
    return settings_of(denoiser)[len(settings_of(denoiser)) // 2]


# -- what every denoiser keeps to --------------------------------------------------------------------------------


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_noisy_images_become_images(denoiser: Denoiser, shape: tuple[int, int, int, int], clip: bool) -> None:
    x = noisy_images(shape, clip=clip, strength=0.5)
    before = x.clone()
    for setting in settings_of(denoiser):
        result = denoiser(x, setting)
        assert (result.shape, result.dtype) == (x.shape, torch.float32)
        assert result.min() >= 0
        assert result.max() <= 1
        assert torch.equal(x, before), "the noisy images were changed"
        assert torch.equal(denoiser(x, setting), result), "the same again"
        result.fill_(7)
        assert torch.equal(x, before), "the result shares memory with the images"


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", DENOISERS)
def test_flat_images_stay_as_they_are(name: str, shape: tuple[int, int, int, int]) -> None:
    for grey in (0.0, 0.3, 1.0):
        x = torch.full(shape, grey)
        for setting in settings_of(DENOISERS[name]):
            torch.testing.assert_close(DENOISERS[name](x, setting), x, rtol=0, atol=1e-5)


def test_black_stays_black_and_a_black_half_is_no_trouble(denoiser: Denoiser) -> None:
    black = torch.zeros(1, 1, 16, 16)
    half = noisy_images((1, 1, 16, 16))
    half[..., :8] = 0  # as in digits: much of the image has no noise at all once it is clipped
    for setting in settings_of(denoiser):
        assert torch.equal(denoiser(black, setting), black)
        assert denoiser(half, setting).isfinite().all()


def test_each_channel_is_by_itself(denoiser: Denoiser) -> None:
    x, order = noisy_images((2, 3, 12, 15)), [2, 0, 1]
    result = denoiser(x, middle_of(denoiser))
    assert torch.equal(denoiser(x[:, order].contiguous(), middle_of(denoiser)), result[:, order])
    for channel in range(3):
        alone = denoiser(x[:, channel : channel + 1], middle_of(denoiser))
        torch.testing.assert_close(alone, result[:, channel : channel + 1], rtol=0, atol=1e-6)


def test_each_image_is_by_itself(denoiser: Denoiser) -> None:
    x = noisy_images((4, 2, 12, 15))
    one_by_one = torch.cat([denoiser(image[None], middle_of(denoiser)) for image in x])
    torch.testing.assert_close(denoiser(x, middle_of(denoiser)), one_by_one, rtol=0, atol=1e-6)


def test_every_setting_makes_a_difference(denoiser: Denoiser) -> None:
    weak = noisy_images((1, 1, 16, 16), strength=0.3)  # where large settings take all that is left to take
    strong = noisy_images((1, 1, 16, 16), clip=False, strength=1.0)  # where small ones find nothing to do
    results = [torch.cat([denoiser(weak, setting), denoiser(strong, setting)]) for setting in denoiser.settings]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(results, 2))


def test_it_beats_doing_nothing_on_smooth_images(denoiser: Denoiser) -> None:
    clean, x = smooth_images((4, 1, 24, 24)), noisy_images((4, 1, 24, 24))
    error, nothing = (((estimate - clean) ** 2).mean() for estimate in (denoiser(x, tuned(denoiser, x, clean)), x))
    assert error < nothing or denoiser is DENOISERS["identity"]


def test_it_says_what_it_is(denoiser: Denoiser) -> None:
    assert denoiser.title
    assert denoiser.help.endswith("."), "help is a sentence"
    assert bool(denoiser.setting) is bool(denoiser.settings)
    assert list(denoiser.settings) == sorted(set(denoiser.settings))
    assert not denoiser.learned


# -- the libraries' own numbers ----------------------------------------------------------------------------------


def scipy_wiener(plane: Plane, noise: float) -> Plane:
    """With the border repeated first: scipy alone takes what lies beyond it for black."""
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Plane = scipy.signal.wiener(np.pad(plane, 1, mode="symmetric"), 3, noise)[1:-1, 1:-1]
    return result


ORACLES = {
    "identity": lambda plane, _: plane,
    "median": lambda plane, _: scipy.ndimage.median_filter(plane, 3),
    "gaussian": scipy.ndimage.gaussian_filter,
    "wiener": scipy_wiener,
    "total_variation": lambda plane, weight: denoise_tv_chambolle(plane, weight=weight),
    "non_local_means": lambda plane, h: denoise_nl_means(plane, patch_size=5, patch_distance=5, h=h, fast_mode=False),
    "wavelet": lambda plane, sigma: denoise_wavelet(plane, sigma=sigma, wavelet="db2", mode="soft"),
}


@pytest.mark.parametrize("name", DENOISERS)
def test_it_is_the_librarys_on_each_plane(name: str) -> None:
    x = noisy_images((2, 3, 9, 13))
    for setting in settings_of(DENOISERS[name]):
        result = DENOISERS[name](x, setting)
        for image, channel in np.ndindex(2, 3):
            expected = np.clip(ORACLES[name](x[image, channel].numpy(), setting), 0, 1)
            np.testing.assert_allclose(result[image, channel], expected, rtol=0, atol=1e-6)


def test_estimates_are_cut_off_at_0_and_1() -> None:
    x = torch.tensor([-0.5, 0.25, 1.5]).view(1, 1, 1, 3)
    assert DENOISERS["identity"](x).flatten().tolist() == [0, 0.25, 1]


# -- the best setting --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [0.05, 0.3])
def test_the_setting_with_the_least_error_is_chosen(denoiser: Denoiser, strength: float) -> None:
    shape = (3, 1, 16, 16)
    clean, noisy = smooth_images(shape), noisy_images(shape, strength=strength)
    chosen = tuned(denoiser, noisy, clean)
    if not denoiser.settings:
        assert chosen == 0
        return
    errors = {
        setting: np.square(denoiser(noisy, setting).double().numpy() - clean.double().numpy()).mean()
        for setting in denoiser.settings
    }
    assert chosen == min(errors, key=errors.__getitem__)


def test_more_noise_asks_for_a_stronger_filter() -> None:
    clean = smooth_images((3, 1, 16, 16))
    weak, strong = (
        tuned(DENOISERS["gaussian"], noisy_images((3, 1, 16, 16), strength=strength), clean) for strength in (0.02, 0.5)
    )
    assert weak < strong


# -- the numbers -------------------------------------------------------------------------------------------------


def estimates_and_clean(count: int = 6) -> tuple[Tensor, Tensor]:
    """Images that came out well and badly."""
    clean = smooth_images((count, 3, 12, 14))
    strengths = torch.linspace(0.02, 0.5, count, dtype=torch.float64)
    return corrupt(clean, "gaussian", strengths, generator=torch.Generator().manual_seed(0), clip=True), clean


def psnrs_of(estimates: Tensor, clean: Tensor) -> list[float]:
    pairs = zip(clean.double().numpy(), estimates.double().numpy(), strict=True)
    return [peak_signal_noise_ratio(truth, guess, data_range=1) for truth, guess in pairs]


def test_psnr_of_each_image_is_scikit_images() -> None:
    estimates, clean = estimates_and_clean()
    expected = psnrs_of(estimates, clean)
    assert max(expected) - min(expected) > 10  # the images are told apart
    np.testing.assert_allclose(psnr_per_image(estimates, clean), expected, rtol=0, atol=1e-4)


def test_both_psnrs_are_what_their_names_say() -> None:
    estimates, clean = estimates_and_clean()
    result = scored(estimates, clean)
    assert result.keys() == MEASURES.keys()
    assert result["psnr_mean_of_images"].value == pytest.approx(np.mean(psnrs_of(estimates, clean)), abs=1e-4)
    # all images have the same size, so the mean of their errors is the error over all values at once
    at_once = peak_signal_noise_ratio(clean.double().numpy(), estimates.double().numpy(), data_range=1)
    assert result["psnr_of_mean_mse"].value == pytest.approx(at_once, abs=1e-4)
    assert result["ssim"].value == pytest.approx(float(ssim_per_image(estimates, clean).double().mean()), abs=1e-9)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_psnr_of_the_mean_error_is_never_the_higher_one(name: str) -> None:
    clean = smooth_images((20, 1, 12, 14))
    noisy = corrupt(clean, name, CORRUPTIONS[name].usual, generator=torch.Generator().manual_seed(0), clip=True)
    result = scored(noisy, clean)
    assert result["psnr_of_mean_mse"].value <= result["psnr_mean_of_images"].value + 1e-9


def test_an_estimate_without_error_counts_as_rounded() -> None:
    clean = smooth_images((3, 1, 12, 14))
    # rounding to steps of 1 / 255 gives errors evenly spread over one step: their variance is a twelfth of its square
    expected = 20 * math.log10(255) + 10 * math.log10(12)
    result = scored(clean, clean)
    for name in ("psnr_mean_of_images", "psnr_of_mean_mse"):
        mean = result[name]
        assert (mean.value, mean.low, mean.high) == pytest.approx((expected, expected, expected))
    assert result["ssim"].value == pytest.approx(1)
    rounded = (clean * 255).round() / 255
    assert float((rounded - clean).square().mean()) == pytest.approx(SMALLEST_MSE, rel=0.15)


def test_one_perfect_image_does_not_hide_the_others() -> None:
    clean = smooth_images((2, 1, 12, 14))
    estimates = clean.clone()
    estimates[1] = 1 - clean[1]
    result = scored(estimates, clean)
    assert result["psnr_mean_of_images"].value == pytest.approx(float(psnr_per_image(estimates, clean).mean()))
    assert all(math.isfinite(end) for mean in result.values() for end in (mean.low, mean.value, mean.high))


@pytest.mark.parametrize("count", [2, 30, 500])
def test_an_interval_is_that_of_a_normal_mean(count: int) -> None:
    numbers = torch.randn(count, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 20
    mean = Mean.over(numbers)
    low, high = scipy.stats.norm.interval(0.95, numbers.mean().item(), scipy.stats.sem(numbers.numpy()))
    assert (mean.value, mean.low, mean.high) == pytest.approx((numbers.mean().item(), low, high), rel=1e-6)
    assert mean.low < mean.value < mean.high


def test_an_interval_shrinks_with_the_root_of_the_number_of_images() -> None:
    few, many = (Mean.over(torch.tensor([1.0, 2.0, 4.0, 7.0] * times)) for times in (100, 10_000))
    assert few.value == many.value
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(10, rel=0.002)


def test_an_interval_holds_the_true_mean_as_often_as_it_says() -> None:
    tries, numbers = 2000, torch.randn(2000, 200, generator=torch.Generator().manual_seed(0))
    held = sum(mean.low <= 0 <= mean.high for mean in map(Mean.over, numbers))
    # 5 standard errors of a share of 0.95 over so many tries
    assert held / tries == pytest.approx(0.95, abs=5 * math.sqrt(0.95 * 0.05 / tries))


def test_a_single_image_has_no_interval() -> None:
    assert Mean.over(torch.tensor([3.5])) == Mean(3.5, 3.5, 3.5)


@pytest.mark.parametrize("count", [1, 2, 6, 40])
def test_intervals_are_in_order(count: int) -> None:
    for name, mean in scored(*estimates_and_clean(count)).items():
        assert mean.low <= mean.value <= mean.high, name
        assert count == 1 or mean.low < mean.high, name


def test_the_interval_of_the_mean_error_is_turned_into_decibels() -> None:
    estimates, clean = estimates_and_clean(40)
    errors = np.square((estimates - clean).double().numpy()).mean((1, 2, 3))
    ends = scipy.stats.norm.interval(0.95, errors.mean(), scipy.stats.sem(errors))
    mean = scored(estimates, clean)["psnr_of_mean_mse"]
    assert [mean.high, mean.low] == pytest.approx([-10 * math.log10(end) for end in ends], abs=1e-4)


# -- many denoisers on the same noise ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits8() -> ImageDataset:
    return load_dataset("digits8")


IDENTITY, MEDIAN = DENOISERS["identity"], DENOISERS["median"]
SOME = {"nothing": IDENTITY, "blur": DENOISERS["gaussian"], "middle": MEDIAN}


def curve(dataset: ImageDataset, **choices: object) -> list[Measured]:
    return denoising_curve(SOME, dataset, "gaussian", [0.3, 0.1], **{"images": 40, **choices})


def test_rows_come_strength_by_strength_and_denoiser_by_denoiser(digits8: ImageDataset) -> None:
    rows = curve(digits8)
    assert [(row.strength, row.denoiser) for row in rows] == list(itertools.product([0.3, 0.1], SOME))
    assert {(row.corruption, row.images) for row in rows} == {("gaussian", 40)}


def test_a_row_is_flat_and_says_what_it_measured(digits8: ImageDataset) -> None:
    row = curve(digits8)[1]
    flat = row.to_dict()
    wanted = ["corruption", "strength", "denoiser", "psnr_mean_of_images", "psnr_of_mean_mse", "ssim", "images"]
    assert list(flat)[: len(wanted)] == wanted
    assert set(flat) == {*wanted, "setting", *(f"{name}_{end}" for name in MEASURES for end in ("low", "high"))}
    for name in MEASURES:
        mean = getattr(row, name)
        assert (flat[f"{name}_low"], flat[name], flat[f"{name}_high"]) == (mean.low, mean.value, mean.high)
    assert (flat["corruption"], flat["strength"], flat["denoiser"]) == ("gaussian", 0.3, "blur")
    assert (flat["images"], flat["setting"]) == (40, row.setting)


def test_the_same_again(digits8: ImageDataset) -> None:
    torch.manual_seed(1)
    first = curve(digits8)
    torch.manual_seed(2)
    assert curve(digits8) == first
    assert curve(digits8, seed=5) != first


def test_progress_goes_up_to_1(digits8: ImageDataset) -> None:
    told: list[float] = []
    curve(digits8, progress=told.append)
    assert told == pytest.approx([share / 6 for share in range(1, 7)])


@pytest.mark.parametrize("clip", [True, False])
def test_doing_nothing_scores_as_the_noise_itself(digits8: ImageDataset, clip: bool) -> None:
    clean = to_unit(digits8.test[:40])
    for row in curve(digits8, clip=clip):
        if row.denoiser == "nothing":
            noisy = corrupt(
                clean, "gaussian", row.strength, generator=torch.Generator().manual_seed(NOISE_SEED), clip=clip
            )
            expected = psnrs_of(noisy.clamp(0, 1), clean)
            assert row.psnr_mean_of_images.value == pytest.approx(np.mean(expected), abs=1e-4)


def test_all_see_the_same_noise_on_the_test_images(digits8: ImageDataset) -> None:
    seen: dict[str, list[Tensor]] = {"a": [], "b": []}

    def spy(name: str) -> Denoiser:
        def run(noisy: Tensor, _: float) -> Tensor:
            seen[name].append(noisy.clone())
            return noisy

        return Denoiser(title=name, help="Remembers.", run=run)

    denoising_curve({name: spy(name) for name in seen}, digits8, "masking", [0.25, 0.5], images=30)
    assert len(seen["a"]) == 2
    for first, second in zip(seen["a"], seen["b"], strict=True):
        assert torch.equal(first, second)
    clean = to_unit(digits8.test[:30])
    for noisy, strength in zip(seen["a"], (0.25, 0.5), strict=True):
        kept = noisy != 0
        assert torch.equal(noisy[kept], clean[kept]), "what is not masked is the test image"
        masked = (~kept & (clean != 0)).sum() / (clean != 0).sum()
        assert float(masked) == pytest.approx(strength, abs=5 * math.sqrt(0.25 / int((clean != 0).sum())))
    assert torch.equal(seen["a"][0] * (seen["a"][1] != 0), seen["a"][1]), "a stronger one is more of the same"


def test_settings_are_chosen_on_training_images_with_noise_of_their_own(digits8: ImageDataset) -> None:
    for row in curve(digits8):
        practice = noisy_and_clean(digits8.train[:TUNED_ON], "gaussian", row.strength, clip=True, seed=TUNING_SEED)
        assert row.setting == tuned(SOME[row.denoiser], *practice)


@pytest.mark.parametrize("clip", [True, False])
def test_tuning_sees_noisy_training_images_and_scoring_noisy_test_images(digits8: ImageDataset, clip: bool) -> None:
    seen: list[Tensor] = []

    def remember(noisy: Tensor, _: float) -> Tensor:
        seen.append(noisy.clone())
        return noisy

    spy = Denoiser(title="Spy", help="Remembers.", run=remember, setting="none", settings=(1.0, 2.0))
    denoising_curve({"spy": spy}, digits8, "gaussian", [0.3], images=40, clip=clip)
    shown = [(digits8.train[:TUNED_ON], TUNING_SEED)] * 2 + [(digits8.test[:40], NOISE_SEED)]
    assert TUNING_SEED != NOISE_SEED
    for noisy, (images, seed) in zip(seen, shown, strict=True):
        generator = torch.Generator().manual_seed(seed)
        assert torch.equal(noisy, corrupt(to_unit(images), "gaussian", 0.3, generator=generator, clip=clip))


def test_a_denoiser_is_scored_at_its_setting(digits8: ImageDataset) -> None:
    for row in curve(digits8):
        noisy, clean = noisy_and_clean(digits8.test[:40], "gaussian", row.strength, clip=True, seed=NOISE_SEED)
        expected = scored(SOME[row.denoiser](noisy, row.setting), clean)
        assert {name: getattr(row, name) for name in MEASURES} == expected


def test_all_test_images_are_taken_if_no_number_is_given(digits8: ImageDataset) -> None:
    rows = denoising_curve({"nothing": IDENTITY}, digits8, "gaussian", [0.1])
    assert [row.images for row in rows] == [len(digits8.test)]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_noise_is_that_of_an_evaluation_batch_after_batch(name: str) -> None:
    count = BATCH + 60
    images = torch.randint(256, (count, 1, 6, 7), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    strength = CORRUPTIONS[name].levels[0]
    noisy, clean = noisy_and_clean(images, name, strength, clip=True, seed=NOISE_SEED)
    shown = [x for x, _ in seen_and_meant(images, NoiseConfig(corruption=name, strength=strength))]
    assert len(shown) == 2
    assert torch.equal(clean, to_unit(images))
    torch.testing.assert_close(noisy, torch.cat(shown), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "strength"), [("gausian", 0.1), ("gaussian", 1.5), ("poisson", 0.0)])
def test_what_does_not_fit_is_refused(digits8: ImageDataset, name: str, strength: float) -> None:
    with pytest.raises(ConfigError):
        denoising_curve(SOME, digits8, name, [strength], images=10)


# -- networks ----------------------------------------------------------------------------------------------------

STRENGTH = 0.5
MLP = ModelConfig(image_shape=(1, 28, 28), body="mlp", hidden_units=64, latent_dim=32)


@pytest.fixture(scope="module")
def digits() -> ImageDataset:
    return load_dataset("digits")


def learn(dataset: ImageDataset, noise: NoiseConfig) -> Denoiser:
    model = build_model(MLP, seed=0)
    config = TrainConfig(budget=300, budget_unit="steps", evaluate_every=1_000_000, evaluation_images=16, noise=noise)
    list(train(model, dataset, config))
    return trained(model, "Learned")


def test_a_network_learns_to_denoise_only_from_noisy_images(digits: ImageDataset) -> None:
    denoisers = {
        "nothing": IDENTITY,
        "denoising": learn(digits, NoiseConfig(corruption="gaussian", strength=STRENGTH)),
        "plain": learn(digits, NoiseConfig()),
    }
    rows = {row.denoiser: row for row in denoising_curve(denoisers, digits, "gaussian", [STRENGTH], images=200)}
    for measure in MEASURES:
        ours, plain, nothing = (getattr(rows[name], measure) for name in ("denoising", "plain", "nothing"))
        assert ours.low > nothing.high, measure
        assert ours.low > plain.high, measure


def test_a_network_gives_its_reconstructions_in_its_evaluation_mode() -> None:
    model = build_model(MLP, seed=0)
    model.train()
    denoiser = trained(model, "Learned")
    x = noisy_images((BATCH + 3, 1, 28, 28))
    result = denoiser(x)
    assert model.training, "left as it was"
    assert (denoiser.learned, denoiser.title, denoiser.settings) == (True, "Learned", ())
    assert not result.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(result, model.eval()(x).clamp(0, 1), rtol=0, atol=1e-6)


@pytest.mark.mnist
def test_mnist_gives_the_published_numbers_for_uniform_noise() -> None:
    if not is_available("mnist"):
        pytest.skip("the files of MNIST are not here: set AECORE_DATA to a folder that holds MNIST/raw")
    rows = denoising_curve({"nothing": IDENTITY, "median": MEDIAN}, load_dataset("mnist"), "uniform", [0.25])
    found = {row.denoiser: row for row in rows}
    assert {row.images for row in rows} == {10_000}
    assert found["nothing"].psnr_mean_of_images.value == pytest.approx(19.50, abs=0.1)
    assert found["median"].psnr_mean_of_images.value == pytest.approx(20.22, abs=0.1)


# -- curves ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_lines_between_the_strengths_of_a_curve_are_close_to_what_would_be_measured(corruption: str) -> None:
    """Where they fall most steeply, near 0: on doing nothing, and on a filter that is not perfect even there."""
    near = 3.0 if corruption == "occlusion" else 1.0  # dB; a patch of two whole pixels has four times the area of one
    digits = load_dataset("digits")
    strengths = [strength for strength in curve_strengths(corruption) if strength]
    assert {CORRUPTIONS[corruption].high, *CORRUPTIONS[corruption].near} <= set(strengths)
    middles = [(low + high) / 2 for low, high in itertools.pairwise(strengths)]
    tried = {name: DENOISERS[name] for name in ("identity", "median")}
    rows = denoising_curve(tried, digits, corruption, sorted({*strengths, *middles}), images=100)
    psnr = {(row.denoiser, row.strength): row.psnr_of_mean_mse.value for row in rows}
    for name in tried:
        for low, middle, high in zip(strengths, middles, strengths[1:], strict=False):
            between = (psnr[name, low] + psnr[name, high]) / 2
            if min(psnr[name, low], psnr[name, high]) < 35:  # beyond, nobody who learned anything competes
                assert between == pytest.approx(psnr[name, middle], abs=near), (name, middle)


def test_curves_hold_what_was_measured() -> None:
    rows = denoising_curve(
        {name: DENOISERS[name] for name in ("identity", "gaussian")},
        load_dataset("digits8"),
        "uniform",
        [0.0, 0.5],
        images=20,
    )
    found = curves(rows)
    assert found["strengths"] == [0.0, 0.5]
    assert found["images"] == 20
    assert set(found["rows"]) == {"identity", "gaussian"}
    assert found["settings"] == {"gaussian": [rows[1].setting, rows[3].setting]}
    for row in rows:
        place = found["strengths"].index(row.strength)
        for measure in MEASURES:
            mean = getattr(row, measure)
            assert found["rows"][row.denoiser][measure][place] == pytest.approx(
                [mean.value, mean.low, mean.high], abs=5e-4
            )


def test_typical_errors_are_percentiles() -> None:
    model, digits = (
        build_model(ModelConfig(image_shape=(1, 8, 8), body="linear", latent_dim=3), seed=0),
        load_dataset("digits8"),
    )
    found = typical_errors(model, digits.test)
    errors = squared_error_per_image(reconstruct_unrounded(model, digits.test), to_unit(digits.test))
    assert len(found) == 99
    assert found == sorted(found)
    for percent in (1, 50, 99):
        share = float((errors <= found[percent - 1] * 1.0005).double().mean())
        assert share == pytest.approx(percent / 100, abs=0.01)
