"""What each bottleneck charges is its formula: held against torch's distributions, Jacobians and loops by hand."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from aecore.losses import RECONSTRUCTION_LOSSES
from aecore.models import ModelConfig, build_model
from aecore.models.autoencoder import Autoencoder, LossTerms
from aecore.models.bottlenecks import (
    BOTTLENECKS,
    EXACT_UNITS,
    Posterior,
    SparseBottleneck,
    VariationalBottleneck,
    VectorQuantizedBottleneck,
    coin_divergence,
)

pytestmark = pytest.mark.usefixtures("one_thread")

FEATURES = 7


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=chance(seed))


def made(bottleneck: str, **choices: object) -> Autoencoder:
    """A small network with this bottleneck, in double precision, so that oracles can be held to many digits."""
    config = {"image_shape": (1, 8, 8), "body": "mlp", "hidden_units": 12, "activation": "tanh", "latent_dim": 5}
    return build_model(ModelConfig(**{**config, "bottleneck": bottleneck, **choices}), seed=0).double()


def pictures(count: int = 6, seed: int = 1) -> Tensor:
    return torch.rand((count, 1, 8, 8), generator=chance(seed)).double()


def head_of(model: Autoencoder, x: Tensor) -> Tensor:
    head = model.bottleneck.head
    assert isinstance(head, nn.Linear)
    return F.linear(model.encoder(x), head.weight, head.bias)


def terms_of(model: Autoencoder, x: Tensor, loss: str = "mse", seed: int = 0) -> LossTerms:
    return model.loss_terms(x, x, loss, chance(seed))


# -- plain -------------------------------------------------------------------------------------------------------


def test_nothing_is_charged_for_a_plain_code() -> None:
    model, x = made("plain"), pictures()
    terms = terms_of(model, x)
    assert (terms.bottleneck, terms.units) == ({}, None)
    torch.testing.assert_close(model.encode(x), head_of(model, x))
    torch.testing.assert_close(terms.total(), (model(x) - x).square().sum() / len(x))
    assert model.posterior(x) is None


# -- variational -------------------------------------------------------------------------------------------------


def some_posterior(seed: int = 0) -> Posterior:
    """Means and log-variances of several sizes, and the prior itself in its first row."""
    mean, log_variance = 2 * normal(40, 3, seed=seed).double(), 2 * normal(40, 3, seed=seed + 1).double()
    mean[0], log_variance[0] = 0, 0
    return Posterior(mean.requires_grad_(), log_variance.requires_grad_())


def test_the_kl_divergence_is_torchs() -> None:
    posterior = some_posterior()
    kl = posterior.kl()
    mine = Normal(posterior.mean, (posterior.log_variance / 2).exp())
    torch.testing.assert_close(kl, kl_divergence(mine, Normal(torch.zeros_like(kl), torch.ones_like(kl))))
    assert kl[0].tolist() == [0, 0, 0], "the prior itself is free"
    assert kl[1:].min() > 0


def test_the_kl_divergence_is_a_mean_over_draws() -> None:
    posterior = Posterior(torch.tensor([[1.5, -0.3]]).double(), torch.tensor([[-1.0, 0.7]]).double())
    mine, prior = Normal(posterior.mean, (posterior.log_variance / 2).exp()), Normal(0.0, 1.0)
    draws = torch.cat([posterior.sample(chance(seed)) for seed in range(4000)])
    gains = mine.log_prob(draws) - prior.log_prob(draws)
    error = gains.std(0) / math.sqrt(len(gains))
    assert ((gains.mean(0) - posterior.kl()[0]).abs() < 5 * error).all()


def test_a_sample_is_mean_plus_deviation_times_the_noise_drawn() -> None:
    posterior = some_posterior()
    noise = torch.randn((40, 3), generator=chance(5), dtype=torch.float64)
    expected = posterior.mean + torch.sqrt(torch.exp(posterior.log_variance)) * noise
    torch.testing.assert_close(posterior.sample(chance(5)), expected)
    assert not torch.equal(posterior.sample(chance(6)), posterior.sample(chance(5)))


def test_samples_have_the_mean_and_the_variance_they_are_drawn_with() -> None:
    mean, log_variance = torch.tensor([-1.0, 0.0, 4.0]), torch.tensor([-3.0, 0.0, 2.0])
    count = 20_000
    draws = Posterior(mean.expand(count, 3), log_variance.expand(count, 3)).sample(chance())
    variance = log_variance.exp()
    assert ((draws.mean(0) - mean).abs() < 5 * (variance / count).sqrt()).all()
    assert ((draws.var(0) / variance - 1).abs() < 5 * math.sqrt(2 / count)).all()
    off_diagonal = torch.corrcoef(draws.T) - torch.eye(3)
    assert off_diagonal.abs().max() < 5 / math.sqrt(count), "units are drawn independently"


def test_the_gradient_of_a_sample_passes_to_mean_and_log_variance() -> None:
    posterior = some_posterior()
    noise = torch.randn((40, 3), generator=chance(5), dtype=torch.float64)
    pull = normal(40, 3, seed=9).double()
    to_mean, to_log_variance = torch.autograd.grad(
        (posterior.sample(chance(5)) * pull).sum(), (posterior.mean, posterior.log_variance)
    )
    torch.testing.assert_close(to_mean, pull)
    torch.testing.assert_close(to_log_variance, pull * noise * (posterior.log_variance.detach() / 2).exp() / 2)


def test_the_encoder_gives_means_then_log_variances_and_the_code_in_use_is_the_mean() -> None:
    model, x = made("variational"), pictures()
    posterior = model.posterior(x)
    assert posterior is not None
    mean, log_variance = head_of(model, x)[:, :5], head_of(model, x)[:, 5:]
    torch.testing.assert_close(posterior.mean, mean)
    torch.testing.assert_close(posterior.log_variance, log_variance)
    torch.testing.assert_close(model.encode(x), mean)
    terms = terms_of(model, x)
    noise = torch.randn((6, 5), generator=chance(0), dtype=torch.float64)
    drawn = model.decode(mean + (log_variance / 2).exp() * noise)
    torch.testing.assert_close(terms.reconstruction, (drawn - x).square().sum((1, 2, 3)))


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0, 40.0])
def test_beta_weighs_the_divergence_and_nothing_else(beta: float) -> None:
    x = pictures()
    terms, usual = (terms_of(made("variational", beta=b), x) for b in (beta, 1.0))
    assert torch.equal(terms.reconstruction, usual.reconstruction)
    assert torch.equal(terms.bottleneck["kl"], usual.bottleneck["kl"]), "the term itself is without its weight"
    torch.testing.assert_close(terms.total(), (usual.reconstruction + beta * usual.bottleneck["kl"]).mean())


def neg_elbo_by_torch(model: Autoencoder, x: Tensor, likelihood: object, seed: int = 0) -> Tensor:
    """-log p(x | z) + KL(q(z | x) | p(z)) of one draw, from torch's distributions alone: (N,)."""
    mean, log_variance = head_of(model, x).chunk(2, dim=1)
    scale = (log_variance / 2).exp()
    noise = torch.randn(mean.shape, generator=chance(seed), dtype=torch.float64)
    assert callable(likelihood)
    log_likelihood = likelihood(model.decoder(mean + scale * noise)).log_prob(x)
    posterior = Independent(Normal(mean, scale), 1)
    prior = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
    return -log_likelihood.sum((1, 2, 3)) + kl_divergence(posterior, prior)


