"""The checkerboard in numbers: closed forms, independent oracles, and what must not fake a score."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from resamplers import a_downsampler_for
from torch import Tensor, nn

from aecore.analysis.checkerboard import (
    amplitude,
    checkerboard,
    doublings,
    fields,
    gain_score,
    gradient_energies,
    gradient_score,
    image_score,
    layer_scores,
    pattern,
    phase_gains,
    spectral_score,
    spectrum,
)
from aecore.data import load_dataset
from aecore.data.image_dataset import to_unit
from aecore.models import BODIES, UPSAMPLERS, ModelConfig, build_model
from aecore.models.autoencoder import Autoencoder, LossTerms
from aecore.training import TrainConfig, train

pytestmark = pytest.mark.usefixtures("one_thread")


def fresh(upsample: str, **about: object) -> Autoencoder:
    return build_model(ModelConfig(upsample=upsample, downsample=a_downsampler_for(upsample), **about), seed=0)


def trained(upsample: str) -> Autoencoder:
    model = fresh(upsample, image_shape=(1, 8, 8), channels=8)
    list(train(model, load_dataset("digits8"), TrainConfig(budget=60, budget_unit="steps")))
    return model


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def board(height: int = 32, width: int = 32) -> Tensor:
    """+1 and -1 by turns."""
    return (-1.0) ** (torch.arange(height)[:, None] + torch.arange(width)).double()


# ---- in the weights ----------------------------------------------------------------------------------------------


def test_the_all_ones_kernel_has_gains_1_2_2_4() -> None:
    layer = nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=1)
    nn.init.ones_(layer.weight)
    gains = phase_gains(nn.Sequential(layer), 1)
    assert gains.tolist() == [[[1, 2, 2, 4]]]
    assert gain_score(gains) == pytest.approx(math.sqrt(19) / 9)


@pytest.mark.parametrize("kernel", [2, 3, 4, 5])
def test_gains_are_sums_of_the_taps_that_land_on_a_phase(kernel: int) -> None:
    layers = nn.Sequential(*UPSAMPLERS[f"transpose{kernel}"].build(3, 2))
    weight = layers[0].weight.detach().double().numpy()
    expected = np.zeros((3, 2, 2, 2))
    for row in range(kernel):
        for column in range(kernel):  # output pixel = 2 i - padding + tap
            padding = (kernel - 1) // 2
            expected[:, :, (row - padding) % 2, (column - padding) % 2] += weight[:, :, row, column]
    np.testing.assert_allclose(phase_gains(layers, 3).numpy(), expected.reshape(3, 2, 4), atol=1e-12)


@pytest.mark.parametrize("kernel", [2, 3, 4, 5])
def test_random_kernels_have_a_score_of_root_3_whatever_their_size(kernel: int) -> None:
    layers = nn.Sequential(*UPSAMPLERS[f"transpose{kernel}"].build(64, 64))
    nn.init.normal_(layers[0].weight, generator=torch.Generator().manual_seed(kernel))
    assert gain_score(phase_gains(layers, 64)) == pytest.approx(math.sqrt(3), rel=0.05)


@pytest.mark.parametrize("upsample", UPSAMPLERS)
def test_layer_scores_before_training(upsample: str) -> None:
    model = fresh(upsample, stages=3)
    scores = layer_scores(model)
    assert len(scores) == len(doublings(model)) == 3
    if upsample == "max_unpool":
        assert scores == [None] * 3
    elif upsample in ("nearest", "bilinear", "pixel_shuffle_icnr"):
        assert scores == [0, 0, 0], "exactly"
    else:
        assert min(score for score in scores if score is not None) > 0.3


@pytest.mark.parametrize(("upsample", "even"), [("nearest", True), ("bilinear", True), ("pixel_shuffle_icnr", False)])
def test_training_pulls_apart_what_is_not_tied(upsample: str, even: bool) -> None:
    scores = layer_scores(trained(upsample))
    assert (scores == [0, 0]) is even
    assert even or min(score for score in scores if score is not None) > 0.001


@pytest.mark.parametrize("body", [body for body in BODIES if body != "conv"])
def test_a_network_without_doublings_has_no_layer_score(body: str) -> None:
    model = build_model(ModelConfig(body=body, image_shape=(1, 8, 8)), seed=0)
    assert checkerboard(model, load_dataset("digits8").test[:20]).layer_score is None


# ---- in the images -----------------------------------------------------------------------------------------------


def test_phase_means_are_numpys() -> None:
    images = noise(3, 2, 9, 13)
    expected = np.array(
        [
            [[image[i:8:2, j:12:2].mean() for i in range(2) for j in range(2)] for image in pair]
            for pair in images.numpy()
        ]
    )
    np.testing.assert_allclose(pattern(images, 2).numpy(), expected - expected.mean(2, keepdims=True), atol=1e-12)


def test_detail_kept_or_lost_is_no_checkerboard() -> None:
    targets = noise(20, 3, 32, 32)
    for share in (1.0, 0.3, 0.0):
        assert image_score(share * targets, targets) == pytest.approx(0, abs=1e-24)
        assert image_score(share * targets + 0.2, targets) == pytest.approx(0, abs=1e-24)


def test_a_pattern_of_its_own_counts_by_its_energy_and_whatever_its_sign() -> None:
    targets = noise(400, 1, 32, 32)
    signs = torch.randint(2, (400, 1, 1, 1), generator=torch.Generator().manual_seed(1)).double() * 2 - 1
    strength = 0.02
    own = 4 * strength**2 / float(pattern(targets, 2).square().sum(2).mean())  # four phases of strength^2
    assert image_score(targets + strength * signs * board(), targets) == pytest.approx(own, rel=0.03)
    assert image_score(0.5 * targets + 2 * strength * signs * board(), targets) == pytest.approx(4 * own, rel=0.03)
    assert amplitude(strength * signs * board(), 2) == pytest.approx(strength)


def test_the_score_is_what_a_fit_by_least_squares_leaves() -> None:
    targets, made = noise(9, 2, 16, 12), noise(9, 2, 16, 12, seed=1) + 0.3 * noise(9, 2, 16, 12)
    for period in (2, 4):
        own, theirs = (pattern(images, period).numpy().ravel() for images in (made, targets))
        _, left, *_ = np.linalg.lstsq(theirs[:, None], own, rcond=None)
        assert image_score(made, targets, period) == pytest.approx(float(left[0]) / (theirs @ theirs), rel=1e-9)


@pytest.mark.parametrize("strength", [0.001, 0.1, 10.0])
def test_the_score_of_a_checkerboard_is_its_energy_less_what_looks_like_the_targets(strength: float) -> None:
    targets = noise(30, 1, 8, 8).numpy()
    signs = np.where(np.arange(30) % 3 == 0, 1.0, -1.0)
    by_phase = np.stack([targets[:, 0, i::2, j::2].mean((1, 2)) for i in range(2) for j in range(2)], 1)
    by_phase -= by_phase.mean(1, keepdims=True)
    energy, along = (by_phase**2).sum(), (by_phase @ [1, -1, -1, 1]) @ signs
    made = torch.from_numpy(targets) + strength * torch.from_numpy(signs)[:, None, None, None] * board(8, 8)
    expected = strength**2 * (4 * 30 / energy - (along / energy) ** 2)
    assert image_score(made, torch.from_numpy(targets)) == pytest.approx(expected, rel=1e-9)


def test_a_pattern_of_period_4_is_seen_there_and_not_at_2() -> None:
    targets = noise(50, 1, 32, 32)
    waves = torch.cos(torch.arange(32) * math.pi / 2).double() * 0.1
    assert image_score(targets + waves, targets, 2) < 0.01
    own = 16 * 0.1**2 / 2 / float(pattern(targets, 4).square().sum(2).mean())  # sixteen phases of a cosine
    assert image_score(targets + waves, targets, 4) == pytest.approx(own, rel=0.1)


def test_shifting_everything_renames_the_phases_and_leaves_the_score() -> None:
    targets, made = noise(20, 1, 32, 32), noise(20, 1, 32, 32, seed=1)
    for shift in ((1, 0), (0, 1), (3, 2)):
        moved = [torch.roll(images, shift, (2, 3)) for images in (made, targets)]
        assert image_score(*moved) == pytest.approx(image_score(made, targets), rel=1e-9)
        assert spectral_score(*moved) == pytest.approx(spectral_score(made, targets), rel=1e-6)


def test_moving_the_images_does_not_fake_a_score() -> None:
    shapes = to_unit(load_dataset("shapes").test[:300]).double()
    kernel = torch.tensor([1.0, 4, 6, 4, 1]).double() / 16

    def blurred(images: Tensor) -> Tensor:
        padded = F.pad(images.flatten(0, 1)[:, None], (2, 2, 2, 2), mode="replicate")
        return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 5, 1)), kernel.view(1, 1, 1, 5)).view_as(images)

    strength = 0.5 / 255  # half a grey level: less than one sees
    real = image_score(blurred(shapes) + strength * board(), shapes)
    for shift in range(4):
        moved = torch.roll(shapes, (shift, shift), (2, 3))
        assert image_score(blurred(moved), moved) < 0.01 * real
        assert image_score(torch.roll(blurred(shapes), (shift, 0), (2, 3)), shapes) < 0.01 * real, "nor one that is off"


def test_without_detail_to_compare_with_any_pattern_is_infinite() -> None:
    flat = torch.full((4, 1, 8, 8), 0.5)
    assert image_score(flat, flat) == 0
    assert image_score(flat + 0.1 * board(8, 8), flat) == math.inf


@pytest.mark.parametrize("sides", [(32, 32), (28, 28), (8, 12)])
def test_phase_means_and_spectrum_are_two_views_of_one_thing(sides: tuple[int, int]) -> None:
    images = noise(7, 3, *sides)
    power, (height, width) = spectrum(images), sides
    lines = power[0, width // 2] + power[height // 2, 0] + power[0, 0]
    assert float(lines) == pytest.approx(float(pattern(images, 2).square().mean()), rel=1e-9)
    assert float(power.sum()) == pytest.approx(float(images.square().mean()), rel=1e-9)


def test_the_two_scores_agree_on_a_checkerboard_and_differ_on_noise() -> None:
    shapes = to_unit(load_dataset("shapes").test[:300]).double()
    smooth = F.avg_pool2d(F.pad(shapes, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    for strength in (0.002, 0.01):
        made = smooth + strength * board()
        assert spectral_score(made, shapes) == pytest.approx(image_score(made, shapes), rel=0.1)
    white = shapes + 0.02 * noise(*shapes.shape)
    assert image_score(white, shapes) > 0.3
    assert abs(spectral_score(white, shapes)) < 0.15 * image_score(white, shapes), "noise does not stand out"


def test_both_scores_rank_clear_rivals_alike() -> None:
    shapes = to_unit(load_dataset("shapes").test[:200]).double()
    smooth = F.avg_pool2d(F.pad(shapes, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    signs = torch.where(noise(200, 1, 1, 1, seed=2) > 0, 1.0, -1.0)
    rivals = [smooth + strength * signs * board() for strength in (0.02, 0.002, 0.05, 0.0, 0.005)]
    images, spectra = ([score(rival, shapes) for rival in rivals] for score in (image_score, spectral_score))
    assert np.argsort(images).tolist() == np.argsort(spectra).tolist() == [3, 1, 4, 0, 2]


# ---- in the gradient ---------------------------------------------------------------------------------------------


def test_gradient_energies_are_those_of_a_loop() -> None:
    model = fresh("nearest", image_shape=(1, 8, 8), channels=4)
    images = to_unit(load_dataset("digits8").test[:5])
    expected = np.zeros((5, 4))
    for n, image in enumerate(images):
        x = image[None].clone().requires_grad_()
        (model(x) - image[None]).square().sum().backward()
        assert x.grad is not None
        squared = x.grad[0, 0].double().numpy() ** 2
        expected[n] = [squared[i::2, j::2].mean() for i in range(2) for j in range(2)]
    np.testing.assert_allclose(gradient_energies(model, images).numpy(), expected.mean(0), rtol=1e-4)


class Reader(nn.Module):
    """A loss that is a weighted sum of what a 3x3 convolution of nothing but ones reads."""

    def __init__(self, stride: int, weights: Tensor) -> None:
        super().__init__()
        self.stride, self.weights = stride, weights

    def loss_terms(self, x: Tensor, _target: Tensor, _loss: str) -> LossTerms:
        read = F.conv2d(x, torch.ones(1, 1, 3, 3), stride=self.stride, padding=1)
        return LossTerms((read * self.weights).sum((1, 2, 3)), {})


def test_a_strided_convolution_reads_pixels_once_twice_or_four_times() -> None:
    images = torch.zeros(4, 1, 32, 32)
    strided, plain = Reader(2, torch.ones(1, 1, 16, 16)), Reader(1, torch.ones(1, 1, 32, 32))
    assert gradient_energies(strided, images).tolist() == [1, 4, 4, 16], "gradients all alike add up"
    assert gradient_score(strided, images) == 16
    assert gradient_energies(plain, images).tolist() == [81] * 4
    assert gradient_score(plain, images) == 1


def test_gradients_of_random_signs_add_up_by_their_squares() -> None:
    images = torch.zeros(400, 1, 32, 32)
    energies = gradient_energies(Reader(2, noise(400, 1, 16, 16).sign().float()), images)
    np.testing.assert_allclose(energies.numpy(), [1, 2, 2, 4], rtol=0.05)


def test_strided_convolution_checkerboards_backward_and_max_pooling_less() -> None:
    images = to_unit(load_dataset("shapes_grey").test[:100])
    means = {
        down: np.mean(
            [
                gradient_score(build_model(ModelConfig(image_shape=(1, 32, 32), downsample=down), seed=seed), images)
                for seed in range(3)
            ]
        )
        for down in ("stride", "maxpool")
    }
    assert means["stride"] > 2
    assert means["maxpool"] < 0.7 * means["stride"]


# ---- all of it ---------------------------------------------------------------------------------------------------


def test_the_fields_are_grey_and_as_they_say() -> None:
    for shape in ((1, 8, 8), (3, 9, 13), (4, 64, 64)):
        grey = fields(shape)
        assert grey.shape == (6, *shape)
        assert (grey == grey[:, :1]).all(), "all channels alike"
        assert [len(field.unique()) for field in grey[:3]] == [1, 1, 1]
        assert amplitude(to_unit(grey[:3]), 2) == 0
        assert (grey[3, 0].diff(dim=1) >= 0).all()
        assert (grey[4, 0].diff(dim=0) >= 0).all()


@pytest.mark.parametrize("upsample", UPSAMPLERS)
def test_everything_can_be_measured_before_and_after_and_changes_nothing(upsample: str) -> None:
    model = trained(upsample).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images = load_dataset("digits8").test[:50]
    for measured in (model, fresh(upsample, image_shape=(1, 8, 8))):
        scores = checkerboard(measured, images).to_dict()
        assert json.loads(json.dumps(scores)) == scores
        assert all(math.isfinite(value) for value in scores.values() if value is not None)
        assert scores["image_score"] >= 0
        assert scores["gradient_score"] >= 1
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert checkerboard(model, images) == checkerboard(model, images)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("body", BODIES)
def test_measuring_leaves_mode_and_gradients_alone(body: str, training: bool) -> None:
    model = build_model(ModelConfig(body=body, image_shape=(1, 8, 8), hidden_units=8), seed=0).train(training)
    first, *others = model.parameters()
    first.grad = torch.ones_like(first)
    checkerboard(model, load_dataset("digits8").test[:20])
    assert {module.training for module in model.modules()} == {training}
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(first.grad, torch.ones_like(first))
    assert all(parameter.grad is None for parameter in others)


@pytest.mark.parametrize("side", [8, 14, 28, 32, 44])
def test_flat_images_have_no_spectral_score_whatever_the_rounding(side: int) -> None:
    flat = torch.full((3, 1, side, side), 77 / 255)
    assert spectral_score(flat, flat) == 0
    assert spectral_score(flat + 0.1 * board(side, side), flat) == math.inf
