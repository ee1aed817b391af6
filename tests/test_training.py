"""Training is exact: the same again, paused or not, resumed or not, and right where the right answer is known."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aecore.checkpoint import Checkpoint
from aecore.data import ImageDataset, load_dataset
from aecore.data.image_dataset import to_unit
from aecore.errors import ConfigError
from aecore.models import BODIES, BOTTLENECKS, ModelConfig, build_model
from aecore.models.autoencoder import Autoencoder, LossTerms
from aecore.models.bottlenecks import EXACT_UNITS
from aecore.noise import NoiseConfig
from aecore.training import (
    Evaluated,
    Finished,
    Started,
    StepDone,
    TrainConfig,
    TrainEvent,
    TrainState,
    check_fit,
    evaluate,
    train,
)
from aecore.training import loop as loop_module
from aecore.training.draws import codes_of_step, epoch_order, noise_of_step
from aecore.training.optimisers import OPTIMISERS, SCHEDULES
from aecore.training.step import Step

IMAGES, TEST_IMAGES, BATCH = 50, 37, 16
PER_EPOCH = 4  # 16 + 16 + 16 + 2 images
CONV = ModelConfig(image_shape=(1, 8, 8), latent_dim=3, channels=4)
LINEAR = ModelConfig(image_shape=(1, 8, 8), latent_dim=3, body="linear")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def dataset() -> ImageDataset:
    """Noise, in which the top left pixel of a training image is its number."""
    chance = torch.Generator().manual_seed(0)
    train_images, test_images = (
        torch.randint(256, (count, 1, 8, 8), generator=chance).to(torch.uint8) for count in (IMAGES, TEST_IMAGES)
    )
    train_images[:, 0, 0, 0] = torch.arange(IMAGES)
    return ImageDataset(
        name="noise",
        title="Noise",
        train=train_images,
        test=test_images,
        train_labels=torch.zeros(IMAGES, dtype=torch.int64),
        test_labels=torch.zeros(TEST_IMAGES, dtype=torch.int64),
        label_names=("noise",),
        source="made for this test",
        licence="MIT",
    )


def config_of(**choices: object) -> TrainConfig:
    return TrainConfig(**{"budget": 3, "batch_size": BATCH, "evaluate_every": 5, **choices})


def run(
    dataset: ImageDataset, config: TrainConfig, model_config: ModelConfig = CONV
) -> tuple[list[TrainEvent], Autoencoder]:
    model = build_model(model_config, seed=config.seed)
    return list(train(model, dataset, config)), model


def untimed(events: list[TrainEvent]) -> list[TrainEvent]:
    """The events without the one number that depends on the machine."""
    return [dataclasses.replace(e, seconds=0.0) if isinstance(e, StepDone) else e for e in events]


def steps_in(events: list[TrainEvent]) -> list[StepDone]:
    return [event for event in events if isinstance(event, StepDone)]


def looks_in(events: list[TrainEvent]) -> list[Evaluated]:
    return [event for event in events if isinstance(event, Evaluated)]


def weights_of(model: Autoencoder) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_equal_weights(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert all(torch.equal(ours[name], theirs[name]) for name in ours), "not equal to the bit"


# -- what happens, in which order --------------------------------------------------------------------------------


def test_the_events_of_a_training(dataset: ImageDataset) -> None:
    events, _ = run(dataset, config_of())
    assert events[0] == Started(step=0, total_steps=12, steps_per_epoch=PER_EPOCH)
    assert [event.step for event in steps_in(events)] == list(range(1, 13))
    assert [event.step for event in looks_in(events)] == [0, 5, 10, 12]
    assert events[-1] == Finished(12, "budget", "The budget of 3 epochs is used up.")
    for before, event in itertools.pairwise(events[1:-1]):
        if isinstance(event, Evaluated):
            assert before.step == event.step, "a look follows the step it looks at"


def test_each_step_says_where_it_stands(dataset: ImageDataset) -> None:
    events, _ = run(dataset, config_of())
    steps = steps_in(events)
    assert [event.epoch for event in steps] == [step / PER_EPOCH for step in range(1, 13)]
    assert [event.progress for event in steps] == pytest.approx([step / 12 for step in range(1, 13)])
    assert [event.images for event in steps] == list(np.cumsum([16, 16, 16, 2] * 3))
    assert all(a.seconds < b.seconds for a, b in itertools.pairwise(steps))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_rate_follows_its_schedule(dataset: ImageDataset, schedule: str) -> None:
    events, model = run(dataset, config_of(schedule=schedule))
    expected = [model.safe_rate * SCHEDULES[schedule].build(step / 12) for step in range(12)]
    assert [event.learning_rate for event in steps_in(events)] == pytest.approx(expected)


def test_a_rate_that_is_asked_for_is_taken(dataset: ImageDataset) -> None:
    events, _ = run(dataset, config_of(schedule="constant", learning_rate=1.5e-3))
    assert {event.learning_rate for event in steps_in(events)} == {1.5e-3}


def test_every_image_is_shown_once_an_epoch_in_an_order_of_its_own(dataset: ImageDataset) -> None:
    model, config, batches = build_model(CONV, seed=0), config_of(), []
    real = model.loss_terms

    def note(x: Tensor, target: Tensor, loss: str, generator: torch.Generator) -> object:
        if model.training:
            assert torch.equal(x, target)
            batches.append(x[:, 0, 0, 0].mul(255).round().int().tolist())
        return real(x, target, loss, generator)

    model.loss_terms = note  # type: ignore[method-assign, assignment]
    list(train(model, dataset, config))
    assert [len(batch) for batch in batches] == [16, 16, 16, 2] * 3
    epochs = [list(itertools.chain(*batches[start : start + PER_EPOCH])) for start in range(0, 12, PER_EPOCH)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(IMAGES))] * 3
    assert epochs[0] != epochs[1] != epochs[2] != list(range(IMAGES))


def test_the_data_are_left_as_they_were(dataset: ImageDataset) -> None:
    before = dataset.train.clone(), dataset.test.clone()
    run(dataset, config_of())
    assert torch.equal(dataset.train, before[0])
    assert torch.equal(dataset.test, before[1])


# -- budgets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [1, 7])
def test_a_budget_in_steps_is_kept_to_the_step(dataset: ImageDataset, budget: int) -> None:
    events, _ = run(dataset, config_of(budget=budget, budget_unit="steps"))
    assert events[0] == Started(0, budget, PER_EPOCH)
    assert len(steps_in(events)) == budget
    assert looks_in(events)[-1].step == budget, "the last look is at the finished model"


def test_a_budget_in_seconds_counts_steps_and_looks_but_no_pauses(
    dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 1 / 16  # every reading of the clock finds it later: each step and each look takes this long
        return now

    monkeypatch.setattr(loop_module, "perf_counter", clock)
    model, events = build_model(CONV, seed=0), []
    for event in train(model, dataset, config_of(budget=1, budget_unit="seconds")):
        events.append(event)
        now += 1000  # a long pause
    assert events[0] == Started(0, None, PER_EPOCH)
    # 16 of these fit into a second: looks at 0, 5 and 10 and 13 steps; the look at the end comes on top
    assert [event.step for event in looks_in(events)] == [0, 5, 10, 13]
    assert steps_in(events)[-1].progress == 1.0
    assert steps_in(events)[-1].seconds == pytest.approx(13 / 16)
    assert events[-1] == Finished(13, "budget", "The budget of 1 seconds is used up.")


def test_an_interval_of_0_spreads_the_looks_over_the_budget() -> None:
    assert TrainConfig(budget=5).evaluation_interval(1437) == 60 // 25
    assert TrainConfig(budget=5).evaluation_interval(60_000) == 5 * 469 // 25
    assert TrainConfig(budget=3, budget_unit="steps").evaluation_interval(1437) == 1
    assert TrainConfig(budget=60, budget_unit="seconds").evaluation_interval(1437) == 12
    assert TrainConfig(evaluate_every=7).evaluation_interval(1437) == 7


# -- the numbers are right ---------------------------------------------------------------------------------------


def test_a_plain_torch_loop_gives_the_same_losses(dataset: ImageDataset) -> None:
    config = config_of(schedule="constant", learning_rate=2e-3, seed=4)
    events, trained = run(dataset, config)

    model = build_model(CONV, seed=4)
    mean = (dataset.train.double() / 255).mean()
    nn.init.constant_(list(model.parameters())[-1], math.log(mean / (1 - mean)))
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3, fused=False)
    losses = []
    for epoch in range(3):
        for index in epoch_order(4, epoch, IMAGES).split(BATCH):
            x = dataset.train[index].float() / 255
            loss = (model(x) - x).square().sum((1, 2, 3)).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    assert [event.loss for event in steps_in(events)] == pytest.approx(losses, rel=1e-5)
    for ours, theirs in zip(trained.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_looks_are_evaluations_of_the_first_test_images(dataset: ImageDataset, loss: str) -> None:
    config = config_of(loss=loss, evaluation_images=20)
    model = build_model(CONV, seed=0)
    for event in train(model, dataset, config):
        if isinstance(event, Evaluated):
            result = evaluate(model, dataset.test[:20], loss)
            assert (event.loss, event.mse, event.images) == (result.loss, result.mse, 20)
            assert model.training


def test_a_look_at_more_images_than_there_are_takes_all(dataset: ImageDataset) -> None:
    events, _ = run(dataset, config_of(evaluation_images=2000))
    assert {event.images for event in looks_in(events)} == {TEST_IMAGES}


@pytest.mark.parametrize(("latent_dim", "steps"), [(2, 2500), (16, 1500)])
def test_a_linear_autoencoder_finds_what_pca_finds(latent_dim: int, steps: int) -> None:
    digits = load_dataset("digits8")
    config = TrainConfig(budget=steps, budget_unit="steps", evaluate_every=10_000)
    model = build_model(ModelConfig(image_shape=(1, 8, 8), body="linear", latent_dim=latent_dim), seed=0)
    list(train(model, digits, config))

    x, test = (images.numpy().reshape(-1, 64) / 255 for images in (digits.train, digits.test))
    mean = x.mean(axis=0)
    axes = np.linalg.svd(x - mean, full_matrices=False)[2][:latent_dim]
    floor = np.square((x - mean) - (x - mean) @ axes.T @ axes).mean()
    test_floor = np.square((test - mean) - (test - mean) @ axes.T @ axes).mean()

    reached = evaluate(model, digits.train).mse
    assert reached >= floor * (1 - 1e-6), "below the floor the measure must be wrong"
    assert reached <= 1.03 * floor
    assert evaluate(model, digits.test).mse == pytest.approx(test_floor, rel=0.03)


# -- the same again ----------------------------------------------------------------------------------------------


def test_the_same_configuration_gives_the_same_losses(dataset: ImageDataset) -> None:
    (first, model), (again, twin) = run(dataset, config_of()), run(dataset, config_of())
    assert untimed(first) == untimed(again)
    assert_equal_weights(weights_of(model), weights_of(twin))


def test_another_seed_gives_other_losses(dataset: ImageDataset) -> None:
    (first, _), (other, _) = run(dataset, config_of(seed=0)), run(dataset, config_of(seed=1))
    assert all(a.loss != b.loss for a, b in zip(steps_in(first), steps_in(other), strict=True))


def test_the_seed_also_decides_the_batches(dataset: ImageDataset) -> None:
    losses = []
    for seed in (0, 1):
        model = build_model(CONV, seed=0)
        losses.append([event.loss for event in steps_in(list(train(model, dataset, config_of(seed=seed))))])
    assert losses[0] != losses[1]


def test_pausing_changes_nothing_whatever_else_is_done_meanwhile(dataset: ImageDataset) -> None:
    straight, model = run(dataset, config_of())
    paused_model = build_model(CONV, seed=0)
    other = train(build_model(LINEAR, seed=9), dataset, config_of(seed=9))
    events = []
    for event in train(paused_model, dataset, config_of()):
        events.append(event)
        torch.manual_seed(len(events))
        torch.rand(100)
        build_model(CONV)
        evaluate(paused_model, dataset.test)
        next(other, None)
    assert untimed(events) == untimed(straight)
    assert_equal_weights(weights_of(paused_model), weights_of(model))


def test_training_does_not_touch_torchs_global_generator(dataset: ImageDataset) -> None:
    before = torch.get_rng_state()
    run(dataset, config_of())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_resuming_anywhere_is_never_having_stopped(dataset: ImageDataset, optimiser: str) -> None:
    config = config_of(optimiser=optimiser, weight_decay=0.01)
    straight, model = run(dataset, config)
    for stop in range(len(straight)):  # before the first event, after it, ... after the last but one
        interrupted = build_model(CONV, seed=config.seed)
        state = TrainState(interrupted, config)
        events = list(itertools.islice(train(interrupted, dataset, config, state), stop))
        saved = Checkpoint.of(interrupted, state, train_config=config, dataset="noise").to_bytes()

        restored = Checkpoint.from_bytes(saved)
        resumed = restored.build()
        events += list(train(resumed, dataset, restored.train_config, restored.resume(resumed)))
        news = [event for event in untimed(events) if not isinstance(event, Started)]
        assert news == untimed(straight)[1:], f"stopped after {stop} events"
        assert_equal_weights(weights_of(resumed), weights_of(model))


def test_a_checkpoint_does_not_change_when_training_goes_on(dataset: ImageDataset) -> None:
    config, model = config_of(), build_model(CONV, seed=0)
    state = TrainState(model, config)
    events = train(model, dataset, config, state)
    list(itertools.islice(events, 6))
    checkpoint = Checkpoint.of(model, state, train_config=config, dataset="noise")
    before = checkpoint.to_bytes()
    list(events)
    assert checkpoint.to_bytes() == before


def test_a_resumed_training_says_from_where(dataset: ImageDataset) -> None:
    config, model = config_of(), build_model(CONV, seed=0)
    state = TrainState(model, config)
    list(itertools.islice(train(model, dataset, config, state), 6))
    assert next(iter(train(model, dataset, config, state))) == Started(4, 12, PER_EPOCH)
    assert (state.step, state.images) == (4, IMAGES)


# -- going astray ------------------------------------------------------------------------------------------------


def last_of(events: Iterator[TrainEvent], model: Autoencoder) -> tuple[Finished, dict[str, Tensor]]:
    """The end of a training, and the weights as they were at the event before it."""
    before: dict[str, Tensor] = {}
    for event in events:
        if isinstance(event, Finished):
            return event, before
        before = weights_of(model)
    raise AssertionError("training did not say that it ended")


@pytest.mark.parametrize(("rate", "words"), [(0.1, "grew to"), (10.0, "")])
def test_an_exploding_loss_ends_the_run_with_a_reason(dataset: ImageDataset, rate: float, words: str) -> None:
    model = build_model(LINEAR, seed=0)
    config = config_of(budget=100, optimiser="sgd", learning_rate=rate, schedule="constant")
    end, before = last_of(train(model, dataset, config), model)
    assert end.reason == "diverged"
    assert end.step < 100
    assert words in end.message
    assert f"learning rate {rate:g} is probably too high here: try {rate / 10:g}" in end.message
    assert_equal_weights(weights_of(model), before)


def nan_in_a_weight(model: Autoencoder) -> None:
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = math.nan


def infinity_in_the_last_bias(model: Autoencoder) -> None:
    with torch.no_grad():
        list(model.parameters())[-1].fill_(math.inf)


@pytest.mark.parametrize("break_it", [nan_in_a_weight, infinity_in_the_last_bias])
@pytest.mark.parametrize("at", [0, 3, 5])
def test_a_loss_that_is_no_number_ends_the_run(
    dataset: ImageDataset, break_it: Callable[[Autoencoder], None], at: int
) -> None:
    model = build_model(LINEAR, seed=0)
    events = train(model, dataset, config_of())
    done: TrainEvent = next(events)
    while done.step < at if isinstance(done, StepDone) else at > 0:
        done = next(events)
    break_it(model)
    end, _ = last_of(events, model)
    assert end == Finished(at, "diverged", end.message)
    assert f"was no longer a number after {at} steps" in end.message


def test_an_explosion_in_the_very_last_step_is_seen(dataset: ImageDataset) -> None:
    model = build_model(LINEAR, seed=0)
    config = config_of(budget=1, budget_unit="steps", optimiser="sgd", learning_rate=10.0, schedule="constant")
    events = list(train(model, dataset, config))
    assert len(steps_in(events)) == 1
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "diverged"
    assert [event.step for event in looks_in(events)] == [0], "nonsense is not shown"


def test_nothing_follows_the_end(dataset: ImageDataset) -> None:
    events = train(build_model(CONV, seed=0), dataset, config_of())
    assert isinstance(list(events)[-1], Finished)
    assert next(events, None) is None


def test_closing_is_stopping_and_keeps_what_was_learned(dataset: ImageDataset) -> None:
    model = build_model(CONV, seed=0)
    first = evaluate(model, dataset.train).loss
    events = train(model, dataset, config_of(budget=50))
    list(itertools.islice(events, 100))
    events.close()  # type: ignore[attr-defined]
    assert evaluate(model, dataset.train).loss < first


# -- what does not go together -----------------------------------------------------------------------------------


def test_a_model_for_other_images_is_refused(dataset: ImageDataset) -> None:
    model = build_model(ModelConfig(image_shape=(3, 8, 8), channels=4), seed=0)
    with pytest.raises(ConfigError) as refused:
        next(iter(train(model, dataset, config_of())))
    for words in ("(3, 8, 8)", "Noise has (1, 8, 8)", "for_images"):
        assert words in str(refused.value)


def test_cross_entropy_of_an_unbounded_output_is_refused(dataset: ImageDataset) -> None:
    with pytest.raises(ConfigError) as refused:
        check_fit(build_model(LINEAR, seed=0), dataset, config_of(loss="bce"))
    for words in ("'bce'", "between 0 and 1", "linear", "Use loss 'mse', or another body"):
        assert words in str(refused.value)


@pytest.mark.parametrize("body", ["mlp", "conv"])
def test_what_goes_together_is_accepted(dataset: ImageDataset, body: str) -> None:
    model = build_model(ModelConfig(image_shape=(1, 8, 8), body=body, channels=4), seed=0)
    check_fit(model, dataset, config_of(loss="bce"))


def test_stored_pixels_reach_the_model_as_their_share_of_255(dataset: ImageDataset) -> None:
    assert torch.equal(to_unit(dataset.train), dataset.train / torch.tensor(255.0))


# -- with noise --------------------------------------------------------------------------------------------------

FIXED = NoiseConfig(corruption="gaussian", strength=0.3)
BLIND = NoiseConfig(corruption="salt_and_pepper", strength=0.4, weakest=0.1)
NOISES = pytest.mark.parametrize("noise", [FIXED, BLIND], ids=["fixed", "blind"])


@NOISES
def test_the_same_noise_gives_the_same_losses(dataset: ImageDataset, noise: NoiseConfig) -> None:
    (first, model), (again, twin) = run(dataset, config_of(noise=noise)), run(dataset, config_of(noise=noise))
    assert untimed(first) == untimed(again)
    assert_equal_weights(weights_of(model), weights_of(twin))


@NOISES
def test_noise_changes_every_loss(dataset: ImageDataset, noise: NoiseConfig) -> None:
    with_noise, without = run(dataset, config_of(noise=noise))[0], run(dataset, config_of())[0]
    for kind in (steps_in, looks_in):
        assert all(a.loss != b.loss for a, b in zip(kind(with_noise), kind(without), strict=True))


def test_blind_noise_is_not_that_of_one_strength(dataset: ImageDataset) -> None:
    blind, fixed = (
        run(dataset, config_of(noise=NoiseConfig(corruption="gaussian", strength=0.3, weakest=weakest)))[0]
        for weakest in (0.1, 1.0)
    )
    assert steps_in(blind)[0].loss != steps_in(fixed)[0].loss


@NOISES
def test_resuming_anywhere_goes_on_with_the_same_noise(dataset: ImageDataset, noise: NoiseConfig) -> None:
    config = config_of(noise=noise)
    straight, model = run(dataset, config)
    for stop in range(len(straight)):
        interrupted = build_model(CONV, seed=config.seed)
        state = TrainState(interrupted, config)
        events = list(itertools.islice(train(interrupted, dataset, config, state), stop))
        saved = Checkpoint.of(interrupted, state, train_config=config, dataset="noise").to_bytes()

        restored = Checkpoint.from_bytes(saved)
        assert restored.train_config == config
        resumed = restored.build()
        events += list(train(resumed, dataset, restored.train_config, restored.resume(resumed)))
        news = [event for event in untimed(events) if not isinstance(event, Started)]
        assert news == untimed(straight)[1:], f"stopped after {stop} events"
        assert_equal_weights(weights_of(resumed), weights_of(model))


@NOISES
def test_pausing_changes_no_noise_whatever_else_is_done_meanwhile(dataset: ImageDataset, noise: NoiseConfig) -> None:
    straight, _ = run(dataset, config_of(noise=noise))
    paused = build_model(CONV, seed=0)
    other = train(build_model(LINEAR, seed=9), dataset, config_of(seed=9, noise=noise))
    events = []
    before = torch.get_rng_state()
    for event in train(paused, dataset, config_of(noise=noise)):
        assert torch.equal(torch.get_rng_state(), before), "torch's global generator was touched"
        events.append(event)
        torch.manual_seed(len(events))
        before = torch.get_rng_state()
        evaluate(paused, dataset.test, noise=noise)
        next(other, None)
    assert untimed(events) == untimed(straight)


@NOISES
def test_the_network_sees_noise_and_is_told_the_clean_images(
    dataset: ImageDataset, noise: NoiseConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "Step", partial(Step, recorded=False))  # played back, nobody could listen
    model, config, calls = build_model(CONV, seed=0), config_of(seed=3, noise=noise), []
    real = model.loss_terms

    def note(x: Tensor, target: Tensor, loss: str, generator: torch.Generator) -> object:
        if model.training:
            calls.append((x.clone(), target.clone()))
        return real(x, target, loss, generator)

    model.loss_terms = note  # type: ignore[method-assign, assignment]
    before = dataset.train.clone()
    list(train(model, dataset, config))
    assert torch.equal(dataset.train, before)

    batches = [index for epoch in range(3) for index in epoch_order(3, epoch, IMAGES).split(BATCH)]
    for step, ((x, target), index) in enumerate(zip(calls, batches, strict=True)):
        assert torch.equal(target, to_unit(dataset.train[index]))
        assert torch.equal(x, noise.corrupt(target, noise_of_step(3, step)))
        assert all(not torch.equal(a, b) for a, b in zip(x, target, strict=True)), "an image was left out"
    first_of_each = [x[0] - target[0] for x, target in calls]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(first_of_each, 2)), "noise came twice"


@NOISES
def test_looks_are_at_noisy_images(dataset: ImageDataset, noise: NoiseConfig) -> None:
    model = build_model(CONV, seed=0)
    for event in train(model, dataset, config_of(evaluation_images=20, noise=noise)):
        if isinstance(event, Evaluated):
            result = evaluate(model, dataset.test[:20], noise=noise)
            assert (event.loss, event.mse, event.images) == (result.loss, result.mse, 20)
            assert event.mse != evaluate(model, dataset.test[:20]).mse


def test_a_dial_of_noise_that_is_off_changes_nothing(dataset: ImageDataset) -> None:
    off, default = (run(dataset, config_of(noise=noise))[0] for noise in (NoiseConfig(strength=0.7), NoiseConfig()))
    assert untimed(off) == untimed(default) == untimed(run(dataset, config_of())[0])


@pytest.mark.parametrize("weakest", [1.0, 0.2], ids=["fixed", "blind"])
@pytest.mark.parametrize("corruption", ["gaussian", "masking", "poisson"])
@pytest.mark.parametrize("bottleneck", BOTTLENECKS)
@pytest.mark.parametrize("body", BODIES)
def test_every_network_can_be_trained_as_a_denoiser(
    dataset: ImageDataset, body: str, bottleneck: str, corruption: str, weakest: float
) -> None:
    shape = ModelConfig(
        image_shape=(1, 8, 8), body=body, bottleneck=bottleneck, latent_dim=3, channels=4, hidden_units=8
    )
    noise = NoiseConfig(corruption=corruption, weakest=weakest)
    events, model = run(dataset, config_of(budget=4, budget_unit="steps", noise=noise), shape)
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "budget"
    assert len(steps_in(events)) == 4
    assert all(math.isfinite(event.loss) for event in (*steps_in(events), *looks_in(events)))
    fresh = weights_of(build_model(shape, seed=0))
    moved = [not torch.equal(fresh[name], weight) for name, weight in weights_of(model).items()]
    assert any(moved), "nothing was learned"


def test_a_denoiser_comes_nearer_to_the_clean_images() -> None:
    digits = load_dataset("digits8")
    config = TrainConfig(budget=300, budget_unit="steps", evaluate_every=300, noise=FIXED)
    model = build_model(ModelConfig(image_shape=(1, 8, 8), body="mlp", hidden_units=64, latent_dim=16), seed=0)
    looks = looks_in(list(train(model, digits, config)))
    clean = to_unit(digits.test)
    left_alone = FIXED.corrupt(clean, torch.Generator().manual_seed(0))
    assert looks[-1].mse < float((left_alone - clean).square().mean()) < looks[0].mse


# -- with charges ------------------------------------------------------------------------------------------------

# Codes of which one is charged exactly and one by random directions, and words of which some are soon unused.
CHARGING = {
    **{name: {"bottleneck": name} for name in BOTTLENECKS},
    "sparse-kl": {"bottleneck": "sparse", "sparsity": "kl"},
    "contractive-wide": {"bottleneck": "contractive", "latent_dim": EXACT_UNITS + 4},
    "vector_quantized-moving": {"bottleneck": "vector_quantized", "codewords": 1024},
}
ALL = pytest.mark.parametrize("kind", CHARGING)


def charging(kind: str, **choices: object) -> ModelConfig:
    return ModelConfig(
        **{"image_shape": (1, 8, 8), "body": "mlp", "hidden_units": 8, "latent_dim": 3, **CHARGING[kind], **choices}
    )


@pytest.fixture
def _idle_words_move_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aecore.models.codewords.UNUSED", 0.95)


@pytest.mark.usefixtures("_idle_words_move_at_once")
@ALL
def test_whatever_is_charged_the_seed_decides_all_losses(dataset: ImageDataset, kind: str) -> None:
    found = []
    for world in (1, 2):
        torch.manual_seed(world)
        before = torch.get_rng_state()
        events, model = run(dataset, config_of(seed=5), charging(kind))
        assert torch.equal(torch.get_rng_state(), before), "torch's global generator was touched"
        found.append((untimed(events), weights_of(model)))
    assert found[0][0] == found[1][0]
    assert_equal_weights(found[0][1], found[1][1])
    assert found[0][0] != untimed(run(dataset, config_of(seed=6), charging(kind))[0])


@pytest.mark.usefixtures("_idle_words_move_at_once")
@ALL
def test_whatever_is_charged_resuming_anywhere_is_never_having_stopped(dataset: ImageDataset, kind: str) -> None:
    config = config_of(budget=2, evaluate_every=3, warmup=0.7)
    straight, model = run(dataset, config, charging(kind))
    for stop in range(len(straight)):
        interrupted = build_model(charging(kind), seed=config.seed)
        state = TrainState(interrupted, config)
        events = list(itertools.islice(train(interrupted, dataset, config, state), stop))
        saved = Checkpoint.of(interrupted, state, train_config=config, dataset="noise").to_bytes()

        restored = Checkpoint.from_bytes(saved)
        resumed = restored.build()
        torch.manual_seed(stop)
        events += list(train(resumed, dataset, restored.train_config, restored.resume(resumed)))
        news = [event for event in untimed(events) if not isinstance(event, Started)]
        assert news == untimed(straight)[1:], f"stopped after {stop} events"
        assert_equal_weights(weights_of(resumed), weights_of(model))
        assert set(weights_of(resumed)) == set(weights_of(model))


@ALL
def test_with_its_own_defaults_no_charge_keeps_a_network_from_learning(kind: str) -> None:
    digits = load_dataset("digits8")
    config = TrainConfig(budget=300, budget_unit="steps", evaluate_every=300)
    first, *_, last = looks_in(run(digits, config, charging(kind, hidden_units=64, latent_dim=12))[0])
    assert last.loss < first.loss
    assert last.mse < 0.6 * first.mse, "better than the mean image, which a dead code would give"
    assert list(last.terms) == list(first.terms)


@ALL
def test_looks_tell_the_terms_and_the_units(dataset: ImageDataset, kind: str) -> None:
    config, model = config_of(evaluation_images=20), build_model(charging(kind), seed=0)
    loss = "bce" if kind == "variational" else "mse"
    for event in train(model, dataset, config):
        if isinstance(event, Evaluated):
            result = evaluate(model, dataset.test[:20], loss)
            assert (event.loss, event.mse) == (result.loss, result.mse)
            assert (event.terms, event.units) == (result.terms, result.units)


@dataclasses.dataclass
class Ledger:
    """What a training is told by the model, and what it is trained on."""

    terms: list[LossTerms] = dataclasses.field(default_factory=list)
    draws: list[Tensor] = dataclasses.field(default_factory=list)

    def keep(self, model: Autoencoder) -> None:
        real = model.loss_terms

        def note(x: Tensor, target: Tensor, loss: str, generator: torch.Generator) -> LossTerms:
            found = real(x, target, loss, generator.clone_state())
            if model.training:
                self.terms.append(found)
                self.draws.append(torch.rand(4, generator=generator))
            return found

        model.loss_terms = note  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize("warmup", [0.0, 0.25, 0.5, 1.0])
def test_charges_grow_to_their_full_weight_over_their_share_of_the_budget(dataset: ImageDataset, warmup: float) -> None:
    model, ledger = build_model(charging("variational", beta=2.0), seed=0), Ledger()
    ledger.keep(model)
    events = list(train(model, dataset, config_of(warmup=warmup)))
    shares = [1.0 if warmup == 0 else min(1.0, step / 12 / warmup) for step in range(12)]
    assert shares[0] == (0.0 if warmup else 1.0)
    assert shares[-1] == (1.0 if warmup < 1 else 11 / 12)
    for event, terms, share in zip(steps_in(events), ledger.terms, shares, strict=True):
        expected = (terms.reconstruction + share * 2 * terms.bottleneck["kl"]).mean().item()
        assert event.loss == pytest.approx(expected, rel=1e-6)


def test_looks_weigh_charges_as_the_steps_around_them_do(dataset: ImageDataset) -> None:
    model = build_model(charging("variational", beta=50.0), seed=0)
    seen = []
    for event in train(model, dataset, config_of(evaluate_every=2, warmup=0.5)):
        if isinstance(event, Evaluated):
            share = min(1.0, event.step / 6)
            assert event.loss == pytest.approx(event.terms["reconstruction"] + share * 50 * event.terms["kl"])
            seen.append(share)
    assert seen == [0, 1 / 3, 2 / 3, 1, 1, 1, 1]


@pytest.mark.parametrize("warmup", [0.1, 1.0])
@pytest.mark.parametrize("beta", [1e3, 1e5])
def test_a_charge_that_warms_up_is_no_explosion(beta: float, warmup: float) -> None:
    config = TrainConfig(budget=120, budget_unit="steps", evaluate_every=3, warmup=warmup)
    events, _ = run(load_dataset("digits8"), config, charging("variational", hidden_units=64, latent_dim=8, beta=beta))
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "budget", events[-1].message


def test_each_step_draws_from_seed_and_step(dataset: ImageDataset) -> None:
    model, ledger = build_model(charging("variational"), seed=0), Ledger()
    ledger.keep(model)
    list(train(model, dataset, config_of(seed=4)))
    expected = [torch.rand(4, generator=codes_of_step(4, step)) for step in range(12)]
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(ledger.draws, expected, strict=True))


def test_a_plain_torch_loop_gives_the_same_losses_for_a_variational_code(dataset: ImageDataset) -> None:
    config = config_of(schedule="constant", learning_rate=2e-3, seed=4)
    events, _ = run(dataset, config, charging("variational", beta=2.0))

    model = build_model(charging("variational"), seed=4)
    mean = (dataset.train.double() / 255).mean(0).flatten()
    with torch.no_grad():
        list(model.parameters())[-1].copy_((mean / (1 - mean)).log())
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3, fused=False)
    losses, step = [], 0
    for epoch in range(3):
        for index in epoch_order(4, epoch, IMAGES).split(BATCH):
            x = dataset.train[index].float() / 255
            posterior = model.posterior(x)
            assert posterior is not None
            mu, logvar = posterior.mean, posterior.log_variance
            z = mu + (logvar / 2).exp() * torch.randn(mu.shape, generator=codes_of_step(4, step))
            kl = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum()
            bce = nn.functional.binary_cross_entropy(model.decode(z), x, reduction="sum")
            loss = (bce + 2 * kl) / len(x)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
            step += 1
    assert [event.loss for event in steps_in(events)] == pytest.approx(losses, rel=1e-5)
