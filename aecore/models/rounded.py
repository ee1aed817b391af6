"""A network's twin that multiplies bfloat16, while the network itself stays in float32.

This module knows nothing of training.

Source: Micikevicius et al., Mixed precision training, ICLR (2018): float32 weights, rounded anew for each step.
bfloat16 keeps float32's range, so no loss scaling is needed: Kalamkar et al. (2019), arXiv:1905.12322.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from aecore.models.unpooling import Decoder, Encoder

if TYPE_CHECKING:
    from aecore.models.autoencoder import Autoencoder


class Rounded:
    """The twin of a network: encoder and decoder in bfloat16, and the code too unless something is charged for it.

    All weights are rounded at once; `torch.autocast` would do it layer by layer, with a node in the graph for each.

    Attributes:
        network: The twin. Its parameters come in the order of the network's.
    """

    def __init__(self, model: Autoencoder) -> None:
        self.network = copy.deepcopy(model)
        self.network.encoder = Encoder(_Round(), *self.network.encoder.to(torch.bfloat16))
        self.network.decoder = Decoder(_Round(), *self.network.decoder.to(torch.bfloat16))
        if model.bottleneck.charges:
            self.network.bottleneck = model.bottleneck  # the same weights
        else:
            self.network.bottleneck.to(torch.bfloat16)
        pairs = zip(self.network.parameters(), model.parameters(), strict=True)
        self._apart = [(twin, weight) for twin, weight in pairs if twin is not weight]

    @torch.no_grad()
    def refresh(self) -> None:
        """Round the weights as they are now."""
        for twin, weight in self._apart:
            twin.copy_(weight)


class _Round(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.to(torch.bfloat16)
