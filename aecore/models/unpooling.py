"""Doubling with holes: what max-unpooling and the bed of nails leave between the values is zero.

A *switch* says where in its 2x2 block the largest value stood when the encoder pooled it. Switches go past the
bottleneck from encoder to decoder, so a network with max-unpooling knows more about an image than its code says.
This module knows nothing of what the layers between do.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float, Int64
from torch import Tensor, nn

Switches = Int64[Tensor, "n c h w"]
SHARE = 1 / 4  # of the values such a layer gives are not zero


class SwitchPool2d(nn.MaxPool2d):
    """The largest of every 2x2 block (edge blocks may be smaller), and where it stood."""

    def __init__(self) -> None:
        super().__init__(kernel_size=2, stride=2, ceil_mode=True, return_indices=True)

    def forward(self, x: Float[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n c h2 w2"], Int64[Tensor, "n c h2 w2"]]:
        """(N, C, H, W) -> values (N, C, ceil(H/2), ceil(W/2)), and their flat places in a plane of twice that size."""
        values, places = super().forward(x)
        width = x.shape[-1]
        return values, places + places // width * (2 * values.shape[-1] - width)  # rows of an odd plane grow by one


class BedOfNails2d(nn.Module):
    """Every value goes to the top left of a 2x2 block of zeros.

    Source: the name is that of Stanford's course CS231n, lecture 11 (2017); the operation is the zero insertion by
    which Dumoulin & Visin (2016), section 4, explain transposed convolution.
    """

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
        """(N, C, H, W) -> (N, C, 2H, 2W)."""
        nails = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
        nails[:, :, ::2, ::2] = x
        return nails


class MaxUnpool2d(BedOfNails2d):
    """Every value goes to where the encoder's max-pooling found the largest one; the rest of its 2x2 block is zero.

    A code alone has no switches. Decoded without them, values go to the top left, as in a bed of nails.
    Source: Zeiler & Fergus, Visualizing and understanding convolutional networks, ECCV (2014), section 2.1; in an
    autoencoder: Zhao et al., Stacked what-where auto-encoders (2015), arXiv:1506.02351.
    """

    def forward(self, x: Float[Tensor, "n c h w"], switches: Switches | None = None) -> Float[Tensor, "n c h2 w2"]:
        """(N, C, H, W), and what the paired `SwitchPool2d` gave with its values -> (N, C, 2H, 2W)."""
        if switches is None:
            return super().forward(x)
        plane = x.new_zeros(*x.shape[:2], 4 * x.shape[2] * x.shape[3])
        plane = plane.scatter(2, switches.flatten(2), x.flatten(2))
        return plane.view(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])


class Encoder(nn.Sequential):
    """Layers one after the other; those that pool with switches hand them on beside the values."""

    def forward(self, x: Tensor) -> Tensor:
        """What the last layer gives."""
        return self.with_switches(x)[0]

    def with_switches(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What the last layer gives, and the switches of each pooling, the first one's first."""
        switches = []
        for layer in self:
            if isinstance(layer, SwitchPool2d):
                x, places = layer(x)
                switches.append(places)
            else:
                x = layer(x)
        return x, switches


class Decoder(nn.Sequential):
    """Layers one after the other; each unpooling gets the switches of the pooling it undoes."""

    def forward(self, x: Tensor, switches: Sequence[Tensor] = ()) -> Tensor:
        """What the last layer gives.

        Args:
            x: Codes (N, Z).
            switches: As `Encoder.with_switches` gave them; the last pooling is the first to be undone.
        """
        left = list(switches)
        for layer in self:
            x = layer(x, left.pop()) if left and isinstance(layer, MaxUnpool2d) else layer(x)
        return x


def with_switches_for(decoder: Sequence[nn.Module], encoder: Sequence[nn.Module]) -> list[nn.Module]:
    """The encoder's layers, its max-poolings with switches if the decoder has a use for them."""
    wanted = any(isinstance(layer, MaxUnpool2d) for layer in decoder)
    return [SwitchPool2d() if wanted and isinstance(layer, nn.MaxPool2d) else layer for layer in encoder]


def share_of_values(before: nn.Module | None) -> float:
    """Which share of the values a layer gets is not zero by construction, given the layer before it."""
    return SHARE if isinstance(before, BedOfNails2d) else 1.0
