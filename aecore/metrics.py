"""How good a reconstruction is, and how much of a code is in use, in numbers that mean the same for every model.

This module knows nothing of models: it compares images with images, and counts in codes.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

# The constants of Wang et al. (2004), section III.B and C, for values in [0, 1].
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2

# Small enough for the caches: 2000 images of 3x32x32 take an eighth of the time they need all at once.
_IMAGES_AT_A_TIME = 100

ACTIVE_VARIANCE = 0.01
"""The variance over images from which the mean of a unit counts as active, as in the source of `active_units`."""


def squared_error_per_image(
    reconstruction: Float[Tensor, "n c h w"], target: Float[Tensor, "n c h w"]
) -> Float[Tensor, " n"]:
    """Mean squared error of each image, averaged over its values: (N, C, H, W) twice -> (N,)."""
    return (reconstruction - target).square().flatten(1).mean(1)


def mse(reconstruction: Float[Tensor, "n c h w"], target: Float[Tensor, "n c h w"]) -> float:
    """Mean squared error over all values; lower is better, 0 for equal images."""
    return float(squared_error_per_image(reconstruction, target).double().mean())


def psnr_of_mse(mean_squared_error: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error, with peak 1; higher is better.

    PSNR = -10 log10(MSE). Given the MSE of a whole set it is the *PSNR of the mean MSE*, which is never above the
    mean of the PSNRs of the single images (Jensen's inequality); this package says which one it reports.
    Source: ITU-T J.340 (2010), with the peak at 1.

    Example:
        >>> psnr_of_mse(0.01)
        20.0
    """
    return math.inf if mean_squared_error == 0 else -10 * math.log10(mean_squared_error)


def ssim_per_image(reconstruction: Float[Tensor, "n c h w"], target: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Structural similarity of each image: (N, C, H, W) in [0, 1] twice -> (N,); higher is better, 1 for equal images.

    Compares brightness, contrast and structure under a sliding Gaussian window instead of single values, so it tells
    blur from a shift in brightness where the squared error does not. Values lie in [-1, 1]; negative ones mean that
    light and dark are swapped. The measure is symmetric in its arguments.

    The window is 11x11 with a standard deviation of 1.5; K1 = 0.01, K2 = 0.03, L = 1, population covariances. The
    local values are averaged over the windows that lie wholly inside the image, and over the channels. An image with
    a side under 11 gets the largest window of odd size that fits (square, same standard deviation, sum 1), so its
    numbers are not those of a larger image; where that is a single pixel, only brightness is compared.
    Source: Wang, Bovik, Sheikh & Simoncelli, "Image quality assessment: from error visibility to structural
    similarity", IEEE TIP 13 (2004).

    Example:
        >>> stripes = torch.arange(16.0).remainder(2).expand(1, 1, 16, 16)
        >>> round(ssim_per_image(stripes, stripes).item(), 3), round(ssim_per_image(1 - stripes, stripes).item(), 3)
        (1.0, -0.996)
    """
    pairs = zip(reconstruction.split(_IMAGES_AT_A_TIME), target.split(_IMAGES_AT_A_TIME), strict=True)
    return torch.cat([_similarity(a.double(), b.double()) for a, b in pairs]).to(reconstruction.dtype)


def ssim(reconstruction: Float[Tensor, "n c h w"], target: Float[Tensor, "n c h w"]) -> float:
    """Mean structural similarity of the images, see `ssim_per_image`; higher is better, 1 for equal images."""
    return float(ssim_per_image(reconstruction, target).double().mean())


def active_units(means: Float[Tensor, "n z"]) -> Bool[Tensor, " z"]:
    """Which units of a code tell images apart: those whose mean varies over them by more than `ACTIVE_VARIANCE`.

    Args:
        means: The mean code of each image, (N, Z), with at least two images.

    Source: Burda, Grosse & Salakhutdinov, Importance weighted autoencoders (2016), arXiv:1509.00519, section 5.2.

    Example:
        >>> active_units(torch.tensor([[0.0, 1.0], [0.1, 1.3]])).tolist()
        [False, True]
    """
    return means.double().var(0) > ACTIVE_VARIANCE


def perplexity(chosen: Int64[Tensor, "n parts"], words: int) -> float:
    """How many codewords are in use, as if all in use were used equally often: exp of the entropy of their use.

    From 1, when all images have the same word, to `words`, when each word is chosen equally often; the mean over the
    parts of the code, each of which has a list of its own.

    Args:
        chosen: Which word each part of each code has, (N, P).
        words: How long each list is.

    Source: van den Oord et al. (2017), arXiv:1711.00937; the measure is Shannon's.

    Example:
        >>> perplexity(torch.tensor([[0], [0], [1], [1]]), words=8)
        2.0
    """
    used = torch.zeros(chosen.shape[1], words, dtype=torch.float64, device=chosen.device)  # (P, K)
    shares = used.scatter_add(1, chosen.T, torch.ones_like(chosen.T, dtype=torch.float64)) / len(chosen)
    return float(torch.special.entr(shares).sum(1).exp().mean())


def _similarity(a: Float[Tensor, "n c h w"], b: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Structural similarity of each image, in float64: E[x^2] - E[x]^2 would lose flat areas in float32."""
    moments = _window_means(torch.cat([a, b, a * a, b * b, a * b], dim=1))
    mean_a, mean_b, square_a, square_b, product = moments.chunk(5, dim=1)
    means, squared_means = mean_a * mean_b, mean_a.square() + mean_b.square()
    brightness = (2 * means + _C1) / (squared_means + _C1)
    structure = (2 * (product - means) + _C2) / (square_a + square_b - squared_means + _C2)
    return (brightness * structure).flatten(1).mean(1)


def _window_means(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c y x"]:
    """The Gaussian mean under each window that lies wholly inside, along the rows and then along the columns."""
    channels, smaller_side = images.shape[1], min(images.shape[2:])
    size = min(_WINDOW, smaller_side - 1 + smaller_side % 2)
    offsets = torch.arange(size, dtype=images.dtype, device=images.device) - size // 2
    gaussian = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    row = (gaussian / gaussian.sum()).expand(channels, 1, 1, size)
    return F.conv2d(F.conv2d(images, row, groups=channels), row.mT, groups=channels)
