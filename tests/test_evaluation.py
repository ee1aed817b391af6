"""Trying a model on a whole set gives the numbers of one large batch, and leaves the model as it was."""

from __future__ import annotations

import dataclasses
import inspect

import pytest
import torch
import torch.nn.functional as F
from beartype import beartype
from jaxtyping import TypeCheckError, jaxtyped
from torch import Tensor, nn

from aecore.data.image_dataset import to_stored, to_unit
from aecore.models import BOTTLENECKS, ModelConfig, build_model
from aecore.models.autoencoder import Autoencoder, LossTerms
from aecore.models.bottlenecks import EXACT_UNITS, VectorQuantizedBottleneck
from aecore.noise import NONE, NoiseConfig
from aecore.training import Evaluation, corrupted, encode, evaluate, reconstruct
from aecore.training import evaluation as evaluation_module
from aecore.training.evaluation import CODE_SEED, NOISE_SEED, chosen_words, reconstruct_unrounded, seen_and_meant

pytestmark = pytest.mark.usefixtures("one_thread")

BATCH = 4
SOME = Evaluation(loss=1.0, mse=0.01, images=3, terms={"reconstruction": 1.0}, units=())
COUNTS = [1, BATCH, BATCH + 1, 2 * BATCH + 3]


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_module, "BATCH", BATCH)


def stored(count: int) -> Tensor:
    chance = torch.Generator().manual_seed(count)
    return torch.randint(256, (count, 3, 8, 9), generator=chance).to(torch.uint8)


@pytest.fixture(params=["linear", "mlp", "conv"])
def model(request: pytest.FixtureRequest) -> Autoencoder:
    return build_model(ModelConfig(image_shape=(3, 8, 9), body=request.param, channels=4, latent_dim=5), seed=0)


@pytest.mark.parametrize("count", COUNTS)
def test_the_error_is_that_of_one_large_batch(model: Autoencoder, count: int) -> None:
    images = stored(count)
    x = images.double() / 255
    double = build_model(model.config, seed=0).double()
    with torch.no_grad():
        expected = F.mse_loss(double(x), x).item()
    result = evaluate(model, images)
    assert result.mse == pytest.approx(expected, rel=1e-5)
    assert result.loss == pytest.approx(expected * 3 * 8 * 9, rel=1e-5), "squared error summed over each image"
    assert result.images == count


def test_cross_entropy_is_torchs() -> None:
    model = build_model(ModelConfig(image_shape=(3, 8, 9), body="mlp"), seed=0)
    images = stored(7)
    x = images.double() / 255
    double = build_model(model.config, seed=0).double()
    with torch.no_grad():
        expected = F.binary_cross_entropy(double(x), x, reduction="sum").item() / 7
    assert evaluate(model, images, "bce").loss == pytest.approx(expected, rel=1e-5)


def test_psnr_is_that_of_the_mean_error() -> None:
    assert SOME.psnr == pytest.approx(20)


@pytest.mark.parametrize("count", COUNTS)
def test_reconstructions_are_stored_as_images_are(model: Autoencoder, count: int) -> None:
    images = stored(count)
    result = reconstruct(model, images)
    with torch.no_grad():
        exact = model(images.float() / 255)
    assert result.dtype == torch.uint8
    assert result.shape == images.shape
    assert (result.float() - 255 * exact.clamp(0, 1)).abs().max() <= 0.5 + 1e-3, "rounded, not cut off"


def test_what_leaves_the_range_is_clipped() -> None:
    model = build_model(ModelConfig(image_shape=(3, 8, 9), body="linear"), seed=0)
    last = model.decoder[0]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.linspace(-1, 2, 216))
    result = reconstruct(model, stored(1)).flatten()
    assert (result[0], result[-1]) == (0, 255)
    assert result[108] == round(255 * (-1 + 3 * 108 / 215))


