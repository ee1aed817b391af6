"""The charts of the VAE page: what is drawn is what was measured, in the colours that mean it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np

from aecore.analysis.collapse import Account
from pages.ui.palette import DARK, LIGHT
from pages.ui.vae.charts import LITTLE, MOST_BARS, MOST_ROWS, cost_chart, heat_chart, terms_chart, units_chart
from pages.ui.vae.stage import number

NOW = Account(reconstruction=80.0, kl=6.0, units=(1.0, 0.0, 5.0), beta=2.0, pixels=784, active=(True, False, True))


def series(chart: dict[str, Any]) -> dict[str, dict[str, Any]]:
    json.dumps(chart)
    return {entry["name"]: entry for entry in chart["series"]}


def test_the_terms_are_drawn_in_their_colours_and_add_up() -> None:
    history = [replace(NOW, step=0, reconstruction=200.0, kl=1.0), replace(NOW, step=10)]
    drawn = series(terms_chart(history, LIGHT, 10))
    assert drawn["reconstruction"]["data"] == [[0, 200.0], [10, 80.0]]
    assert drawn["KL"]["data"] == [[0, 1.0], [10, 6.0]]
    assert drawn["−ELBO"]["data"] == [[0, 201.0], [10, 86.0]]
    assert drawn["reconstruction"]["itemStyle"]["color"] == LIGHT.decoder.fill
    assert drawn["KL"]["itemStyle"]["color"] == LIGHT.code.fill
    assert "KL weight" not in drawn, "nothing warms up"


def test_the_weight_is_drawn_on_an_axis_of_its_own_while_it_warms_up() -> None:
    history = [replace(NOW, step=step, share=share) for step, share in ((0, 0.0), (5, 0.5), (10, 1.0))]
    chart = terms_chart(history, DARK, None)
    weight = series(chart)["KL weight"]
    assert weight["data"] == [[0, 0.0], [5, 1.0], [10, 2.0]]
    assert (weight["yAxisIndex"], len(chart["yAxis"])) == (1, 2)


def test_a_run_without_looks_draws_empty_axes() -> None:
    assert all(not entry["data"] for entry in series(terms_chart([], LIGHT, 10)).values())
    assert heat_chart(np.zeros((0, 0)), [], LIGHT, title="", across="")["series"][0]["data"] == []


def test_units_stand_in_order_and_say_which_are_active() -> None:
    chart = units_chart(NOW, LIGHT)
    assert chart["xAxis"]["data"] == ["3", "1", "2"]
    drawn = series(chart)
    assert drawn["active"]["data"] == [5.0, 1.0, None]
    assert drawn["unused"]["data"] == [None, None, 0.0]
    assert "2 of 3 active" in chart["title"]["text"]


def test_while_activity_is_not_measured_the_chart_says_so() -> None:
    assert "may be active" in series(units_chart(replace(NOW, active=None), LIGHT))


def test_next_to_nothing_does_not_look_like_much() -> None:
    chart = units_chart(replace(NOW, units=(1e-6, 2e-6, 3e-6)), LIGHT)
    assert chart["yAxis"]["max"] == LITTLE
    assert "max" not in units_chart(NOW, LIGHT)["yAxis"]


def test_large_codes_are_cut_and_the_chart_says_so() -> None:
    many = replace(NOW, units=tuple(range(200)), active=(True,) * 200)
    chart = units_chart(many, LIGHT)
    assert len(chart["xAxis"]["data"]) == MOST_BARS
    assert "of 200" in chart["title"]["subtext"]
    chart = heat_chart(np.arange(400.0).reshape(2, 200), ["0", "10"], LIGHT, title="", across="step")
    assert chart["yAxis"]["data"][0] == "200"
    assert len(chart["yAxis"]["data"]) == MOST_ROWS
    assert "of 200" in chart["title"]["subtext"]


def test_the_heatmap_has_the_first_unit_on_top() -> None:
    values = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])  # (steps, units)
    chart = heat_chart(values, ["0", "5", "10"], LIGHT, title="When", across="step")
    assert chart["yAxis"]["data"] == ["2", "1"]
    assert [2, 1, 0.5] in chart["series"][0]["data"]
    assert [2, 0, 0.6] in chart["series"][0]["data"]


def test_a_loss_that_went_astray_is_still_json() -> None:
    lost = replace(NOW, reconstruction=math.nan, kl=math.inf, units=(math.nan, math.inf, 1.0), step=4)
    drawn = series(terms_chart([replace(NOW, step=0), lost], LIGHT, 10))
    assert drawn["KL"]["data"] == [[0, 6.0]]
    for chart in (
        units_chart(lost, LIGHT),
        heat_chart(np.array([lost.units]), ["0"], LIGHT, title="", across="step"),
    ):
        json.dumps(chart, allow_nan=False)
    assert number(math.nan) == number(math.inf) == "no number"


def test_bars_of_costs_stand_in_the_order_given() -> None:
    chart = cost_chart({"this": (80.0, 6.0), "that": (160.0, 0.0)}, LIGHT)
    assert chart["yAxis"]["data"] == ["that", "this"], "ECharts begins at the bottom"
    assert series(chart)["KL"]["data"] == [0.0, 6.0]
    assert all(entry["stack"] == "cost" for entry in chart["series"])


def test_numbers_are_written_so_that_sums_add_up() -> None:
    assert [number(value) for value in (98.2462, 1234.5, 0.5, 0.0000237, -1e-9, 0.0, -0.02)] == [
        "98.25",
        "1,234.50",
        "0.50",
        "0.000024",
        "0.00",
        "0.00",
        "-0.02",
    ]
