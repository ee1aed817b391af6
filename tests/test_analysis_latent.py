"""Planes, grids and ways between codes, against closed forms and what others compute."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial import geometric_slerp
from scipy.stats import norm
from sklearn.decomposition import PCA
from torch import Tensor, nn

from aecore.analysis.latent import (
    Box,
    Plane,
    angle_between,
    arithmetic,
    box_of,
    decode_all,
    decode_grid,
    grid_points,
    has_arc,
    interpolate,
    plane_of_units,
    principal_plane,
    traverse,
)
from aecore.errors import ConfigError
from aecore.models import BODIES, BOTTLENECKS, Autoencoder, ModelConfig, build_model

UNIT_BOX = Box(torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def showing_its_code(units: int) -> Autoencoder:
    """A decoder whose first pixels are the units of its code, as they are; the rest is 0."""
    model = build_model(ModelConfig(image_shape=(1, 8, 8), body="linear", latent_dim=units), seed=0)
    decoder = model.decoder[0]
    assert isinstance(decoder, nn.Linear)
    with torch.no_grad():
        decoder.weight.copy_(torch.eye(64, units))
        decoder.bias.zero_()
    return model


# -- boxes -------------------------------------------------------------------------------------------------------


def test_a_box_lies_between_quantiles_and_outliers_do_not_stretch_it() -> None:
    codes = draws(5000, 2) * torch.tensor([1.0, 3.0])
    codes[0] = torch.tensor([1e6, -1e6])
    box = box_of(codes, share=0.9)
    low, high = np.quantile(codes.numpy().astype(np.float64), [0.05, 0.95], axis=0)
    np.testing.assert_allclose(box.low, low, rtol=1e-12)
    np.testing.assert_allclose(box.high, high, rtol=1e-12)
    inside = ((codes > box.low) & (codes < box.high)).double().mean(0)
    assert inside.tolist() == pytest.approx([0.9, 0.9], abs=1e-3)
    assert box.high.tolist() == pytest.approx([1.645, 3 * 1.645], rel=0.05), "the 95th percentile of a normal one"


def test_a_margin_widens_a_box_by_a_share_of_its_width() -> None:
    box = box_of(torch.tensor([[0.0, -1.0], [2.0, 1.0], [4.0, 9.0]]), share=1, margin=0.25)
    assert box.low.tolist() == [-1.0, -3.5]
    assert box.high.tolist() == [5.0, 11.5]


def test_codes_that_are_all_the_same_still_get_a_box() -> None:
    box = box_of(torch.tensor([[3.0, 0.0], [3.0, 4.0]]), share=1)
    assert box.low.tolist() == [2.5, 0.0]
    assert box.high.tolist() == [3.5, 4.0]


def test_cells_are_counted_from_the_low_corner_and_the_upper_edge_belongs_to_the_last() -> None:
    points = torch.tensor([[0.0, 0.0], [0.49, 0.5], [1.0, 1.0], [-0.1, 0.2], [0.2, 1.1]])
    assert UNIT_BOX.cells(points, 2).tolist() == [[0, 0], [0, 1], [1, 1], [-1, 0], [0, 2]]


@pytest.mark.parametrize(
    ("codes", "share", "margin"),
    [
        (torch.zeros(0, 2), 0.98, 0.0),
        (torch.zeros(5, 3), 0.98, 0.0),
        (torch.zeros(5, 2), 0.0, 0.0),
        (torch.zeros(5, 2), 1.1, 0.0),
        (torch.zeros(5, 2), 0.98, -0.1),
        (torch.zeros(5, 2), math.nan, 0.0),
    ],
)
def test_a_box_of_nothing_or_of_no_plane_is_refused(codes: Tensor, share: float, margin: float) -> None:
    with pytest.raises(ConfigError):
        box_of(codes, share, margin)


# -- planes ------------------------------------------------------------------------------------------------------


def test_a_point_of_a_plane_is_found_again_also_where_its_axes_are_skew() -> None:
    plane = Plane(*(draws(7, seed=seed) for seed in range(3)))
    points = draws(20, 2, seed=5)
    torch.testing.assert_close(plane.project(plane.codes(points)), points, rtol=1e-4, atol=1e-5)


def test_a_projection_is_the_nearest_point_of_the_plane() -> None:
    plane = Plane(*(draws(7, seed=seed).double() for seed in range(3)))
    codes = draws(20, 7, seed=5).double()
    axes = torch.stack([plane.across, plane.up], 1)
    expected = np.linalg.lstsq(axes.numpy(), (codes - plane.origin).T.numpy(), rcond=None)[0].T
    np.testing.assert_allclose(plane.project(codes), expected, rtol=1e-9, atol=1e-12)


def test_the_plane_of_two_units_leaves_the_others_alone() -> None:
    code = torch.tensor([1.0, 2.0, 3.0, 4.0])
    plane = plane_of_units(code, 3, 1)
    assert plane.codes(torch.tensor([[10.0, 20.0], [4.0, 2.0]])).tolist() == [[1, 20, 3, 10], [1, 2, 3, 4]]
    assert plane.project(code[None]).tolist() == [[4.0, 2.0]]
    assert code.tolist() == [1.0, 2.0, 3.0, 4.0], "left as it was"


@pytest.mark.parametrize(("i", "j"), [(0, 0), (0, 4), (-1, 2)])
def test_no_plane_is_spanned_by_one_unit_or_by_none(i: int, j: int) -> None:
    with pytest.raises(ConfigError, match="0 to 3"):
        plane_of_units(torch.zeros(4), i, j)


def test_the_principal_plane_is_that_of_scikit_learn() -> None:
    codes = draws(300, 6) @ draws(6, 6, seed=1) + 5
    plane = principal_plane(codes)
    theirs = PCA(2).fit(codes.numpy())
    projected, expected = plane.project(codes), torch.from_numpy(theirs.transform(codes.numpy()))
    for axis, mine in enumerate((plane.across, plane.up)):
        sign = torch.sign(projected[:, axis] @ expected[:, axis])
        torch.testing.assert_close(projected[:, axis], sign * expected[:, axis], rtol=1e-3, atol=1e-4)
        assert mine.norm().item() == pytest.approx(1, abs=1e-6)
        assert mine[mine.abs().argmax()] > 0, "the same picture every time"
    assert float(plane.across @ plane.up) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("shape", [(2, 5), (10, 1)])
def test_too_few_codes_or_units_make_no_plane(shape: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="3 codes of 2 units"):
        principal_plane(torch.zeros(shape))


# -- grids -------------------------------------------------------------------------------------------------------


def test_a_grid_is_read_from_the_top_left_where_y_is_high() -> None:
    box = Box(torch.tensor([-1.0, 10.0]), torch.tensor([1.0, 30.0]))
    codes, images = decode_grid(showing_its_code(2), 3, box=box)
    assert codes.tolist() == [[x, y] for y in (30, 20, 10) for x in (-1, 0, 1)]
    assert images.shape == (9, 1, 8, 8)
    assert torch.equal(images[:, 0, 0, :2], codes)


def test_quantiles_of_the_prior_are_those_of_the_normal_distribution() -> None:
    codes, _ = decode_grid(showing_its_code(2), 5, spacing="quantiles")
    expected = norm.ppf([0.1, 0.3, 0.5, 0.7, 0.9])
    np.testing.assert_allclose(codes[:5, 0], expected, atol=1e-6)
    np.testing.assert_allclose(codes[::5, 1], expected[::-1], atol=1e-6)


def test_a_grid_lies_in_the_plane_it_is_given() -> None:
    plane = plane_of_units(torch.tensor([7.0, 8.0, 9.0]), 2, 0)
    codes, images = decode_grid(showing_its_code(3), 2, box=UNIT_BOX, plane=plane)
    assert codes.tolist() == [[1, 8, 0], [1, 8, 1], [0, 8, 0], [0, 8, 1]]
    assert torch.equal(images[:, 0, 0, :3], codes)


def test_a_grid_of_one_shows_the_middle() -> None:
    assert grid_points(1, UNIT_BOX).tolist() == [[0.5, 0.5]]
    assert grid_points(1, spacing="quantiles").tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("bottleneck", BOTTLENECKS)
@pytest.mark.parametrize("body", BODIES)
def test_every_model_of_two_units_draws_its_manifold(body: str, bottleneck: str) -> None:
    config = ModelConfig(
        image_shape=(2, 8, 9), body=body, bottleneck=bottleneck, latent_dim=2, channels=4, hidden_units=8
    )
    model = build_model(config, seed=0).train()
    codes, images = decode_grid(model, 23, spacing="quantiles")  # more than one batch
    assert images.shape == (529, 2, 8, 9)
    assert model.training, "left as it was"
    assert not images.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(images, model.eval().decode(codes), rtol=0, atol=1e-5)


def test_codes_are_decoded_in_batches_as_at_once() -> None:
    codes = draws(1203, 4)
    images = decode_all(showing_its_code(4), codes)
    assert torch.equal(images[:, 0, 0, :4], codes)


def test_what_no_grid_can_be_made_of_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="`box_of"):
        decode_grid(showing_its_code(2), 3)
    with pytest.raises(ConfigError, match="3 units"):
        decode_grid(showing_its_code(3), 3, box=UNIT_BOX)
    with pytest.raises(ConfigError, match="1 unit,"):
        decode_grid(showing_its_code(1), 3, box=UNIT_BOX)
    with pytest.raises(ConfigError, match="uniform, quantiles"):
        grid_points(3, UNIT_BOX, "wide")
    with pytest.raises(ConfigError, match="not 0"):
        grid_points(0, UNIT_BOX)


# -- ways --------------------------------------------------------------------------------------------------------


def test_a_straight_way_is_even() -> None:
    way = interpolate(torch.tensor([0.0, 4.0]), torch.tensor([8.0, 0.0]), 5)
    assert way.tolist() == [[0, 4], [2, 3], [4, 2], [6, 1], [8, 0]]


def test_a_spherical_way_is_that_of_scipy_and_its_length_grows_evenly() -> None:
    a, b = draws(9, seed=1).double(), draws(9, seed=2).double()
    way = interpolate(a, b, 11, "spherical")
    directions = geometric_slerp((a / a.norm()).numpy(), (b / b.norm()).numpy(), np.linspace(0, 1, 11))
    np.testing.assert_allclose(way / way.norm(dim=1, keepdim=True), directions, atol=1e-9)
    np.testing.assert_allclose(way.norm(dim=1), np.linspace(float(a.norm()), float(b.norm()), 11), rtol=1e-9)
    assert torch.equal(way[[0, -1]], torch.stack([a, b])), "the ends to the last bit"


def test_a_straight_way_between_draws_of_the_prior_cuts_short_and_a_spherical_one_does_not() -> None:
    a, b = draws(64, seed=1), draws(64, seed=2)
    assert interpolate(a, b, 3)[1].norm() < 0.8 * min(a.norm(), b.norm())
    assert interpolate(a, b, 3, "spherical")[1].norm() >= min(a.norm(), b.norm())


@pytest.mark.parametrize(
    "b", [[2.0, 4.0, 4.0], [-2.0, -4.0, -4.0], [0.0, 0.0, 0.0], [1.0, 2.0, 2.0]], ids=["along", "against", "0", "same"]
)
def test_where_no_arc_is_defined_the_spherical_way_is_straight(b: list[float]) -> None:
    a, end = torch.tensor([1.0, 2.0, 2.0]), torch.tensor(b)
    for start, stop in ((a, end), (end, a)):
        assert not has_arc(start, stop)
        assert torch.equal(interpolate(start, stop, 7, "spherical"), interpolate(start, stop, 7))
        assert interpolate(start, stop, 7, "spherical").isfinite().all()


def test_nearly_opposite_codes_still_have_an_arc() -> None:
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 1e-3])
    assert has_arc(a, b)
    assert interpolate(a, b, 3, "spherical")[1].tolist() == pytest.approx([5e-4, 1.0], abs=1e-5)


@pytest.mark.parametrize("angle", [1e-7, 0.5, math.pi / 2, 3.0, math.pi - 1e-7])
def test_angles_are_precise_near_both_ends(angle: float) -> None:
    a = torch.tensor([3.0, 0.0], dtype=torch.float64)
    b = torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)
    assert angle_between(a, b) == pytest.approx(angle, rel=1e-12, abs=1e-15)


def test_a_traversal_changes_one_unit_only() -> None:
    code = torch.tensor([1.0, 2.0, 3.0])
    assert traverse(code, 1, [-1, 0, 5]).tolist() == [[1, -1, 3], [1, 0, 3], [1, 5, 3]]
    assert code.tolist() == [1, 2, 3]


def test_arithmetic_moves_a_difference_to_another_code() -> None:
    bright_one, one, seven = torch.tensor([1.0, 5.0]), torch.tensor([1.0, 0.0]), torch.tensor([7.0, 1.0])
    assert arithmetic(bright_one, one, seven).tolist() == [7.0, 6.0]
    assert arithmetic(*(torch.stack([code, code]) for code in (bright_one, one, seven))).shape == (2, 2)


def test_ways_that_cannot_be_are_refused_in_words() -> None:
    a = torch.zeros(3)
    with pytest.raises(ConfigError, match="not 1"):
        interpolate(a, a, 1)
    with pytest.raises(ConfigError, match="straight, spherical"):
        interpolate(a, a, 3, "round")
    with pytest.raises(ConfigError, match=r"\(3,\) and \(4,\)"):
        interpolate(a, torch.zeros(4), 3)
    with pytest.raises(ConfigError, match="units 0 to 2"):
        traverse(a, 3, [0])
    with pytest.raises(ConfigError, match="one size"):
        arithmetic(a, a, torch.zeros(4))
