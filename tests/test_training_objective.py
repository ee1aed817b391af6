"""Which loss a training minimises: the one asked for, or the one that suits the network."""

from __future__ import annotations

import pytest

from aecore.errors import ConfigError
from aecore.losses import RECONSTRUCTION_LOSSES
from aecore.models import BODIES, BOTTLENECKS, ModelConfig
from aecore.training import TrainConfig, check_loss, loss_of
from aecore.training.config import AUTO

BOUNDED = {"linear": False, "mlp": True, "conv": True}
EVERY = [ModelConfig(body=body, bottleneck=bottleneck) for body in BODIES for bottleneck in BOTTLENECKS]
EVERY_MODEL = pytest.mark.parametrize("model", EVERY, ids=lambda model: f"{model.body}-{model.bottleneck}")


def test_if_nothing_is_said_the_network_decides() -> None:
    assert TrainConfig().loss == AUTO
    assert set(BOUNDED) == set(BODIES)
    assert list(TrainConfig.dials()["loss"].choices) == [AUTO, *RECONSTRUCTION_LOSSES]


@EVERY_MODEL
def test_only_a_variational_code_before_a_bounded_output_gets_cross_entropy(model: ModelConfig) -> None:
    cross_entropy = model.bottleneck == "variational" and BOUNDED[model.body]
    assert loss_of(model, TrainConfig()) == ("bce" if cross_entropy else "mse")


@EVERY_MODEL
def test_what_suits_the_network_is_always_allowed(model: ModelConfig) -> None:
    check_loss(model, TrainConfig())


@EVERY_MODEL
@pytest.mark.parametrize("loss", RECONSTRUCTION_LOSSES)
def test_a_loss_that_is_asked_for_is_taken_if_it_is_defined(model: ModelConfig, loss: str) -> None:
    config = TrainConfig(loss=loss)
    assert loss_of(model, config) == loss
    if loss == "bce" and not BOUNDED[model.body]:
        with pytest.raises(ConfigError, match=f"Loss 'bce' needs .* the {model.body} body gives any number. Use loss"):
            check_loss(model, config)
    else:
        check_loss(model, config)
