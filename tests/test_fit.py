"""A training from start to end gives a measured model, or says why not, and loses nothing to Ctrl-C."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from aecore.data import ImageDataset, load_dataset
from aecore.errors import ConfigError, DivergenceError
from aecore.fit import fit, measure
from aecore.models import ModelConfig, build_model, describe
from aecore.models.layers import flops_per_image, parameter_count
from aecore.training import Finished, Started, StepDone, TrainConfig, TrainEvent, TrainState, evaluate, train

MODEL = ModelConfig(image_shape=(1, 8, 8), latent_dim=2, body="mlp", hidden_units=16)
TRAINING = TrainConfig(budget=9, budget_unit="steps", seed=3)


@pytest.fixture(scope="module")
def digits() -> ImageDataset:
    return load_dataset("digits8")


def test_the_metrics_are_those_of_the_model_it_gives_back(digits: ImageDataset) -> None:
    checkpoint = fit(MODEL, TRAINING, digits, command="by hand")
    metrics, model = checkpoint.metrics, checkpoint.build()
    assert metrics["train_mse"] == evaluate(model, digits.train).mse
    assert metrics["test_mse"] == evaluate(model, digits.test).mse
    assert metrics["test_loss"] == evaluate(model, digits.test).loss
    assert metrics["test_psnr"] == pytest.approx(-10 * math.log10(metrics["test_mse"]))
    assert metrics["parameters"] == sum(p.numel() for p in model.parameters()) == parameter_count(describe(MODEL))
    assert metrics["flops_per_image"] == flops_per_image(describe(MODEL))
    assert (metrics["precision"], metrics["seed"]) == ("float32", 3)
    assert (checkpoint.dataset, checkpoint.dataset_checksum) == ("digits8", digits.checksum)
    assert (checkpoint.model_config, checkpoint.train_config) == (MODEL, TRAINING)
    assert (checkpoint.command, checkpoint.training_state) == ("by hand", {})


def test_its_speed_is_that_of_the_steps(digits: ImageDataset) -> None:
    events: list[TrainEvent] = []
    metrics = fit(MODEL, TRAINING, digits, on_event=events.append).metrics
    last = [event for event in events if isinstance(event, StepDone)][-1]
    assert metrics["seconds"] == last.seconds
    assert metrics["images_per_second"] == pytest.approx(9 * 128 / last.seconds)


def test_every_event_is_told_in_order(digits: ImageDataset) -> None:
    events: list[TrainEvent] = []
    fit(MODEL, TRAINING, digits, on_event=events.append)
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert [event.step for event in events if isinstance(event, StepDone)] == list(range(1, 10))


def test_the_seed_also_fixes_the_first_weights(digits: ImageDataset) -> None:
    by_hand = build_model(MODEL, seed=3)
    list(train(by_hand, digits, TRAINING))
    for weights in (fit(MODEL, TRAINING, digits).weights, fit(MODEL, TRAINING, digits).weights):
        assert all(torch.equal(weights[name], tensor) for name, tensor in by_hand.state_dict().items())


def test_the_training_set_is_measured_only_if_asked_for(digits: ImageDataset) -> None:
    model = build_model(MODEL, seed=0)
    state = TrainState(model, TRAINING)
    assert "train_mse" not in measure(model, digits, TRAINING, state)
    metrics = measure(model, digits, TRAINING, state, on_train=True)
    assert metrics["train_mse"] == evaluate(model, digits.train).mse
    assert (metrics["images_per_second"], metrics["seconds"]) == (0.0, 0.0), "an untrained model has no speed"


def test_divergence_is_an_error_that_says_what_to_try(digits: ImageDataset) -> None:
    wild = TrainConfig(budget=50, optimiser="sgd", learning_rate=10.0, schedule="constant")
    with pytest.raises(DivergenceError, match="probably too high here: try 1"):
        fit(ModelConfig(image_shape=(1, 8, 8), body="linear"), wild, digits)


def test_what_does_not_go_together_is_refused(digits: ImageDataset) -> None:
    with pytest.raises(ConfigError, match="built for images of shape"):
        fit(ModelConfig(), TRAINING, digits)


class InterruptAfter:
    """Presses Ctrl-C after so many steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __call__(self, event: TrainEvent) -> None:
        if event.step == self.steps and isinstance(event, Started if self.steps == 0 else StepDone):
            raise KeyboardInterrupt


def test_interrupting_keeps_what_was_learned(digits: ImageDataset) -> None:
    checkpoint = fit(MODEL, TRAINING, digits, on_event=InterruptAfter(4))
    by_hand = build_model(MODEL, seed=3)
    steps = (event for event in train(by_hand, digits, TRAINING) if isinstance(event, StepDone))
    list(itertools.islice(steps, 4))
    assert all(torch.equal(checkpoint.weights[name], tensor) for name, tensor in by_hand.state_dict().items())
    assert checkpoint.metrics["test_mse"] == evaluate(by_hand, digits.test).mse


def test_interrupting_before_the_first_step_leaves_nothing_to_keep(digits: ImageDataset) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(MODEL, TRAINING, digits, on_event=InterruptAfter(0))