def test_with_squared_error_and_its_constant_the_loss_is_the_elbo_of_gaussian_pixels_of_variance_a_half() -> None:
    model, x = made("variational"), pictures()
    theirs = neg_elbo_by_torch(model, x, lambda logits: Normal(torch.sigmoid(logits), math.sqrt(0.5)))
    terms = terms_of(model, x, "mse")
    ours = terms.reconstruction + 64 * RECONSTRUCTION_LOSSES["mse"].constant + terms.bottleneck["kl"]
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(terms.total() + 64 * RECONSTRUCTION_LOSSES["mse"].constant, theirs.mean())


def test_with_cross_entropy_the_loss_is_the_elbo_of_bernoulli_pixels_where_images_are_black_and_white() -> None:
    model, x = made("variational"), pictures().round()
    assert RECONSTRUCTION_LOSSES["bce"].constant == 0
    theirs = neg_elbo_by_torch(model, x, lambda logits: Bernoulli(logits=logits))
    torch.testing.assert_close(terms_of(model, x, "bce").total(), theirs.mean())


def test_of_grey_images_cross_entropy_is_the_expected_elbo_of_coins_thrown_with_the_greys() -> None:
    # x log p + (1 - x) log(1 - p) is linear in x, so it is the mean over black-and-white images with mean x
    model, x = made("variational"), pictures(2)
    terms = terms_of(model, x, "bce")
    torch.testing.assert_close(
        terms.reconstruction + terms.bottleneck["kl"],
        neg_elbo_by_torch(model, x, lambda logits: Bernoulli(logits=logits, validate_args=False)),
    )
    mean, log_variance = head_of(model, x).chunk(2, dim=1)
    noise = torch.randn(mean.shape, generator=chance(0), dtype=torch.float64)
    pre_image = model.decoder(mean + (log_variance / 2).exp() * noise)
    throws = torch.bernoulli(x.expand(5000, *x.shape), generator=chance(3))
    amounts = -Bernoulli(logits=pre_image).log_prob(throws).sum((2, 3, 4))  # (5000, N)
    error = amounts.std(0) / math.sqrt(len(amounts))
    assert ((amounts.mean(0) - terms.reconstruction).abs() < 5 * error).all()


