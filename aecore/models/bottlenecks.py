"""What stands between encoder and decoder: from features to the code, with what it adds to the loss.

A bottleneck takes the encoder's flat features (N, F) to a code (N, Z) and may charge each sample for it. Charges are
summed over the units of a code, as reconstruction losses are summed over the pixels of an image. This module knows
nothing of training loops, and of images only that the features came from some.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from aecore.models.codewords import Codewords
from aecore.models.maps import Features, MapLinear
from aecore.models.parts import Part

if TYPE_CHECKING:
    from aecore.models.config import ModelConfig

EXACT_UNITS = 8
"""Largest code whose Jacobian a contractive bottleneck works out unit by unit; above, it asks random directions."""

SPARSITIES = {"l1": "Sum of sizes (L1)", "kl": "Share of time active (KL)"}


@dataclass(frozen=True)
class Code:
    """A batch of codes, as they are while training.

    Attributes:
        values: What the decoder gets, (N, Z).
        terms: What the bottleneck charges, by name, each (N,): one amount per sample, before its weight.
        weights: How much each of them counts in the loss.
        units: Each unit's part of the first charge, (N, Z), where it is a sum over units.
    """

    values: Float[Tensor, "n z"]
    terms: dict[str, Float[Tensor, " n"]] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    units: Float[Tensor, "n z"] | None = None


@dataclass(frozen=True)
class Posterior:
    """A Gaussian over codes for each image, with independent units.

    Attributes:
        mean: (N, Z).
        log_variance: Natural logarithm of the variance, (N, Z).
    """

    mean: Float[Tensor, "n z"]
    log_variance: Float[Tensor, "n z"]

    def sample(self, generator: torch.Generator | None = None) -> Float[Tensor, "n z"]:
        """Mean + exp(log_variance / 2) * noise, so that gradients pass to both.

        Source: Kingma & Welling, Auto-encoding variational Bayes (2014), arXiv:1312.6114, section 2.4.
        """
        noise = torch.randn(self.mean.shape, generator=generator, dtype=self.mean.dtype)
        return self.mean + (self.log_variance / 2).exp() * noise.to(self.mean.device)

    def kl(self) -> Float[Tensor, "n z"]:
        """KL divergence of each unit from the prior N(0, 1), in nats: -1/2 (1 + log s^2 - mean^2 - s^2).

        Source: Kingma & Welling (2014), appendix B.
        """
        return -0.5 * (1 + self.log_variance - self.mean.square() - self.log_variance.exp())


class Bottleneck(nn.Module, ABC):
    """Features (N, F) to a code (N, Z).

    Attributes:
        charges: Whether anything is charged for the code, so that it has to be computed with all its digits.
        differentiates: Whether `charged` asks how the code changes with the images, for which they need gradients.
    """

    charges = True
    differentiates = False

    @abstractmethod
    def forward(self, features: Float[Tensor, "n f"]) -> Float[Tensor, "n z"]:
        """The code in use: no chance, no charge."""

    def charged(
        self,
        features: Float[Tensor, "n f"],
        x: Float[Tensor, "n c h w"],  # noqa: ARG002 - for those that differentiate
        generator: torch.Generator | None,  # noqa: ARG002 - for those that draw
    ) -> Code:
        """The code as it is while training, and what is charged for it.

        Args:
            features: What the encoder made of the images.
            x: Those images.
            generator: Where chance comes from; torch's global one if None.
        """
        return Code(self(features))

    def posterior(self, features: Float[Tensor, "n f"]) -> Posterior | None:  # noqa: ARG002
        """The distribution over codes, for bottlenecks whose code is one."""
        return None

    def draw(self, generator: torch.Generator | None) -> None:
        """Begin anew what is neither a weight nor a bias."""


class PlainBottleneck(Bottleneck):
    """The code is a linear map of the features, and nothing is charged for it."""

    charges = False

    def __init__(self, features: Features, config: ModelConfig) -> None:
        super().__init__()
        self.head = MapLinear(features, config.latent_dim)

    def forward(self, features: Float[Tensor, "n f"]) -> Float[Tensor, "n z"]:
        """See `Bottleneck.forward`."""
        code: Tensor = self.head(features)
        return code


class FirstHalf(nn.Module):
    """The first half of the values: of means and log-variances, the means."""

    def forward(self, x: Float[Tensor, "n z2"]) -> Float[Tensor, "n z"]:
        """(N, 2Z) -> (N, Z)."""
        return x[:, : x.shape[1] // 2]


class VariationalBottleneck(Bottleneck):
    """The code is drawn from a Gaussian that the encoder describes; its KL divergence from N(0, 1) is charged.

    With beta = 1 the loss is the negative evidence lower bound (ELBO) of a model whose prior is N(0, 1), if the
    reconstruction loss is a negative log-likelihood. In use the code is the mean.

    Sources: Kingma & Welling, Auto-encoding variational Bayes (2014), arXiv:1312.6114; for beta: Higgins et al.,
    beta-VAE (ICLR 2017).
    """

    def __init__(self, features: Features, config: ModelConfig) -> None:
        super().__init__()
        self.head = MapLinear(features, 2 * config.latent_dim)  # means, then log-variances
        self.mean = FirstHalf()
        self.weights = {"kl": config.beta}

    def forward(self, features: Float[Tensor, "n f"]) -> Float[Tensor, "n z"]:
        """See `Bottleneck.forward`."""
        mean: Tensor = self.mean(self.head(features))
        return mean

    def posterior(self, features: Float[Tensor, "n f"]) -> Posterior:
        """See `Bottleneck.posterior`."""
        return Posterior(*self.head(features).chunk(2, dim=1))

    def charged(
        self,
        features: Float[Tensor, "n f"],
        x: Float[Tensor, "n c h w"],  # noqa: ARG002
        generator: torch.Generator | None,
    ) -> Code:
        """See `Bottleneck.charged`."""
        posterior = self.posterior(features)
        kl = posterior.kl()
        return Code(posterior.sample(generator), {"kl": kl.sum(1)}, self.weights, kl)


class SparseBottleneck(PlainBottleneck):
    """Few units of the code speak at a time; that they speak is charged.

    With `l1` a unit is max(0, features' linear map), so that it can be exactly 0, and its size is charged (Goodfellow,
    Bengio & Courville, Deep Learning, 2016, section 14.2.1). With `kl` a unit is a sigmoid, and charged is the KL
    divergence between two coins: one that shows heads with the target probability, and one with the unit's mean over
    the batch (Ng, Sparse autoencoder, CS294A lecture notes, 2011, section 3). Every sample of the batch then pays the
    same.
    """

    charges = True

    def __init__(self, features: Features, config: ModelConfig) -> None:
        super().__init__(features, config)
        self.by_size = config.sparsity == "l1"
        self.activation = nn.ReLU() if self.by_size else nn.Sigmoid()
        self.target = config.target_activation
        self.weights = {"sparsity": config.sparsity_weight}

    def forward(self, features: Float[Tensor, "n f"]) -> Float[Tensor, "n z"]:
        """See `Bottleneck.forward`."""
        code: Tensor = self.activation(self.head(features))
        return code

    def charged(
        self,
        features: Float[Tensor, "n f"],
        x: Float[Tensor, "n c h w"],  # noqa: ARG002
        generator: torch.Generator | None,  # noqa: ARG002
    ) -> Code:
        """See `Bottleneck.charged`."""
        code = self(features)
        units = code.abs() if self.by_size else coin_divergence(self.target, code.mean(0)).expand_as(code)
        return Code(code, {"sparsity": units.sum(1)}, self.weights, units)


def coin_divergence(target: float, mean: Float[Tensor, " z"]) -> Float[Tensor, " z"]:
    """KL divergence between coins that show heads with probability `target` and `mean`, in nats."""
    mean = mean.clamp(1e-30, 1 - 1e-7)  # a unit that has fallen silent is still pulled; its logarithm stays finite
    heads, tails = math.log(target) - mean.log(), math.log1p(-target) - (1 - mean).log()
    return target * heads + (1 - target) * tails


class ContractiveBottleneck(PlainBottleneck):
    """A code that changes little when the image does: the squared size of its Jacobian is charged.

    ||J||_F^2 = sum over units and pixels of (d code / d pixel)^2. For codes of up to `EXACT_UNITS` units it is worked
    out unit by unit; above, it is estimated without bias from random directions v of length 1 in every unit, as the
    mean of ||v J||^2 (Hutchinson, 1989).

    Source: Rifai et al., Contractive auto-encoders: explicit invariance during feature extraction, ICML (2011).
    """

    charges = True
    differentiates = True

    def __init__(self, features: Features, config: ModelConfig) -> None:
        super().__init__(features, config)
        self.weights = {"contraction": config.contraction_weight}

    def charged(
        self, features: Float[Tensor, "n f"], x: Float[Tensor, "n c h w"], generator: torch.Generator | None
    ) -> Code:
        """See `Bottleneck.charged`."""
        code = self(features)

        def squared_gradient(directions: Float[Tensor, "n z"]) -> Float[Tensor, " n"]:
            (gradient,) = torch.autograd.grad(code, x, directions, create_graph=True)
            return gradient.square().flatten(1).sum(1)

        if code.shape[1] <= EXACT_UNITS:
            each = torch.eye(code.shape[1], dtype=code.dtype, device=code.device)
            units = torch.stack([squared_gradient(unit.expand_as(code)) for unit in each], dim=1)
            return Code(code, {"contraction": units.sum(1)}, self.weights, units)
        signs = torch.randint(2, code.shape, generator=generator).to(code) * 2 - 1
        return Code(code, {"contraction": squared_gradient(signs)}, self.weights)


class VectorQuantizedBottleneck(PlainBottleneck):
    """The code is made of words from learned lists; that the encoder strays from its words is charged.

    The decoder sees the words, and their gradient goes straight through to the encoder as if there were no choice.
    Source: van den Oord, Vinyals & Kavukcuoglu, Neural discrete representation learning (2017), arXiv:1711.00937,
    section 3.2; the words are learned as running means, see `Codewords`.
    """

    charges = True

    def __init__(self, features: Features, config: ModelConfig) -> None:
        super().__init__(features, config)
        self.words = Codewords(config.latent_dim, config.codewords, config.word_size)
        self.weights = {"commitment": config.commitment}

    def forward(self, features: Float[Tensor, "n f"]) -> Float[Tensor, "n z"]:
        """See `Bottleneck.forward`."""
        code: Tensor = self.words(self.head(features))
        return code

    def charged(
        self,
        features: Float[Tensor, "n f"],
        x: Float[Tensor, "n c h w"],  # noqa: ARG002
        generator: torch.Generator | None,
    ) -> Code:
        """See `Bottleneck.charged`; while training it also moves the words."""
        wish = self.head(features)
        chosen = self.words.choose(wish)
        spelled = self.words.spell(chosen)
        if self.training:
            self.words.follow(wish, chosen, generator)
        units = (wish - spelled).square()
        return Code(wish + (spelled - wish).detach(), {"commitment": units.sum(1)}, self.weights, units)

    def draw(self, generator: torch.Generator | None) -> None:
        """See `Bottleneck.draw`."""
        self.words.draw(generator)


BOTTLENECKS: dict[str, Part[Callable[[Features, ModelConfig], Bottleneck]]] = {
    "plain": Part("Plain", "The code is any vector; nothing pulls on it but the reconstruction.", PlainBottleneck),
    "variational": Part(
        "Variational",
        "The code is drawn from a Gaussian per image, which is held near a standard normal one.",
        VariationalBottleneck,
    ),
    "sparse": Part("Sparse", "Few units speak at a time; activity is charged.", SparseBottleneck),
    "contractive": Part(
        "Contractive", "The code changes little when the image does; its Jacobian is charged.", ContractiveBottleneck
    ),
    "vector_quantized": Part(
        "Vector-quantised", "The code is made of words from a learned list.", VectorQuantizedBottleneck
    ),
}
