"""What every autoencoder keeps to, whatever it is built from: tried over the registries, pair by pair.

A newly registered part is tried without an edit here. The annotated shapes are checked while these tests run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import combinations, product
from typing import Any

import pytest
import torch
from beartype import beartype
from jaxtyping import TypeCheckError, jaxtyped
from resamplers import pairs_that_go_together
from torch import Tensor

from aecore.errors import ConfigError
from aecore.losses import RECONSTRUCTION_LOSSES
from aecore.models import BODIES, BOTTLENECKS, DOWNSAMPLERS, UPSAMPLERS, ModelConfig, build_model
from aecore.models.activations import ACTIVATION_TITLES, ACTIVATIONS
from aecore.models.autoencoder import Autoencoder, LossTerms
from aecore.models.layers import describe
from aecore.training import TrainConfig, check_loss

SHAPES = [(1, 8, 8), (3, 9, 13), (1, 28, 28), (4, 64, 64), (1, 17, 8)]
BATCH = 3


def covering_pairs(**axes: list[Any]) -> list[dict[str, Any]]:
    """Few rows of the product of `axes` that hold every pair of values of every two axes, chosen greedily."""
    rows = [row for values in product(*axes.values()) if goes_together(row := dict(zip(axes, values, strict=True)))]

    def pairs(row: dict[str, Any]) -> set[Any]:
        return set(combinations(row.items(), 2))

    missing = set().union(*map(pairs, rows))
    chosen = []
    while missing:
        chosen.append(max(rows, key=lambda row: len(pairs(row) & missing)))
        missing -= pairs(chosen[-1])
    return chosen


def goes_together(row: dict[str, Any]) -> bool:
    """Whether every part finds what it needs."""
    return "downsample" not in row or (row["downsample"], row["upsample"]) in pairs_that_go_together()


def variants() -> list[ModelConfig]:
    """Every body, with every pair of the choices that matter to it."""
    axes: dict[str, list[Any]] = {
        "image_shape": SHAPES,
        "bottleneck": list(BOTTLENECKS),
        "downsample": list(DOWNSAMPLERS),
        "upsample": list(UPSAMPLERS),
        "activation": list(ACTIVATIONS),
        "stages": [1, 2, 4],
        "hidden_layers": [1, 3],
    }
    found = []
    for body in BODIES:
        basis = ModelConfig(body=body, channels=4, hidden_units=16, latent_dim=5)
        mine = {name: values for name, values in axes.items() if name == "image_shape" or basis.matters(name)}
        found += [ModelConfig(**{**basis.to_dict(), **row}) for row in covering_pairs(**mine)]
    return found


def label(config: ModelConfig) -> str:
    told = [
        name for name in ("downsample", "upsample", "activation", "stages", "hidden_layers") if config.matters(name)
    ]
    parts = ["x".join(map(str, config.image_shape)), config.body, config.bottleneck]
    return "-".join([*parts, *(str(getattr(config, name)) for name in told)])


@pytest.fixture(params=variants(), ids=label)
def config(request: pytest.FixtureRequest) -> ModelConfig:
    made: ModelConfig = request.param
    return made


@pytest.fixture
def model(config: ModelConfig) -> Autoencoder:
    return build_model(config, seed=0)


@pytest.fixture
def images(config: ModelConfig) -> Tensor:
    return torch.rand((BATCH, *config.image_shape), generator=torch.Generator().manual_seed(0))


def annotated_functions() -> Iterator[tuple[Any, str, Any]]:
    """(owner, name, function) of everything in the core whose signature tells shapes."""
    modules = [module for name, module in list(sys.modules.items()) if name.startswith("aecore.")]
    classes = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    for owner in [*modules, *(kind for kind in classes if kind.__module__.startswith("aecore."))]:
        for name, value in list(vars(owner).items()):
            told = map(str, getattr(value, "__annotations__", {}).values())
            if callable(value) and not isinstance(value, type) and any("[Tensor," in words for words in told):
                yield owner, name, value


@pytest.fixture(autouse=True, scope="module")
def _shapes_are_checked() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for owner, name, function in list(annotated_functions()):
            patch.setattr(owner, name, jaxtyped(function, typechecker=beartype))
        yield


def test_the_annotations_that_matter_are_among_those_checked() -> None:
    checked = {f"{getattr(owner, '__qualname__', owner.__name__)}.{name}" for owner, name, _ in annotated_functions()}
    assert {"Autoencoder.encode", "Autoencoder.decode", "Autoencoder.forward", "Autoencoder.loss_terms"} <= checked
    assert {"Crop.forward", "PlainBottleneck.forward", "aecore.metrics.mse"} <= checked


def test_images_become_codes_and_codes_become_images(model: Autoencoder, config: ModelConfig, images: Tensor) -> None:
    code = model.encode(images)
    assert code.shape == (BATCH, config.latent_dim)
    decoded = model.decode(code)
    assert decoded.shape == images.shape
    assert decoded.isfinite().all()
    _, switches = model.encoder.with_switches(images)
    assert torch.equal(model(images), model.output(model.decoder(code, switches)) if switches else decoded)


def test_any_code_becomes_an_image_in_range(model: Autoencoder, config: ModelConfig) -> None:
    codes = 30 * torch.randn((50, config.latent_dim), generator=torch.Generator().manual_seed(1))
    decoded = model.decode(codes)
    assert decoded.isfinite().all()
    if describe(config)[-1].op == "sigmoid":
        assert decoded.min() >= 0
        assert decoded.max() <= 1
    else:
        assert decoded.min() < 0, "without a sigmoid nothing keeps values in range"


def test_every_parameter_gets_a_finite_gradient(model: Autoencoder, images: Tensor) -> None:
    model.loss_terms(images, images, "mse").total().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{name} takes no part"
        assert parameter.grad.isfinite().all(), name
    gradients = [parameter.grad.abs().max() for parameter in model.parameters() if parameter.grad is not None]
    assert max(gradients[0], gradients[1]) > 0, "the first layer learns"
    assert max(gradients[-1], gradients[-2]) > 0, "the last layer learns"


@pytest.mark.parametrize("loss", RECONSTRUCTION_LOSSES)
def test_loss_terms_are_one_amount_for_each_sample(model: Autoencoder, images: Tensor, loss: str) -> None:
    if RECONSTRUCTION_LOSSES[loss].needs_bounded_output and describe(model)[-1].op != "sigmoid":
        with pytest.raises(ConfigError, match="needs reconstructions between 0 and 1"):
            check_loss(model.config, TrainConfig(loss=loss))
        return
    target = images.flip(0)
    terms = model.loss_terms(images, target, loss)
    amounts = [terms.reconstruction, *terms.bottleneck.values()]
    assert all(amount.shape == (BATCH,) for amount in amounts)
    torch.testing.assert_close(terms.total(), torch.stack(amounts).sum(0).mean())
    alone = model.loss_terms(images[1:2], target[1:2], loss)
    torch.testing.assert_close(terms.reconstruction[1:2], alone.reconstruction)


def test_the_one_reduction_adds_all_terms_and_averages_over_the_batch() -> None:
    terms = LossTerms(torch.tensor([1.0, 2.0]), {"kl": torch.tensor([10.0, 20.0]), "l1": torch.tensor([100.0, 0.0])})
    assert terms.total().item() == (111 + 22) / 2


def test_the_loss_compares_with_the_target_not_with_the_input(model: Autoencoder, images: Tensor) -> None:
    target = torch.zeros_like(images)
    reconstruction = model.loss_terms(images, target, "mse").reconstruction
    torch.testing.assert_close(reconstruction, model(images).square().sum((1, 2, 3)))


def test_its_configuration_survives_json(config: ModelConfig) -> None:
    restored = ModelConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert restored == config
    assert restored.image_shape == config.image_shape
    assert hash(restored) == hash(config)


def test_a_seed_fixes_the_weights_and_nothing_else(config: ModelConfig) -> None:
    before = torch.get_rng_state()
    first, again, other = (build_model(config, seed=seed).state_dict() for seed in (3, 3, 4))
    describe(config)
    assert torch.equal(torch.get_rng_state(), before), "torch's global generator was touched"
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first if first[name].ndim > 1)


def test_other_shapes_than_its_own_are_no_images(model: Autoencoder, images: Tensor) -> None:
    for wrong in (images[0], images[None], images.to(torch.uint8)):
        with pytest.raises(TypeCheckError):
            model(wrong)
    with pytest.raises(TypeCheckError):
        model.loss_terms(images, images[:1], "mse")


def test_it_suggests_a_rate_one_can_train_with(model: Autoencoder) -> None:
    assert 1e-6 < model.safe_rate < 0.1


@pytest.mark.parametrize("registry", [BODIES, BOTTLENECKS, DOWNSAMPLERS, UPSAMPLERS])
def test_every_part_says_what_it_is(registry: dict[str, Any]) -> None:
    for name, part in registry.items():
        assert part.title, name
        assert part.help.endswith("."), name
        assert name == name.lower(), "names are typed on command lines"


def test_every_activation_has_a_title() -> None:
    assert list(ACTIVATIONS) == list(ACTIVATION_TITLES)
