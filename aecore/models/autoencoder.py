"""The autoencoder: encoder, bottleneck, decoder, and the loss it is trained on.

This module knows nothing of datasets, optimisers or files.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from aecore.losses import RECONSTRUCTION_LOSSES
from aecore.models.bodies import BODIES
from aecore.models.bottlenecks import BOTTLENECKS
from aecore.models.config import ModelConfig
from aecore.models.initialisation import initialise, weighted_layers
from aecore.models.unpooling import Decoder, Encoder


@dataclass(frozen=True)
class LossTerms:
    """The parts of the loss, one amount per sample.

    Attributes:
        reconstruction: Summed over the values of each image, (N,).
        bottleneck: What the bottleneck charges, by name, each (N,).
    """

    reconstruction: Float[Tensor, " n"]
    bottleneck: dict[str, Float[Tensor, " n"]]

    def total(self) -> Float[Tensor, ""]:
        """The one reduction: all terms added, averaged over the batch."""
        per_sample = self.reconstruction
        for term in self.bottleneck.values():
            per_sample = per_sample + term
        return per_sample.mean()


class Autoencoder(nn.Module):
    """x -> encoder -> code -> decoder -> x', for images (N, C, H, W) of floats in [0, 1].

    Make one with `build_model`.

    Attributes:
        config: Which parts and sizes.
        safe_rate: A learning rate that suits this network; see `aecore.models.bodies.Body`.
    """

    def __init__(self, config: ModelConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        body = BODIES[config.body].build(config)
        self.encoder = Encoder(*body.encoder)
        self.bottleneck = BOTTLENECKS[config.bottleneck].build(body.features, config.latent_dim)
        self.decoder = Decoder(*body.decoder)
        initialise(self.encoder, self.bottleneck, self.decoder, generator)
        self.safe_rate = body.safe_rate
        self.output: nn.Module = nn.Sigmoid() if body.bounded else nn.Identity()

    def encode(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n z"]:
        """Images (N, C, H, W) in [0, 1] -> codes (N, Z)."""
        code: Tensor = self.bottleneck(self.encoder(x)).values
        return code

    def decode(self, code: Float[Tensor, "n z"]) -> Float[Tensor, "n c h w"]:
        """Codes (N, Z) -> reconstructions (N, C, H, W); in (0, 1) for every body but the linear one.

        A decoder with max-unpooling gets no switches this way: what it makes of a code alone differs from `forward`.
        """
        image: Tensor = self.output(self.decoder(code))
        return image

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Images (N, C, H, W) -> their reconstructions, same shape."""
        features, switches = self.encoder.with_switches(x)
        image: Tensor = self.output(self.decoder(self.bottleneck(features).values, switches))
        return image

    @torch.no_grad()
    def start_from(self, mean: Float[Tensor, "c h w"]) -> None:
        """Let a fresh network's output begin at `mean`, the mean image (C, H, W) in [0, 1]; leave a trained one alone.

        Sets the last bias, to the mean of each value or, where it is shared over the image, of each channel. Without
        it the first steps of training do nothing but pull all outputs towards that mean, through every weight at
        once, and a sigmoid pulled too far gives no gradient to come back on.
        """
        bias = weighted_layers(self.decoder)[-1].bias
        assert bias is not None
        if bias.any():  # biases begin at exactly 0 and do not stay there
            return
        values = mean.flatten() if bias.numel() == mean.numel() else mean.mean((1, 2))
        values = values.repeat_interleave(bias.numel() // values.numel())
        bias.copy_(values.logit(eps=0.01) if isinstance(self.output, nn.Sigmoid) else values)

    def loss_terms(self, x: Float[Tensor, "n c h w"], target: Float[Tensor, "n c h w"], loss: str) -> LossTerms:
        """The loss of reconstructing `target` from `x`, sample by sample.

        Args:
            x: What the encoder sees.
            target: What the decoder should give back; the input itself unless `x` was corrupted.
            loss: A name in `aecore.losses.RECONSTRUCTION_LOSSES`.
        """
        features, switches = self.encoder.with_switches(x)
        code = self.bottleneck(features)
        pre_image = self.decoder(code.values, switches)
        reconstruction = RECONSTRUCTION_LOSSES[loss].per_sample(pre_image, target, self.output)
        return LossTerms(reconstruction, code.terms)


def build_model(config: ModelConfig, seed: int | None = None) -> Autoencoder:
    """Build the autoencoder a configuration describes, with the weights of `aecore.models.initialisation`.

    Args:
        config: Which parts and sizes.
        seed: Makes the initial weights reproducible without touching torch's global generator. Networks that differ
            in their upsampler only begin with the same encoder.

    Example:
        >>> build_model(ModelConfig(body="linear", latent_dim=2), seed=0)(torch.zeros(1, 1, 28, 28)).shape
        torch.Size([1, 1, 28, 28])
    """
    if seed is None:
        return Autoencoder(config)
    with torch.random.fork_rng(devices=[]):
        return Autoencoder(config, torch.Generator().manual_seed(seed))
