"""What a training minimises: which reconstruction loss, and whether it is defined for what the network gives.

This module knows nothing of how it is minimised.
"""

from __future__ import annotations

from aecore.errors import ConfigError
from aecore.losses import RECONSTRUCTION_LOSSES
from aecore.models.config import ModelConfig
from aecore.models.layers import describe
from aecore.training.config import AUTO, TrainConfig


def loss_of(model: ModelConfig, config: TrainConfig) -> str:
    """The name of the reconstruction loss; where the configuration leaves it open, the one that suits the network.

    A variational code wants a negative log-likelihood: for a network whose output lies in (0, 1) that of Bernoulli
    variables, as in Kingma & Welling (2014), appendix C.1. All others get the squared error.

    Example:
        >>> loss_of(ModelConfig(body="mlp", bottleneck="variational"), TrainConfig())
        'bce'
    """
    if config.loss != AUTO:
        return config.loss
    return "bce" if model.bottleneck == "variational" and _bounded(model) else "mse"


def check_loss(model: ModelConfig, config: TrainConfig) -> None:
    """Raise `ConfigError` if the loss is not defined for what the network gives; says what would fit."""
    name = loss_of(model, config)
    if RECONSTRUCTION_LOSSES[name].needs_bounded_output and not _bounded(model):
        raise ConfigError(
            f"Loss {name!r} needs reconstructions between 0 and 1, and the {model.body} body gives any number. "
            "Use loss 'mse', or another body."
        )


def _bounded(model: ModelConfig) -> bool:
    return describe(model)[-1].op == "sigmoid"