@pytest.mark.parametrize("count", COUNTS)
def test_codes_are_the_encoders(model: Autoencoder, count: int) -> None:
    images = stored(count)
    with torch.no_grad():
        expected = model.encode(images.float() / 255)
    torch.testing.assert_close(encode(model, images), expected)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("look", [evaluate, reconstruct, encode])
def test_looking_leaves_the_model_as_it_was(model: Autoencoder, look: object, training: bool) -> None:
    assert callable(look)
    model.train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    look(model, stored(3))
    assert model.training is training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("look", [evaluate, reconstruct, encode])
def test_floats_are_no_stored_images(model: Autoencoder, look: object) -> None:
    assert callable(look)
    checked = jaxtyped(inspect.unwrap(look), typechecker=beartype)
    with torch.no_grad():
        checked(model, stored(2))
    with pytest.raises(TypeCheckError):
        checked(model, stored(2) / 255)


def test_a_result_is_not_changed_by_accident() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SOME.mse = 0  # type: ignore[misc]


# -- with noise --------------------------------------------------------------------------------------------------

NOISES = pytest.mark.parametrize(
    "noise",
    [
        NoiseConfig(corruption="gaussian", strength=0.3),
        NoiseConfig(corruption="gaussian", strength=0.3, clip=False),
        NoiseConfig(corruption="masking", strength=0.6, weakest=0.1),
    ],
    ids=["fixed", "unclipped", "blind"],
)


def noisy_and_clean(images: Tensor, noise: NoiseConfig, seed: int = NOISE_SEED) -> tuple[Tensor, Tensor]:
    """One generator for all, batch after batch, as the evaluation has to do it."""
    generator, clean = torch.Generator().manual_seed(seed), images.float() / 255
    parts = [noise.corrupt(clean[start : start + BATCH], generator) for start in range(0, len(images), BATCH)]
    return torch.cat(parts), clean


@NOISES
@pytest.mark.parametrize("count", COUNTS)
def test_with_noise_the_model_is_measured_against_the_clean_images(
    model: Autoencoder, count: int, noise: NoiseConfig
) -> None:
    images = stored(count)
    noisy, clean = noisy_and_clean(images, noise)
    double = build_model(model.config, seed=0).double()
    with torch.no_grad():
        expected = F.mse_loss(double(noisy.double()), clean.double()).item()
    result = evaluate(model, images, noise=noise)
    assert result.mse == pytest.approx(expected, rel=1e-5)
    assert result.loss == pytest.approx(expected * 3 * 8 * 9, rel=1e-5)
    assert result.images == count
    assert result.mse != evaluate(model, images).mse


def test_with_noise_cross_entropy_is_torchs_with_the_clean_images() -> None:
    model = build_model(ModelConfig(image_shape=(3, 8, 9), body="mlp"), seed=0)
    noise = NoiseConfig(corruption="gaussian", strength=0.5)
    noisy, clean = noisy_and_clean(stored(7), noise)
    double = build_model(model.config, seed=0).double()
    with torch.no_grad():
        expected = F.binary_cross_entropy(double(noisy.double()), clean.double(), reduction="sum").item() / 7
    assert evaluate(model, stored(7), "bce", noise).loss == pytest.approx(expected, rel=1e-5)


