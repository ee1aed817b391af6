"""With nothing said about the learning rate, no network starts dead, explodes or crawls.

The budget is short on purpose: the sooner the rate rises, the more easily a network dies. Dead means that the last
sigmoids are saturated or all units are off: every image gives the same reconstruction, mostly an all-black one.
"""

from __future__ import annotations

import dataclasses

import pytest
from resamplers import a_downsampler_for

from aecore.data import load_dataset
from aecore.data.image_dataset import to_unit
from aecore.models import BODIES, UPSAMPLERS, ModelConfig, build_model
from aecore.models.activations import ACTIVATIONS
from aecore.training import Evaluated, Finished, TrainConfig, evaluate, reconstruct, train
from aecore.training.loop import mean_image
from aecore.training.optimisers import OPTIMISERS

SHORT = TrainConfig(budget=60, budget_unit="steps", batch_size=32, evaluate_every=60, evaluation_images=100)
SHOWN = 300  # test images are enough to tell

NETWORKS = {
    "linear": ModelConfig(body="linear"),
    **{f"mlp {name}": ModelConfig(body="mlp", activation=name) for name in ACTIVATIONS},
    "mlp 1x8": ModelConfig(body="mlp", hidden_units=8, activation="relu"),
    "mlp 4x64": ModelConfig(body="mlp", hidden_layers=4, hidden_units=64, activation="tanh"),
    "mlp 4x400": ModelConfig(body="mlp", hidden_layers=4, activation="relu"),
    "mlp 4x1024": ModelConfig(body="mlp", hidden_layers=4, hidden_units=1024),
    **{f"conv {up}": ModelConfig(upsample=up, downsample=a_downsampler_for(up)) for up in UPSAMPLERS},
    **{f"conv {up} relu": ModelConfig(upsample=up, activation="relu", downsample="maxpool") for up in UPSAMPLERS},
    **{
        f"conv {up} 4 stages": ModelConfig(upsample=up, downsample=a_downsampler_for(up), stages=4) for up in UPSAMPLERS
    },
    "conv tanh": ModelConfig(activation="tanh"),
    "conv 4 stages relu": ModelConfig(stages=4, activation="relu"),
    "conv 1 stage": ModelConfig(stages=1),
    "conv 4 channels": ModelConfig(channels=4, upsample="transpose3"),
    "conv 64 channels": ModelConfig(channels=64, stages=1, upsample="transpose4", activation="relu"),
}


pytestmark = pytest.mark.usefixtures("one_thread")


def outcome(config: ModelConfig, training: TrainConfig, dataset: str = "digits") -> tuple[float, float, float, float]:
    """(test MSE, that of an all-black image, that of the mean image, spread over images as a share of the data's)."""
    data = load_dataset(dataset)
    model = build_model(config.for_images(data.image_shape), seed=training.seed)
    *_, end = train(model, data, training)
    assert isinstance(end, Finished)
    assert end.reason == "budget", end.message
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    x = to_unit(data.test[:SHOWN])
    y = to_unit(reconstruct(model, data.test[:SHOWN]))
    mean = mean_image(data.train)
    spread = (y.std(0).mean() / x.std(0).mean()).item()
    return evaluate(model, data.test[:SHOWN]).mse, x.square().mean().item(), (x - mean).square().mean().item(), spread


@pytest.mark.parametrize("network", NETWORKS)
def test_no_network_starts_dead(network: str) -> None:
    error, black, _, spread = outcome(dataclasses.replace(NETWORKS[network], latent_dim=2), SHORT)
    assert error < 0.5 * black
    assert spread > 0.05, "different images give different reconstructions"


@pytest.mark.parametrize("body", BODIES)
def test_a_short_training_already_learns_more_than_the_mean_image(body: str) -> None:
    error, _, mean, spread = outcome(ModelConfig(body=body), TrainConfig(evaluate_every=1000))
    assert error < 0.6 * mean
    assert spread > 0.4


@pytest.mark.parametrize("seed", range(3))
def test_the_default_network_is_safe_whatever_the_seed(seed: int) -> None:
    error, black, _, spread = outcome(ModelConfig(latent_dim=2), dataclasses.replace(SHORT, seed=seed))
    assert error < 0.5 * black
    assert spread > 0.05


@pytest.mark.parametrize("network", ["mlp silu", "conv nearest", "conv transpose5"])
@pytest.mark.parametrize(("dataset", "loss"), [("digits8", "mse"), ("digits8", "bce"), ("shapes", "mse")])
def test_other_images_are_safe_too(dataset: str, loss: str, network: str) -> None:
    error, black, mean, spread = outcome(NETWORKS[network], dataclasses.replace(SHORT, loss=loss), dataset)
    assert error < min(0.5 * black, 1.3 * mean)
    assert spread > 0.05


@pytest.mark.parametrize("optimiser", [name for name in OPTIMISERS if name != "adam"])
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("dataset", ["digits8", "digits", "shapes"])
def test_the_other_optimisers_go_down_and_do_not_diverge(optimiser: str, body: str, dataset: str) -> None:
    data = load_dataset(dataset)
    model = build_model(ModelConfig(body=body, latent_dim=2).for_images(data.image_shape), seed=0)
    training = dataclasses.replace(SHORT, optimiser=optimiser, budget=30)
    events = list(train(model, data, training))
    looks = [event.loss for event in events if isinstance(event, Evaluated)]
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "budget", events[-1].message
    assert looks[-1] < looks[0]
