"""One training step: stored images in, gradients out.

This module knows nothing of epochs, budgets or when to look at the test set.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from aecore.data.image_dataset import to_unit
from aecore.models.autoencoder import Autoencoder, LossTerms
from aecore.training.config import TrainConfig
from aecore.training.draws import codes_of_step, noise_of_step
from aecore.training.execution import Execution
from aecore.training.objective import loss_of


def backward(
    model: Autoencoder,
    stored: UInt8[Tensor, "n c h w"],
    index: Int64[Tensor, " b"],
    config: TrainConfig,
    execution: Execution,
    number: int,
    share: float = 1.0,
) -> tuple[LossTerms, Float[Tensor, ""]]:
    """Compute the loss of one batch, and the gradients of all weights, which replace those of the step before.

    Args:
        model: The network, arranged for `execution`.
        stored: All training images.
        index: Which of them make the batch.
        config: How to train: which loss, which noise, and the seed.
        execution: How it is computed.
        number: Which step this is; noise and drawn codes are a function of seed and number.
        share: How much of the bottleneck's charges counts.

    Returns:
        The terms of the loss, and what was minimised: their `total(share)`.
    """
    target = execution.place(to_unit(torch.index_select(stored, 0, index)))
    x = config.noise.corrupt(target, noise_of_step(config.seed, number)) if config.noise.on else target
    for parameter in model.parameters():
        parameter.grad = None
    if model.twin is not None:
        model.twin.refresh()
    network = model if model.twin is None else model.twin.network
    terms = network.loss_terms(x, target, loss_of(model.config, config), codes_of_step(config.seed, number))
    total = terms.total(share)
    total.backward()
    if model.twin is not None:
        model.twin.hand_back()
    return terms, total.detach()
