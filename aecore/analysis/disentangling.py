"""What the units of a code stand for, where it is known what made the images.

This module knows nothing of models: codes and factors in, numbers out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from aecore.data.shapes import PERIODS
from aecore.errors import ConfigError

MOST_CLASSES = 50  # a whole-numbered factor with more values than this is a quantity


@dataclass(frozen=True)
class FactorTable:
    """How strongly each unit follows each factor.

    Attributes:
        factors: Their names, one for each row.
        kinds: `monotone`, `circular` or `class`, one for each row: which correlation it is.
        values: (F, Z). Of a monotone factor in [-1, 1], of the others in [0, 1]; 0 for a unit that never changes.
    """

    factors: tuple[str, ...]
    kinds: tuple[str, ...]
    values: Float64[Tensor, "f z"]

    def to_dict(self) -> dict[str, Any]:
        """Factor -> its row, and the kinds by factor."""
        return {
            "values": dict(zip(self.factors, self.values.tolist(), strict=True)),
            "kinds": dict(zip(self.factors, self.kinds, strict=True)),
        }


def factor_correlations(
    codes: Float[Tensor, "n z"], factors: Mapping[str, Tensor], periods: Mapping[str, float] = PERIODS
) -> FactorTable:
    """How strongly each unit of a code follows each factor that made the images, (factor x unit).

    Three kinds of factor, three correlations, all of the *ranks* of the unit's values. Ranks because nothing asks a
    unit to follow a factor in proportion: it may bend, and a correlation of values (Pearson's) would call a bent
    one-to-one relation loose, and let a few outliers decide.

    - A quantity: Spearman's rank correlation, in [-1, 1]; 1 or -1 where the unit only grows or only falls with it.
    - A quantity that comes round again, such as an angle: the multiple correlation of the ranks with its sine and
      cosine, in [0, 1]. On a circle nothing can only grow.
    - A class: the correlation ratio eta, in [0, 1]: the square root of the share of the ranks' variance that lies
      between the classes.

    With N images numbers below about 2 / sqrt(N) may be chance; eta of k classes is about sqrt((k - 1) / N) by chance.
    Sources: Spearman (1904), The proof and measurement of association between two things; Mardia, Linear-circular
    correlation coefficients and rhythmometry, Biometrika 63 (1976); Kruskal & Wallis (1952), whose H is eta^2 (N - 1).

    Args:
        codes: (N, Z).
        factors: Name -> one number for each image, (N,); whole numbers of at most 50 values are classes.
        periods: Name -> after how much such a factor comes round again.

    Raises:
        ConfigError: For fewer than three codes or factors of another length.

    Example:
        >>> codes = torch.tensor([[0.0, 5.0], [1.0, 2.0], [8.0, 2.5]])
        >>> factor_correlations(codes, {"size": torch.tensor([1.0, 2.0, 3.0])}).values.round(decimals=3).tolist()
        [[1.0, -0.5]]
    """
    if len(codes) < 3:
        raise ConfigError(f"A correlation needs 3 codes at least, not {len(codes)}.")
    for name, values in factors.items():
        if tuple(values.shape) != (len(codes),):
            raise ConfigError(f"Factor {name!r} has shape {tuple(values.shape)}, expected ({len(codes)},).")
    units = _standard(_ranks(codes))
    kinds, rows = [], []
    for name, values in factors.items():
        if name in periods:
            kinds.append("circular")
            rows.append(_circular(units, values.double() * (2 * math.pi / periods[name])))
        elif not values.is_floating_point() and len(values.unique()) <= MOST_CLASSES:
            kinds.append("class")
            rows.append(_eta(units, values))
        else:
            kinds.append("monotone")
            rows.append((units.T @ _standard(_ranks(values[:, None]))).squeeze(1))
    table = torch.stack(rows) if rows else torch.zeros(0, codes.shape[1], dtype=torch.float64)
    return FactorTable(tuple(factors), tuple(kinds), table.clamp(-1, 1))


def _ranks(values: Float[Tensor, "n z"]) -> Float64[Tensor, "n z"]:
    """The place of each value in its column, equal ones sharing the mean of their places."""
    from scipy.stats import rankdata  # late: only who asks should wait

    return torch.from_numpy(rankdata(values.detach().cpu().numpy(), axis=0))


def _standard(columns: Float64[Tensor, "n z"]) -> Float64[Tensor, "n z"]:
    """Columns of mean 0 and length 1; of a constant column zeros."""
    centred = columns - columns.mean(0)
    length = centred.norm(dim=0)
    return torch.where(length > 0, centred / length, 0.0)


def _circular(units: Float64[Tensor, "n z"], angles: Float64[Tensor, " n"]) -> Float64[Tensor, " z"]:
    """The multiple correlation of each unit with the cosine and sine of an angle."""
    circle = torch.stack([angles.cos(), angles.sin()], 1)
    basis, spread, _ = torch.linalg.svd(circle - circle.mean(0), full_matrices=False)
    directions = basis[:, spread > 1e-9 * math.sqrt(len(angles))]  # where all angles are the same there are none
    correlation: Tensor = (directions.T @ units).norm(dim=0)
    return correlation


def _eta(units: Float64[Tensor, "n z"], classes: Tensor) -> Float64[Tensor, " z"]:
    """The square root of the variance between classes, of units of total variance 1."""
    _, members = classes.unique(return_inverse=True)
    sums = torch.zeros(int(members.max()) + 1, units.shape[1], dtype=torch.float64).index_add(0, members, units)
    counts = members.bincount()[:, None]
    between: Tensor = (sums.square() / counts).sum(0)
    return between.sqrt()
