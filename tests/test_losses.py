"""The losses are what torch's own are, summed over each image and kept apart for each sample."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from beartype import beartype
from jaxtyping import TypeCheckError, jaxtyped
from torch import Tensor, nn

from aecore.losses import RECONSTRUCTION_LOSSES, ReconstructionLoss

SHAPES = [(1, 1, 8, 8), (5, 3, 9, 13), (2, 4, 1, 1)]


def batch(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """A pre-image and a target with some values at the very ends."""
    chance = torch.Generator().manual_seed(1)
    target = torch.rand(shape, generator=chance)
    target[0].flatten()[0], target[-1].flatten()[-1] = 0.0, 1.0
    return 3 * torch.randn(shape, generator=chance), target


@pytest.fixture(params=list(RECONSTRUCTION_LOSSES))
def loss(request: pytest.FixtureRequest) -> ReconstructionLoss:
    return RECONSTRUCTION_LOSSES[request.param]


@pytest.mark.parametrize("output", [nn.Identity(), nn.Sigmoid()], ids=["identity", "sigmoid"])
@pytest.mark.parametrize("shape", SHAPES)
def test_squared_error_is_torchs(shape: tuple[int, ...], output: nn.Module) -> None:
    pre_image, target = batch(shape)
    amounts = RECONSTRUCTION_LOSSES["mse"].per_sample(pre_image, target, output)
    theirs = [F.mse_loss(output(p), t, reduction="sum") for p, t in zip(pre_image, target, strict=True)]
    torch.testing.assert_close(amounts, torch.stack(theirs))


@pytest.mark.parametrize(
    "output", [nn.Sigmoid(), torch.sigmoid, nn.Identity(), nn.Tanh()], ids=["sigmoid", "function", "identity", "tanh"]
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["first", "last"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_of_the_squared_error_is_that_of_the_formula(
    shape: tuple[int, ...], layout: torch.memory_format, output: Callable[[Tensor], Tensor]
) -> None:
    pre_image, target = (tensor.double().contiguous(memory_format=layout) for tensor in batch(shape))
    pre_image.requires_grad_()
    weighing = torch.arange(1.0, len(target) + 1, dtype=torch.float64)  # each image counts differently
    amounts = RECONSTRUCTION_LOSSES["mse"].per_sample(pre_image, target, output)
    formula = torch.stack([((output(p) - t) ** 2).sum() for p, t in zip(pre_image, target, strict=True)])
    torch.testing.assert_close(amounts, formula, rtol=1e-12, atol=1e-12)
    ours, theirs = (torch.autograd.grad((kind * weighing).sum(), pre_image)[0] for kind in (amounts, formula))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_the_gradient_of_the_squared_error_of_a_sigmoid_is_its_slope() -> None:
    pre_image, target = (tensor.double() for tensor in batch((3, 2, 3, 2)))
    squared = RECONSTRUCTION_LOSSES["mse"].per_sample
    assert torch.autograd.gradcheck(lambda x: squared(x, target, nn.Sigmoid()), pre_image.requires_grad_())


@pytest.mark.parametrize("pixel", [-800.0, 800.0])
def test_a_saturated_sigmoid_gives_a_finite_loss_and_no_gradient(pixel: float) -> None:
    pre_image = torch.full((1, 1, 1, 1), pixel, requires_grad=True)
    amount = RECONSTRUCTION_LOSSES["mse"].per_sample(pre_image, torch.full((1, 1, 1, 1), 0.25), nn.Sigmoid())
    amount.sum().backward()
    assert amount.item() == {-800.0: 0.25**2, 800.0: 0.75**2}[pixel]
    assert pre_image.grad is not None
    assert pre_image.grad.item() == 0.0


@pytest.mark.parametrize("shape", SHAPES)
def test_cross_entropy_is_torchs(shape: tuple[int, ...]) -> None:
    pre_image, target = batch(shape)
    amounts = RECONSTRUCTION_LOSSES["bce"].per_sample(pre_image, target, nn.Sigmoid())
    probabilities = pre_image.double().sigmoid()
    pairs = zip(probabilities, target.double(), strict=True)
    theirs = [F.binary_cross_entropy(p, t, reduction="sum") for p, t in pairs]
    torch.testing.assert_close(amounts, torch.stack(theirs).float())


def test_cross_entropy_stays_finite_where_a_logarithm_would_meet_zero() -> None:
    pre_image = torch.tensor([[[[200.0, -200.0]]]])
    target = torch.tensor([[[[0.0, 1.0]]]])
    assert RECONSTRUCTION_LOSSES["bce"].per_sample(pre_image, target, nn.Sigmoid()).item() == 400.0


def test_the_least_cross_entropy_of_a_grey_pixel_is_its_entropy() -> None:
    grey, entropy = 0.25, -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    pre_image = torch.full((1, 1, 2, 3), math.log(grey / (1 - grey)))
    amount = RECONSTRUCTION_LOSSES["bce"].per_sample(pre_image, torch.full((1, 1, 2, 3), grey), nn.Sigmoid())
    assert amount.item() == pytest.approx(6 * entropy, rel=1e-6)


def test_there_is_one_amount_for_each_sample_of_its_own(loss: ReconstructionLoss) -> None:
    pre_image, target = batch((4, 3, 8, 9))
    together = loss.per_sample(pre_image, target, nn.Sigmoid())
    assert together.shape == (4,)
    alone = [loss.per_sample(pre_image[i : i + 1], target[i : i + 1], nn.Sigmoid()) for i in range(4)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_gradients_pull_towards_the_target(loss: ReconstructionLoss) -> None:
    pre_image, target = batch((2, 1, 8, 8))
    pre_image.requires_grad_()
    loss.per_sample(pre_image, target, nn.Sigmoid()).sum().backward()
    assert pre_image.grad is not None
    assert torch.equal(pre_image.grad.sign(), (pre_image.sigmoid() - target).sign())


def test_shapes_are_checked_where_annotations_are(loss: ReconstructionLoss) -> None:
    checked = jaxtyped(loss.per_sample, typechecker=beartype)
    pre_image, target = batch((2, 1, 8, 8))
    assert checked(pre_image, target, nn.Sigmoid()).shape == (2,)
    with pytest.raises(TypeCheckError):
        checked(pre_image, target[:1], nn.Sigmoid())
    with pytest.raises(TypeCheckError):
        checked(pre_image[0], target[0], nn.Sigmoid())


def test_each_says_what_it_is(loss: ReconstructionLoss) -> None:
    assert loss.title
    assert loss.unit
    assert loss.help.endswith(".")


def test_with_its_constant_squared_error_is_the_negative_log_density_of_gaussians_of_variance_a_half() -> None:
    pre_image, target = batch((5, 3, 9, 13))
    output = nn.Sigmoid()
    gaussians = torch.distributions.Normal(output(pre_image), math.sqrt(0.5))
    amounts = RECONSTRUCTION_LOSSES["mse"].per_sample(pre_image, target, output)
    with_constant = amounts + 3 * 9 * 13 * RECONSTRUCTION_LOSSES["mse"].constant
    torch.testing.assert_close(with_constant, -gaussians.log_prob(target).sum((1, 2, 3)))


def test_cross_entropy_is_the_negative_log_probability_of_black_and_white_pixels_without_a_constant() -> None:
    pre_image, target = batch((5, 3, 9, 13))
    coins = torch.distributions.Bernoulli(logits=pre_image)
    amounts = RECONSTRUCTION_LOSSES["bce"].per_sample(pre_image, target.round(), nn.Sigmoid())
    assert RECONSTRUCTION_LOSSES["bce"].constant == 0
    torch.testing.assert_close(amounts, -coins.log_prob(target.round()).sum((1, 2, 3)))
