"""The autoencoder: encoder, bottleneck, decoder, and the loss it is trained on.

This module knows nothing of datasets, optimisers or files.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from aecore.losses import RECONSTRUCTION_LOSSES
from aecore.models.bodies import BODIES
from aecore.models.bottlenecks import BOTTLENECKS, Code, Posterior
from aecore.models.config import ModelConfig
from aecore.models.initialisation import initialise, weighted_layers
from aecore.models.rounded import Rounded
from aecore.models.unpooling import Decoder, Encoder


@dataclass(frozen=True)
class LossTerms:
    """The parts of the loss, one amount per sample.

    Attributes:
        reconstruction: Summed over the values of each image, (N,).
        bottleneck: What the bottleneck charges, by name, each (N,), before its weight.
        weights: How much each charge counts; 1 if not said.
        units: Each unit's part of the first charge, (N, Z), where it is a sum over units.
    """

    reconstruction: Float[Tensor, " n"]
    bottleneck: dict[str, Float[Tensor, " n"]]
    weights: Mapping[str, float] = field(default_factory=dict)
    units: Float[Tensor, "n z"] | None = None

    def total(self, share: float | Float[Tensor, ""] = 1.0) -> Float[Tensor, ""]:
        """The one reduction: all terms added by their weights, averaged over the batch.

        Args:
            share: How much of the bottleneck's charges counts, in [0, 1]; less than 1 while they warm up.
        """
        per_sample = self.reconstruction
        for name, term in self.bottleneck.items():
            per_sample = per_sample + share * self.weights.get(name, 1.0) * term
        return per_sample.mean()

    def named(self) -> dict[str, Float[Tensor, " n"]]:
        """All terms by name, the reconstruction first."""
        return {"reconstruction": self.reconstruction, **self.bottleneck}


class Autoencoder(nn.Module):
    """x -> encoder -> code -> decoder -> x', for images (N, C, H, W) of floats in [0, 1].

    Make one with `build_model`.

    Attributes:
        config: Which parts and sizes.
        safe_rate: A learning rate that suits this network; see `aecore.models.bodies.Body`.
        twin: What computes its training steps, if not it itself.
    """

    twin: Rounded | None = None

    def __init__(self, config: ModelConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        body = BODIES[config.body].build(config)
        self.encoder = Encoder(*body.encoder)
        self.bottleneck = BOTTLENECKS[config.bottleneck].build(body.features, config)
        self.decoder = Decoder(*body.decoder)
        initialise(self.encoder, self.bottleneck, self.decoder, generator)
        self.safe_rate = body.safe_rate
        self.output: nn.Module = nn.Sigmoid() if body.bounded else nn.Identity()

    def encode(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n z"]:
        """Images (N, C, H, W) in [0, 1] -> codes (N, Z): of a distribution its mean, of a choice of words the words."""
        code: Tensor = self.bottleneck(self.encoder(x))
        return code

    def posterior(self, x: Float[Tensor, "n c h w"]) -> Posterior | None:
        """The distribution over codes of each image; None unless the bottleneck makes one."""
        return self.bottleneck.posterior(self.encoder(x))

    def decode(self, code: Float[Tensor, "n z"]) -> Float[Tensor, "n c h w"]:
        """Codes (N, Z) -> reconstructions (N, C, H, W); in (0, 1) for every body but the linear one.

        A decoder with max-unpooling gets no switches this way: what it makes of a code alone differs from `forward`.
        """
        image: Tensor = self.output(self.decoder(code))
        return image

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Images (N, C, H, W) -> their reconstructions, same shape."""
        features, switches = self.encoder.with_switches(x)
        image: Tensor = self.output(self.decoder(self.bottleneck(features), switches))
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

    def loss_terms(
        self,
        x: Float[Tensor, "n c h w"],
        target: Float[Tensor, "n c h w"],
        loss: str,
        generator: torch.Generator | None = None,
    ) -> LossTerms:
        """The loss of reconstructing `target` from `x`, sample by sample.

        Where layers compute with fewer bits, a code that is charged for, its charge and the loss are in float32 all the
        same.

        Args:
            x: What the encoder sees.
            target: What the decoder should give back; the input itself unless `x` was corrupted.
            loss: A name in `aecore.losses.RECONSTRUCTION_LOSSES`.
            generator: Where a bottleneck that draws its code draws it from; torch's global one if not given.
        """
        code, switches = self._charged(x, generator)
        pre_image = at_least_single(self.decoder(code.values, switches))
        reconstruction = RECONSTRUCTION_LOSSES[loss].per_sample(pre_image, target, self.output)
        return LossTerms(reconstruction, code.terms, code.weights, code.units)

    def _charged(self, x: Tensor, generator: torch.Generator | None) -> tuple[Code, list[Tensor]]:
        """The code as it is while training, and the switches; what differentiates does so even without gradients."""
        learning = torch.is_grad_enabled()
        asks = self.bottleneck.differentiates
        with torch.inference_mode(False) if asks else nullcontext(), torch.set_grad_enabled(learning or asks):
            seen = x.clone().requires_grad_() if asks else x
            features, switches = self.encoder.with_switches(seen)
            known = at_least_single(features) if self.bottleneck.charges else features
            code = self.bottleneck.charged(known, seen, generator)
        if learning or not asks:
            return code, switches
        units = None if code.units is None else code.units.detach()
        terms = {name: term.detach() for name, term in code.terms.items()}
        return Code(code.values.detach(), terms, code.weights, units), switches


def at_least_single(x: Tensor) -> Tensor:
    """The same in float32 if it has fewer bits: codes, charges and losses are sums of many small numbers."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


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
