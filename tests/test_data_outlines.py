"""Each outline encloses area 1 around the origin and measures distance rightly where pixels are cut by it."""

from __future__ import annotations

import numpy as np
import pytest

from aecore.data.outlines import OUTLINES

STEP = 1 / 512
AXIS = (np.arange(-1.0, 1.0, STEP) + STEP / 2).astype(np.float32)
X, Y = np.meshgrid(AXIS, AXIS)


@pytest.mark.parametrize("name", OUTLINES)
def test_area_one_centroid_at_the_origin(name: str) -> None:
    inside = OUTLINES[name](X, Y) < 0
    assert inside.sum() * STEP**2 == pytest.approx(1, abs=2e-3)
    assert X[inside].mean() == pytest.approx(0, abs=1e-3)
    assert Y[inside].mean() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("name", OUTLINES)
def test_beside_the_outline_the_value_is_the_distance(name: str) -> None:
    distance = OUTLINES[name](X, Y)
    assert distance.dtype == np.float32
    down, right = np.gradient(distance.astype(np.float64), STEP)
    slope = np.sqrt(down**2 + right**2)[np.abs(distance) < 0.01]
    # At corners the value bends, so a few pixels there are allowed to differ.
    assert (np.abs(slope - 1) < 0.05).mean() > 0.97


@pytest.mark.parametrize("name", OUTLINES)
def test_it_is_finite_everywhere_and_fits_in_the_circle_the_frame_leaves_it(name: str) -> None:
    distance = OUTLINES[name](X, Y)
    assert np.isfinite(distance).all()
    assert np.isfinite(OUTLINES[name](np.zeros(1, np.float32), np.zeros(1, np.float32))).all()
    radius = np.sqrt(X**2 + Y**2)[distance < 0].max()
    assert radius < 0.88


def test_upright_means_point_down_for_the_heart_and_base_down_for_the_triangle() -> None:
    width = {name: (OUTLINES[name](X, Y) < 0).sum(axis=1) for name in ("heart", "triangle")}
    upper, lower = slice(None, len(AXIS) // 2), slice(len(AXIS) // 2, None)
    assert width["triangle"][upper].max() < width["triangle"][lower].max()
    last = np.flatnonzero(width["heart"])[-1]
    assert width["heart"][last] < 10, "the heart ends in a point"
    assert (OUTLINES["ellipse"](X, Y) < 0).any(axis=0).sum() > 1.7 * (OUTLINES["ellipse"](X, Y) < 0).any(axis=1).sum()
