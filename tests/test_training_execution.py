"""However a step is carried out, it is the same step: same loss, same gradients, same training when resumed."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from resamplers import a_downsampler_for
from torch import Tensor, nn

from aecore.checkpoint import Checkpoint
from aecore.data import ImageDataset
from aecore.losses import RECONSTRUCTION_LOSSES
from aecore.models import BODIES, BOTTLENECKS, UPSAMPLERS, ModelConfig, build_model
from aecore.models.autoencoder import Autoencoder
from aecore.models.bottlenecks import Code
from aecore.models.maps import MapLayer
from aecore.models.phases import DoublingConv2d
from aecore.noise import CORRUPTIONS, NoiseConfig
from aecore.training import Evaluated, Finished, StepDone, TrainConfig, TrainState, evaluate, train
from aecore.training.config import PRECISIONS
from aecore.training.execution import PLAIN, Execution, has_bfloat16_units
from aecore.training.optimisers import OPTIMISERS
from aecore.training.step import BatchLoss, Step

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE = (2, 9, 12)  # several channels, and sides that do not halve evenly
NETWORKS: dict[str, dict[str, Any]] = {
    **{f"body {name}": {"body": name} for name in BODIES},
    **{f"upsample {name}": {"upsample": name, "downsample": a_downsampler_for(name)} for name in UPSAMPLERS},
    **{f"bottleneck {name}": {"bottleneck": name, "upsample": "transpose4"} for name in BOTTLENECKS},
}
WAYS = [Execution(*way) for way in itertools.product(PRECISIONS, (False, True), (False, True))]
SINGLE = [way for way in WAYS if way.precision == "float32" and way != PLAIN]
HALF = [way for way in WAYS if way.precision == "bfloat16"]
needs_bfloat16 = pytest.mark.skipif(not has_bfloat16_units(), reason="this processor does not multiply bfloat16")
EVERY_NETWORK = pytest.mark.parametrize("network", NETWORKS)


def model_of(network: str, **choices: Any) -> ModelConfig:
    basis = {"image_shape": SHAPE, "channels": 4, "hidden_units": 16, "latent_dim": 5}
    return ModelConfig(**{**basis, **NETWORKS[network], **choices})


def images(count: int = 64) -> Tensor:
    return torch.randint(256, (count, *SHAPE), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def step(config: ModelConfig, way: Execution, training: TrainConfig = TrainConfig()) -> tuple[Autoencoder, BatchLoss]:  # noqa: B008 - frozen
    """A fresh network after the gradients of its first batch were computed in this way."""
    model = build_model(config, seed=0).train()
    way.arrange(model)
    return model, Step(model, images(), training, way).backward(torch.arange(0, 64, 2), 3)


def gradients(model: Autoencoder) -> dict[str, Tensor]:
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    return {name: gradient for name, gradient in found.items() if gradient is not None}


def assert_same_step(ours: tuple[Autoencoder, BatchLoss], theirs: tuple[Autoencoder, BatchLoss]) -> None:
    """Up to rounding; measured were 2e-6 at most."""
    assert ours[1].full.item() == pytest.approx(theirs[1].full.item(), rel=1e-6)
    mine, expected = gradients(ours[0]), gradients(theirs[0])
    assert list(mine) == list(expected) == [name for name, _ in theirs[0].named_parameters()]
    for name, gradient in expected.items():
        assert (mine[name] - gradient).norm() <= 1e-5 * gradient.norm(), name


# -- one step ----------------------------------------------------------------------------------------------------


@EVERY_NETWORK
@pytest.mark.parametrize("way", SINGLE, ids=str)
def test_layout_and_form_change_neither_loss_nor_gradients(network: str, way: Execution) -> None:
    config = model_of(network)
    assert_same_step(step(config, way), step(config, PLAIN))


@pytest.mark.parametrize("loss", RECONSTRUCTION_LOSSES)
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_nor_does_it_change_with_noise(corruption: str, loss: str) -> None:
    noise = NoiseConfig(corruption=corruption, **({} if corruption == "none" else {"strength": 0.3}))
    training = TrainConfig(loss=loss, noise=noise)
    config, way = model_of("upsample transpose4"), Execution(channels_last=True, by_phases=True)
    assert_same_step(step(config, way, training), step(config, PLAIN, training))


@needs_bfloat16
@EVERY_NETWORK
def test_bfloat16_rounds_and_no_more_than_that(network: str) -> None:
    """Measured were 8e-5 for the loss and a cosine of 0.9991 at the least, with max-unpooling, where winners change."""
    config = model_of(network)
    plain, loss = step(config, PLAIN)
    expected = torch.cat([gradient.flatten() for gradient in gradients(plain).values()])
    for way in HALF:
        model, rounded = step(config, way)
        found = torch.cat([gradient.flatten() for gradient in gradients(model).values()])
        assert rounded.full.item() == pytest.approx(loss.full.item(), rel=1e-3)
        assert not torch.equal(found, expected), "nothing was rounded"
        assert torch.cosine_similarity(found, expected, dim=0) > 0.995
        assert found.norm() == pytest.approx(expected.norm().item(), rel=0.05)


@needs_bfloat16
@EVERY_NETWORK
def test_in_bfloat16_losses_charges_weights_and_gradients_are_kept_in_float32(network: str) -> None:
    for way in HALF:
        model, loss = step(model_of(network), way)
        assert model.twin is not None
        x = images(6) / 255
        terms = model.twin.network.loss_terms(x, x, "mse")
        amounts = [*terms.named().values(), *([] if terms.units is None else [terms.units])]
        kept = [loss.minimised, loss.full, *model.parameters(), *gradients(model).values(), *model.buffers()]
        assert {tensor.dtype for tensor in amounts + kept} == {torch.float32}


@needs_bfloat16
@EVERY_NETWORK
def test_in_bfloat16_a_code_that_costs_something_has_all_its_digits(
    network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model(model_of(network), seed=0).train()
    kind, codes = type(model.bottleneck), []
    charged = kind.charged

    def noting(*given: Any) -> Code:
        codes.append(charged(*given))
        return codes[-1]

    monkeypatch.setattr(kind, "charged", noting)
    HALF[0].arrange(model)
    Step(model, images(), TrainConfig(), HALF[0]).backward(torch.arange(20), 0)
    (code,) = codes
    assert (code.values.dtype == torch.float32) is model.bottleneck.charges


# -- recorded ----------------------------------------------------------------------------------------------------


def several_steps(config: ModelConfig, way: Execution, training: TrainConfig, *, recorded: bool) -> list[list[Tensor]]:
    """Losses, gradients and weights of steps of a full batch and of a smaller one, with charges that warm up."""
    model = build_model(config, seed=0).train()
    state = TrainState(model, training, way)
    state.arrange(model)
    taken, found = Step(model, images(), training, way, recorded=recorded), []
    for number, share in enumerate((1.0, 0.1, 0.7, 1.0, 1.0)):
        index = torch.arange(number, 64, 5 if number == 3 else 3)[:20]
        loss = taken.backward(index, number, share)
        state.optimiser.step()
        found.append([loss.minimised, loss.full, *gradients(model).values(), *model.state_dict().values()])
        found[-1] = [tensor.clone() for tensor in found[-1]]
    assert taken.unrecorded == "", "what is asked for is done"
    return found


def assert_same_bits(ours: list[list[Tensor]], theirs: list[list[Tensor]]) -> None:
    for number, (mine, expected) in enumerate(zip(ours, theirs, strict=True)):
        for place, (tensor, other) in enumerate(zip(mine, expected, strict=True)):
            assert torch.equal(tensor, other), f"step {number}, tensor {place}"


@EVERY_NETWORK
@pytest.mark.parametrize("way", [PLAIN, SINGLE[-1], pytest.param(HALF[-1], marks=needs_bfloat16)], ids=str)
def test_played_back_every_step_has_the_same_bits(network: str, way: Execution) -> None:
    config, training = model_of(network), TrainConfig()
    computed = several_steps(config, way, training, recorded=False)
    assert_same_bits(several_steps(config, way, training, recorded=True), computed)
    assert not torch.equal(computed[0][0], computed[1][0]), "all steps are one"


@pytest.mark.parametrize("loss", RECONSTRUCTION_LOSSES)
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_noise_is_drawn_anew_each_time_it_is_played_back(corruption: str, loss: str) -> None:
    noise = NoiseConfig(corruption=corruption, **({} if corruption == "none" else {"strength": 0.3}))
    config, training = model_of("bottleneck variational"), TrainConfig(loss=loss, noise=noise)
    ours = several_steps(config, PLAIN, training, recorded=True)
    assert_same_bits(ours, several_steps(config, PLAIN, training, recorded=False))


def test_what_cannot_be_recorded_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(build_model(model_of("bottleneck sparse")).bottleneck)
    charged = kind.charged

    def asking(*given: Any) -> Code:
        code: Code = charged(*given)
        assert code.values.sum().isfinite()  # a question about numbers
        return code

    monkeypatch.setattr(kind, "charged", asking)
    model = build_model(model_of("bottleneck sparse"), seed=0).train()
    taken = Step(model, images(), TrainConfig(), PLAIN)
    plain = Step(model, images(), TrainConfig(), PLAIN, recorded=False)
    for number in range(4):
        index = torch.arange(number, number + 30)
        assert taken.backward(index, number).full == plain.backward(index, number).full
    assert "on which the rest may depend" in taken.unrecorded


# -- how a model is arranged -------------------------------------------------------------------------------------


def layouts(model: Autoencoder) -> set[tuple[bool, bool]]:
    """Of all kernels for several channels, where it matters: whether they lie channels first, and channels last."""
    return {
        (kernel.is_contiguous(), kernel.is_contiguous(memory_format=torch.channels_last))
        for kernel in model.parameters()
        if kernel.ndim == 4 and kernel.shape[1] > 1
    }


def flags(model: Autoencoder) -> tuple[set[bool], set[bool]]:
    return (
        {layer.by_phases for layer in model.modules() if isinstance(layer, DoublingConv2d)},
        {layer.by_pixel for layer in model.modules() if isinstance(layer, MapLayer)},
    )


def is_plain(model: Autoencoder) -> bool:
    return flags(model) == ({False}, {False}) and all(tensor.is_contiguous() for tensor in model.state_dict().values())


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_arranging_lays_out_and_does_not_change_a_number(way: Execution) -> None:
    model = build_model(model_of("upsample transpose4"), seed=0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    way.arrange(model)
    assert layouts(model) == {(not way.channels_last, way.channels_last)}
    assert flags(model) == ({way.by_phases}, {way.channels_last})
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    PLAIN.arrange(model)
    assert is_plain(model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_images_are_placed_as_the_kernels_are(way: Execution) -> None:
    x = torch.rand(3, 4, 5, 6)
    placed = way.place(x)
    assert torch.equal(placed, x)
    assert placed.is_contiguous(memory_format=torch.channels_last) is way.channels_last


def test_it_can_be_kept_as_numbers() -> None:
    assert [Execution.from_numbers(way.to_numbers()) for way in WAYS] == WAYS
    assert len({tuple(way.to_numbers()) for way in WAYS}) == len(WAYS)
    kept = torch.tensor([way.to_numbers() for way in WAYS])
    assert [Execution.from_numbers(numbers) for numbers in kept.tolist()] == WAYS


def test_it_says_what_it_is() -> None:
    assert str(PLAIN) == "float32, channels first"
    assert str(Execution("bfloat16", True, True)) == "bfloat16, channels last, doubling by phases"
    assert len({str(way) for way in WAYS}) == len(WAYS)


# -- whole trainings ---------------------------------------------------------------------------------------------

CONV = model_of("upsample transpose4")
RESUMED = [Execution(channels_last=True, by_phases=True), pytest.param(HALF[-1], marks=needs_bfloat16)]


@pytest.fixture
def dataset() -> ImageDataset:
    labels = torch.zeros(50, dtype=torch.int64)
    return ImageDataset(
        name="noise",
        title="Noise",
        train=images(50),
        test=images(70)[50:],
        train_labels=labels,
        test_labels=labels[:20],
        label_names=("noise",),
        source="made for this test",
        licence="MIT",
    )


def config_of(**choices: Any) -> TrainConfig:
    return TrainConfig(**{"budget": 9, "budget_unit": "steps", "batch_size": 16, "evaluate_every": 4, **choices})


def trained(dataset: ImageDataset, config: TrainConfig, way: Execution) -> Autoencoder:
    model = build_model(CONV, seed=0)
    list(train(model, dataset, config, TrainState(model, config, way)))
    return model


def up_to(dataset: ImageDataset, config: TrainConfig, way: Execution, stop: int) -> tuple[Autoencoder, TrainState, Any]:
    """A training that has taken `stop` steps and not ended."""
    model = build_model(CONV, seed=0)
    state = TrainState(model, config, way)
    events = train(model, dataset, config, state)
    next(event for event in events if isinstance(event, StepDone) and event.step == stop)
    return model, state, events


def differing(ours: Autoencoder, theirs: Autoencoder) -> list[str]:
    expected = theirs.state_dict()
    return [name for name, tensor in ours.state_dict().items() if not torch.equal(tensor, expected[name])]


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("way", RESUMED, ids=str)
@pytest.mark.parametrize("stop", [1, 6])
def test_resumed_from_a_checkpoint_it_ends_with_the_same_bits(
    dataset: ImageDataset, way: Execution, optimiser: str, stop: int
) -> None:
    config = config_of(optimiser=optimiser, weight_decay=0.01)
    calm = trained(dataset, config, way)
    model, state, _ = up_to(dataset, config, way, stop)
    data = Checkpoint.of(model, state, train_config=config, dataset="noise").to_bytes()

    restored = Checkpoint.from_bytes(data)
    resumed = restored.build()
    assert is_plain(resumed)
    again = restored.resume(resumed)
    assert again.execution == way
    list(train(resumed, dataset, config, again))
    assert differing(resumed, calm) == []
    assert differing(build_model(CONV, seed=0), calm) != []


@pytest.mark.parametrize("way", RESUMED, ids=str)
def test_closed_and_gone_on_with_it_ends_with_the_same_bits(dataset: ImageDataset, way: Execution) -> None:
    model, state, events = up_to(dataset, config_of(), way, 5)
    events.close()
    list(train(model, dataset, config_of(), state))
    assert differing(model, trained(dataset, config_of(), way)) == []


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_the_optimisers_memory_lies_as_the_weights_do(dataset: ImageDataset, optimiser: str) -> None:
    """Fused optimisers read both in the order of memory, so the state of a checkpoint has to be laid out anew."""
    way, config = Execution(channels_last=True), config_of(optimiser=optimiser)
    model, state, _ = up_to(dataset, config, way, 3)
    restored = Checkpoint.from_bytes(Checkpoint.of(model, state, train_config=config, dataset="noise").to_bytes())
    resumed = restored.build()
    again = restored.resume(resumed)
    again.arrange(resumed)
    assert layouts(resumed) == {(False, True)}
    for name, parameter in resumed.named_parameters():
        for key, value in again.optimiser.state.get(parameter, {}).items():
            if value.ndim:
                assert value.stride() == parameter.stride(), (name, key)
                assert torch.equal(value, restored.training_state[f"{key}.{name}"]), (name, key)


@pytest.mark.parametrize("way", [way for way in WAYS if way != PLAIN], ids=str)
def test_whichever_way_a_training_ends_the_model_is_plain_again(dataset: ImageDataset, way: Execution) -> None:
    assert is_plain(trained(dataset, config_of(), way))
    closed, _, events = up_to(dataset, config_of(), way, 2)
    assert not is_plain(closed) or way == Execution("bfloat16")
    events.close()
    assert is_plain(closed)
    astray, _, events = up_to(dataset, config_of(), way, 2)
    nn.init.constant_(next(astray.parameters()), math.nan)
    *_, end = events
    assert isinstance(end, Finished)
    assert end.reason == "diverged"
    assert is_plain(astray)


@pytest.mark.parametrize("way", SINGLE, ids=str)
def test_looked_at_in_the_middle_of_a_training_it_answers_the_same(dataset: ImageDataset, way: Execution) -> None:
    model, state, _ = up_to(dataset, config_of(), way, 4)
    kept = Checkpoint.of(model, state, train_config=config_of(), dataset="noise")
    assert evaluate(model, dataset.test).loss == pytest.approx(evaluate(kept.build(), dataset.test).loss, rel=1e-5)


@needs_bfloat16
def test_looks_are_in_float32_whatever_the_steps_are_computed_in(dataset: ImageDataset) -> None:
    way = Execution("bfloat16")
    model, state, events = up_to(dataset, config_of(), way, 4)
    kept = Checkpoint.of(model, state, train_config=config_of(), dataset="noise").build()
    look = next(events)
    assert isinstance(look, Evaluated)
    assert look.loss == evaluate(kept, dataset.test).loss
