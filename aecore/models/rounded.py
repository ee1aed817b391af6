"""A network's twin that multiplies bfloat16, while the network itself stays in float32.

This module knows nothing of training.

Source: Micikevicius et al., Mixed precision training, ICLR (2018): float32 weights, rounded anew for each step.
bfloat16 keeps float32's range, so no loss scaling is needed: Kalamkar et al. (2019), arXiv:1905.12322.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from aecore.models.autoencoder import Autoencoder


class Rounded:
    """The twin of a network: encoder and decoder in bfloat16, and the code too unless something is charged for it.

    All weights are rounded at once, and all gradients handed back at once; `torch.autocast` would do it layer by layer,
    with a node in the graph for each.

    Attributes:
        network: The twin; compute a loss with it between `refresh` and `hand_back`.
    """

    def __init__(self, model: Autoencoder) -> None:
        self.network = copy.deepcopy(model)
        for half in (self.network.encoder, self.network.decoder):
            half.to(torch.bfloat16)
        if model.bottleneck.charges:
            self.network.bottleneck = model.bottleneck  # the same weights: nothing to round, nothing to hand back
        else:
            self.network.bottleneck.to(torch.bfloat16)
        self.network.precision = torch.bfloat16
        pairs = zip(self.network.parameters(), model.parameters(), strict=True)
        apart = [(twin, weight) for twin, weight in pairs if twin is not weight]
        self._twins: list[Tensor] = [twin for twin, _ in apart]
        self._weights: list[Tensor] = [weight for _, weight in apart]
        self._gradients = [torch.empty_like(weight) for weight in self._weights]

    @torch.no_grad()
    def refresh(self) -> None:
        """Round the weights as they are now, and forget the gradients of the step before."""
        torch._foreach_copy_(self._twins, self._weights)
        for twin in self._twins:
            twin.grad = None

    @torch.no_grad()
    def hand_back(self) -> None:
        """Give the network the gradients its twin has got, in float32."""
        came: list[Tensor] = []
        given: list[Tensor] = []
        for twin, weight, gradient in zip(self._twins, self._weights, self._gradients, strict=True):
            if twin.grad is not None:
                came.append(twin.grad)
                given.append(gradient)
                weight.grad = gradient
        torch._foreach_copy_(given, came)
