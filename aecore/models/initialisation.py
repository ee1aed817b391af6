"""The weights a network starts from: drawn so that values keep their size from layer to layer.

torch's own default shrinks them by about a half in every layer. A deep network then begins as a constant, learns the
mean image first, and at a rate that would suit it later its sigmoids saturate before a gradient reaches the code.
This module knows nothing of what the layers are for.
"""

from __future__ import annotations

import math

import torch
from torch import nn

Weighted = nn.Linear | nn.Conv2d | nn.ConvTranspose2d


@torch.no_grad()
def initialise(encoder: nn.Module, bottleneck: nn.Module, decoder: nn.Module) -> None:
    """Draw the weights of all layers anew from torch's global generator; biases become 0.

    A layer before an activation gets normal weights of variance 1/fan-in, which keeps the size of what flows forward
    (LeCun et al., Efficient backprop, 1998, section 4.6). The maps to the code and to the pre-image get 2/(fan-in +
    fan-out), which keeps the pre-image of a narrow code small (Glorot & Bengio, AISTATS 2010, equation 12).
    """
    *hidden, last = weighted_layers(encoder) + weighted_layers(decoder)
    for layer in hidden:
        _draw(layer, 1 / fans(layer)[0])
    for layer in (*weighted_layers(bottleneck), last):
        _draw(layer, 2 / sum(fans(layer)))


def weighted_layers(module: nn.Module) -> list[Weighted]:
    """The linear and convolutional layers of a module, in the order they were made."""
    return [layer for layer in module.modules() if isinstance(layer, Weighted)]


def fans(layer: Weighted) -> tuple[float, float]:
    """How many inputs one output is summed from, and how many outputs one input reaches, away from the edges."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    area, positions = math.prod(layer.kernel_size), math.prod(layer.stride)
    if isinstance(layer, nn.ConvTranspose2d):
        return layer.in_channels * area / positions, layer.out_channels * area
    return layer.in_channels * area, layer.out_channels * area / positions


def _draw(layer: Weighted, variance: float) -> None:
    layer.weight.normal_(0, math.sqrt(variance))
    assert layer.bias is not None
    layer.bias.zero_()
