"""Nearest-neighbour doubling and a 3x3 convolution, computed as the one transposed convolution they are.

This module knows nothing of networks.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from aecore.models.phases import DoublingConv2d, conv_transpose2d_by_phases


class NearestConv2d(DoublingConv2d, nn.Conv2d):
    """Every pixel becomes a 2x2 block, then a same-size 3x3 convolution; (N, in, H, W) -> (N, out, 2H, 2W).

    After the doubling, the nine taps of a window meet at most four different pixels, so taps that meet the same one
    can be added up beforehand. That leaves a transposed convolution with a 4x4 kernel, stride 2 and padding 1, equal
    at the borders too: 16 multiplications for each pixel and pair of channels instead of 36. What is trained and
    kept is the 3x3 kernel, (out, in, 3, 3).

    Source: Shi et al., Is the deconvolution layer the same as a convolutional layer? (2016), arXiv:1609.07009.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h2 w2"]:
        """(N, in, H, W) -> (N, out, 2H, 2W)."""
        kernel = folded(self.weight)
        if not self.by_phases:
            return F.conv_transpose2d(x, kernel, self.bias, stride=2, padding=1)
        assert self.bias is not None
        return conv_transpose2d_by_phases(x, kernel, self.bias, padding=1)


def folded(weight: Float[Tensor, "d c 3 3"]) -> Float[Tensor, "c d 4 4"]:
    """The kernel of the transposed convolution (in, out, 4, 4) that equals doubling and then `weight` (out, in, 3, 3).

    A transposed convolution stamps its kernel, so it is turned by 180 degrees; a 2x2 block of equal pixels stamps it
    four times, shifted by one: K[a, b] = sum of w turned over the 2x2 window that ends at (a, b).
    """
    turned = F.pad(weight.flip(2, 3), (1, 1, 1, 1))
    return F.avg_pool2d(turned, kernel_size=2, stride=1, divisor_override=1).transpose(0, 1)
