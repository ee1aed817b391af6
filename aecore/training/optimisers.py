"""The optimisers and learning-rate schedules a run may use.

This module knows nothing of what is optimised.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn

from aecore.models.parts import Part

Optimiser = Callable[[Iterable[nn.Parameter], float, float], torch.optim.Optimizer]
Schedule = Callable[[float], float]


def adam(parameters: Iterable[nn.Parameter], rate: float, decay: float) -> torch.optim.Optimizer:
    """Adam; weight decay, if any, is added to the gradient. Source: Kingma & Ba, ICLR (2015)."""
    return torch.optim.Adam(parameters, lr=rate, weight_decay=decay, fused=True)


def adamw(parameters: Iterable[nn.Parameter], rate: float, decay: float) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay. Source: Loshchilov & Hutter, ICLR (2019)."""
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=True)


def sgd(parameters: Iterable[nn.Parameter], rate: float, decay: float) -> torch.optim.Optimizer:
    """Gradient descent with momentum 0.9. Source: Sutskever et al., ICML (2013)."""
    return torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=decay, fused=True)


def constant(_: float) -> float:
    """The same rate from start to end."""
    return 1.0


def cosine(progress: float) -> float:
    """Half a cosine from 1 to 0. Source: Loshchilov & Hutter, SGDR, ICLR (2017), equation 5, one period."""
    return (1 + math.cos(math.pi * progress)) / 2


def one_cycle(progress: float) -> float:
    """Up from 1/25 to 1 in the first 30 %, then down to almost 0, both along half a cosine.

    The gentle start keeps units alive that a high rate would kill at once.
    Source: Smith & Topin, Super-convergence (2018), with the shape of `torch.optim.lr_scheduler.OneCycleLR`.
    """
    start, end, peak_at = 1 / 25, 1 / 25 / 1e4, 0.3
    if progress < peak_at:
        return 1 + (start - 1) * cosine(progress / peak_at)
    return end + (1 - end) * cosine((progress - peak_at) / (1 - peak_at))


def learning_rate(asked_for: float, safe_rate: float, optimiser: str) -> float:
    """The rate to train with: the one asked for, or where that is 0 a safe one for the network and the optimiser.

    Args:
        asked_for: `TrainConfig.learning_rate`.
        safe_rate: The network's safe rate with Adam.
        optimiser: A name in `OPTIMISERS`.
    """
    return asked_for or safe_rate * SAFE_RATE_FACTORS.get(optimiser, 1.0)


SAFE_RATE_FACTORS = {"sgd": 1 / 40}
"""Adam divides a gradient by its size; SGD meets the loss of a whole image, summed over hundreds of pixels."""

OPTIMISERS: dict[str, Part[Optimiser]] = {
    "adam": Part("Adam", "Steps scaled for each weight by its recent gradients.", adam),
    "adamw": Part("AdamW", "Adam with weight decay kept apart from the gradient.", adamw),
    "sgd": Part("SGD with momentum", "Plain gradient steps with a momentum of 0.9.", sgd),
}

SCHEDULES: dict[str, Part[Schedule]] = {
    "one_cycle": Part("One cycle", "Warm up, then cool down to almost nothing: fast and safe.", one_cycle),
    "cosine": Part("Cosine", "Start at the full rate and cool down along a cosine.", cosine),
    "constant": Part("Constant", "The same rate throughout.", constant),
}
