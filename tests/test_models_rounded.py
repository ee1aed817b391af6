"""A network's twin in bfloat16: its weights rounded, and the network itself untouched."""

from __future__ import annotations

import pytest
import torch

from aecore.models import BODIES, BOTTLENECKS, ModelConfig, build_model
from aecore.models.rounded import Rounded

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("bottleneck", BOTTLENECKS)
def test_it_is_the_network_with_its_weights_rounded(bottleneck: str) -> None:
    model = build_model(ModelConfig(image_shape=(1, 8, 8), bottleneck=bottleneck), seed=0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    twin = Rounded(model)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.01)  # as an optimiser would, after the twin was made
    twin.refresh()
    for (name, weight), ours in zip(model.named_parameters(), twin.network.parameters(), strict=True):
        charged = name.startswith("bottleneck") and model.bottleneck.charges
        assert ours.dtype == (torch.float32 if charged else torch.bfloat16)
        assert torch.equal(ours.float(), weight if charged else weight.bfloat16().float())
    assert model.state_dict().keys() == before.keys(), "the twin is no part of what is kept"


@pytest.mark.parametrize("bottleneck", BOTTLENECKS)
def test_its_parameters_come_in_the_networks_order(bottleneck: str) -> None:
    model = build_model(ModelConfig(image_shape=(1, 8, 8), bottleneck=bottleneck), seed=0)
    twins = list(Rounded(model).network.parameters())
    for ours, weight in zip(twins, model.parameters(), strict=True):
        assert torch.equal(ours.float(), weight.to(ours.dtype).float())


@pytest.mark.parametrize("body", BODIES)
def test_images_and_codes_are_rounded_on_their_way_in_and_the_loss_is_not(body: str) -> None:
    model = build_model(ModelConfig(image_shape=(1, 8, 8), body=body), seed=0)
    twin = Rounded(model).network
    x = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert twin.encoder(x).dtype == twin.decoder(torch.zeros(2, 32)).dtype == torch.bfloat16
    assert twin.loss_terms(x, x, "mse").reconstruction.dtype == torch.float32
