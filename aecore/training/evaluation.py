"""A model tried on a whole set of images.

This module knows nothing of optimisers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from aecore.data.image_dataset import to_unit
from aecore.metrics import psnr_of_mse, squared_error_per_image
from aecore.models.autoencoder import Autoencoder

BATCH = 500  # large enough for full speed, small enough for the caches of a laptop


@dataclass(frozen=True)
class Evaluation:
    """How a model does on a set of images.

    Attributes:
        loss: Summed over the values of an image, averaged over the images.
        mse: Mean squared error per value.
        images: Number of images.
    """

    loss: float
    mse: float
    images: int

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


@torch.inference_mode()
def evaluate(model: Autoencoder, images: UInt8[Tensor, "n c h w"], loss: str = "mse") -> Evaluation:
    """Try `model` on `images`, in batches, without gradients; sums are kept in double precision."""
    loss_sum = torch.zeros((), dtype=torch.float64)
    mse_sum = torch.zeros((), dtype=torch.float64)
    with evaluating(model):
        for batch in images.split(BATCH):
            x = to_unit(batch)
            loss_sum += model.loss_terms(x, x, loss).total().double() * len(x)
            mse_sum += squared_error_per_image(model(x), x).double().sum()
    return Evaluation(float(loss_sum) / len(images), float(mse_sum) / len(images), len(images))


@torch.inference_mode()
def reconstruct_unrounded(model: Autoencoder, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Reconstructions of stored images as the model gives them."""
    with evaluating(model):
        return torch.cat([model(to_unit(batch)) for batch in images.split(BATCH)])


def reconstruct(model: Autoencoder, images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
    """Reconstructions of stored images as they would be stored: clipped to [0, 1], rounded to 0..255."""
    return reconstruct_unrounded(model, images).clamp(0, 1).mul(255).round().to(torch.uint8)


@torch.inference_mode()
def encode(model: Autoencoder, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n z"]:
    """Codes of stored images (N, C, H, W) -> (N, Z)."""
    with evaluating(model):
        return torch.cat([model.encode(to_unit(batch)) for batch in images.split(BATCH)])