def test_sums_are_over_pixels_and_units_and_the_mean_over_the_batch_as_in_pytorchs_example() -> None:
    # github.com/pytorch/examples, vae/main.py: BCE with reduction="sum", plus KLD, for a whole batch
    def loss_function(recon_x: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        bce = F.binary_cross_entropy(recon_x, x.view(-1, 64), reduction="sum")
        kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        return bce + kld

    model, x = made("variational"), pictures()
    mu, logvar = head_of(model, x).chunk(2, dim=1)
    z = mu + torch.exp(0.5 * logvar) * torch.randn(mu.shape, generator=chance(0), dtype=torch.float64)
    theirs = loss_function(model.decode(z).flatten(1), x, mu, logvar) / len(x)
    ours = terms_of(model, x, "bce").total()
    torch.testing.assert_close(ours, theirs)
    for mine, other in zip(*(torch.autograd.grad(loss, model.parameters()) for loss in (ours, theirs)), strict=True):
        torch.testing.assert_close(mine, other)


# -- sparse ------------------------------------------------------------------------------------------------------


def test_l1_charges_the_sizes_of_units_that_can_be_silent() -> None:
    model, x = made("sparse", sparsity="l1", sparsity_weight=0.7), pictures()
    code, terms = model.encode(x), terms_of(model, x)
    torch.testing.assert_close(code, head_of(model, x).clamp(min=0))
    assert (code == 0).any()
    assert (code > 0).any()
    sizes = torch.linalg.vector_norm(code, ord=1, dim=1)
    torch.testing.assert_close(terms.bottleneck["sparsity"], sizes)
    torch.testing.assert_close(terms.total(), (terms.reconstruction + 0.7 * sizes).mean())


@pytest.mark.parametrize("target", [0.01, 0.05, 0.5])
def test_the_divergence_of_coins_is_torchs(target: float) -> None:
    means = torch.tensor([1e-5, 0.01, 0.05, 0.3, 0.5, 0.99]).double()
    aim = torch.full_like(means, target)
    theirs = kl_divergence(Bernoulli(probs=aim), Bernoulli(probs=means))
    torch.testing.assert_close(coin_divergence(target, means), theirs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("target", [0.001, 0.05, 0.5])
def test_a_unit_at_its_target_is_free_and_any_other_pays(target: float) -> None:
    assert coin_divergence(target, torch.tensor([target])).item() == pytest.approx(0, abs=1e-6)
    assert coin_divergence(target, torch.tensor([target / 2, 1.5 * target])).min() > 1e-5


@pytest.mark.parametrize("mean", [0.0, 1.0])
def test_a_unit_that_never_or_always_speaks_pays_a_finite_amount(mean: float) -> None:
    assert coin_divergence(0.05, torch.tensor([mean])).isfinite().all()


def test_kl_charges_the_means_over_the_batch_so_that_every_sample_pays_the_same() -> None:
    model, x = made("sparse", sparsity="kl", target_activation=0.2, sparsity_weight=3.0), pictures()
    code, terms = model.encode(x), terms_of(model, x)
    torch.testing.assert_close(code, 1 / (1 + (-head_of(model, x)).exp()))
    aim = torch.full((5,), 0.2).double()
    each = kl_divergence(Bernoulli(probs=aim), Bernoulli(probs=code.mean(0)))
    torch.testing.assert_close(terms.bottleneck["sparsity"], each.sum().expand(6))
    assert terms.units is not None
    torch.testing.assert_close(terms.units, each.expand(6, 5))
    torch.testing.assert_close(terms.total(), terms.reconstruction.mean() + 3 * each.sum())


@pytest.mark.parametrize(("raw", "direction"), [(-60.0, 1), (-6.0, 1), (6.0, -1)])
def test_the_divergence_pulls_a_unit_to_its_target_from_both_sides(raw: float, direction: int) -> None:
    config = ModelConfig(bottleneck="sparse", sparsity="kl", latent_dim=3)
    bottleneck = SparseBottleneck(FEATURES, config)
    with torch.no_grad():
        bottleneck.head.weight.zero_()
        bottleneck.head.bias.fill_(raw)
    code = bottleneck.charged(normal(4, FEATURES), torch.zeros(4, 1, 8, 8), None)
    code.terms["sparsity"].mean().backward()
    assert bottleneck.head.bias.grad is not None
    assert (bottleneck.head.bias.grad.sign() == -direction).all()


# -- contractive -------------------------------------------------------------------------------------------------


def jacobians(model: Autoencoder, x: Tensor) -> Tensor:
    """The change of code by pixel of each image, one by one: (N, Z, pixels)."""
    each = [torch.autograd.functional.jacobian(lambda one: model.encode(one)[0], one[None]) for one in x]
    return torch.stack([jacobian.flatten(1) for jacobian in each])


@pytest.mark.parametrize("latent_dim", [1, 3, EXACT_UNITS])
@pytest.mark.parametrize("body", ["mlp", "conv", "linear"])
def test_small_codes_are_charged_the_squared_size_of_their_jacobian(body: str, latent_dim: int) -> None:
    model = made("contractive", body=body, latent_dim=latent_dim, contraction_weight=0.3, channels=4)
    x = pictures(3)
    terms, squares = terms_of(model, x), jacobians(model, x).square()
    torch.testing.assert_close(terms.bottleneck["contraction"], squares.sum((1, 2)))
    assert terms.units is not None
    torch.testing.assert_close(terms.units, squares.sum(2))
    torch.testing.assert_close(terms.total(), terms.reconstruction.mean() + 0.3 * squares.sum() / 3)
    assert torch.equal(terms_of(model, x, seed=5).bottleneck["contraction"], terms.bottleneck["contraction"])


def test_larger_codes_are_charged_an_estimate_without_bias() -> None:
    model, x = made("contractive", latent_dim=EXACT_UNITS + 4), pictures(3)
    exact = jacobians(model, x).square().sum((1, 2))
    with torch.no_grad():
        found = [terms_of(model, x, seed=seed) for seed in range(600)]
    assert all(terms.units is None for terms in found)
    draws = torch.stack([terms.bottleneck["contraction"] for terms in found])
    assert draws.std(0).min() > 0, "it is drawn"
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - exact).abs() < 5 * error).all()
    assert (error < 0.05 * exact).all(), "fine enough to see a wrong factor"


