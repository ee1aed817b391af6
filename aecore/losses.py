"""Reconstruction losses: how far the reconstruction is from its target, per sample.

Each is summed over the values of one image, so that terms which count per image (such as a KL divergence) can be
added without a hidden weight. This module knows nothing of models or training.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


@dataclass(frozen=True)
class ReconstructionLoss:
    """One registered loss.

    Attributes:
        title: Short name for people.
        help: One sentence.
        unit: Unit of the amount per image.
        constant: What to add, for each value of an image, to make it the negative logarithm of a probability
            (density) in nats: 0 for Bernoulli variables, 1/2 log(pi) for Gaussian ones of variance 1/2.
        needs_bounded_output: Whether it is defined only for reconstructions in (0, 1).
        per_sample: (pre-image, target, output nonlinearity) -> (N,).
    """

    title: str
    help: str
    unit: str
    constant: float
    needs_bounded_output: bool
    per_sample: Callable[[Tensor, Tensor, Callable[[Tensor], Tensor]], Tensor]


def squared_error(
    pre_image: Float[Tensor, "n c h w"], target: Float[Tensor, "n c h w"], output: Callable[[Tensor], Tensor]
) -> Float[Tensor, " n"]:
    """Squared differences summed over each image: sum_i (x'_i - x_i)^2.

    Up to a constant the negative log-likelihood of Gaussian variables of variance 1/2: -log N(x; x', 1/2) =
    (x' - x)^2 + 1/2 log(pi). Another variance is another weight: for variance v charges count 2v times as much.
    Source: Goodfellow, Bengio & Courville, Deep Learning (2016), section 5.5.1.
    """
    if isinstance(output, nn.Sigmoid):
        amounts: Tensor = _SquaredErrorOfSigmoid.apply(pre_image, target)
        return amounts
    return (output(pre_image) - target).square().flatten(1).sum(1)


class _SquaredErrorOfSigmoid(torch.autograd.Function):
    """sum_i (sigmoid(a_i) - x_i)^2 of each image, with its gradient 2 (s - x) s (1 - s) in two passes over memory.

    torch would make nine passes of them, over the largest tensors there are at the end of a network.
    """

    @staticmethod
    def forward(ctx: Any, pre_image: Tensor, target: Tensor) -> Tensor:
        values = torch.sigmoid(pre_image)
        ctx.save_for_backward(values, target)
        return F.mse_loss(values, target, reduction="none").flatten(1).sum(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        values, target = ctx.saved_tensors
        each = gradient.view(-1, *[1] * (values.ndim - 1)).expand_as(values)
        slope = torch.ops.aten.mse_loss_backward(each, values, target, 0)
        return torch.ops.aten.sigmoid_backward(slope, values), None


def binary_cross_entropy(
    pre_image: Float[Tensor, "n c h w"],
    target: Float[Tensor, "n c h w"],
    output: Callable[[Tensor], Tensor],  # noqa: ARG001 - the sigmoid is inside, where it is stable
) -> Float[Tensor, " n"]:
    """Cross-entropy of each value as a probability, in nats, summed over each image.

    -sum_i [x_i log s_i + (1 - x_i) log(1 - s_i)] with s = sigmoid(pre-image), computed from the pre-image so that
    no logarithm meets a zero. For targets strictly between 0 and 1 its minimum is above zero.
    Source: Vincent et al., Stacked denoising autoencoders, JMLR 11 (2010), equation 4.
    """
    amounts: Tensor = _CrossEntropyOfSigmoid.apply(pre_image, target)
    return amounts


class _CrossEntropyOfSigmoid(torch.autograd.Function):
    """sum_i [softplus(a_i) - x_i a_i] of each image: the cross-entropy of sigmoid(a), where no logarithm meets a zero.

    With its gradient s - x; torch's own form makes three times as many passes over memory.
    """

    @staticmethod
    def forward(ctx: Any, pre_image: Tensor, target: Tensor) -> Tensor:
        ctx.save_for_backward(pre_image, target)
        return torch.addcmul(F.softplus(pre_image), pre_image, target, value=-1).flatten(1).sum(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        pre_image, target = ctx.saved_tensors
        difference = torch.sigmoid(pre_image).sub_(target)
        return difference.mul_(gradient.view(-1, *[1] * (difference.ndim - 1))), None


RECONSTRUCTION_LOSSES: dict[str, ReconstructionLoss] = {
    "mse": ReconstructionLoss(
        "Squared error",
        "Squared differences of the pixels.",
        "squared value",
        0.5 * math.log(math.pi),
        False,
        squared_error,
    ),
    "bce": ReconstructionLoss(
        "Binary cross-entropy",
        "Each pixel as a probability; needs an output between 0 and 1.",
        "nats",
        0.0,
        True,
        binary_cross_entropy,
    ),
}
