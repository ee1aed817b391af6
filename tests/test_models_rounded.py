"""A network's twin in bfloat16: weights in, gradients out, and the network itself untouched."""

from __future__ import annotations

import pytest
import torch

from aecore.models import BOTTLENECKS, ModelConfig, build_model
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
def test_gradients_come_back_in_float32_and_anew_each_time(bottleneck: str) -> None:
    model = build_model(
        ModelConfig(image_shape=(1, 8, 8), bottleneck=bottleneck), seed=0
    ).eval()  # codewords stay where they are
    twin = Rounded(model)
    x = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = []
    for _ in range(2):
        for weight in model.parameters():
            weight.grad = None
        twin.refresh()
        generator = torch.Generator().manual_seed(1)
        twin.network.loss_terms(x, x, "mse", generator).total().backward()
        twin.hand_back()
        gradients = {name: weight.grad for name, weight in model.named_parameters()}
        assert all(gradient is not None and gradient.dtype == torch.float32 for gradient in gradients.values())
        found.append({name: gradient.clone() for name, gradient in gradients.items() if gradient is not None})
    for name, first in found[0].items():
        torch.testing.assert_close(found[1][name], first, msg=f"{name} was added to what was there")
    for name, ours in twin.network.named_parameters():
        assert ours.grad is not None
        assert torch.equal(found[1][name], ours.grad.float())