def test_an_estimate_is_the_size_of_the_jacobian_in_a_direction_of_signs() -> None:
    model, x = made("contractive", latent_dim=EXACT_UNITS + 4), pictures(3)
    signs = torch.randint(2, (3, EXACT_UNITS + 4), generator=chance(8)).double() * 2 - 1
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    along = (signs[:, None] @ jacobians(model, x)).square().sum((1, 2))
    torch.testing.assert_close(terms_of(model, x, seed=8).bottleneck["contraction"], along)


@pytest.mark.parametrize("latent_dim", [3, EXACT_UNITS + 4])
def test_the_gradient_of_the_charge_is_that_of_finite_differences(latent_dim: int) -> None:
    model, x = made("contractive", latent_dim=latent_dim), pictures(3)

    def charge() -> Tensor:
        return terms_of(model, x).bottleneck["contraction"].mean()

    weights = [p for half in (model.encoder, model.bottleneck) for p in half.parameters() if p.ndim > 1]
    gradients = torch.autograd.grad(charge(), weights)
    for weight, gradient in zip(weights, gradients, strict=True):
        direction = normal(*weight.shape, seed=4).double()
        amounts = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                weight.add_(direction, alpha=step)
            amounts.append(charge().item())
            with torch.no_grad():
                weight.sub_(direction, alpha=step)
        slope = (amounts[0] - amounts[1]) / 2e-5
        assert (gradient * direction).sum().item() == pytest.approx(slope, rel=1e-5)
        assert abs(slope) > 1e-3