@NOISES
def test_whoever_is_tried_gets_the_same_noise(noise: NoiseConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    real = Autoencoder.forward

    def note(self: Autoencoder, x: Tensor) -> Tensor:
        seen.append(x.clone())
        return real(self, x)

    monkeypatch.setattr(Autoencoder, "forward", note)
    images, first = stored(BATCH + 1), noisy_and_clean(stored(BATCH + 1), noise)[0]
    for number, body in enumerate(["linear", "mlp", "conv"]):
        torch.manual_seed(number)
        made = build_model(ModelConfig(image_shape=(3, 8, 9), body=body, channels=4), seed=number)
        for look in (evaluate, reconstruct):
            seen.clear()
            look(made, images, noise=noise)
            assert torch.equal(torch.cat(seen), first), body


@NOISES
@pytest.mark.parametrize("count", COUNTS)
def test_what_is_seen_and_what_is_meant(count: int, noise: NoiseConfig) -> None:
    images = stored(count)
    before = images.clone()
    for seed in (NOISE_SEED, 7):
        pairs = list(seen_and_meant(images, noise, seed))
        assert [len(x) for x, _ in pairs] == [len(batch) for batch in images.split(BATCH)]
        noisy, clean = noisy_and_clean(images, noise, seed)
        assert torch.equal(torch.cat([x for x, _ in pairs]), noisy)
        assert torch.equal(torch.cat([target for _, target in pairs]), clean)
    assert torch.equal(images, before)
    assert not torch.equal(noisy, noisy_and_clean(images, noise)[0]), "another seed, other noise"


@pytest.mark.parametrize("count", COUNTS)
def test_without_noise_the_clean_images_are_seen(model: Autoencoder, count: int) -> None:
    images = stored(count)
    for pairs in (seen_and_meant(images), seen_and_meant(images, NONE, 5)):
        parts = list(pairs)
        assert all(torch.equal(x, target) for x, target in parts)
        assert torch.equal(torch.cat([x for x, _ in parts]), to_unit(images))
    assert torch.equal(corrupted(images, NONE), images), "what is stored comes back to the bit"
    assert evaluate(model, images, noise=NONE) == evaluate(model, images)


@NOISES
@pytest.mark.parametrize("count", COUNTS)
def test_corrupted_images_are_what_is_seen_as_it_would_be_stored(count: int, noise: NoiseConfig) -> None:
    images = stored(count)
    result = corrupted(images, noise)
    assert (result.dtype, result.shape) == (torch.uint8, images.shape)
    assert torch.equal(result, to_stored(noisy_and_clean(images, noise)[0]))
    assert not torch.equal(result, images)


@NOISES
@pytest.mark.parametrize("count", COUNTS)
def test_reconstructions_of_noisy_images(model: Autoencoder, count: int, noise: NoiseConfig) -> None:
    images = stored(count)
    with torch.no_grad():
        exact = model(noisy_and_clean(images, noise)[0])
    unrounded = reconstruct_unrounded(model, images, noise)
    torch.testing.assert_close(unrounded, exact, rtol=0, atol=1e-5)
    assert torch.equal(reconstruct(model, images, noise), to_stored(unrounded))


@NOISES
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("look", [evaluate, reconstruct, reconstruct_unrounded])
def test_looking_at_noise_leaves_everything_as_it_was(
    model: Autoencoder, look: object, training: bool, noise: NoiseConfig
) -> None:
    assert callable(look)
    model.train(training)
    images = stored(3)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    chance = torch.get_rng_state()
    look(model, images, noise=noise)
    assert model.training is training
    assert torch.equal(torch.get_rng_state(), chance), "torch's global generator was touched"
    assert torch.equal(images, stored(3))
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())


# -- with charges ------------------------------------------------------------------------------------------------

ALL = pytest.mark.parametrize("bottleneck", BOTTLENECKS)


def charging(bottleneck: str, latent_dim: int = 5) -> Autoencoder:
    config = ModelConfig(
        image_shape=(3, 8, 9), body="mlp", hidden_units=16, latent_dim=latent_dim, bottleneck=bottleneck, beta=3.0
    )
    return build_model(config, seed=0)


def by_hand(model: Autoencoder, images: Tensor) -> list[LossTerms]:
    """The terms of each batch, with one generator for all of them."""
    model.eval()
    generator = torch.Generator().manual_seed(CODE_SEED)
    with torch.no_grad():
        return [model.loss_terms(x, x, "mse", generator) for x in (images.float() / 255).split(BATCH)]


