"""How well noise is removed: trained autoencoders and classical filters on the same noisy images, in the same numbers.

All denoisers have one signature, noisy images in and estimates of the clean ones out, and stand in one registry. The
classical ones have at most one setting; it is chosen anew for every corruption and strength as the one with the
smallest mean squared error on training images, so each is shown at its best. This module knows nothing of pages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from aecore.data.image_dataset import ImageDataset, to_unit
from aecore.metrics import psnr_of_mse, squared_error_per_image, ssim_per_image
from aecore.models.autoencoder import Autoencoder
from aecore.noise import CORRUPTIONS, corrupt
from aecore.training.evaluation import BATCH, NOISE_SEED, evaluating, reconstruct_unrounded

TUNED_ON = 50  # training images
TUNING_SEED = 1
SMALLEST_MSE = 1 / (12 * 255**2)
"""The error of rounding to 256 levels, 58.92 dB. What is below counts as this, so that an image without any error does
not make the mean of the PSNRs infinite."""
CURVE_IMAGES = 200
CURVE_PARTS = 10  # of a corruption's range, between the strengths of a curve
CONFIDENCE = 1.959964  # standard errors on each side of a mean: 95 % of a normal distribution

Planes = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Denoiser:
    """One way to get clean images from noisy ones.

    Attributes:
        title: Short name for people.
        help: What it does, in one sentence.
        run: (noisy images (N, C, H, W) in float32, setting) -> estimates, same shape.
        setting: What its one setting is; empty if it has none.
        settings: Values to choose from.
        learned: Whether it was trained on such images.
    """

    title: str
    help: str
    run: Callable[[Tensor, float], Tensor]
    setting: str = ""
    settings: tuple[float, ...] = ()
    learned: bool = False

    def __call__(self, noisy: Float[Tensor, "n c h w"], setting: float = 0.0) -> Float[Tensor, "n c h w"]:
        """Estimates of the clean images (N, C, H, W), cut off at 0 and 1, where all clean images lie."""
        return self.run(noisy, setting).clamp(0, 1)


def _on_planes(filter_planes: Callable[[Planes, float], Planes]) -> Callable[[Tensor, float], Tensor]:
    """A filter of single planes (M, H, W) as one of images: each channel by itself."""

    def run(noisy: Tensor, setting: float) -> Tensor:
        planes = noisy.flatten(0, 1).contiguous().numpy()
        return torch.from_numpy(np.ascontiguousarray(filter_planes(planes, setting), dtype=np.float32)).view_as(noisy)

    return run


def _each(planes: Planes, denoise: Callable[..., Any], **settings: Any) -> Planes:
    return np.stack([denoise(plane, **settings) for plane in planes])


# The imports below are late: scipy and scikit-image take most of a second, and only who uses a filter should wait.


def _median(planes: Planes, _: float) -> Planes:
    from scipy.ndimage import median_filter

    result: Planes = median_filter(planes, size=(1, 3, 3))
    return result


def _gaussian(planes: Planes, sigma: float) -> Planes:
    from scipy.ndimage import gaussian_filter

    result: Planes = gaussian_filter(planes, (0, sigma, sigma))
    return result


def _wiener(planes: Planes, noise: float) -> Planes:
    from scipy.signal import wiener

    # scipy takes what is outside for black, which darkens a bright border
    padded = np.pad(planes, ((0, 0), (1, 1), (1, 1)), mode="symmetric")
    with np.errstate(divide="ignore", invalid="ignore"):  # where a window has no variance, scipy takes its mean
        result: Planes = wiener(padded, (1, 3, 3), noise)[:, 1:-1, 1:-1]
    return result


def _total_variation(planes: Planes, weight: float) -> Planes:
    from skimage.restoration import denoise_tv_chambolle

    return _each(planes, denoise_tv_chambolle, weight=weight)


def _non_local_means(planes: Planes, h: float) -> Planes:
    from skimage.restoration import denoise_nl_means

    # Without channel_axis: with it, a single channel comes out wrong in scikit-image 0.26.
    return _each(planes, denoise_nl_means, patch_size=5, patch_distance=5, h=h, fast_mode=False)


def _wavelet(planes: Planes, sigma: float) -> Planes:
    from skimage.restoration import denoise_wavelet

    return _each(planes, denoise_wavelet, sigma=sigma, wavelet="db2", mode="soft")


DENOISERS: dict[str, Denoiser] = {
    "identity": Denoiser(
        title="Doing nothing",
        help="The noisy image itself: what every denoiser has to beat.",
        run=lambda noisy, _: noisy,
    ),
    "median": Denoiser(
        title="Median 3×3",
        help="The middle one of nine neighbours; made for salt and pepper. Tukey (1977).",
        run=_on_planes(_median),
    ),
    "gaussian": Denoiser(
        title="Gaussian filter",
        help="A weighted mean of the neighbours: removes noise and edges alike.",
        run=_on_planes(_gaussian),
        setting="standard deviation, pixels",
        settings=(0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0),
    ),
    "wiener": Denoiser(
        title="Wiener 3×3",
        help="The local mean where there is only noise, the image where there is more. Lim, Two-Dimensional Signal "
        "and Image Processing (1990), page 548.",
        run=_on_planes(_wiener),
        setting="power of the noise",
        settings=(0.001, 0.003, 0.01, 0.02, 0.04, 0.07, 0.12, 0.25, 0.5, 1.0),
    ),
    "total_variation": Denoiser(
        title="Total variation",
        help="The image with the least ups and downs that is still close. Rudin, Osher & Fatemi (1992); Chambolle "
        "(2004).",
        run=_on_planes(_total_variation),
        setting="weight",
        settings=(0.01, 0.02, 0.04, 0.07, 0.12, 0.2, 0.35, 0.6),
    ),
    "non_local_means": Denoiser(
        title="Non-local means",
        help="The mean of patches that look alike, wherever they are. Buades, Coll & Morel (2005).",
        run=_on_planes(_non_local_means),
        setting="h",
        settings=(0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.6, 0.9),
    ),
    "wavelet": Denoiser(
        title="Wavelet shrinkage",
        help="Small wavelet coefficients are noise and go. Chang, Yu & Vetterli (2000), BayesShrink, Daubechies 2.",
        run=_on_planes(_wavelet),
        setting="standard deviation of the noise",
        settings=(0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6),
    ),
}


def trained(model: Autoencoder, title: str) -> Denoiser:
    """A trained autoencoder as a denoiser."""

    @torch.inference_mode()
    def run(noisy: Tensor, _: float) -> Tensor:
        with evaluating(model):
            return torch.cat([model(batch) for batch in noisy.split(BATCH)])

    return Denoiser(title=title, help="Encoder and decoder, learned from images.", run=run, learned=True)


def tuned(denoiser: Denoiser, noisy: Float[Tensor, "n c h w"], clean: Float[Tensor, "n c h w"]) -> float:
    """The setting with the smallest mean squared error on these images; 0 for a denoiser without one."""
    if not denoiser.settings:
        return 0.0
    return min(
        denoiser.settings,
        key=lambda setting: float(squared_error_per_image(denoiser(noisy, setting), clean).double().mean()),
    )


@dataclass(frozen=True)
class Mean:
    """A mean over images with its 95 % confidence interval.

    Attributes:
        value: The mean.
        low, high: Ends of the interval, for the mean of normally distributed numbers; they say how much another draw of
            so many images would change it, not how much another training would.
    """

    value: float
    low: float
    high: float

    @classmethod
    def over(cls, numbers: Tensor) -> Mean:
        """The mean of one number for each image, (N,)."""
        mean = float(numbers.double().mean())
        error = CONFIDENCE * float(numbers.double().std()) / math.sqrt(len(numbers)) if len(numbers) > 1 else 0.0
        return cls(mean, mean - error, mean + error)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One denoiser at one corruption and strength.

    The two PSNRs can rank differently: the mean over images counts every image alike in dB, while that of the mean
    error is ruled by the images that came out worst. It is never the higher one (Jensen's inequality).

    Attributes:
        corruption: What was done to the images.
        strength: How strongly.
        denoiser: Which one.
        setting: What its setting was; 0 without one.
        psnr_mean_of_images: Mean of the PSNRs of the single images, dB, peak 1.
        psnr_of_mean_mse: PSNR of the mean squared error over all images, dB, peak 1.
        ssim: Mean structural similarity.
        images: How many images.
    """

    corruption: str
    strength: float
    denoiser: str
    setting: float
    psnr_mean_of_images: Mean
    psnr_of_mean_mse: Mean
    ssim: Mean
    images: int

    def to_dict(self) -> dict[str, Any]:
        """One flat row; the ends of the intervals under `..._low` and `..._high`."""
        means = {name: getattr(self, name) for name in MEASURES}
        return {
            "corruption": self.corruption,
            "strength": self.strength,
            "denoiser": self.denoiser,
            **{name: mean.value for name, mean in means.items()},
            "images": self.images,
            "setting": self.setting,
            **{f"{name}_{end}": getattr(mean, end) for name, mean in means.items() for end in ("low", "high")},
        }