@pytest.mark.parametrize("nobody_asks", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("upsample", ["nearest", "max_unpool"])
def test_the_charge_is_known_where_nobody_asks_for_gradients(nobody_asks: type, upsample: str) -> None:
    model = made("contractive", body="conv", channels=4, upsample=upsample, downsample="maxpool")
    x = pictures(3)
    with nobody_asks():
        seen = x.clone()  # in inference mode a tensor that can never have a gradient
        terms = terms_of(model, seen)
        assert not torch.is_grad_enabled()
        assert torch.is_inference_mode_enabled() is (nobody_asks is torch.inference_mode)
    torch.testing.assert_close(terms.bottleneck["contraction"], jacobians(model, x).square().sum((1, 2)))
    torch.testing.assert_close(terms.reconstruction, (model(x) - x).square().sum((1, 2, 3)).detach())
    assert not any(t.requires_grad for t in (*terms.named().values(), terms.units) if t is not None)
    assert not seen.requires_grad


def test_the_images_of_a_batch_are_left_as_they_were() -> None:
    model, x = made("contractive"), pictures(3)
    before = x.clone()
    terms_of(model, x).total().backward()
    assert torch.equal(x, before)
    assert not x.requires_grad
    assert x.grad is None


# -- vector quantised --------------------------------------------------------------------------------------------


def vector_quantised(**choices: object) -> tuple[Autoencoder, VectorQuantizedBottleneck]:
    model = made("vector_quantized", **{"codewords": 8, "word_size": 2, **choices})
    assert isinstance(model.bottleneck, VectorQuantizedBottleneck)
    return model.eval(), model.bottleneck


def nearest_words(bottleneck: VectorQuantizedBottleneck, wish: Tensor) -> Tensor:
    """Each part of each code replaced by its nearest word, in loops."""
    spelled = wish.clone()
    size = bottleneck.words.size
    for row in spelled:
        for part, words in enumerate(bottleneck.words.codebook):
            mine = slice(part * size, min((part + 1) * size, len(row)))
            fitting = words[:, : len(row[mine])]
            row[mine] = min(fitting, key=lambda word, mine=mine, row=row: (word - row[mine]).square().sum().item())
    return spelled


@pytest.mark.parametrize("word_size", [1, 2, 3, 5, 8])
def test_the_decoder_gets_the_nearest_words_and_the_distance_to_them_is_charged(word_size: int) -> None:
    model, bottleneck = vector_quantised(word_size=word_size, commitment=0.4)
    x = pictures()
    wish = head_of(model, x).detach()
    spelled = nearest_words(bottleneck, wish)
    assert not torch.equal(spelled, wish)
    torch.testing.assert_close(model.encode(x), spelled)
    terms = terms_of(model, x)
    torch.testing.assert_close(terms.reconstruction, (model.decode(spelled) - x).square().sum((1, 2, 3)))
    torch.testing.assert_close(terms.bottleneck["commitment"], (wish - spelled).square().sum(1))
    torch.testing.assert_close(terms.total(), (terms.reconstruction + 0.4 * (wish - spelled).square().sum(1)).mean())


def test_the_gradient_goes_straight_through_the_choice() -> None:
    _, bottleneck = vector_quantised()
    features = normal(4, 12).double().requires_grad_()
    pull = normal(4, 5, seed=3).double()
    code = bottleneck.charged(features, torch.zeros(4, 1, 8, 8), None)
    (through,) = torch.autograd.grad((code.values * pull).sum(), features, retain_graph=True)
    (identity,) = torch.autograd.grad((bottleneck.head(features) * pull).sum(), features)
    torch.testing.assert_close(through, identity)
    assert not torch.equal(code.values, bottleneck.head(features))


def test_commitment_pulls_the_encoder_to_its_words() -> None:
    _, bottleneck = vector_quantised()
    features = normal(4, 12).double()
    code = bottleneck.charged(features, torch.zeros(4, 1, 8, 8), None)
    (gradient,) = torch.autograd.grad(code.terms["commitment"].sum(), bottleneck.head.bias)
    wish = bottleneck.head(features)
    torch.testing.assert_close(gradient, 2 * (wish - nearest_words(bottleneck, wish.detach())).sum(0))


def test_words_move_while_training_and_only_then() -> None:
    model, bottleneck = vector_quantised()
    before = bottleneck.words.codebook.clone()
    terms_of(model.eval(), pictures())
    assert torch.equal(bottleneck.words.codebook, before)
    terms_of(model.train(), pictures())
    assert not torch.equal(bottleneck.words.codebook, before)


def test_what_a_step_is_told_is_of_the_words_before_they_move() -> None:
    model, _ = vector_quantised()
    looked = terms_of(model.eval(), pictures())
    trained = terms_of(model.train(), pictures())
    assert torch.equal(trained.reconstruction, looked.reconstruction)
    assert torch.equal(trained.bottleneck["commitment"], looked.bottleneck["commitment"])


# -- all ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bottleneck", "dial"),
    [
        ("variational", "beta"),
        ("sparse", "sparsity_weight"),
        ("contractive", "contraction_weight"),
        ("vector_quantized", "commitment"),
    ],
)
def test_a_weight_of_zero_leaves_the_reconstruction_alone(bottleneck: str, dial: str) -> None:
    terms = terms_of(made(bottleneck, **{dial: 0.0}), pictures())
    assert torch.equal(terms.total(), terms.reconstruction.mean())
    assert set(terms.weights.values()) == {0.0}


@pytest.mark.parametrize("bottleneck", BOTTLENECKS)
def test_dials_that_are_not_the_bottlenecks_own_change_nothing(bottleneck: str) -> None:
    x, basis = pictures(), made(bottleneck).config
    foreign = {
        name: dial.low
        for name, dial in ModelConfig.dials().items()
        if "bottleneck" in dial.when and not basis.matters(name) and dial.low is not None
    }
    other = build_model(dataclasses.replace(basis, **foreign), seed=0).double()
    terms, usual = terms_of(other, x), terms_of(made(bottleneck), x)
    assert len(foreign) > 2
    assert torch.equal(terms.total(), usual.total())


def test_the_posterior_is_told_by_the_bottlenecks_that_have_one() -> None:
    told = {name for name in BOTTLENECKS if made(name).posterior(pictures()) is not None}
    assert told == {"variational"}
    assert isinstance(made("variational").bottleneck, VariationalBottleneck)
