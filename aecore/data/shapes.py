"""Drawn shapes on a plain or shaded ground: images whose causes are known.

What made an image (shape, place, scale, rotation, colour) is kept beside it, so that a latent code can be held
against the truth, in the manner of dSprites (Matthey et al. 2017). The ground is mid-grey unless asked otherwise,
because on black a decoder's checkerboard hides below zero. All variants draw the same scenes, differing in ground
and colour only. The arithmetic is exact or correctly rounded throughout, so every machine makes the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor

from aecore.data.outlines import OUTLINES
from aecore.data.progress import Progress
from aecore.data.spec import Split

SHAPE_NAMES = tuple(OUTLINES)
SIZE = 32
TRAIN_SIZE, TEST_SIZE = 20_000, 4_000
MID_GREY = 128
SEED = 0
PERIODS: Mapping[str, float] = {"rotation": 2 * math.pi, "hue": 1.0}
"""Factors that come round again, and after how much."""

_PLACE = (11.25, 20.75)  # the widest shape, turned any way, leaves the outermost pixels clear
_SCALE = (7.0, 11.0)
_SLOPE = (-3.0, 3.0)
_INK = (32.0, 240.0)  # darkest and brightest value of a channel of the shape's colour
_CHUNK = 128  # images drawn at once: their fields stay in the processor's cache

Factors = Mapping[str, Tensor]


def read_shapes(
    progress: Progress, *, colour: bool = True, ground: int = MID_GREY, gradient: bool = False
) -> tuple[Split, Split]:
    """Draw 20,000 training and 4,000 test images from two streams of random numbers.

    Args:
        progress: Told once that drawing began.
        colour: Whether images have three channels and the factor `hue`, or one channel and the factor `shade`.
        ground: Grey value of the ground in 0..255, at the middle of the image if there is a gradient.
        gradient: Whether the ground is shaded, with the factors `slope_x` and `slope_y`.
    """
    progress("Drawing shapes", None)
    train, test = (
        Split(render(factors, ground=ground), factors["shape"], factors)
        for factors in (
            _draw_factors(np.random.PCG64([SEED, stream]), count, colour=colour, gradient=gradient)
            for stream, count in enumerate((TRAIN_SIZE, TEST_SIZE))
        )
    )
    return train, test


def render(factors: Factors, *, ground: int = MID_GREY) -> UInt8[Tensor, "n c 32 32"]:
    """Draw one image for each set of factors, anti-aliased by its signed distance.

    Args:
        factors: Tensors of shape (N,): `shape` (int64, index into `SHAPE_NAMES`); centroid `x`, `y` in pixels from
            the left and upper edge; `scale`, the side in pixels of a square of equal area; `rotation` in radians,
            clockwise as seen; `hue` in [0, 1) for images of three channels or else `shade` in [0, 255] for one;
            perhaps `slope_x`, `slope_y`, the growth of the ground in grey values a pixel.
        ground: Grey value at the middle of the image, 0..255.
    """
    values = {name: tensor.numpy() for name, tensor in factors.items()}
    ink = _colour(values["hue"]) if "hue" in values else values["shade"][:, None].astype(np.float32)
    images = np.empty((*ink.shape, SIZE, SIZE), dtype=np.uint8)
    for index, name in enumerate(SHAPE_NAMES):
        members = np.flatnonzero(values["shape"] == index)
        for chunk in np.split(members, range(_CHUNK, len(members), _CHUNK)):
            scene = {factor: value[chunk] for factor, value in values.items()}
            x, y = _own_frame(scene)
            distance = OUTLINES[name](x, y) * scene["scale"][:, None, None]
            cover = np.clip(np.float32(0.5) - distance, 0, 1)[:, None]  # share of the pixel inside: (B, 1, H, W)
            paper = _ground(scene, ground)
            # + 1/2 makes the cut to whole numbers a rounding.
            images[chunk] = paper + cover * (ink[chunk, :, None, None] - paper) + np.float32(0.5)
    return torch.from_numpy(images)


def _draw_factors(bits: np.random.PCG64, count: int, *, colour: bool, gradient: bool) -> dict[str, Tensor]:
    """Draw factors independently and evenly over their ranges; all shapes equally often.

    Only raw bits are taken from NumPy: it promises never to change those, which it does not for its distributions.
    """

    def uniform(low: float, high: float) -> Tensor:
        share = (bits.random_raw(count) >> np.uint64(40)).astype(np.float64) / 2**24  # 24 bits fill a float32
        return torch.from_numpy((low + (high - low) * share).astype(np.float32))

    order = np.argsort(bits.random_raw(count), kind="stable")
    factors = {
        "shape": torch.from_numpy(order % len(SHAPE_NAMES)),
        "x": uniform(*_PLACE),
        "y": uniform(*_PLACE),
        "scale": uniform(*_SCALE),
        "rotation": uniform(0, 2 * math.pi),
    }
    tone = uniform(0, 1)
    if colour:
        factors["hue"] = tone
    else:  # a quarter of the range away from mid-grey at least: dark shapes and bright ones
        factors["shade"] = torch.where(tone < 0.5, 128 * tone, 128 * tone + 127)
    if gradient:
        factors |= {"slope_x": uniform(*_SLOPE), "slope_y": uniform(*_SLOPE)}
    return factors


_PIXELS = np.arange(SIZE, dtype=np.float32) + np.float32(0.5)  # centres of the pixels along one side


def _own_frame(
    scene: Mapping[str, NDArray[np.float32]],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Coordinates (B, H, W) of all pixels as the shapes see them: centred, turned back, and in units of their scale."""
    angle = scene["rotation"].astype(np.float64)
    # Libraries differ in the last bits of sine and cosine: rounding to 1/65536 makes them agree.
    cosine = (np.rint(np.cos(angle) * 65536) / 65536).astype(np.float32) / scene["scale"]
    sine = (np.rint(np.sin(angle) * 65536) / 65536).astype(np.float32) / scene["scale"]
    right = (_PIXELS - scene["x"][:, None])[:, None, :]  # (B, 1, W)
    down = (_PIXELS - scene["y"][:, None])[:, :, None]  # (B, H, 1)
    cosine, sine = cosine[:, None, None], sine[:, None, None]
    return right * cosine + down * sine, down * cosine - right * sine


def _ground(scene: Mapping[str, NDArray[np.float32]], level: int) -> NDArray[np.float32]:
    """The images without their shapes, (B, 1, H, W) or broadcastable to it."""
    if "slope_x" not in scene:
        return np.full((1, 1, 1, 1), level, dtype=np.float32)
    offset = _PIXELS - np.float32(SIZE / 2)
    right = (scene["slope_x"][:, None] * offset)[:, None, None, :]
    down = (scene["slope_y"][:, None] * offset)[:, None, :, None]
    return np.clip(np.float32(level) + right + down, 0, 255)


def _colour(hue: NDArray[np.float32]) -> NDArray[np.float32]:
    """Red, green and blue (N, 3) of the most vivid colour of each hue, within the range of the ink."""
    corner = 6 * hue[:, None] + np.array([0, 4, 2], dtype=np.float32)  # each channel's place on the colour wheel
    corner = np.where(corner >= 6, corner - 6, corner)
    low, high = np.float32(_INK[0]), np.float32(_INK[1])
    vivid: NDArray[np.float32] = low + (high - low) * np.clip(np.abs(corner - 3) - 1, 0, 1)
    return vivid
