"""A model tried on a whole set of images.

This module knows nothing of optimisers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from aecore.data.image_dataset import to_stored, to_unit
from aecore.metrics import psnr_of_mse, squared_error_per_image
from aecore.models.autoencoder import Autoencoder
from aecore.models.bottlenecks import VectorQuantizedBottleneck
from aecore.noise import NONE, NoiseConfig

BATCH = 500  # large enough for full speed, small enough for the caches of a laptop
NOISE_SEED = 0  # the test images get the same noise whoever is tried on them
CODE_SEED = 1  # and codes that are drawn are drawn alike


@dataclass(frozen=True)
class Evaluation:
    """How a model does on a set of images.

    Attributes:
        loss: Summed over the values of an image, averaged over the images.
        mse: Mean squared error per value.
        images: Number of images.
        terms: The parts of the loss before their weights, by name, each averaged over the images.
        units: Each unit's part of the first charge, where that is a sum over units; empty otherwise.
    """

    loss: float
    mse: float
    images: int
    terms: Mapping[str, float]
    units: tuple[float, ...]

    @property
    def psnr(self) -> float:
        """PSNR of the mean MSE in dB, peak 1."""
        return psnr_of_mse(self.mse)


@contextmanager
def evaluating(model: Autoencoder) -> Iterator[None]:
    """Evaluation mode inside, and afterwards the mode from before."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def seen_and_meant(
    images: UInt8[Tensor, "n c h w"], noise: NoiseConfig = NONE, seed: int = NOISE_SEED
) -> Iterator[tuple[Float[Tensor, "n c h w"], Float[Tensor, "n c h w"]]]:
    """What a network is shown and what it should give back, of stored images, in batches of `BATCH`.

    Args:
        images: As stored.
        noise: What is done to them; without noise both are the same.
        seed: Of the noise, which goes on from batch to batch.
    """
    generator = torch.Generator().manual_seed(seed)
    for batch in images.split(BATCH):
        target = to_unit(batch)
        yield noise.corrupt(target, generator), target


@torch.inference_mode()
def evaluate(
    model: Autoencoder,
    images: UInt8[Tensor, "n c h w"],
    loss: str = "mse",
    noise: NoiseConfig = NONE,
    share: float = 1.0,
) -> Evaluation:
    """Try `model` on `images`, in batches, without gradients; sums are kept in double precision.

    With noise it is shown corrupted images and measured against the clean ones. Where the code is drawn, the loss is
    that of one draw for each image, always the same, and the MSE that of the mean code.

    Args:
        model: The model.
        images: As stored.
        loss: A name in `aecore.losses.RECONSTRUCTION_LOSSES`.
        noise: What is done to them.
        share: How much of the bottleneck's charges counts in the loss; less than 1 while they warm up.
    """
    loss_sum = torch.zeros((), dtype=torch.float64)
    mse_sum = torch.zeros((), dtype=torch.float64)
    unit_sums = torch.zeros(model.config.latent_dim, dtype=torch.float64)
    term_sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), dtype=torch.float64))
    by_unit = False
    generator = torch.Generator().manual_seed(CODE_SEED)
    with evaluating(model):
        for x, target in seen_and_meant(images, noise):
            found = model.loss_terms(x, target, loss, generator)
            loss_sum += found.total(share).double() * len(x)
            for name, term in found.named().items():
                term_sums[name] += term.double().sum()
            if found.units is not None:
                by_unit = True
                unit_sums += found.units.double().sum(0)
            mse_sum += squared_error_per_image(model(x), target).double().sum()
    count = len(images)
    return Evaluation(
        float(loss_sum) / count,
        float(mse_sum) / count,
        count,
        {name: float(term) / count for name, term in term_sums.items()},
        tuple((unit_sums / count).tolist()) if by_unit else (),
    )


@torch.inference_mode()
def reconstruct_unrounded(
    model: Autoencoder, images: UInt8[Tensor, "n c h w"], noise: NoiseConfig = NONE
) -> Float[Tensor, "n c h w"]:
    """Reconstructions of stored images, corrupted if there is noise, as the model gives them."""
    with evaluating(model):
        return torch.cat([model(x) for x, _ in seen_and_meant(images, noise)])


def reconstruct(
    model: Autoencoder, images: UInt8[Tensor, "n c h w"], noise: NoiseConfig = NONE
) -> UInt8[Tensor, "n c h w"]:
    """Reconstructions of stored images, corrupted if there is noise, as they would be stored; see `to_stored`."""
    return to_stored(reconstruct_unrounded(model, images, noise))


def corrupted(images: UInt8[Tensor, "n c h w"], noise: NoiseConfig) -> UInt8[Tensor, "n c h w"]:
    """What a network is shown of stored images, as it would be stored; see `to_stored`."""
    return to_stored(torch.cat([x for x, _ in seen_and_meant(images, noise)]))


@torch.inference_mode()
def encode(model: Autoencoder, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n z"]:
    """Codes of stored images (N, C, H, W) -> (N, Z)."""
    with evaluating(model):
        return torch.cat([model.encode(to_unit(batch)) for batch in images.split(BATCH)])


@torch.inference_mode()
def chosen_words(model: Autoencoder, images: UInt8[Tensor, "n c h w"]) -> Int64[Tensor, "n parts"]:
    """Which codewords a vector-quantised model chooses for stored images: (N, C, H, W) -> (N, P)."""
    bottleneck = model.bottleneck
    assert isinstance(bottleneck, VectorQuantizedBottleneck)
    with evaluating(model):
        return torch.cat(
            [bottleneck.words.choose(bottleneck.head(model.encoder(to_unit(batch)))) for batch in images.split(BATCH)]
        )
