"""Doubling and convolving in one: equal to the two operations, forward, backward and at the border."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from aecore.models.nearest_conv import NearestConv2d, folded
from aecore.ops.identities import fold_nearest

SIZES = [(1, 1, 1, 1), (3, 2, 5, 4), (16, 8, 7, 7), (32, 16, 8, 8), (16, 1, 14, 14), (64, 32, 3, 9)]


def both_ways(size: tuple[int, ...], dtype: torch.dtype) -> list[list[Tensor]]:
    """[output, gradient of the input, of the kernel, of the bias] by our layer, and by torch's two operations."""
    channels, outputs, height, width = size
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, channels, height, width, generator=generator, dtype=dtype)
    layer = NearestConv2d(channels, outputs).to(dtype)
    with torch.no_grad():
        layer.weight.normal_(0, (9 * channels) ** -0.5, generator=generator)
    weighing = torch.randn(4, outputs, 2 * height, 2 * width, generator=generator, dtype=dtype) / (4 * height * width)
    results = []
    for double in (layer, lambda x: F.conv2d(F.interpolate(x, scale_factor=2.0), layer.weight, layer.bias, padding=1)):
        given = x.clone().requires_grad_()
        output = double(given)
        gradients = torch.autograd.grad((output * weighing).sum(), [given, layer.weight, layer.bias])
        results.append([output.detach(), *gradients])
    return results


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=["single", "double"])
def test_forward_and_gradients_equal_those_of_the_two_operations(
    size: tuple[int, ...], dtype: torch.dtype, close: float
) -> None:
    for ours, plain in zip(*both_ways(size, dtype), strict=True):
        torch.testing.assert_close(ours, plain, rtol=0, atol=close)


def test_the_folded_kernel_is_that_of_the_identity() -> None:
    weight = torch.randn(3, 2, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    np.testing.assert_allclose(folded(weight).numpy(), fold_nearest(weight.numpy()), atol=1e-15)


def test_it_multiplies_16_times_instead_of_36() -> None:
    x, layer = torch.zeros(1, 3, 5, 7), NearestConv2d(3, 2)
    counts = []
    for double in (layer, lambda x: F.conv2d(F.interpolate(x, scale_factor=2.0), layer.weight, layer.bias, padding=1)):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            double(x)
        counts.append(counter.get_total_flops() / 2 / (3 * 2 * 5 * 7))
    assert counts == [16, 36]


def test_what_is_kept_is_the_3x3_kernel() -> None:
    assert {name: tuple(tensor.shape) for name, tensor in NearestConv2d(5, 4).state_dict().items()} == {
        "weight": (4, 5, 3, 3),
        "bias": (4,),
    }
