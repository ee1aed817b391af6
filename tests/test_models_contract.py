"""What every autoencoder keeps to, whatever it is built from: tried over the registries, pair by pair.

A newly registered part is tried without an edit here. The annotated shapes are checked while these tests run.

In use a network is a function: its code is what it is. While training, a bottleneck may draw the code or learn by other
means than gradients, and then what may be said is: with equal generators, or without chance, or in evaluation mode.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import cache
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
from aecore.models.bottlenecks import EXACT_UNITS, Posterior
from aecore.models.layers import describe
from aecore.training import TrainConfig, check_loss

SHAPES = [(1, 8, 8), (3, 9, 13), (1, 28, 28), (4, 64, 8), (1, 17, 8)]
BATCH = 3
NARROW, WIDE = 5, 12  # codes whose charges are worked out exactly, and some that may be estimated


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


def kinds_of_bottleneck() -> dict[str, dict[str, str]]:
    """Every bottleneck, and every choice of names that matters to it alone, by a name for both."""
    found = {}
    for name in BOTTLENECKS:
        mine = {dial: about.choices for dial, about in ModelConfig.dials().items() if about.choices}
        basis = ModelConfig(bottleneck=name)
        mine = {
            dial: choices
            for dial, choices in mine.items()
            if "bottleneck" in ModelConfig.dials()[dial].when and basis.matters(dial)
        }
        for values in product(*mine.values()):
            found["-".join([name, *values])] = {"bottleneck": name, **dict(zip(mine, values, strict=True))}
    return found


KINDS = kinds_of_bottleneck()


@cache
def variants() -> list[ModelConfig]:
    """Every body, with every pair of the choices that matter to it."""
    axes: dict[str, list[Any]] = {
        "image_shape": SHAPES,
        "kind": list(KINDS),
        "latent_dim": [NARROW, WIDE],
        "downsample": list(DOWNSAMPLERS),
        "upsample": list(UPSAMPLERS),
        "activation": list(ACTIVATIONS),
        "stages": [1, 2, 4],
        "hidden_layers": [1, 3],
    }
    found = []
    for body in BODIES:
        basis = ModelConfig(body=body, channels=4, hidden_units=16)
        mine = {name: v for name, v in axes.items() if name in ("image_shape", "kind") or basis.matters(name)}
        found += [ModelConfig(**{**basis.to_dict(), **KINDS[row.pop("kind")], **row}) for row in covering_pairs(**mine)]
    return found


def label(config: ModelConfig) -> str:
    told = [
        name
        for name in ("sparsity", "downsample", "upsample", "activation", "stages", "hidden_layers")
        if config.matters(name)
    ]
    parts = ["x".join(map(str, config.image_shape)), config.body, config.bottleneck, str(config.latent_dim)]
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


@pytest.fixture
def chanceless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes that would be drawn are their means."""
    monkeypatch.setattr(Posterior, "sample", lambda posterior, generator=None: posterior.mean)  # noqa: ARG005


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def amounts_of(terms: LossTerms) -> dict[str, Tensor]:
    """All that a sample is told to pay, and each unit's part."""
    return {**terms.named(), **({} if terms.units is None else {"units": terms.units})}


def fits(loss: str, config: ModelConfig) -> bool:
    return not RECONSTRUCTION_LOSSES[loss].needs_bounded_output or describe(config)[-1].op == "sigmoid"


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


def test_every_kind_of_bottleneck_is_tried_with_narrow_and_wide_codes() -> None:
    assert NARROW <= EXACT_UNITS < WIDE
    tried = {(c.bottleneck, c.sparsity if c.matters("sparsity") else "", c.latent_dim) for c in variants()}
    names = {(name, "") for name in BOTTLENECKS if name != "sparse"} | {("sparse", "l1"), ("sparse", "kl")}
    assert tried == {(*name, width) for name in names for width in (NARROW, WIDE)}


@pytest.mark.parametrize("training", [True, False])
def test_in_use_there_is_no_chance_and_nothing_is_learned(model: Autoencoder, images: Tensor, training: bool) -> None:
    model.train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        found.append((model.encode(images), model(images), model.decode(model.encode(images))))
        assert torch.equal(torch.get_rng_state(), state), "torch's global generator was touched"
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_every_parameter_gets_a_finite_gradient(model: Autoencoder, images: Tensor) -> None:
    model.loss_terms(images, images, "mse", chance()).total().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{name} takes no part"
        assert parameter.grad.isfinite().all(), name
    gradients = [parameter.grad.abs().max() for parameter in model.parameters() if parameter.grad is not None]
    assert max(gradients[0], gradients[1]) > 0, "the first layer learns"
    assert max(gradients[-1], gradients[-2]) > 0, "the last layer learns"
    assert all(g.abs().max() > 0 for p in model.bottleneck.parameters() if (g := p.grad) is not None and p.ndim > 1)


