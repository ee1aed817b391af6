"""Between maps of features (C, H, W) and rows of them: flattening, laying out, and the linear layers on either side.

Rows are counted channel by channel, as torch counts. Where the channels of a pixel lie side by side in memory, that
order has to be made by copying all maps of a batch, four times a step. So these layers can count pixel by pixel
instead, together: then the rows are the maps as they lie, and the few weights of the linear layers are put in that
order. What the network computes and what it keeps is the same. This module knows nothing of networks.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Features = int | tuple[int, int, int]
"""How many features, or the map (C, H, W) they are."""


class MapLayer(nn.Module):
    """A layer with maps on one side; to be named before torch's own class.

    Attributes:
        by_pixel: Whether rows are counted pixel by pixel. All layers of a network have to agree.
    """

    by_pixel: bool = False


class FlattenMap(MapLayer, nn.Flatten):
    """(N, C, H, W) -> (N, CHW)."""

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n f"]:
        """Maps to rows."""
        rows: Tensor = super().forward(x.permute(0, 2, 3, 1) if self.by_pixel else x)
        return rows


class UnflattenMap(MapLayer, nn.Unflatten):
    """(N, CHW) -> (N, C, H, W)."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__(1, shape)

    def forward(self, x: Float[Tensor, "n f"]) -> Float[Tensor, "n c h w"]:
        """Rows to maps."""
        if not self.by_pixel:
            maps: Tensor = super().forward(x)
            return maps
        channels, height, width = self.unflattened_size
        lying: Tensor = x.unflatten(1, (height, width, channels))
        return lying.permute(0, 3, 1, 2)


class MapLinear(MapLayer, nn.Linear):
    """A linear layer that takes rows, gives rows, or both; (N, in) -> (N, out)."""

    def __init__(self, takes: Features, gives: Features) -> None:
        super().__init__(_count(takes), _count(gives))
        self.takes, self.gives = takes, gives

    def forward(self, x: Float[Tensor, "n f"]) -> Float[Tensor, "n g"]:
        """Rows to rows."""
        if not self.by_pixel:
            rows: Tensor = super().forward(x)
            return rows
        weight, bias = self.weight, self.bias
        if not isinstance(self.takes, int):
            weight = weight.unflatten(1, self.takes).permute(0, 2, 3, 1).flatten(1)
        if not isinstance(self.gives, int):
            weight = weight.unflatten(0, self.gives).permute(1, 2, 0, 3).flatten(0, 2)
            bias = bias.unflatten(0, self.gives).permute(1, 2, 0).flatten()
        return F.linear(x, weight, bias)


def _count(features: Features) -> int:
    return features if isinstance(features, int) else math.prod(features)
