"""Rivals in lockstep: the same images in the same order into the same encoders, step by step."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from functools import partial

import pytest
import torch
from torch import Tensor

from aecore.data import load_dataset
from aecore.errors import ConfigError
from aecore.models import ModelConfig, build_model
from aecore.models.autoencoder import Autoencoder
from aecore.training import Finished, StepDone, TrainConfig, TrainState, Turn, train, train_together
from aecore.training import loop as loop_module
from aecore.training.step import Step

pytestmark = pytest.mark.usefixtures("one_thread")

SHORT = TrainConfig(budget=8, budget_unit="steps", batch_size=32, evaluation_images=32, evaluate_every=4, seed=7)
GROUPS = {
    "stride": ("transpose3", "nearest", "pixel_shuffle", "bed_of_nails"),
    "maxpool": ("max_unpool", "transpose5", "bilinear"),
}


def rivals(downsample: str = "stride") -> dict[str, Autoencoder]:
    basis = {"image_shape": (1, 8, 8), "channels": 4, "latent_dim": 3, "downsample": downsample}
    return {name: build_model(ModelConfig(**basis, upsample=name), seed=7) for name in GROUPS[downsample]}


def states(models: dict[str, Autoencoder], config: TrainConfig = SHORT) -> dict[str, TrainState]:
    return {name: TrainState(model, config) for name, model in models.items()}


def equal(one: Autoencoder, other: Autoencoder) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in one.state_dict().items())


@pytest.mark.parametrize("downsample", GROUPS)
def test_batches_and_first_encoders_are_identical_in_all_columns(
    downsample: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "Step", partial(Step, recorded=False))  # played back, nobody could listen
    models = rivals(downsample)
    seen: dict[str, list[Tensor]] = defaultdict(list)
    for name, model in models.items():
        for half in ("encoder", "bottleneck"):
            first = next(iter(models.values())).get_submodule(half).state_dict()
            for key, tensor in model.get_submodule(half).state_dict().items():
                assert torch.equal(tensor, first[key]), (name, half, key)
        model.encoder[0].register_forward_pre_hook(
            lambda module, inputs, name=name: seen[name].append(inputs[0].detach().clone()) if module.training else None
        )
    list(train_together(models, load_dataset("digits8"), SHORT, states(models)))
    first, *others = seen.values()
    assert len(first) == 8
    assert not torch.equal(first[0], first[1])
    for images in others:
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(images, first, strict=True))


@pytest.mark.parametrize("downsample", GROUPS)
def test_each_ends_as_if_it_had_trained_alone(downsample: str) -> None:
    together, alone = rivals(downsample), rivals(downsample)
    list(train_together(together, load_dataset("digits8"), SHORT, states(together)))
    for name, model in alone.items():
        list(train(model, load_dataset("digits8"), SHORT))
        assert equal(model, together[name]), name


def test_even_means_that_all_have_taken_as_many_steps() -> None:
    models = rivals()
    progress = states(models)
    turns: list[Turn] = []
    for turn in train_together(models, load_dataset("digits8"), SHORT, progress):
        turns.append(turn)
        if turn.even:
            assert len({state.step for state in progress.values()}) == 1
    assert [turn.event.step for turn in turns if turn.even and isinstance(turn.event, StepDone)] == list(range(1, 9))
    assert sum(isinstance(turn.event, Finished) for turn in turns) == len(models)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_wherever_one_explodes_midway_the_others_stay_even(place: int) -> None:
    config = dataclasses.replace(SHORT, optimiser="sgd")
    linear = ModelConfig(body="linear", image_shape=(1, 8, 8), latent_dim=3)
    alone, *several = (build_model(linear, seed=7) for _ in range(4))
    models = {f"{number}": model for number, model in enumerate(several)}
    progress = states(models, config)
    progress[f"{place}"].rate = 1.0
    ended: dict[str, Finished] = {}
    for turn in train_together(models, load_dataset("digits8"), config, progress):
        if isinstance(turn.event, Finished):
            ended[turn.name] = turn.event
        elif isinstance(turn.event, StepDone):
            assert turn.name not in ended
            going = {state.step for name, state in progress.items() if name not in ended}
            assert turn.even is (len(going) == 1)
    assert {name: event.reason for name, event in ended.items()} == {
        name: "diverged" if name == f"{place}" else "budget" for name in models
    }
    assert 0 < ended[f"{place}"].step < 8, "in the middle"
    list(train(alone, load_dataset("digits8"), config))
    assert [equal(alone, model) for model in models.values()] == [number != place for number in range(3)]


def test_kept_and_loaded_elsewhere_it_goes_on_as_if_nothing_had_been() -> None:
    calm, stopped, resumed = rivals("maxpool"), rivals("maxpool"), rivals("maxpool")
    list(train_together(calm, load_dataset("digits8"), SHORT, states(calm)))
    before, after = states(stopped), states(resumed)
    turns = train_together(stopped, load_dataset("digits8"), SHORT, before)
    next(turn for turn in turns if turn.even and turn.event.step == 5)
    turns.close()
    for name, model in resumed.items():
        model.load_state_dict(stopped[name].state_dict())
        after[name].load_tensors(before[name].to_tensors())
    list(train_together(resumed, load_dataset("digits8"), SHORT, after))
    assert all(equal(calm[name], resumed[name]) for name in calm)


def test_stopped_in_the_middle_it_goes_on_as_if_nothing_had_been() -> None:
    calm, disturbed = rivals(), rivals()
    list(train_together(calm, load_dataset("digits8"), SHORT, states(calm)))
    progress = states(disturbed)
    for turn in train_together(disturbed, load_dataset("digits8"), SHORT, progress):
        if turn.even and turn.event.step == 3:
            break
    list(train_together(disturbed, load_dataset("digits8"), SHORT, progress))
    assert all(equal(calm[name], disturbed[name]) for name in calm)


def test_one_that_explodes_leaves_the_others_alone() -> None:
    models, alone = rivals(), rivals()
    with torch.no_grad():
        next(models["transpose3"].parameters()).fill_(float("nan"))
    ends = list(train_together(models, load_dataset("digits8"), SHORT, states(models)))
    reasons = {turn.name: turn.event.reason for turn in ends if isinstance(turn.event, Finished)}
    assert reasons == {name: "diverged" if name == "transpose3" else "budget" for name in models}
    list(train(alone["nearest"], load_dataset("digits8"), SHORT))
    assert equal(alone["nearest"], models["nearest"])


def test_a_budget_in_seconds_is_for_one_alone() -> None:
    seconds = TrainConfig(budget=1, budget_unit="seconds", batch_size=32, evaluation_images=32)
    models = rivals()
    with pytest.raises(ConfigError, match="more steps than slow ones"):
        next(train_together(models, load_dataset("digits8"), seconds, states(models, seconds)))
    one = {"nearest": models["nearest"]}
    next(train_together(one, load_dataset("digits8"), seconds, states(one, seconds)))


def test_one_alone_is_trained_as_ever_and_always_even() -> None:
    together, alone = rivals()["nearest"], rivals()["nearest"]
    one = {"nearest": together}
    turns = list(train_together(one, load_dataset("digits8"), SHORT, states(one)))
    events = list(train(alone, load_dataset("digits8"), SHORT))
    assert all(turn.even for turn in turns)
    assert [(type(turn.event), turn.event.step) for turn in turns] == [(type(event), event.step) for event in events]
    assert equal(together, alone)
