"""Downsamplers halve and upsamplers double, and each does the arithmetic its name promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aecore.models import DOWNSAMPLERS, UPSAMPLERS

SIDES = [(1, 1), (2, 3), (4, 4), (7, 5), (9, 13)]
KERNELS = [2, 3, 4, 5]


def layers_of(part: str) -> nn.Sequential:
    registry = DOWNSAMPLERS if part in DOWNSAMPLERS else UPSAMPLERS
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(*registry[part].build(2, 3))


def apply(part: str, images: Tensor) -> NDArray[np.float64]:
    with torch.no_grad():
        result: NDArray[np.float64] = layers_of(part).double()(images.double()).numpy()
    return result


def weights_of(part: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    weight, bias = layers_of(part).double().parameters()
    return weight.detach().numpy(), bias.detach().numpy()


def batch(height: int, width: int) -> Tensor:
    return torch.randn((2, 2, height, width), generator=torch.Generator().manual_seed(5))


def same_size_convolution(
    images: NDArray[np.float64], weight: NDArray[np.float64], bias: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A 3x3 convolution with a frame of zeros, written out: (N, in, H, W) -> (N, out, H, W)."""
    count, _, height, width = images.shape
    framed = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    result = np.empty((count, len(weight), height, width))
    for row in range(height):
        for column in range(width):
            patch = framed[:, :, row : row + 3, column : column + 3]
            result[:, :, row, column] = np.einsum("ncij,ocij->no", patch, weight) + bias
    return result


def stamped(images: NDArray[np.float64], weight: NDArray[np.float64], bias: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every value stamps its kernel two pixels apart onto a plane, of which the middle 2H x 2W is kept."""
    count, _, height, width = images.shape
    kernel = weight.shape[-1]
    plane = np.zeros((count, weight.shape[1], 2 * height + kernel, 2 * width + kernel))
    for row in range(height):
        for column in range(width):
            stamp = np.einsum("nc,coij->noij", images[:, :, row, column], weight)
            plane[:, :, 2 * row : 2 * row + kernel, 2 * column : 2 * column + kernel] += stamp
    cut = (kernel - 1) // 2
    return plane[:, :, cut : cut + 2 * height, cut : cut + 2 * width] + bias[:, None, None]


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("part", DOWNSAMPLERS)
def test_downsamplers_halve_and_round_up(part: str, sides: tuple[int, int]) -> None:
    height, width = sides
    assert apply(part, batch(height, width)).shape == (2, 3, math.ceil(height / 2), math.ceil(width / 2))


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("part", UPSAMPLERS)
def test_upsamplers_double(part: str, sides: tuple[int, int]) -> None:
    height, width = sides
    assert apply(part, batch(height, width)).shape == (2, 3, 2 * height, 2 * width)


@pytest.mark.parametrize("sides", SIDES)
def test_a_strided_convolution_is_every_second_value_of_a_plain_one(sides: tuple[int, int]) -> None:
    images = batch(*sides)
    plain = same_size_convolution(images.double().numpy(), *weights_of("stride"))
    np.testing.assert_allclose(apply("stride", images), plain[:, :, ::2, ::2], atol=1e-12)


@pytest.mark.parametrize("sides", SIDES)
def test_max_pooling_keeps_the_largest_of_each_block(sides: tuple[int, int]) -> None:
    images = batch(*sides)
    plain = same_size_convolution(images.double().numpy(), *weights_of("maxpool"))
    pooled = apply("maxpool", images)
    for row in range(pooled.shape[2]):
        for column in range(pooled.shape[3]):
            block = plain[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            np.testing.assert_allclose(pooled[:, :, row, column], block.max(axis=(2, 3)), atol=1e-12)


@pytest.mark.parametrize("sides", SIDES)
def test_nearest_doubles_every_pixel_before_it_convolves(sides: tuple[int, int]) -> None:
    images = batch(*sides)
    doubled = images.double().numpy().repeat(2, axis=2).repeat(2, axis=3)
    np.testing.assert_allclose(
        apply("nearest", images), same_size_convolution(doubled, *weights_of("nearest")), atol=1e-12
    )


@pytest.mark.parametrize("sides", SIDES)
def test_bilinear_draws_lines_between_the_pixels_before_it_convolves(sides: tuple[int, int]) -> None:
    images = batch(*sides).double().numpy()

    def along(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        places = (np.arange(2 * values.shape[axis]) + 0.5) / 2 - 0.5  # centres of the new pixels among the old ones
        return np.apply_along_axis(lambda line: np.interp(places, np.arange(len(line)), line), axis, values)

    doubled = along(along(images, 2), 3)
    np.testing.assert_allclose(
        apply("bilinear", batch(*sides)), same_size_convolution(doubled, *weights_of("bilinear")), atol=1e-12
    )


@pytest.mark.parametrize("part", ["bed_of_nails", "max_unpool"])  # max-unpooling without switches is a bed of nails
@pytest.mark.parametrize("sides", SIDES)
def test_a_bed_of_nails_has_zeros_between_the_values(sides: tuple[int, int], part: str) -> None:
    images = batch(*sides).double().numpy()
    nails = np.zeros((2, 2, 2 * sides[0], 2 * sides[1]))
    nails[:, :, ::2, ::2] = images
    np.testing.assert_allclose(apply(part, batch(*sides)), same_size_convolution(nails, *weights_of(part)), atol=1e-12)


@pytest.mark.parametrize("sides", SIDES)
def test_a_bed_of_nails_and_a_convolution_is_a_transposed_convolution(sides: tuple[int, int]) -> None:
    weight, bias = weights_of("bed_of_nails")
    turned = weight.swapaxes(0, 1)[:, :, ::-1, ::-1]
    np.testing.assert_allclose(
        apply("bed_of_nails", batch(*sides)), stamped(batch(*sides).double().numpy(), turned, bias), atol=1e-12
    )


@pytest.mark.parametrize("part", ["pixel_shuffle", "pixel_shuffle_icnr"])
@pytest.mark.parametrize("sides", SIDES)
def test_each_place_of_a_block_has_its_own_kernel(sides: tuple[int, int], part: str) -> None:
    weight, bias = weights_of(part)
    result = apply(part, batch(*sides))
    assert weight.shape[0] == 4 * 3
    for row, column in np.ndindex(2, 2):
        place = 2 * row + column
        kernels, offsets = weight[place::4], bias[place::4]
        expected = same_size_convolution(batch(*sides).double().numpy(), kernels, offsets)
        np.testing.assert_allclose(result[:, :, row::2, column::2], expected, atol=1e-12)


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_transposed_convolution_stamps_its_kernel_two_pixels_apart(kernel: int, sides: tuple[int, int]) -> None:
    part, images = f"transpose{kernel}", batch(*sides)
    np.testing.assert_allclose(apply(part, images), stamped(images.double().numpy(), *weights_of(part)), atol=1e-12)


@pytest.mark.parametrize("part", UPSAMPLERS)
def test_its_help_tells_the_truth_about_overlaps(part: str) -> None:
    layers = layers_of(part)
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter.fill_(float(parameter.ndim > 1))
        inner = layers(torch.ones(1, 2, 8, 8))[0, 0, 4:-4, 4:-4]  # away from the edges
    touched = inner / inner.min()
    even = bool((touched == 1).all())
    said_even = "unevenly" not in UPSAMPLERS[part].help
    assert even is said_even, f"how often each pixel is written to: {touched[:2, :2].tolist()}"
