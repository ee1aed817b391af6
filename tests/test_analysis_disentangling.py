"""Factors against units: scipy's rank statistics, closed forms, and the factors the lab draws its shapes from."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import kruskal, rankdata, spearmanr
from torch import Tensor

from aecore.analysis.disentangling import factor_correlations
from aecore.data import load_dataset
from aecore.data.shapes import PERIODS
from aecore.errors import ConfigError

N = 500


def even(seed: int = 0, count: int = N) -> Tensor:
    return torch.rand(count, generator=torch.Generator().manual_seed(seed))


def test_a_quantity_has_the_rank_correlation_of_scipy() -> None:
    codes = torch.stack([even(seed) for seed in range(3)], 1)
    factor = codes[:, 0] + 0.5 * even(9)
    table = factor_correlations(codes, {"size": factor})
    expected = [spearmanr(codes[:, unit], factor).statistic for unit in range(3)]
    assert table.kinds == ("monotone",)
    assert table.values[0].tolist() == pytest.approx(expected, abs=1e-12)


def test_a_unit_that_bends_still_follows() -> None:
    factor = even()
    codes = torch.stack([(9 * factor).exp(), -((factor - 0.5) ** 3), (factor - 0.5) ** 2], 1)
    row = factor_correlations(codes, {"size": factor}).values[0].tolist()
    assert row[:2] == pytest.approx([1, -1], abs=1e-12)
    assert abs(row[2]) < 0.15, "up and down again is not monotone: the measure does not see it"


def test_a_class_has_the_eta_of_kruskal_and_wallis_also_with_ties() -> None:
    classes = torch.arange(N) % 4
    codes = torch.stack([even() + 0.3 * classes, even(1), (5 * even(2)).floor() + classes], 1)
    table = factor_correlations(codes, {"shape": classes})
    statistics = [
        kruskal(*(codes[classes == which, unit].double().numpy() for which in range(4))).statistic for unit in range(3)
    ]
    assert table.kinds == ("class",)
    assert table.values[0].tolist() == pytest.approx([math.sqrt(h / (N - 1)) for h in statistics], abs=1e-9)


def test_eta_counted_by_hand() -> None:
    codes = torch.tensor([[1.0], [2.0], [3.0], [4.0]])  # ranks 1 to 4: variance 5/4; means 1.5 and 3.5: variance 1
    assert factor_correlations(codes, {"shape": torch.tensor([0, 0, 1, 1])}).values.item() == pytest.approx(
        math.sqrt(4 / 5)
    )


def test_an_angle_has_the_correlation_of_mardia() -> None:
    angle = 2 * math.pi * even()
    codes = torch.stack([angle.cos() + 0.3 * even(1), angle.sin() * 2 + 7, even(2)], 1)
    table = factor_correlations(codes, {"rotation": angle})
    c, s = np.cos(angle.double().numpy()), np.sin(angle.double().numpy())
    expected = []
    for unit in range(3):
        ranks = rankdata(codes[:, unit])
        xc, xs, cs = (np.corrcoef(*pair)[0, 1] for pair in ((ranks, c), (ranks, s), (c, s)))
        expected.append(math.sqrt((xc**2 + xs**2 - 2 * xc * xs * cs) / (1 - cs**2)))
    assert table.kinds == ("circular",)
    assert table.values[0].tolist() == pytest.approx(expected, abs=1e-9)
    assert table.values[0, 1] > 0.95
    assert table.values[0, 2] < 0.15


def test_where_a_circle_begins_does_not_matter() -> None:
    hue = even()
    codes = torch.stack([(2 * math.pi * hue).cos(), even(1)], 1)
    table = factor_correlations(codes, {"hue": hue, "later": (hue + 0.4) % 1}, {"hue": 1.0, "later": 1.0})
    torch.testing.assert_close(table.values[0], table.values[1], rtol=1e-5, atol=1e-7)


def test_what_never_changes_follows_nothing() -> None:
    codes = torch.stack([torch.full((N,), 3.0), even()], 1)
    factors = {"size": even(), "shape": torch.arange(N) % 4, "rotation": even(4), "fixed": torch.ones(N)}
    table = factor_correlations(codes, factors)
    assert table.values[:, 0].tolist() == [0, 0, 0, 0]
    assert table.values[3].tolist() == [0, 0]
    assert factor_correlations(codes, {"rotation": torch.ones(N)}).values.abs().max() < 1e-9


def test_whole_numbers_of_many_values_are_a_quantity() -> None:
    codes = torch.arange(N, dtype=torch.float32)[:, None]
    table = factor_correlations(codes, {"number": torch.arange(N)})
    assert table.kinds == ("monotone",)
    assert table.values.item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("dataset", ["shapes", "shapes_grey", "shapes_gradient", "shapes_black"])
def test_a_code_made_of_the_drawn_factors_shows_each_in_its_unit(dataset: str) -> None:
    factors = load_dataset(dataset).test_factors
    codes = torch.stack(
        [
            (2 * math.pi * values.double() / PERIODS[name]).cos() if name in PERIODS else values.double()
            for name, values in factors.items()
        ],
        1,
    )
    table = factor_correlations(codes, factors)
    assert table.factors == tuple(factors)
    kinds = dict(zip(table.factors, table.kinds, strict=True))
    assert kinds["shape"] == "class"
    assert {name for name, kind in kinds.items() if kind == "circular"} == factors.keys() & PERIODS.keys()
    assert table.values.diagonal().min() > 0.98
    assert (table.values - table.values.diagonal().diag()).abs().max() < 0.1, "factors are drawn independently"
    assert list(table.to_dict()["values"]) == list(factors)


def test_what_does_not_fit_together_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="3 codes"):
        factor_correlations(torch.zeros(2, 2), {})
    with pytest.raises(ConfigError, match=r"'size' has shape \(4,\), expected \(5,\)"):
        factor_correlations(torch.zeros(5, 2), {"size": torch.zeros(4)})
    assert factor_correlations(torch.zeros(5, 2), {}).values.shape == (0, 2)
