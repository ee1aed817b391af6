"""Halving and doubling the resolution: the registries of downsamplers and upsamplers.

A downsampler takes (N, in, H, W) to (N, out, ceil(H/2), ceil(W/2)); an upsampler takes (N, in, H, W) to
(N, out, 2H, 2W). Both are short lists of layers, linear but for a pooling's choice of the largest, so that a network
stays a flat list one can read. This module knows nothing of encoders, decoders or activations between stages.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from aecore.models.icnr import ICNRConv2d
from aecore.models.nearest_conv import NearestConv2d
from aecore.models.parts import Part
from aecore.models.transposed_conv import TransposedConv2d
from aecore.models.unpooling import BedOfNails2d, MaxUnpool2d

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

    Source: Dumoulin & Visin (2016), relationship 14; see `aecore.models.transposed_conv.TransposedConv2d`.
    """
    return [TransposedConv2d(in_channels, out_channels, kernel)]


def nearest_resize_convolution(in_channels: int, out_channels: int) -> list[nn.Module]:
    """Every pixel becomes a 2x2 block, then a same-size 3x3 convolution: overlaps are even by construction.

    Source: Odena, Dumoulin & Olah, Deconvolution and checkerboard artifacts, Distill (2016).
    """
    return [NearestConv2d(in_channels, out_channels)]


def bilinear_resize_convolution(in_channels: int, out_channels: int) -> list[nn.Module]:
    """Straight lines between the pixels, then a same-size 3x3 convolution.

    The corners of the pixels are aligned, not their centres: `align_corners=False`, as in Odena et al. (2016).
    """
    return [
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1),
    ]


def max_unpooled_convolution(in_channels: int, out_channels: int) -> list[nn.Module]:
    """Values go to where the encoder's max-pooling found them, then a same-size 3x3 convolution fills the holes.

    Source: as `aecore.models.unpooling.MaxUnpool2d`.
    """
    return [MaxUnpool2d(), nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)]


def bed_of_nails_convolution(in_channels: int, out_channels: int) -> list[nn.Module]:
    """Values go to the top left of blocks of zeros, then a same-size 3x3 convolution fills the holes.

    The same map as a transposed convolution with kernel 3, with its kernel turned by 180 degrees.
    """
    return [BedOfNails2d(), nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)]


def sub_pixel_convolution(in_channels: int, out_channels: int, *, icnr: bool = False) -> list[nn.Module]:
    """A 3x3 convolution to four times the channels, which are then laid out as 2x2 blocks.

    Source: Shi et al., Real-time single image and video super-resolution using an efficient sub-pixel convolutional
    neural network, CVPR (2016).

    Args:
        in_channels: Channels that come in.
        out_channels: Channels that go out.
        icnr: Begin with four equal kernels for each block; see `aecore.models.icnr`.
    """
    kind = ICNRConv2d if icnr else nn.Conv2d
    return [kind(in_channels, 4 * out_channels, kernel_size=3, padding=1), nn.PixelShuffle(2)]


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
    "bilinear": Part(
        "Resize-convolution, bilinear",
        "Straight lines between the pixels, then a same-size 3x3 convolution: smooth from the start.",
        bilinear_resize_convolution,
    ),
    "pixel_shuffle": Part(
        "Sub-pixel convolution",
        "A convolution to four times the channels, laid out as 2x2 blocks: each place in a block has its own kernel.",
        sub_pixel_convolution,
    ),
    "pixel_shuffle_icnr": Part(
        "Sub-pixel convolution, ICNR",
        "The same, begun with four equal kernels: as even as nearest at first; training may pull them apart.",
        partial(sub_pixel_convolution, icnr=True),
    ),
    "bed_of_nails": Part(
        "Bed of nails",
        "Each value goes to the corner of a 2x2 block of zeros, then a 3x3 convolution fills the holes, unevenly.",
        bed_of_nails_convolution,
    ),
    "max_unpool": Part(
        "Max-unpooling",
        "Each value goes to where the encoder's pooling found it, unevenly: the decoder knows more than the code says.",
        max_unpooled_convolution,
        needs={"downsample": ("maxpool",)},
    ),
}
