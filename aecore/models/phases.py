"""A transposed convolution of stride 2, computed at the low resolution.

The four phases of its output (even and odd rows, even and odd columns) are four small ordinary convolutions of the
input. Computed as one, with four times the channels, they are one dense matrix product over few positions, which
processors are fast at; then the phases are laid between each other. This module knows nothing of networks.

Source: Shi et al., Is the deconvolution layer the same as a convolutional layer? (2016), arXiv:1609.07009.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class DoublingConv2d(nn.Module):
    """A layer that is a transposed convolution of stride 2; to be named before torch's own class.

    Attributes:
        by_phases: Whether it is computed by its phases. The result is the same up to rounding; which is faster depends
            on the machine and the sizes.
    """

    by_phases: bool = False


def conv_transpose2d_by_phases(
    x: Float[Tensor, "n c h w"],
    kernel: Float[Tensor, "c d k k"],
    bias: Float[Tensor, " d"],
    padding: int,
) -> Float[Tensor, "n d h2 w2"]:
    """What `F.conv_transpose2d` gives with stride 2 where it doubles the size: (N, in, H, W) -> (N, out, 2H, 2W).

    Along one axis, out[o] = sum_i in[i] kernel[o - 2i + padding], so the outputs of phase o mod 2 meet every second
    tap only: ceil(k/2) of them at most. The result lies in memory with the channels last.

    Args:
        x: What is enlarged.
        kernel: (in, out, k, k), as of a transposed convolution; 2 <= k <= 5.
        bias: One for each output channel.
        padding: floor((k-1)/2); together with output padding 2 + 2 padding - k the size doubles.

    Example:
        >>> conv_transpose2d_by_phases(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 4, 4), torch.zeros(1), 1)
        tensor([[[[1., 1.],
                  [1., 1.]]]])
    """
    taps = (kernel.shape[2] + 1) // 2
    phases = F.conv2d(x, phase_kernel(kernel), bias.repeat(4), padding=taps - 1 - padding // 2)
    pixels: Tensor = _LayBetween.apply(phases.permute(0, 2, 3, 1), kernel.shape[1], padding % 2)
    return pixels.permute(0, 3, 1, 2)


def phase_kernel(kernel: Float[Tensor, "c d k k"]) -> Float[Tensor, "d4 c t t"]:
    """The kernel of the ordinary convolution that gives all four phases: (in, out, k, k) -> (4 out, in, t, t).

    With t = ceil(k/2). Its output channels are ordered by row phase, column phase and channel.
    """
    inputs, outputs, size, _ = kernel.shape
    taps = (size + 1) // 2
    even = F.pad(kernel, (0, 2 * taps - size, 0, 2 * taps - size))
    # a transposed convolution stamps its kernel where an ordinary one reads, so the taps come in opposite order
    apart = even.view(inputs, outputs, taps, 2, taps, 2).flip(2, 4)
    together = apart.permute(3, 5, 1, 0, 2, 4).reshape(4 * outputs, inputs, taps, taps)
    return together.contiguous(memory_format=torch.channels_last)


class _LayBetween(torch.autograd.Function):
    """(N, M, M', 4C) -> (N, 2H, 2W, C), each phase in its rows and columns.

    With an odd padding the first row of pixels is of phase 1, and phase 0 begins one row further down: there is one
    position more than in the input, and each phase has one that is left out. Written out with its gradient because
    torch would go over the memory three times, and fill it with zeros first, for what are four copies.
    """

    @staticmethod
    def forward(ctx: Any, phases: Tensor, channels: int, odd: int) -> Tensor:
        images, rows, columns, _ = phases.shape
        ctx.odd = odd
        height, width = rows - odd, columns - odd
        pixels = phases.new_empty(images, height, 2, width, 2, channels)
        for there, here in _places(phases.view(images, rows, columns, 2, 2, channels), pixels, odd):
            here.copy_(there)
        return pixels.view(images, 2 * height, 2 * width, channels)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        images, height, width, channels = gradient.shape
        pixels = gradient.view(images, height // 2, 2, width // 2, 2, channels)
        make = gradient.new_zeros if ctx.odd else gradient.new_empty  # zero where pixels were left out
        phases = make(images, height // 2 + ctx.odd, width // 2 + ctx.odd, 2, 2, channels)
        for there, here in _places(phases, pixels, ctx.odd):
            there.copy_(here)
        return phases.flatten(3), None, None


def _places(phases: Tensor, pixels: Tensor, odd: int) -> list[tuple[Tensor, Tensor]]:
    """For each place in a 2x2 block of pixels, where its phase is and where it goes."""
    height, width = pixels.shape[1], pixels.shape[3]
    found = []
    for row in (0, 1):
        for column in (0, 1):
            (down, row_phase), (right, column_phase) = divmod(row + odd, 2), divmod(column + odd, 2)
            phase = phases[:, down : down + height, right : right + width, row_phase, column_phase]
            found.append((phase, pixels[:, :, row, :, column]))
    return found