MEASURES = {
    "psnr_mean_of_images": "PSNR, mean over the images (dB)",
    "psnr_of_mean_mse": "PSNR of the mean squared error (dB)",
    "ssim": "SSIM, mean over the images",
}


def psnr_per_image(estimates: Float[Tensor, "n c h w"], clean: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """PSNR of each image in dB, peak 1; at most that of `SMALLEST_MSE`."""
    return -10 * squared_error_per_image(estimates, clean).double().clamp(min=SMALLEST_MSE).log10()


def scored(estimates: Float[Tensor, "n c h w"], clean: Float[Tensor, "n c h w"]) -> dict[str, Mean]:
    """The numbers of `MEASURES` for estimates of clean images, (N, C, H, W) twice."""
    errors = squared_error_per_image(estimates, clean).double().clamp(min=SMALLEST_MSE)
    error = Mean.over(errors)
    # a small error is a high PSNR: the ends change places
    of_mean = (psnr_of_mse(max(mse, SMALLEST_MSE)) for mse in (error.value, error.high, error.low))
    return {
        "psnr_mean_of_images": Mean.over(-10 * errors.log10()),
        "psnr_of_mean_mse": Mean(*of_mean),
        "ssim": Mean.over(ssim_per_image(estimates, clean)),
    }


def noisy_and_clean(
    images: UInt8[Tensor, "n c h w"], corruption: str, strength: float, *, clip: bool, seed: int
) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n c h w"]]:
    """Stored images corrupted, and as they are; the noise goes on from batch to batch as in an evaluation."""
    generator = torch.Generator().manual_seed(seed)
    clean = to_unit(images)
    parts = [corrupt(part, corruption, strength, generator=generator, clip=clip) for part in clean.split(BATCH)]
    return torch.cat(parts), clean


def part_of(progress: Callable[[float], None], number: int, count: int) -> Callable[[float], None]:
    """What to tell how much of part `number` of `count` equal parts is done, so that `progress` hears of the whole."""
    return lambda share: progress((number + share) / count)


def denoising_curve(
    denoisers: Mapping[str, Denoiser],
    dataset: ImageDataset,
    corruption: str,
    strengths: Sequence[float],
    *,
    images: int | None = None,
    tuned_on: int = TUNED_ON,
    clip: bool = True,
    seed: int = NOISE_SEED,
    progress: Callable[[float], None] = lambda _: None,
) -> list[Measured]:
    """Try denoisers on the same noisy test images, at each strength.

    Args:
        denoisers: By name.
        dataset: Whose first test images are corrupted.
        corruption: A name in `aecore.noise.CORRUPTIONS`.
        strengths: In its unit.
        images: How many test images; None for all.
        tuned_on: How many of the first training images settings are chosen on.
        clip: Whether noisy values are cut off at 0 and 1.
        seed: Of the noise.
        progress: Told how much is done, in [0, 1].

    Returns:
        For each strength in order a row for each denoiser in order.

    Raises:
        ConfigError: For an unknown corruption or a strength out of range.
    """
    shown = dataset.test[:images]
    rows = []
    for number, strength in enumerate(strengths):
        tell = part_of(progress, number, len(strengths))
        noisy, clean = noisy_and_clean(shown, corruption, strength, clip=clip, seed=seed)
        if any(denoiser.settings for denoiser in denoisers.values()):
            practice = noisy_and_clean(dataset.train[:tuned_on], corruption, strength, clip=clip, seed=TUNING_SEED)
        for place, (name, denoiser) in enumerate(denoisers.items()):
            setting = tuned(denoiser, *practice) if denoiser.settings else 0.0
            rows.append(
                Measured(
                    corruption=corruption,
                    strength=strength,
                    denoiser=name,
                    setting=setting,
                    images=len(clean),
                    **scored(denoiser(noisy, setting), clean),
                )
            )
            tell((place + 1) / len(denoisers))
    return rows


def curve_strengths(corruption: str) -> list[float]:
    """The strengths a curve is measured at: even over the corruption's range, and closer where it falls steeply.

    So close that a straight line in dB between two of them, 0 excepted, is within 1 dB of what is measured, or within
    3 dB where an occlusion grows from one whole pixel to two.
    """
    about = CORRUPTIONS[corruption]
    steps = round((about.high - about.low) / about.step)
    chosen = sorted({round(part * steps / CURVE_PARTS) for part in range(CURVE_PARTS + 1)})
    return sorted({*(round(about.low + step * about.step, 6) for step in chosen), *about.near})


def curves(rows: Sequence[Measured]) -> dict[str, Any]:
    """The rows of one corruption as JSON-ready curves.

    Returns:
        `strengths`; `images`; `rows`: denoiser -> measure -> [mean, low, high] at each strength, in dB to 0.001 or SSIM
        to 0.0001; `settings`: denoiser -> its setting at each strength, for those that have one.
    """
    names = list(dict.fromkeys(row.denoiser for row in rows))
    of = {name: [row for row in rows if row.denoiser == name] for name in names}

    def ends(mean: Mean, measure: str) -> list[float]:
        digits = 4 if measure == "ssim" else 3
        return [round(number, digits) for number in (mean.value, mean.low, mean.high)]

    return {
        "strengths": [row.strength for row in of[names[0]]],
        "images": rows[0].images,
        "rows": {
            name: {measure: [ends(getattr(row, measure), measure) for row in of[name]] for measure in MEASURES}
            for name in names
        },
        "settings": {name: [row.setting for row in of[name]] for name in names if of[name][0].setting},
    }


def typical_errors(model: Autoencoder, images: UInt8[Tensor, "n c h w"]) -> list[float]:
    """The 1st to the 99th percentile of the mean squared error of single images, without noise.

    A picture whose error is above the last of them comes back worse than 99 of 100 of these images. Take images that
    were not trained on, or all others will seem unusual.
    """
    errors = squared_error_per_image(reconstruct_unrounded(model, images), to_unit(images)).double()
    percentiles = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    return [float(f"{error:.4g}") for error in torch.quantile(errors, percentiles)]
