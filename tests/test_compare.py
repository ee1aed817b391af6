"""A comparison from start to end: which rivals, the same numbers every time, mean and spread over seeds."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from aecore import compare as module
from aecore.compare import REPORTED, compare, rival_configs, scores, summary
from aecore.data import load_dataset
from aecore.errors import ConfigError, DivergenceError
from aecore.models import ModelConfig, build_model
from aecore.models.autoencoder import Autoencoder
from aecore.training import Finished, TrainConfig, Turn, evaluate

pytestmark = pytest.mark.usefixtures("one_thread")

BASE = ModelConfig(image_shape=(1, 8, 8), channels=4, latent_dim=3, downsample="maxpool")
SHORT = TrainConfig(budget=6, budget_unit="steps", batch_size=32, evaluation_images=32)


def test_rivals_differ_in_their_upsampler_only() -> None:
    configs = rival_configs(BASE, ["transpose3", "max_unpool"])
    assert list(configs) == ["transpose3", "max_unpool"]
    assert {name: config.to_dict() for name, config in configs.items()} == {
        name: {**BASE.to_dict(), "upsample": name} for name in configs
    }


@pytest.mark.parametrize(
    ("base", "names", "words"),
    [
        (BASE, [], "at least 2"),
        (BASE, ["nearest"], "at least 2"),
        (BASE, ["nearest", "transpose3", "nearest"], "nearest is named twice"),
        (ModelConfig(body="mlp"), ["nearest", "transpose3"], "Only the conv body"),
        (ModelConfig(), ["nearest", "max_unpool"], "needs downsample to be maxpool"),
        (BASE, ["nearest", "neerest"], "Did you mean nearest"),
    ],
)
def test_what_cannot_be_compared_is_refused(base: ModelConfig, names: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        rival_configs(base, names)


def test_every_rival_is_measured_and_the_same_seed_gives_the_same_numbers() -> None:
    turns: list[Turn] = []
    rivals = rival_configs(BASE, ["transpose3", "max_unpool"])
    first, again = (
        compare(rivals, SHORT, load_dataset("digits8"), on_turn=turns.append, command="made so") for _ in range(2)
    )
    assert sum(isinstance(turn.event, Finished) for turn in turns) == 4
    for name, checkpoint in first.items():
        assert set(REPORTED) <= set(checkpoint.metrics)
        assert checkpoint.command == "made so"
        for key in set(REPORTED) - {"images_per_second"}:
            assert checkpoint.metrics[key] == again[name].metrics[key], key
    assert first["max_unpool"].metrics["layer_score"] is None
    assert 0 < first["transpose3"].metrics["test_ssim"] < 1


def test_mean_and_spread_are_numpys() -> None:
    values = [0.1, 0.4, 0.2]
    numbers = summary([{"a": {"test_mse": value, "parameters": 5, "layer_score": None}} for value in values])["a"]
    assert numbers["test_mse"]["mean"] == pytest.approx(np.mean(values))
    assert numbers["test_mse"]["std"] == pytest.approx(np.std(values, ddof=1))
    assert numbers["parameters"] == {"mean": 5, "std": 0}
    assert numbers["layer_score"] == numbers["image_score"] == {"mean": None, "std": None}
    assert summary([{"a": {"test_mse": 0.5}}])["a"]["test_mse"] == {"mean": 0.5, "std": 0.0}
    assert math.isclose(summary([{"a": {"test_mse": 1}}, {"a": {"test_mse": 3}}])["a"]["test_mse"]["mean"] or 0, 2)


def test_the_numbers_are_those_of_the_weights_that_are_kept() -> None:
    rivals = rival_configs(BASE, ["bilinear", "max_unpool"])
    for name, checkpoint in compare(rivals, SHORT, load_dataset("digits8")).items():
        model = checkpoint.build()
        assert model.config == rivals[name]
        assert evaluate(model, load_dataset("digits8").test).mse == pytest.approx(checkpoint.metrics["test_mse"])
        found = scores(model, load_dataset("digits8"), SHORT)
        assert found == pytest.approx({key: checkpoint.metrics[key] for key in found})


def test_a_rival_that_explodes_ends_the_comparison_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(config: ModelConfig, seed: int) -> Autoencoder:
        model = build_model(config, seed)
        if config.upsample == "transpose3":
            torch.nn.init.constant_(next(model.parameters()), math.nan)
        return model

    monkeypatch.setattr(module, "build_model", build)
    with pytest.raises(DivergenceError, match=r"^transpose3: "):
        compare(rival_configs(BASE, ["nearest", "transpose3"]), SHORT, load_dataset("digits8"))


def test_a_budget_in_seconds_is_refused_before_anything_is_trained() -> None:
    turns: list[Turn] = []
    seconds = dataclasses.replace(SHORT, budget_unit="seconds", budget=1)
    with pytest.raises(ConfigError, match="more steps than slow ones"):
        compare(rival_configs(BASE, ["nearest", "bilinear"]), seconds, load_dataset("digits8"), on_turn=turns.append)
    assert not turns


def test_an_infinite_score_is_passed_on_as_none() -> None:
    digits = load_dataset("digits8")
    flat = dataclasses.replace(digits, test=torch.full_like(digits.test, 77))
    found = scores(build_model(BASE, seed=0), flat, SHORT)
    assert found["image_score"] is None
    assert found["image_score_4"] is None
    assert all(value is None or math.isfinite(value) for value in found.values())
