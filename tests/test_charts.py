"""The streaming charts: what is drawn is what was measured, on one scale, at a size a browser can take."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from pages.ui import charts
from pages.ui.palette import DARK, LIGHT


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_both_losses_stand_on_one_axis_with_title_unit_and_legend(palette: object) -> None:
    chart = charts.loss_chart([[0.1, 0.2], [0.2, 0.1]], [[0.0, 0.25]], palette, "squared value", 2000)  # type: ignore[arg-type]
    json.dumps(chart)
    assert isinstance(chart["yAxis"], dict), "one axis for both"
    assert "squared value" in chart["title"]["text"]
    assert "lower is better" in chart["title"]["text"]
    assert [series["name"] for series in chart["series"]] == ["training batches", "2,000 test images"]
    assert [series["data"] for series in chart["series"]] == [[[0.1, 0.2], [0.2, 0.1]], [[0.0, 0.25]]]


def test_every_value_lies_inside_the_axis() -> None:
    rows = [[float(epoch), 0.3 * 0.9**epoch] for epoch in range(60)]
    axis = charts.loss_chart(rows, rows[::7], LIGHT, "nats", 10)["yAxis"]
    assert axis["min"] <= min(loss for _, loss in rows)
    assert axis["max"] >= max(loss for _, loss in rows)


def test_a_chart_without_points_can_be_drawn() -> None:
    json.dumps(charts.loss_chart([], [], LIGHT, "nats", 10))
    json.dumps(charts.plane_chart(np.zeros((0, 2), np.float32), np.zeros(0, np.int64), ["a"], LIGHT))


def test_long_curves_are_thinned_but_keep_their_ends() -> None:
    rows = [[float(number), 1.0] for number in range(10_000)]
    thinned = charts.thin(rows)
    assert len(thinned) <= charts.MOST_POINTS
    assert (thinned[0], thinned[-1]) == (rows[0], rows[-1])
    assert max(after[0] - before[0] for before, after in itertools.pairwise(thinned)) < 10_000 / 250


def test_every_code_is_drawn_under_its_class() -> None:
    codes = np.array([[0.5, -1.0], [2.0, 3.0], [-4.4, 0.0]], np.float32)
    chart = charts.plane_chart(codes, np.array([1, 0, 1]), ["zero", "one"], LIGHT)
    json.dumps(chart)
    zero, one = chart["series"]
    assert (zero["name"], zero["data"]) == ("zero", [[2.0, 3.0]])
    assert np.allclose(one["data"], [[0.5, -1.0], [-4.4, 0.0]])
    assert zero["itemStyle"]["color"] != one["itemStyle"]["color"]
    for axis, values in ((chart["xAxis"], codes[:, 0]), (chart["yAxis"], codes[:, 1])):
        assert axis["min"] <= values.min()
        assert axis["max"] >= values.max()
    assert chart["xAxis"]["interval"] == chart["yAxis"]["interval"] == 2.0


def test_codes_far_from_the_origin_fill_the_plane() -> None:
    codes = np.random.default_rng(0).normal([40.0, -3.0], 1.0, (200, 2)).astype(np.float32)
    chart = charts.plane_chart(codes, np.zeros(200, np.int64), ["all"], LIGHT)
    for axis in (chart["xAxis"], chart["yAxis"]):
        assert axis["max"] - axis["min"] < 2 * np.ptp(codes, axis=0).max()
