"""What stands between encoder and decoder: from features to the code, with what it adds to the loss.

A bottleneck takes the encoder's flat features (N, F) to a code (N, Z) and may charge each sample for it. This
module knows nothing of images.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor, nn

from aecore.models.parts import Part


@dataclass(frozen=True)
class Code:
    """A batch of codes.

    Attributes:
        values: What the decoder gets, (N, Z).
        terms: What the bottleneck adds to the loss, by name, each (N,): one amount per sample.
    """

    values: Float[Tensor, "n z"]
    terms: dict[str, Float[Tensor, " n"]] = field(default_factory=dict)


class Bottleneck(nn.Module, ABC):
    """Features (N, F) to a code (N, Z)."""

    @abstractmethod
    def forward(self, features: Float[Tensor, "n f"]) -> Code:
        """The code to decode while training, with its loss terms."""


class PlainBottleneck(Bottleneck):
    """The code is a linear map of the features, and nothing is charged for it."""

    def __init__(self, features: int, latent_dim: int) -> None:
        super().__init__()
        self.head = nn.Linear(features, latent_dim)

    def forward(self, features: Float[Tensor, "n f"]) -> Code:
        """See `Bottleneck.forward`; training and use are the same here."""
        return Code(self.head(features))


BOTTLENECKS: dict[str, Part[Callable[[int, int], Bottleneck]]] = {
    "plain": Part("Plain", "The code is any vector; nothing pulls on it but the reconstruction.", PlainBottleneck),
}
