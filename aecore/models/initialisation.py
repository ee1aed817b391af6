"""The weights a network starts from: drawn so that values keep their size from layer to layer.

torch's own default shrinks them by about a half in every layer. A deep network then begins as a constant, learns the
mean image first, and at a rate that would suit it later its sigmoids saturate before a gradient reaches the code.
This module knows nothing of what the layers are for.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from aecore.models.icnr import ICNRConv2d
from aecore.models.unpooling import share_of_values

if TYPE_CHECKING:
    from aecore.models.bottlenecks import Bottleneck

Weighted = nn.Linear | nn.Conv2d | nn.ConvTranspose2d


@torch.no_grad()
def initialise(
    encoder: nn.Sequential, bottleneck: Bottleneck, decoder: nn.Sequential, generator: torch.Generator | None = None
) -> None:
    """Draw the weights of all layers anew; biases become 0.

    A layer before an activation gets normal weights of variance 1/fan-in, which keeps the size of what flows forward
    (LeCun et al., Efficient backprop, 1998, section 4.6). The maps to the code and to the pre-image get 2/(fan-in +
    fan-out), which keeps the pre-image of a narrow code small (Glorot & Bengio, AISTATS 2010, equation 12). Inputs
    that are zero by construction, between the nails of an unpooling, do not count.

    Encoder and bottleneck are drawn first, so that with the same generator they begin alike whatever the decoder is.

    Args:
        encoder: Layers in the order they run.
        bottleneck: Whose linear layers make the code.
        decoder: Layers in the order they run.
        generator: Where the numbers come from; torch's global one if not given.
    """
    for layer, share in _weighted_with_share(encoder):
        _draw(layer, 1 / (share * fans(layer)[0]), generator)
    for layer in weighted_layers(bottleneck):
        _draw(layer, 2 / sum(fans(layer)), generator)
    bottleneck.draw(generator)
    *hidden, (last, share) = _weighted_with_share(decoder)
    for layer, hidden_share in hidden:
        _draw(layer, 1 / (hidden_share * fans(layer)[0]), generator)
    fan_in, fan_out = fans(last)
    _draw(last, 2 / (share * fan_in + fan_out), generator)


def weighted_layers(module: nn.Module) -> list[Weighted]:
    """The linear and convolutional layers of a module, in the order they were made."""
    return [layer for layer in module.modules() if isinstance(layer, Weighted)]


def _weighted_with_share(layers: nn.Sequential) -> list[tuple[Weighted, float]]:
    """The linear and convolutional layers, each with the share of its inputs that is not zero by construction."""
    pairs = zip([None, *layers], layers, strict=False)
    return [(layer, share_of_values(before)) for before, layer in pairs if isinstance(layer, Weighted)]


def fans(layer: Weighted) -> tuple[float, float]:
    """How many inputs one output is summed from, and how many outputs one input reaches, away from the edges."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    area, positions = math.prod(layer.kernel_size), math.prod(layer.stride)
    if isinstance(layer, nn.ConvTranspose2d):
        return layer.in_channels * area / positions, layer.out_channels * area
    return layer.in_channels * area, layer.out_channels * area / positions


def _draw(layer: Weighted, variance: float, generator: torch.Generator | None) -> None:
    layer.weight.normal_(0, math.sqrt(variance), generator=generator)
    if isinstance(layer, ICNRConv2d):
        layer.make_kernels_equal()
    assert layer.bias is not None
    layer.bias.zero_()
