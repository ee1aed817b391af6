"""The bodies: what encoder and decoder are made of.

A body turns a configuration into two flat lists of layers. The encoder's list takes images (N, C, H, W) to
features (N, F); the bottleneck makes the code of them; the decoder's list takes the code (N, Z) to *pre-images*
(N, C, H, W), the values before the output nonlinearity. This module knows nothing of training.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor, nn

from aecore.models.activations import ACTIVATIONS
from aecore.models.maps import Features, FlattenMap, MapLinear, UnflattenMap
from aecore.models.parts import Part
from aecore.models.resampling import DOWNSAMPLERS, UPSAMPLERS
from aecore.models.unpooling import with_switches_for

if TYPE_CHECKING:
    from aecore.models.config import ModelConfig


@dataclass(frozen=True)
class Body:
    """The two halves of a network around its bottleneck.

    Attributes:
        encoder: Layers from (N, C, H, W) to (N, features).
        features: What the bottleneck gets: how many numbers, or which map they are.
        decoder: Layers from (N, Z) to (N, C, H, W).
        bounded: Whether the output passes through a sigmoid, so that it lies in (0, 1).
        safe_rate: A learning rate for Adam at which this network learns fast and was never seen to die: with a
            much higher one the sigmoids of wide or deep bodies saturate at the start and no gradient is left.
            Found by trial on digits, shapes and MNIST; `tests/test_safe_rates.py` tries it on every body.
    """

    encoder: list[nn.Module]
    features: Features
    decoder: list[nn.Module]
    bounded: bool
    safe_rate: float


class Crop(nn.Module):
    """Keep the top left height x width pixels: doubling overshoots by one where a halved side was odd."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c height width"]:
        """(N, C, >=height, >=width) -> (N, C, height, width)."""
        return x[:, :, : self.height, : self.width]

    def extra_repr(self) -> str:
        """The size, for `print(model)`."""
        return f"{self.height}, {self.width}"


def linear_body(config: ModelConfig) -> Body:
    """One linear map each way and no nonlinearity anywhere: the seed of the subject.

    With squared error its optimum spans the subspace of the first Z principal components.
    Source: Baldi & Hornik, Neural networks and principal component analysis, Neural Networks 2 (1989).
    """
    pixels = math.prod(config.image_shape)
    return Body(
        encoder=[nn.Flatten()],  # (N, C, H, W) -> (N, CHW)
        features=pixels,
        decoder=[
            nn.Linear(config.latent_dim, pixels),  # (N, Z) -> (N, CHW)
            nn.Unflatten(1, config.image_shape),  # -> (N, C, H, W)
        ],
        bounded=False,
        safe_rate=4e-3 * math.sqrt(784 / pixels),
    )


def mlp_body(config: ModelConfig) -> Body:
    """Fully connected hidden layers: every pixel may speak to every unit.

    Source: Hinton & Salakhutdinov, Reducing the dimensionality of data with neural networks, Science 313 (2006).
    """
    pixels, hidden = math.prod(config.image_shape), config.hidden_units
    activation = ACTIVATIONS[config.activation]
    encoder: list[nn.Module] = [nn.Flatten(), nn.Linear(pixels, hidden), activation()]
    decoder: list[nn.Module] = [nn.Linear(config.latent_dim, hidden), activation()]
    for _ in range(config.hidden_layers - 1):
        encoder += [nn.Linear(hidden, hidden), activation()]
        decoder += [nn.Linear(hidden, hidden), activation()]
    decoder += [nn.Linear(hidden, pixels), nn.Unflatten(1, config.image_shape)]
    return Body(
        encoder=encoder,
        features=hidden,
        decoder=decoder,
        bounded=True,
        safe_rate=3e-3 * math.sqrt(400 / hidden) / config.hidden_layers,
    )


def conv_body(config: ModelConfig) -> Body:
    """Convolutions that halve the resolution `stages` times, and upsamplers that double it back.

    Source: Masci et al., Stacked convolutional auto-encoders for hierarchical feature extraction, ICANN (2011).
    """
    image_channels, height, width = config.image_shape
    activation = ACTIVATIONS[config.activation]
    widths = [config.channels * 2**stage for stage in range(config.stages)]
    sizes = [(height, width)]
    for _ in widths:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))  # ceil(side / 2)
    innermost = (widths[-1], *sizes[-1])

    down, up = DOWNSAMPLERS[config.downsample].build, UPSAMPLERS[config.upsample].build
    encoder: list[nn.Module] = []
    for before, after in zip([image_channels, *widths], widths, strict=False):
        encoder += [*down(before, after), activation()]  # (N, c, h, w) -> (N, c', ceil(h/2), ceil(w/2))
    encoder.append(FlattenMap())

    decoder: list[nn.Module] = [
        MapLinear(config.latent_dim, innermost),
        activation(),
        UnflattenMap(innermost),
    ]
    outputs = [*widths[-2::-1], image_channels]
    for before, after, small, large in zip(widths[::-1], outputs, sizes[:0:-1], sizes[-2::-1], strict=True):
        decoder += up(before, after)  # (N, c, h, w) -> (N, c', 2h, 2w)
        if large != (2 * small[0], 2 * small[1]):
            decoder.append(Crop(*large))
        decoder.append(activation())
    decoder.pop()  # the last values are the pre-image
    return Body(
        encoder=with_switches_for(decoder, encoder),
        features=innermost,
        decoder=decoder,
        bounded=True,
        safe_rate=1.2e-2
        * min(1, math.sqrt(16 / config.channels))
        * min(1, (2 / config.stages) ** 1.5)
        * min(1, math.sqrt(784 / math.prod(config.image_shape))),  # at 1.2e-2 one in six died on colour shapes
    )


BODIES: dict[str, Part[Callable[[ModelConfig], Body]]] = {
    "linear": Part("Linear", "One linear map each way and no activation: it can learn what PCA finds.", linear_body),
    "mlp": Part("MLP", "Fully connected hidden layers, in which every pixel speaks to every unit.", mlp_body),
    "conv": Part("Convolutional", "Small filters shared over the whole image, in stages of halved size.", conv_body),
}
