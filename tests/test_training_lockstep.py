"""Rivals in lockstep: the same images in the same order into the same encoders, step by step."""

from __future__ import annotations

from collections import defaultdict

import pytest
import torch
from torch import Tensor

from aecore.data import load_dataset
from aecore.errors import ConfigError
from aecore.models import ModelConfig, build_model
from aecore.models.autoencoder import Autoencoder
from aecore.training import Finished, StepDone, TrainConfig, TrainState, Turn, train, train_together

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
def test_batches_and_first_encoders_are_identical_in_all_columns(downsample: str) -> None:
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


def test_each_ends_as_if_it_had_trained_alone() -> None:
    together, alone = rivals(), rivals()
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
