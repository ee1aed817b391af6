"""Transposed convolution of stride 2, computed the usual way or by its phases.

This module knows nothing of networks.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from aecore.models.phases import DoublingConv2d, conv_transpose2d_by_phases


class TransposedConv2d(DoublingConv2d, nn.ConvTranspose2d):
    """Every input value stamps a kernel onto the output, two pixels apart; (N, in, H, W) -> (N, out, 2H, 2W).

    Padding p = floor((k-1)/2) and output padding q = 2 + 2p - k make the size double exactly.
    Source: Dumoulin & Visin (2016), relationship 14: out = 2(H - 1) + q + k - 2p = 2H.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        padding = (kernel - 1) // 2
        output_padding = 2 + 2 * padding - kernel
        super().__init__(in_channels, out_channels, kernel, stride=2, padding=padding, output_padding=output_padding)

    def forward(self, x: Float[Tensor, "n c h w"], output_size: list[int] | None = None) -> Float[Tensor, "n d h2 w2"]:
        """(N, in, H, W) -> (N, out, 2H, 2W)."""
        if not self.by_phases:
            return super().forward(x, output_size)
        assert self.bias is not None
        return conv_transpose2d_by_phases(x, self.weight, self.bias, int(self.padding[0]))
