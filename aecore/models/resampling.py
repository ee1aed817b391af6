"""Halving and doubling the resolution: the registries of downsamplers and upsamplers.

A downsampler takes (N, in, H, W) to (N, out, ceil(H/2), ceil(W/2)); an upsampler takes (N, in, H, W) to
(N, out, 2H, 2W). Both are short lists of torch's own layers, so that a network stays a flat list one can read.
This module knows nothing of encoders, decoders or activations between stages.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from aecore.models.parts import Part

Resampler = Callable[[int, int], list[nn.Module]]


def strided_convolution(in_channels: int, out_channels: int) -> list[nn.Module]:
    """A 3x3 convolution that moves two pixels at a time.

    Source: Dumoulin & Visin, A guide to convolution arithmetic for deep learning (2016), relationship 6:
    out = floor((H + 2·1 - 3) / 2) + 1 = ceil(H / 2).
    """
    return [nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=2, padding=1)]


def max_pooled_convolution(in_channels: int, out_channels: int) -> list[nn.Module]:
    """A same-size 3x3 convolution, then the largest of every 2x2 block (edge blocks may be smaller)."""
    return [
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1),
        nn.MaxPool2d(kernel_size=2, stride=2, ceil_mode=True),
    ]


def transposed_convolution(in_channels: int, out_channels: int, *, kernel: int) -> list[nn.Module]:
    """Every input value stamps a kernel onto the output, two pixels apart; overlaps add up.

    Padding p = floor((k-1)/2) and output padding q = 2 + 2p - k make the size double exactly.
    Source: Dumoulin & Visin (2016), relationship 14: out = 2(H - 1) + q + k - 2p = 2H.
    """
    padding = (kernel - 1) // 2
    output_padding = 2 + 2 * padding - kernel
    return [
        nn.ConvTranspose2d(in_channels, out_channels, kernel, stride=2, padding=padding, output_padding=output_padding)
    ]


def nearest_resize_convolution(in_channels: int, out_channels: int) -> list[nn.Module]:
    """Every pixel becomes a 2x2 block, then a same-size 3x3 convolution: overlaps are even by construction.

    Source: Odena, Dumoulin & Olah, Deconvolution and checkerboard artifacts, Distill (2016).
    """
    return [
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1),
    ]


DOWNSAMPLERS: dict[str, Part[Resampler]] = {
    "stride": Part(
        "Strided convolution",
        "A 3x3 convolution that moves two pixels at a time and so halves the size.",
        strided_convolution,
    ),
    "maxpool": Part(
        "Max-pooling",
        "A same-size 3x3 convolution, then only the largest value of every 2x2 block is kept.",
        max_pooled_convolution,
    ),
}

UPSAMPLERS: dict[str, Part[Resampler]] = {
    "nearest": Part(
        "Resize-convolution, nearest",
        "Each pixel is doubled, then a same-size 3x3 convolution smooths: no checkerboard.",
        nearest_resize_convolution,
    ),
    **{
        f"transpose{kernel}": Part(
            f"Transposed, kernel {kernel}",
            f"Each value stamps a {kernel}x{kernel} kernel two pixels apart; overlaps add up{overlap}.",
            partial(transposed_convolution, kernel=kernel),
        )
        for kernel, overlap in {
            2: " (here there are none)",
            3: " unevenly",
            4: " evenly",
            5: " unevenly",
        }.items()
    },
}
