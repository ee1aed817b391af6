"""The verdict on a code comes from the numbers, and so does the account it is drawn from."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from aecore.analysis.collapse import (
    SURELY_UNUSED,
    Account,
    account_of_terms,
    averaged_over_pixels,
    averaging_is_a_beta,
    cost_of_the_mean,
    kl_by_class,
    measured_on,
    verdict,
)
from aecore.data import load_dataset
from aecore.errors import ConfigError
from aecore.losses import RECONSTRUCTION_LOSSES
from aecore.metrics import active_units
from aecore.models import ModelConfig
from aecore.models.bottlenecks import Posterior
from aecore.training import TrainConfig
from aecore.training.optimisers import OPTIMISERS

HEALTHY = Account(
    reconstruction=83.0,
    kl=15.0,
    units=(8.0, 7.0),
    beta=1.0,
    pixels=784,
    active=(True, True),
    spread=(1.0, 1.1),
    blank=163.0,
)
SILENT: dict[str, Any] = {"kl": 0.0, "units": (0.0, 0.0), "active": (False, False), "reconstruction": 163.0}


def words(account: Account) -> str:
    said = verdict(account)
    return " ".join((said.title, *said.reasons))


def test_a_code_in_use_is_told_with_its_price() -> None:
    said = verdict(HEALTHY)
    assert (said.kind, said.trouble) == ("used", False)
    assert "All 2 units are in use" in said.title
    assert "15 nats (21.6 bits)" in said.title
    assert "pays 15 nats and saves 80" in words(HEALTHY)
    assert "5.3 for one" in words(HEALTHY)


def test_beta_equal_to_the_number_of_pixels_is_recognised() -> None:
    said = verdict(replace(HEALTHY, **SILENT, beta=784.0))
    assert (said.kind, said.trouble) == ("collapsed", True)
    assert "The KL is 0" in said.title
    assert "Beta is 784, the number of pixels. Was the reconstruction averaged over the pixels?" in " ".join(
        said.reasons
    )
    assert "than 0.21 nats to say can never pay" in " ".join(said.reasons)


def test_it_is_the_pixels_of_these_images_that_count() -> None:
    assert "the number of pixels" in words(replace(HEALTHY, **SILENT, beta=64.0, pixels=64))
    assert "pixels" not in words(replace(HEALTHY, **SILENT, beta=64.0))


def test_a_multiple_of_the_pixels_is_recognised() -> None:
    assert "Beta is 3,136, 4 times the number of pixels" in words(replace(HEALTHY, **SILENT, beta=3136.0))


def test_what_can_be_afforded_is_the_reconstruction_over_beta() -> None:
    """No code can save more than the whole reconstruction costs, the constant of the likelihood aside."""
    account = replace(HEALTHY, **SILENT, beta=100.0, constant=63.0)
    assert "the whole reconstruction costs 100: what takes more than 1 nats" in words(account)


def test_a_moderate_beta_is_not_blamed_for_more_than_it_does() -> None:
    said = words(replace(HEALTHY, **SILENT, beta=4.0))
    assert "can never pay" not in said
    assert "saves more than 4 nats of reconstruction for each nat" in said


def test_without_a_price_training_is_to_blame() -> None:
    said = words(replace(HEALTHY, **SILENT))
    assert "not the price" in said
    assert "warm up" in said


def test_some_unused_units_are_normal() -> None:
    said = verdict(replace(HEALTHY, units=(15.0, 0.0, 0.0), active=(True, False, False), spread=(1.0, 1.0, 1.0)))
    assert (said.kind, said.trouble) == ("partly", False)
    assert said.title == "2 of 3 units are unused."
    assert "normal" in said.reasons[0]


def test_beta_0_is_no_distribution() -> None:
    said = verdict(replace(HEALTHY, beta=0.0, kl=400.0, spread=(30.0, 50.0)))
    assert (said.kind, said.trouble) == ("free", True)
    assert "no longer held to a distribution" in said.title
    assert "400 nats" in said.reasons[0]
    assert "40 times the prior's variance" in said.reasons[0]


def test_codes_wider_than_the_prior_are_told() -> None:
    assert "3 times the prior's variance" in words(replace(HEALTHY, beta=0.1, spread=(3.0, 3.0)))
    assert "prior's variance" not in words(HEALTHY)


def test_only_units_in_use_are_asked_how_wide_they_are() -> None:
    account = replace(HEALTHY, active=(True, False), spread=(1.0, 90.0))
    assert "prior's variance" not in words(account)


def test_while_it_warms_up_nothing_is_final() -> None:
    said = verdict(replace(HEALTHY, **SILENT, beta=784.0, share=0.25, step=10))
    assert said.kind == "warming"
    assert "costs 196 now, and 784 in the end" in said.title


def test_before_training_and_after_a_disaster() -> None:
    assert verdict(replace(HEALTHY, **SILENT, step=0)).kind == "untrained"
    assert verdict(replace(HEALTHY, reconstruction=math.nan)).kind == "astray"
    assert verdict(replace(HEALTHY, kl=math.inf)).trouble


def test_where_activity_is_not_measured_the_kl_says_which_units_may_be_active() -> None:
    account = replace(HEALTHY, active=None, units=(SURELY_UNUSED, 2 * SURELY_UNUSED))
    assert account.in_use == (False, True)


def test_no_active_unit_has_less_kl_than_that() -> None:
    """The KL is at least half the variance of the mean: 1/2 (m^2 + s^2 - 1 - log s^2) with s^2 - 1 >= log s^2."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(500, 40, generator=generator) * torch.linspace(0.01, 0.3, 40)
    variances = 0.2 * torch.randn(500, 40, generator=generator)
    kl = Posterior(means, variances).kl().mean(0)
    assert (kl[active_units(means)] > SURELY_UNUSED).all()


