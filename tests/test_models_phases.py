"""Doubling by phases: the transposed convolution it stands for, forward, backward and at the border."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from aecore.models.nearest_conv import NearestConv2d
from aecore.models.phases import DoublingConv2d, conv_transpose2d_by_phases
from aecore.models.transposed_conv import TransposedConv2d

pytestmark = pytest.mark.usefixtures("one_thread")

KERNELS = [2, 3, 4, 5]
SIZES = [(1, 1, 1, 1), (3, 2, 5, 4), (2, 5, 1, 6), (1, 3, 4, 1), (16, 8, 7, 7)]  # in, out, height, width
LAYOUTS = {"first": torch.contiguous_format, "last": torch.channels_last}
LAYERS: dict[str, Callable[[int, int], DoublingConv2d]] = {
    **{f"transpose{kernel}": lambda c, d, kernel=kernel: TransposedConv2d(c, d, kernel) for kernel in KERNELS},
    "nearest": NearestConv2d,
}
CLOSE = pytest.mark.parametrize(
    ("dtype", "close"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=["single", "double"]
)


def by_torch(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """The transposed convolution of stride 2 that doubles the size."""
    size = kernel.shape[2]
    padding = (size - 1) // 2
    return F.conv_transpose2d(x, kernel, bias, stride=2, padding=padding, output_padding=2 + 2 * padding - size)


def by_phases(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    return conv_transpose2d_by_phases(x, kernel, bias, (kernel.shape[2] - 1) // 2)


def given(size: tuple[int, ...], kernel: int, dtype: torch.dtype, images: int = 3) -> list[Tensor]:
    """Input, kernel and bias, of such a size that outputs are about 1."""
    channels, outputs, height, width = size
    chance = torch.Generator().manual_seed(0)
    shapes = [(images, channels, height, width), (channels, outputs, kernel, kernel), (outputs,)]
    x, weight, bias = (torch.randn(shape, generator=chance, dtype=dtype) for shape in shapes)
    return [x, weight / (kernel * channels**0.5), bias]


def with_gradients(double: Callable[..., Tensor], inputs: list[Tensor]) -> list[Tensor]:
    """The output, and the gradients of all inputs when every output value weighs differently."""
    inputs = [tensor.detach().requires_grad_() for tensor in inputs]
    output = double(*inputs)
    weighing = torch.randn(output.shape, generator=torch.Generator().manual_seed(1), dtype=output.dtype)
    return [output.detach(), *torch.autograd.grad((output * weighing).sum() / weighing.numel(), inputs)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kernel", KERNELS)
@CLOSE
def test_outputs_and_gradients_are_those_of_torchs_transposed_convolution(
    kernel: int, size: tuple[int, ...], layout: str, dtype: torch.dtype, close: float
) -> None:
    x, *weights = given(size, kernel, dtype)
    ours = with_gradients(by_phases, [x.contiguous(memory_format=LAYOUTS[layout]), *weights])
    for mine, theirs in zip(ours, with_gradients(by_torch, [x, *weights]), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=close)


@pytest.mark.parametrize("kernel", KERNELS)
def test_gradients_are_the_slopes_of_the_outputs(kernel: int) -> None:
    inputs = [tensor.requires_grad_() for tensor in given((2, 2, 2, 3), kernel, torch.float64, images=2)]
    assert torch.autograd.gradcheck(by_phases, inputs)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_gradient_may_lie_in_memory_as_it_likes(kernel: int) -> None:
    inputs = [tensor.requires_grad_() for tensor in given((3, 2, 5, 4), kernel, torch.float64)]
    output = by_phases(*inputs)
    gradient = torch.randn(output.shape, generator=torch.Generator().manual_seed(1), dtype=output.dtype)
    channels_first, turned = gradient, gradient.transpose(2, 3).contiguous().transpose(2, 3)
    apart = F.pad(gradient, (2, 1))[..., 2:-1]  # as behind a `Crop`
    expected = torch.autograd.grad(by_torch(*inputs), inputs, gradient)
    for lying in (channels_first, turned, apart):
        found = torch.autograd.grad(output, inputs, lying, retain_graph=True)
        for mine, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", LAYERS)
@CLOSE
def test_a_layer_computes_the_same_either_way(
    name: str, size: tuple[int, ...], layout: str, dtype: torch.dtype, close: float
) -> None:
    channels, outputs, height, width = size
    usual = LAYERS[name](channels, outputs).to(dtype)
    phased = copy.deepcopy(usual)
    phased.by_phases = True
    x = torch.randn(3, channels, height, width, generator=torch.Generator().manual_seed(0), dtype=dtype)
    x = x.contiguous(memory_format=LAYOUTS[layout])

    def through(layer: DoublingConv2d) -> list[Tensor]:
        names = dict(layer.named_parameters())
        call = lambda x, *weights: torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x,))  # noqa: E731
        return with_gradients(call, [x, *names.values()])

    for mine, theirs in zip(through(phased), through(usual), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=close)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_takes_the_way_it_is_told(name: str) -> None:
    layer, x = LAYERS[name](3, 2), torch.zeros(1, 3, 5, 4)
    for told in (False, True, False):
        layer.by_phases = told
        assert layer(x).permute(0, 2, 3, 1).is_contiguous() is told, "phases are laid out with the channels last"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_result_lies_with_its_channels_last(kernel: int, size: tuple[int, ...], layout: str) -> None:
    x, *weights = given(size, kernel, torch.float32)
    output = by_phases(x.contiguous(memory_format=LAYOUTS[layout]), *weights)
    assert output.permute(0, 2, 3, 1).is_contiguous()


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kernel", KERNELS)
def test_what_it_costs(kernel: int, size: tuple[int, ...]) -> None:
    """Each position multiplies ceil(k/2)^2 taps in four phases; with an odd padding there is one position more."""
    channels, outputs, height, width = size
    taps, more = -(-kernel // 2), (kernel - 1) // 2 % 2
    counts = []
    for double in (by_phases, by_torch):
        with FlopCounterMode(display=False) as counter:
            double(*given(size, kernel, torch.float32, images=1))
        counts.append(counter.get_total_flops() // 2)
    assert counts[0] == 4 * taps**2 * (height + more) * (width + more) * channels * outputs
    assert counts[1] == kernel**2 * height * width * channels * outputs
    inner = 4 * taps**2  # for each input value, where borders do not count
    assert inner == kernel**2 if kernel % 2 == 0 else inner > kernel**2
