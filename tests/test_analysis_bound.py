"""Posteriors, KL and the importance-weighted bound, where the likelihood is known in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from aecore.analysis.bound import importance_weighted_bound, kl_per_unit, log_prior_ratio, posteriors
from aecore.data import load_dataset
from aecore.data.image_dataset import to_unit
from aecore.errors import ConfigError
from aecore.fit import fit
from aecore.models import BOTTLENECKS, Autoencoder, ModelConfig, build_model
from aecore.models.bottlenecks import Posterior
from aecore.training import TrainConfig, evaluate

PIXELS = 64


def config(**changes: object) -> ModelConfig:
    settings = {"image_shape": (1, 8, 8), "body": "linear", "bottleneck": "variational", "latent_dim": 2}
    return ModelConfig(**{**settings, **changes})  # type: ignore[arg-type] # of mixed types


def layer(module: object) -> nn.Linear:
    assert isinstance(module, nn.Linear)
    return module


@torch.no_grad()
def linear_gaussian(widened: float = 1.0) -> tuple[Autoencoder, MultivariateNormal]:
    """p(z) = N(0, 1), p(x|z) = N(V z + c, 1/2), and as encoder its exact posterior; the distribution of x beside it.

    The columns of V are at right angles, so that the exact posterior has independent units: its variance is
    1 / (1 + 2 |v|^2) and its mean that times 2 v (x - c). (Bishop, Pattern recognition, 2006, equation 2.116)

    Args:
        widened: By what the posterior's standard deviation is too large.
    """
    model = build_model(config(), seed=0)
    columns = torch.linalg.qr(torch.randn(PIXELS, 2, generator=torch.Generator().manual_seed(0)))[0]
    columns = columns * torch.tensor([1.5, 0.8])
    centre = torch.linspace(0.2, 0.8, PIXELS)
    decoder, head = layer(model.decoder[0]), layer(model.bottleneck.head)
    decoder.weight.copy_(columns)
    decoder.bias.copy_(centre)
    variance = 1 / (1 + 2 * columns.square().sum(0))
    mean_map = 2 * variance[:, None] * columns.T  # (2, 64)
    head.weight.copy_(torch.cat([mean_map, torch.zeros(2, PIXELS)]))
    head.bias.copy_(torch.cat([-mean_map @ centre, (variance * widened**2).log()]))
    exact = columns.double()
    return model, MultivariateNormal(centre.double(), exact @ exact.T + 0.5 * torch.eye(PIXELS, dtype=torch.float64))


def images(count: int = 40) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(256, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)


def true_nats(distribution: MultivariateNormal, stored: Tensor) -> float:
    return -float(distribution.log_prob(to_unit(stored).flatten(1).double()).mean())


# -- posteriors and KL -------------------------------------------------------------------------------------------


def test_posteriors_in_batches_are_those_at_once() -> None:
    model, stored = build_model(config(body="mlp", hidden_units=8), seed=0).train(), images(1203)
    found = posteriors(model, stored)
    assert model.training, "left as it was"
    with torch.no_grad():
        expected = model.posterior(to_unit(stored))
    assert found is not None
    assert expected is not None
    torch.testing.assert_close(found.mean, expected.mean)
    torch.testing.assert_close(found.log_variance, expected.log_variance)


@pytest.mark.parametrize("bottleneck", BOTTLENECKS)
def test_only_codes_that_are_distributions_have_posteriors(bottleneck: str) -> None:
    found = posteriors(build_model(config(bottleneck=bottleneck), seed=0), images(3))
    assert (found is not None) == (bottleneck == "variational")


def test_kl_of_a_unit_is_that_of_torch_averaged_over_images() -> None:
    generator = torch.Generator().manual_seed(0)
    posterior = Posterior(*(torch.randn(30, 5, generator=generator) for _ in range(2)))
    mine = Normal(posterior.mean.double(), (posterior.log_variance.double() / 2).exp())
    expected = kl_divergence(mine, Normal(torch.zeros(1).double(), torch.ones(1).double())).mean(0)
    torch.testing.assert_close(kl_per_unit(posterior), expected)


def test_the_ratio_of_prior_and_posterior_is_that_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    posterior = Posterior(*(torch.randn(30, 5, generator=generator) for _ in range(2)))
    code = torch.randn(30, 5, generator=generator)
    q = Normal(posterior.mean.double(), (posterior.log_variance.double() / 2).exp())
    p = Normal(torch.zeros(1).double(), torch.ones(1).double())
    expected = (p.log_prob(code.double()) - q.log_prob(code.double())).sum(1)
    torch.testing.assert_close(log_prior_ratio(posterior, code), expected)


# -- the bound ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 2, 20])
def test_a_decoder_that_ignores_the_code_has_the_same_bound_for_all_samples(samples: int) -> None:
    model, stored = build_model(config(body="mlp", hidden_units=8), seed=0), images()
    brightness = torch.linspace(0.1, 0.9, PIXELS)
    with torch.no_grad():
        for module in (layer(model.decoder[-2]), layer(model.bottleneck.head)):
            module.weight.zero_()
            module.bias.zero_()  # of the head: the posterior is the prior
        layer(model.decoder[-2]).bias.copy_(brightness.logit())
    x, p = to_unit(stored).flatten(1).double(), brightness.double()
    bernoulli = -(x * p.log() + (1 - x) * (1 - p).log()).sum(1).mean().item()
    assert importance_weighted_bound(model, stored, "bce", samples) == pytest.approx(bernoulli, rel=1e-6)
    normal = -Normal(p, math.sqrt(0.5)).log_prob(x).sum(1).mean().item()
    assert importance_weighted_bound(model, stored, "mse", samples) == pytest.approx(normal, rel=1e-6)


@pytest.mark.parametrize("samples", [1, 10])
def test_with_the_exact_posterior_it_is_the_likelihood_itself(samples: int) -> None:
    model, distribution = linear_gaussian()
    assert importance_weighted_bound(model, images(), "mse", samples) == pytest.approx(
        true_nats(distribution, images()), abs=1e-4
    )


def test_with_a_wrong_posterior_it_tends_to_the_likelihood_from_above() -> None:
    model, distribution = linear_gaussian(widened=1.5)
    stored = images()
    truth = true_nats(distribution, stored)
    by_samples = {samples: importance_weighted_bound(model, stored, "mse", samples) for samples in (1, 10, 2000)}
    # KL of the too wide posterior from the exact one, for each of 2 units: -log 1.5 + (1.5^2 - 1) / 2
    gap = 2 * ((1.5**2 - 1) / 2 - math.log(1.5))
    assert gap > 0.4
    many = sum(
        importance_weighted_bound(model, stored, "mse", 1, torch.Generator().manual_seed(seed)) for seed in range(200)
    )
    assert many / 200 == pytest.approx(truth + gap, abs=0.05), "one sample: the negative ELBO, on average"
    assert by_samples[10] < truth + gap
    assert by_samples[2000] == pytest.approx(truth, abs=0.01)


def test_one_sample_is_the_negative_elbo_and_more_are_below() -> None:
    data = load_dataset("digits8")
    card = fit(config(body="mlp", hidden_units=32), TrainConfig(budget=200, budget_unit="steps"), data)
    model = card.build()
    elbo = evaluate(model, data.test, "bce")
    negative_elbo = elbo.terms["reconstruction"] + elbo.terms["kl"]
    several = [
        importance_weighted_bound(model, data.test, "bce", 1, torch.Generator().manual_seed(seed)) for seed in range(20)
    ]
    assert sum(several) / 20 == pytest.approx(negative_elbo, abs=0.3)
    assert importance_weighted_bound(model, data.test, "bce", 50) < min(several)


def test_the_same_generator_gives_the_same_and_none_gives_always_the_same() -> None:
    model, _ = linear_gaussian(widened=1.5)
    one, two = (importance_weighted_bound(model, images(), "mse", 3, torch.Generator().manual_seed(7)) for _ in "ab")
    assert one == two
    assert importance_weighted_bound(model, images(), "mse", 3) == importance_weighted_bound(model, images(), "mse", 3)
    assert one != importance_weighted_bound(model, images(), "mse", 3)


def test_it_says_how_far_it_is_and_leaves_the_model_as_it_was() -> None:
    model, _ = linear_gaussian()
    heard: list[float] = []
    importance_weighted_bound(model.train(), images(1203), "mse", 1, progress=heard.append)
    assert heard == sorted(heard)
    assert (len(heard), heard[-1]) == (3, 1.0)
    assert model.training


@pytest.mark.parametrize("bottleneck", [name for name in BOTTLENECKS if name != "variational"])
def test_a_code_without_a_distribution_is_refused_in_words(bottleneck: str) -> None:
    with pytest.raises(ConfigError, match=r"has no distribution.*variational"):
        importance_weighted_bound(build_model(config(bottleneck=bottleneck), seed=0), images(), "mse", 3)


def test_what_is_no_likelihood_is_refused_in_words() -> None:
    told_more = build_model(config(body="conv", downsample="maxpool", upsample="max_unpool", channels=4), seed=0)
    with pytest.raises(ConfigError, match="max-unpooling is told more"):
        importance_weighted_bound(told_more, images(), "bce", 3)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        importance_weighted_bound(linear_gaussian()[0], images(), "bce", 3)
    with pytest.raises(ConfigError, match="not 0"):
        importance_weighted_bound(linear_gaussian()[0], images(), "mse", 0)