def test_the_sums_add_up() -> None:
    account = replace(HEALTHY, beta=4.0, share=0.5, constant=3.0)
    assert account.negative_elbo == 98.0
    assert account.loss == 83.0 - 3.0 + 0.5 * 4.0 * 15.0
    assert account.saved == 80.0


@pytest.mark.parametrize("loss", RECONSTRUCTION_LOSSES)
def test_an_account_of_terms_adds_the_constant_of_the_likelihood(loss: str) -> None:
    model = ModelConfig(image_shape=(1, 8, 8), body="mlp", bottleneck="variational", beta=2.0)
    account = account_of_terms({"reconstruction": 10.0, "kl": 1.0}, (1.0,), model, loss, share=1.0, step=3)
    assert account.reconstruction == pytest.approx(10.0 + 64 * RECONSTRUCTION_LOSSES[loss].constant)
    assert account.loss == pytest.approx(12.0), "what is minimised does not know the constant"


def test_what_is_measured_on_posteriors() -> None:
    posterior = Posterior(torch.tensor([[0.0, 1.0], [0.0, -1.0]]), torch.zeros(2, 2))
    account = measured_on(HEALTHY, posterior, blank=200.0)
    assert account.units == (0.0, 0.5)
    assert account.active == (False, True)
    assert account.spread == pytest.approx((1.0, 3.0))
    assert (account.kl, account.blank) == (15.0, 200.0)


def test_kl_by_class_is_the_mean_over_its_images() -> None:
    posterior = Posterior(torch.tensor([[0.0, 2.0], [2.0, 0.0], [0.0, 0.0]]), torch.zeros(3, 2))
    found = kl_by_class(posterior, torch.tensor([0, 2, 2]), 3)
    assert found.tolist() == [[0.0, 2.0], [0.0, 0.0], [1.0, 0.0]]


@pytest.mark.parametrize("loss", RECONSTRUCTION_LOSSES)
def test_no_picture_costs_less_on_its_own_images_than_their_mean(loss: str) -> None:
    images = load_dataset("digits8").test[:100]
    mean = cost_of_the_mean(images, images, loss)
    for other in (images[:50], 255 - images):
        assert cost_of_the_mean(other, images, loss) > mean


def test_averaging_is_a_larger_beta() -> None:
    model = ModelConfig(image_shape=(3, 16, 16), bottleneck="variational", beta=0.5)
    assert averaged_over_pixels(model) == replace(model, beta=384.0)
    with pytest.raises(ConfigError):
        averaged_over_pixels(replace(model, beta=1000.0))


@pytest.mark.parametrize(
    ("optimiser", "decay", "same"),
    [("adam", 0.0, True), ("adamw", 0.0, True), ("adamw", 0.1, True), ("adam", 0.1, False), ("sgd", 0.0, False)],
)
def test_averaging_is_another_beta_where_the_size_of_the_loss_does_not_matter(
    optimiser: str, decay: float, same: bool
) -> None:
    """Tried out: steps on a loss and on a thousandth of it."""
    training = TrainConfig(optimiser=optimiser, weight_decay=decay)
    assert averaging_is_a_beta(training) is same
    ends = []
    for scale in (1.0, 1e-3):
        weight = torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
        steps = OPTIMISERS[optimiser].build([weight], 0.01, decay)
        for _ in range(20):
            (gradient,) = torch.autograd.grad(scale * (weight - 5).pow(4).sum(), weight)
            weight.grad = gradient
            steps.step()
        ends.append(weight.detach())
    assert torch.allclose(*ends, rtol=1e-3) is same
