"""How good a reconstruction is, in numbers that mean the same for every model.

This module knows nothing of models: it compares images with images.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

# The constants of Wang et al. (2004), section III.B and C, for values in [0, 1].
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2

# Small enough for the caches: 2000 images of 3x32x32 take an eighth of the time they need all at once.
_IMAGES_AT_A_TIME = 100


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
