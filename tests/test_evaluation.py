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

from aecore.models import ModelConfig, build_model
from aecore.models.autoencoder import Autoencoder
from aecore.training import Evaluation, encode, evaluate, reconstruct
from aecore.training import evaluation as evaluation_module

BATCH = 4
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
    assert Evaluation(loss=1.0, mse=0.01, images=3).psnr == pytest.approx(20)


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
        Evaluation(loss=1.0, mse=0.01, images=3).mse = 0  # type: ignore[misc]
