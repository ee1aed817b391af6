"""A convolution before a pixel shuffle that begins without a checkerboard.

This module knows nothing of networks.
"""

from __future__ import annotations

import torch
from torch import nn


class ICNRConv2d(nn.Conv2d):
    """A convolution whose output channels belong together in fours: the places of a 2x2 block.

    ICNR ("initialised to convolution, nearest resize"): when the four kernels of a block are equal, the shuffled
    output is what the small convolution gives, doubled by nearest neighbour. Training is free to pull them apart.
    Source: Aitken et al., Checkerboard artifact free sub-pixel convolution (2017), arXiv:1707.02937.
    """

    @torch.no_grad()
    def make_kernels_equal(self) -> None:
        """Give all four kernels of each block the values of its first."""
        self.weight.copy_(self.weight[::4].repeat_interleave(4, dim=0))
