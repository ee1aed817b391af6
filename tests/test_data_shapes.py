"""The drawn shapes show what their factors say, on the ground they promise, the same on every machine."""

from __future__ import annotations

import colorsys
import math
from functools import partial

import pytest
import torch
from torch import Tensor

from aecore.data.progress import silent
from aecore.data.shapes import MID_GREY, SHAPE_NAMES, SIZE, read_shapes, render
from aecore.data.spec import Split

VARIANTS = {
    "shapes": read_shapes,
    "shapes_grey": partial(read_shapes, colour=False),
    "shapes_gradient": partial(read_shapes, gradient=True),
    "shapes_black": partial(read_shapes, ground=0),
}


@pytest.fixture(scope="module")
def splits() -> dict[str, tuple[Split, Split]]:
    return {name: read(silent) for name, read in VARIANTS.items()}


def border(images: Tensor) -> Tensor:
    """The outermost pixels, (N, C, 124)."""
    edge = torch.ones(SIZE, SIZE, dtype=torch.bool)
    edge[1:-1, 1:-1] = False
    return images[:, :, edge]


def cover(split: Split) -> Tensor:
    """The share of each pixel that the shape covers, (N, 32, 32), from the variant on black."""
    brightest = split.images.amax(dim=1).float()
    return brightest / brightest.amax(dim=(1, 2), keepdim=True)


def one(shape: str, **factors: float) -> dict[str, Tensor]:
    values = {"x": 16.0, "y": 16.0, "scale": 10.0, "rotation": 0.0, "shade": 255.0} | factors
    tensors = {name: torch.tensor([value], dtype=torch.float32) for name, value in values.items()}
    return {"shape": torch.tensor([SHAPE_NAMES.index(shape)])} | tensors


def test_all_shapes_are_equally_frequent_and_are_the_labels(splits: dict[str, tuple[Split, Split]]) -> None:
    for train, test in splits.values():
        for split, count in ((train, 20_000), (test, 4_000)):
            assert torch.equal(split.labels, split.factors["shape"])
            assert torch.bincount(split.labels).tolist() == [count // len(SHAPE_NAMES)] * len(SHAPE_NAMES)


def test_the_centroid_of_the_pixels_is_where_the_factors_say(splits: dict[str, tuple[Split, Split]]) -> None:
    for split in splits["shapes_black"]:
        share = cover(split)
        centre = torch.arange(SIZE) + 0.5
        mass = share.sum(dim=(1, 2))
        x = (share.sum(dim=1) * centre).sum(dim=1) / mass
        y = (share.sum(dim=2) * centre).sum(dim=1) / mass
        assert (x - split.factors["x"]).abs().max() < 0.1
        assert (y - split.factors["y"]).abs().max() < 0.1


def test_the_area_of_the_pixels_is_the_square_of_the_scale(splits: dict[str, tuple[Split, Split]]) -> None:
    for split in splits["shapes_black"]:
        side = cover(split).sum(dim=(1, 2)).sqrt()
        assert (side / split.factors["scale"] - 1).abs().max() < 0.02


@pytest.mark.parametrize("variant", ["shapes", "shapes_gradient", "shapes_black"])
def test_the_hue_can_be_read_off_the_centre_of_the_shape(splits: dict[str, tuple[Split, Split]], variant: str) -> None:
    test = splits[variant][1]
    for index in range(0, len(test.images), 20):
        x, y = int(test.factors["x"][index]), int(test.factors["y"][index])
        red, green, blue = (test.images[index, :, y, x].double() / 255).tolist()
        hue, _, _ = colorsys.rgb_to_hsv(red, green, blue)
        error = abs(hue - float(test.factors["hue"][index]))
        assert min(error, 1 - error) < 0.002


def test_grey_shapes_have_their_shade_and_stand_out(splits: dict[str, tuple[Split, Split]]) -> None:
    for split in splits["shapes_grey"]:
        x, y = split.factors["x"].long(), split.factors["y"].long()
        seen = split.images[torch.arange(len(x)), 0, y, x].float()
        assert (seen - split.factors["shade"]).abs().max() <= 0.5
        assert (seen - MID_GREY).abs().min() >= 62
        assert 0.45 < (seen > MID_GREY).float().mean() < 0.55


@pytest.mark.parametrize(("variant", "level"), [("shapes", 128), ("shapes_grey", 128), ("shapes_black", 0)])
def test_the_ground_is_flat_and_no_shape_touches_the_border(
    splits: dict[str, tuple[Split, Split]], variant: str, level: int
) -> None:
    for split in splits[variant]:
        assert torch.all(border(split.images) == level)
        assert (split.images == level).all(dim=1).float().mean() > 0.8


def test_the_gradient_is_grey_and_follows_its_slopes(splits: dict[str, tuple[Split, Split]]) -> None:
    for split in splits["shapes_gradient"]:
        offset = torch.arange(SIZE) + 0.5 - SIZE / 2
        right = split.factors["slope_x"][:, None, None] * offset
        down = split.factors["slope_y"][:, None, None] * offset[:, None]
        expected = (MID_GREY + right + down)[:, None]
        assert (border(split.images) - border(expected)).abs().max() < 0.501
        assert border(split.images).min() > 0
        assert border(split.images).max() < 255
        assert torch.equal(border(split.images)[:, 0], border(split.images)[:, 2])


def test_all_variants_show_the_same_scenes(splits: dict[str, tuple[Split, Split]]) -> None:
    for variant in splits.values():
        for split, reference in zip(variant, splits["shapes"], strict=True):
            for factor in ("shape", "x", "y", "scale", "rotation"):
                assert torch.equal(split.factors[factor], reference.factors[factor])


def test_factors_do_not_depend_on_each_other_and_fill_their_ranges(splits: dict[str, tuple[Split, Split]]) -> None:
    factors = splits["shapes_gradient"][0].factors
    correlation = torch.corrcoef(torch.stack([value.double() for value in factors.values()]))
    assert (correlation - torch.eye(len(factors))).abs().max() < 0.03
    ranges = {"x": (11.25, 20.75), "y": (11.25, 20.75), "scale": (7, 11), "rotation": (0, 2 * math.pi), "hue": (0, 1)}
    for name, (low, high) in ranges.items():
        assert low <= factors[name].min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < factors[name].max() <= high


def test_train_and_test_are_different_draws(splits: dict[str, tuple[Split, Split]]) -> None:
    train, test = splits["shapes"]
    seen = {image.numpy().tobytes() for image in train.images}
    assert not any(image.numpy().tobytes() in seen for image in test.images)


def test_an_image_can_be_drawn_again_from_its_factors(splits: dict[str, tuple[Split, Split]]) -> None:
    for name, ground in (("shapes_gradient", 128), ("shapes_black", 0), ("shapes_grey", 128)):
        test = splits[name][1]
        few = {factor: value[5:9] for factor, value in test.factors.items()}
        assert torch.equal(render(few, ground=ground), test.images[5:9])


@pytest.mark.parametrize("shape", SHAPE_NAMES)
def test_a_rotation_by_a_quarter_turns_the_picture_clockwise(shape: str) -> None:
    upright = render(one(shape))
    turned = render(one(shape, rotation=math.pi / 2))
    clockwise = torch.rot90(upright, k=-1, dims=(2, 3))
    assert (turned.int() - clockwise.int()).abs().max() <= 1
    if shape != "square":
        assert (turned.int() - upright.int()).abs().max() > 50, "and the turn can be seen"


def test_edges_are_smooth_not_stairs() -> None:
    image = render(one("square", rotation=0.3), ground=0)
    assert len(image.unique()) > 10
