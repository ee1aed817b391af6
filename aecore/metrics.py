"""How good a reconstruction is, in numbers that mean the same for every model.

This module knows nothing of models: it compares images with images.
"""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor


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