@pytest.mark.parametrize("loss", RECONSTRUCTION_LOSSES)
@pytest.mark.parametrize("training", [True, False])
def test_loss_terms_are_one_amount_for_each_sample(
    model: Autoencoder, images: Tensor, loss: str, training: bool
) -> None:
    if not fits(loss, model.config):
        with pytest.raises(ConfigError, match="needs reconstructions between 0 and 1"):
            check_loss(model.config, TrainConfig(loss=loss))
        return
    model.train(training)
    terms = model.loss_terms(images, images.flip(0), loss, chance())
    assert list(terms.named()) == ["reconstruction", *terms.bottleneck]
    assert set(terms.weights) == set(terms.bottleneck), "every charge has its weight"
    for name, amount in terms.named().items():
        assert amount.shape == (BATCH,), name
        assert amount.isfinite().all(), name
        assert amount.min() > -1e-6, f"{name} is a reward"
    for share in (0.0, 0.3, 1.0):
        charges = sum(terms.weights[name] * term.double() for name, term in terms.bottleneck.items())
        expected = (terms.reconstruction.double() + share * charges).mean().float()
        torch.testing.assert_close(terms.total(share), expected)
    assert torch.equal(terms.total(), terms.total(1.0))


def test_the_parts_of_the_units_add_up_to_the_first_charge(
    model: Autoencoder, config: ModelConfig, images: Tensor
) -> None:
    terms = model.loss_terms(images, images, "mse", chance())
    if terms.units is None:
        assert not terms.bottleneck or config.latent_dim > EXACT_UNITS
        return
    assert terms.units.shape == (BATCH, config.latent_dim)
    torch.testing.assert_close(terms.units.sum(1), next(iter(terms.bottleneck.values())))


@pytest.mark.parametrize("training", [True, False])
def test_equal_generators_give_equal_losses_and_leave_the_global_one_alone(
    config: ModelConfig, images: Tensor, training: bool
) -> None:
    twins = [build_model(config, seed=0).train(training) for _ in range(2)]
    found = []
    for seed, model in enumerate(twins):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        terms = model.loss_terms(images, images, "mse", chance(7))
        terms.total().backward()
        assert torch.equal(torch.get_rng_state(), state)
        found.append(amounts_of(terms) | {name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert all(torch.equal(found[0][name], found[1][name]) for name in (*found[0], *found[1]))
    assert all(torch.equal(a, b) for a, b in zip(twins[0].buffers(), twins[1].buffers(), strict=True))


@pytest.mark.usefixtures("chanceless")
@pytest.mark.parametrize("loss", RECONSTRUCTION_LOSSES)
def test_what_a_reconstruction_costs_does_not_depend_on_the_rest_of_the_batch(
    model: Autoencoder, images: Tensor, loss: str
) -> None:
    if fits(loss, model.config):
        model.eval()
        target = images.flip(0)
        together = model.loss_terms(images, target, loss).reconstruction
        alone = [
            model.loss_terms(images[i : i + 1], target[i : i + 1], loss).reconstruction for i in range(len(images))
        ]
        torch.testing.assert_close(together, torch.cat(alone))


def test_evaluation_without_gradients_gives_the_same_amounts_and_changes_nothing(
    model: Autoencoder, images: Tensor
) -> None:
    model.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with_gradients = amounts_of(model.loss_terms(images, images, "mse", chance()))
    for without in (torch.no_grad, torch.inference_mode):
        with without():
            found = model.loss_terms(images, images, "mse", chance())
            assert not torch.is_grad_enabled()
        assert not any(amount.requires_grad for amount in (*amounts_of(found).values(), found.total()))
        for name, amount in amounts_of(found).items():
            torch.testing.assert_close(amount, with_gradients[name].detach())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_one_reduction_adds_all_terms_by_their_weights_and_averages_over_the_batch() -> None:
    charges = {"kl": torch.tensor([10.0, 20.0]), "l1": torch.tensor([100.0, 0.0])}
    terms = LossTerms(torch.tensor([1.0, 2.0]), charges)
    assert terms.total().item() == (111 + 22) / 2
    weighed = LossTerms(torch.tensor([1.0, 2.0]), charges, {"kl": 0.5, "l1": 2.0})
    assert weighed.total().item() == ((1 + 5 + 200) + (2 + 10)) / 2
    assert weighed.total(0.5).item() == ((1 + 2.5 + 100) + (2 + 5)) / 2
    assert weighed.total(0.0).item() == 1.5


@pytest.mark.usefixtures("chanceless")
def test_the_loss_compares_with_the_target_not_with_the_input(model: Autoencoder, images: Tensor) -> None:
    model.eval()
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
    drawn = [name for name, tensor in first.items() if len(tensor.unique()) > 1]  # what begins at a constant does not
    assert not any(torch.equal(first[name], other[name]) for name in drawn)
    assert {name for name, _ in build_model(config).named_parameters() if name.endswith("weight")} <= set(drawn)


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
