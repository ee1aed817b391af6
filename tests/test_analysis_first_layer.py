"""What the first layer looks for: the weights of that layer, in order, and how rough they are."""

from __future__ import annotations

import math

import pytest
import torch

from aecore.analysis.first_layer import first_filters, roughness
from aecore.models import BODIES, BOTTLENECKS, ModelConfig, build_model


@pytest.mark.parametrize("bottleneck", BOTTLENECKS)
@pytest.mark.parametrize("body", BODIES)
def test_every_network_has_first_filters_strongest_first(body: str, bottleneck: str) -> None:
    model = build_model(
        ModelConfig(
            image_shape=(3, 12, 9), body=body, bottleneck=bottleneck, latent_dim=7, channels=6, hidden_units=20
        ),
        seed=0,
    )
    filters = first_filters(model, most=5)
    assert filters.shape[0] == 5
    assert filters.shape[1] == 3
    assert tuple(filters.shape[2:]) == ((3, 3) if body == "conv" else (12, 9))
    strengths = filters.square().sum((1, 2, 3))
    assert (strengths.diff() <= 0).all()


def test_they_are_what_the_first_layer_multiplies_with() -> None:
    model = build_model(ModelConfig(image_shape=(1, 8, 8), body="mlp", hidden_units=8, activation="relu"), seed=0)
    x = torch.rand(1, 1, 8, 8)
    units = model.encoder[:2](x).flatten().detach() - model.encoder[1].bias.detach()  # type: ignore[operator, union-attr]
    answers = (first_filters(model, most=8) * x).sum((1, 2, 3))
    assert torch.allclose(answers.sort().values, units.sort().values, atol=1e-6)


def test_roughness_of_known_patterns() -> None:
    flat = torch.ones(2, 1, 6, 6)
    chess = (torch.arange(6).view(-1, 1) + torch.arange(6)).remainder(2).mul(2.0).sub(1).expand(1, 1, 6, 6)
    assert roughness(flat) == 0
    assert roughness(chess) == pytest.approx(2), "neighbours are opposite: 1 - (-1)"
    assert math.isnan(roughness(torch.zeros(1, 1, 4, 4)))


def test_roughness_of_independent_values_is_one_and_of_smooth_ones_less() -> None:
    noise = torch.randn(4, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    # the standard error is about sqrt(3 / (2 * 4 * 64 * 63)) = 0.01
    assert roughness(noise) == pytest.approx(1, abs=0.05)
    smooth = torch.nn.functional.avg_pool2d(noise, 5, stride=1)
    assert roughness(smooth) == pytest.approx(1 / 5, abs=0.05), "a mean of 5: neighbours correlate by 4/5"
    assert roughness(7 * noise) == pytest.approx(roughness(noise))
