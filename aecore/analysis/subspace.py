"""Whether a linear autoencoder has found what principal component analysis finds, as angles between subspaces.

This module knows nothing of training.
"""

from __future__ import annotations

import torch
from jaxtyping import Float64, UInt8
from torch import Tensor, nn

from aecore.data.image_dataset import to_unit
from aecore.errors import ConfigError
from aecore.models.autoencoder import Autoencoder
from aecore.training.evaluation import BATCH


def principal_angles(model: Autoencoder, images: UInt8[Tensor, "n c h w"]) -> Float64[Tensor, " z"]:
    """The angles between what a linear decoder can draw and the principal subspace, in degrees, ascending, (Z,).

    The first is the column space of the decoder's weights; the second is spanned by the first Z principal components of
    the images. 0 each: they are the same subspace, as squared error wants it (Baldi & Hornik 1989). 90: a direction of
    one is at a right angle to the whole other. The units need not *be* principal components: the subspace is what the
    loss decides, the axes in it are free. Where two eigenvalues nearly tie at the Z-th place, their directions are
    nearly interchangeable, for the loss too, and the largest angle may stay large.
    Sources: Baldi & Hornik, Neural networks and principal component analysis, Neural Networks 2 (1989); for the angles:
    Björck & Golub, Numerical methods for computing angles between linear subspaces, Mathematics of Computation 27
    (1973).

    Args:
        model: With the linear body.
        images: What it was trained on, (N, C, H, W).

    Raises:
        ConfigError: For another body, or a code as wide as the image or wider than the images can fill.
    """
    config = model.config
    if config.body != "linear":
        raise ConfigError(f"Only a linear decoder draws a flat subspace; this body is {config.body}.")
    pixels = images[0].numel()
    if config.latent_dim >= min(pixels, len(images)):
        raise ConfigError(
            f"{config.latent_dim} components of {len(images)} images with {pixels} values span all there is. "
            "Take a smaller code or more images."
        )
    (decoder,) = (layer for layer in model.decoder if isinstance(layer, nn.Linear))
    drawn, _ = torch.linalg.qr(decoder.weight.detach().double())  # (CHW, Z)
    return subspace_angles(drawn, principal_directions(images, config.latent_dim))


def principal_directions(images: UInt8[Tensor, "n c h w"], count: int) -> Float64[Tensor, "d z"]:
    """The first principal components of stored images as orthonormal columns, largest variance first, (CHW, count).

    Source: Hotelling, Analysis of a complex of statistical variables into principal components (1933).
    """
    mean = torch.zeros(images[0].numel(), dtype=torch.float64)
    for batch in images.split(BATCH):
        mean += to_unit(batch).flatten(1).double().sum(0) / len(images)
    scatter = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    for batch in images.split(BATCH):
        centred = to_unit(batch).flatten(1).double() - mean
        scatter.addmm_(centred.T, centred)
    _, vectors = torch.linalg.eigh(scatter)  # ascending
    first: Tensor = vectors[:, -count:].flip(1)
    return first


def subspace_angles(a: Float64[Tensor, "d z"], b: Float64[Tensor, "d z"]) -> Float64[Tensor, " z"]:
    """Principal angles between the spans of two sets of orthonormal columns, in degrees, ascending, (Z,).

    From the cosines where angles are large and the sines where they are small, each where it is precise.
    Source: Björck & Golub (1973); Knyazev & Argentati, SIAM Journal on Scientific Computing 23 (2002), algorithm 3.1.

    Example:
        >>> axes = torch.eye(3, dtype=torch.float64)
        >>> subspace_angles(axes[:, [0, 1]], axes[:, [1, 2]]).tolist()
        [0.0, 90.0]
    """
    products = a.T @ b
    cosines = torch.linalg.svdvals(products).clamp(max=1)  # descending, so angles ascend
    sines = torch.linalg.svdvals(b - a @ products).flip(0).clamp(max=1)  # ascending
    return torch.where(cosines.square() > 0.5, sines.asin(), cosines.acos()).rad2deg()