@ALL
@pytest.mark.parametrize("count", COUNTS)
def test_terms_are_means_over_all_images_before_their_weights(bottleneck: str, count: int) -> None:
    model, images = charging(bottleneck), stored(count)
    found, parts = evaluate(model, images), by_hand(charging(bottleneck), images)
    assert list(found.terms) == ["reconstruction", *parts[0].bottleneck]
    for name, amount in found.terms.items():
        each = torch.cat([part.named()[name] for part in parts])
        assert each.shape == (count,)
        assert amount == pytest.approx(each.double().mean().item(), rel=1e-5), name
    weights = {"reconstruction": 1.0, **parts[0].weights}
    assert found.loss == pytest.approx(sum(weights[name] * amount for name, amount in found.terms.items()), rel=1e-5)


@ALL
def test_charges_that_warm_up_count_by_their_share_in_the_loss_alone(bottleneck: str) -> None:
    model, images = charging(bottleneck), stored(BATCH + 1)
    full, half, none = (evaluate(model, images, share=share) for share in (1.0, 0.5, 0.0))
    assert full == evaluate(model, images)
    assert half.loss == pytest.approx((full.loss + none.loss) / 2, rel=1e-6)
    assert none.loss == pytest.approx(none.terms["reconstruction"], rel=1e-6)
    assert (full.terms, full.units, full.mse) == (none.terms, none.units, none.mse)


@ALL
@pytest.mark.parametrize("latent_dim", [5, EXACT_UNITS + 4])
def test_units_are_means_over_all_images_and_add_up_to_the_first_charge(bottleneck: str, latent_dim: int) -> None:
    model, images = charging(bottleneck, latent_dim), stored(2 * BATCH + 3)
    found, parts = evaluate(model, images), by_hand(charging(bottleneck, latent_dim), images)
    if parts[0].units is None:
        assert found.units == ()
        return
    each = torch.cat([part.units for part in parts if part.units is not None])
    assert found.units == pytest.approx(each.double().mean(0).tolist(), rel=1e-5)
    assert sum(found.units) == pytest.approx(list(found.terms.values())[1], rel=1e-5)


@ALL
def test_codes_that_are_drawn_are_drawn_alike_whatever_chance_is_doing(bottleneck: str) -> None:
    model, images, found = charging(bottleneck, EXACT_UNITS + 4), stored(2 * BATCH + 3), []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        found.append(evaluate(model, images))
        assert torch.equal(torch.get_rng_state(), before), "torch's global generator was touched"
    assert found[0] == found[1]


def test_another_draw_would_give_another_loss_but_not_another_error(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = charging("variational"), stored(BATCH + 1)
    first = evaluate(model, images)
    monkeypatch.setattr(evaluation_module, "CODE_SEED", CODE_SEED + 1)
    other = evaluate(model, images)
    assert first.loss != other.loss
    assert (first.mse, first.terms["kl"]) == (other.mse, other.terms["kl"])
    x = images.float() / 255
    with torch.no_grad():
        assert first.mse == pytest.approx(F.mse_loss(model(x), x).item(), rel=1e-5), "of the mean code"


def test_batches_are_drawn_one_after_the_other_not_each_the_same() -> None:
    model, image = charging("variational"), stored(1)
    one, two = (evaluate(model, image.expand(BATCH * times, -1, -1, -1)) for times in (1, 2))
    assert one.terms["kl"] == pytest.approx(two.terms["kl"], rel=1e-6)
    assert one.terms["reconstruction"] != pytest.approx(two.terms["reconstruction"], rel=1e-6)


@ALL
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("look", [evaluate, reconstruct, encode])
def test_looking_moves_no_words_and_leaves_no_gradient(bottleneck: str, look: object, training: bool) -> None:
    assert callable(look)
    model = charging(bottleneck).train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    look(model, stored(BATCH + 1))
    assert model.training is training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("count", COUNTS)
def test_the_words_chosen_spell_the_code(count: int) -> None:
    model, images = charging("vector_quantized"), stored(count)
    assert isinstance(model.bottleneck, VectorQuantizedBottleneck)
    chosen = chosen_words(model, images)
    assert (chosen.dtype, chosen.shape) == (torch.int64, (count, 3))
    assert torch.equal(model.bottleneck.words.spell(chosen), encode(model, images))
