"""Places in the space of codes, and what a decoder makes of them: planes, grids, ways from one code to another.

A code is a vector of Z numbers. To look at codes one needs a plane: that of a code of two units, or any affine plane in
a larger one. How good a code is, is measured elsewhere: `neighbours`, `bound`, `disentangling`, `subspace`. This module
knows nothing of images but that a decoder gives them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from aecore.errors import ConfigError
from aecore.models.autoencoder import Autoencoder
from aecore.training.evaluation import BATCH, evaluating

SPACINGS = {"uniform": "Evenly over the box", "quantiles": "At the quantiles of the prior"}
WAYS = {"straight": "Straight", "spherical": "Spherical"}
NO_ARC = 1e-6
"""Sine of the angle between two directions below which they count as one line, and no arc between them is defined."""


# ---- a plane and a rectangle of it -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Box:
    """A rectangle of a plane.

    Attributes:
        low: The smaller coordinates, (2,).
        high: The larger coordinates, (2,); each is above its `low`.
    """

    low: Float64[Tensor, " 2"]
    high: Float64[Tensor, " 2"]

    def cells(self, points: Float[Tensor, "n 2"], side: int) -> Int64[Tensor, "n 2"]:
        """Which of side x side equal cells each point lies in: (N, 2) -> column and row from the low corner, (N, 2).

        What is outside has -1 or `side`. A point on the upper edge of the box belongs to the last cell.
        """
        share = (points.double() - self.low) / (self.high - self.low)
        cell = (share * side).floor().clamp(-1, side).long()
        return torch.where(share == 1, side - 1, cell)


def box_of(codes: Float[Tensor, "n 2"], share: float = 0.98, margin: float = 0.0) -> Box:
    """The rectangle between quantiles that holds `share` of the codes along each axis.

    It holds less than that along both at once, at least 2 * share - 1. Outliers do not stretch it. Where all codes are
    the same along an axis, it reaches half a unit to either side.

    Args:
        codes: Points of a plane, (N, 2).
        share: Between (1 - share) / 2 and (1 + share) / 2 lie the quantiles; in (0, 1].
        margin: By how much of its width the box is then widened on each side; at least 0.

    Raises:
        ConfigError: For no codes, codes of another size, or a share or margin out of range.

    Example:
        >>> box = box_of(torch.tensor([[0.0, 0.0], [1.0, 2.0]]), share=1, margin=0.5)
        >>> box.low.tolist(), box.high.tolist()
        ([-0.5, -1.0], [1.5, 3.0])
    """
    if codes.ndim != 2 or codes.shape[1] != 2 or len(codes) == 0:
        raise ConfigError(f"A box holds points of a plane, (N, 2), but these have shape {tuple(codes.shape)}.")
    if not 0 < share <= 1 or not 0 <= margin < math.inf:
        raise ConfigError(f"share is {share} and margin {margin}, expected a share in (0, 1] and a margin from 0.")
    # numpy's quantile would do too; torch's takes 16 million values at most, far above any set of codes here
    ends = torch.tensor([(1 - share) / 2, (1 + share) / 2], dtype=torch.float64)
    low, high = torch.quantile(codes.double(), ends, dim=0)
    same = high <= low
    low, high = torch.where(same, low - 0.5, low), torch.where(same, high + 0.5, high)
    width = high - low
    return Box(low - margin * width, high + margin * width)


@dataclass(frozen=True)
class Plane:
    """An affine plane in the space of codes: code = origin + x * across + y * up.

    Attributes:
        origin: The code at (0, 0), (Z,).
        across: By what the code changes with x, (Z,).
        up: By what it changes with y, (Z,); not along `across`.
    """

    origin: Float[Tensor, " z"]
    across: Float[Tensor, " z"]
    up: Float[Tensor, " z"]

    def codes(self, points: Float[Tensor, "n 2"]) -> Float[Tensor, "n z"]:
        """The codes at points of the plane: (N, 2) -> (N, Z)."""
        axes = torch.stack([self.across, self.up])
        return self.origin + points.to(axes) @ axes

    def project(self, codes: Float[Tensor, "n z"]) -> Float[Tensor, "n 2"]:
        """The points of the plane nearest to codes: (N, Z) -> (N, 2); of a code of the plane its own coordinates."""
        axes = torch.stack([self.across, self.up]).double()  # (2, Z)
        products = (codes.double() - self.origin.double()) @ axes.T  # (N, 2)
        points: Tensor = torch.linalg.solve(axes @ axes.T, products.T).T
        return points.to(codes)


def plane_of_units(code: Float[Tensor, " z"], i: int, j: int) -> Plane:
    """The plane in which unit `i` runs across, unit `j` up, and all others stay as they are in `code`.

    Its coordinates are the values of the two units.

    Raises:
        ConfigError: If there are no two such units.

    Example:
        >>> plane = plane_of_units(torch.tensor([5.0, 6.0, 7.0]), 2, 0)
        >>> plane.codes(torch.tensor([[1.0, 2.0]])).tolist()
        [[2.0, 6.0, 1.0]]
    """
    units = len(code)
    if i == j or not (0 <= i < units and 0 <= j < units):
        raise ConfigError(f"Units {i} and {j} span no plane: choose two different ones of 0 to {units - 1}.")
    origin, axes = code.clone(), torch.eye(units).to(code)
    origin[[i, j]] = 0
    return Plane(origin, axes[i], axes[j])


def principal_plane(codes: Float[Tensor, "n z"]) -> Plane:
    """The plane through the mean code along which codes vary most: their first two principal components.

    Across and up are at right angles and of length 1, the larger variance runs across, and the largest number of each
    is positive, so that the same codes give the same picture.
    Source: Pearson, On lines and planes of closest fit, Philosophical Magazine 2 (1901).

    Args:
        codes: (N, Z) with at least three codes of at least two units.

    Raises:
        ConfigError: If there are fewer.
    """
    count, units = codes.shape
    if count < 3 or units < 2:
        raise ConfigError(f"A plane needs 3 codes of 2 units at least; these are {count} of {units}.")
    exact = codes.double()
    mean = exact.mean(0)
    _, vectors = torch.linalg.eigh((exact - mean).T @ (exact - mean))  # ascending
    axes = vectors[:, [-1, -2]].T
    signs = axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    across, up = (axes * signs).to(codes)
    return Plane(mean.to(codes), across, up)


# ---- a grid of pictures ------------------------------------------------------------------------------------------


def grid_points(side: int, box: Box | None = None, spacing: str = "uniform") -> Float64[Tensor, "n 2"]:
    """The points of a side x side grid in reading order: rows from the top, where y is highest, then left to right.

    Args:
        side: Points in a row, at least 1; a single one stands in the middle.
        box: For `uniform`: the outermost points lie on its edge.
        spacing: `uniform` over the box; or `quantiles`, at the quantiles (i + 1/2) / side of the prior N(0, 1) along
            both axes, so that each point stands for the same share of the prior. Source: Kingma & Welling (2014),
            arXiv:1312.6114, appendix A.

    Raises:
        ConfigError: For an unknown spacing, no box where one is needed, or a side below 1.

    Example:
        >>> grid_points(2, Box(torch.zeros(2), torch.ones(2))).tolist()
        [[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
    """
    if side < 1:
        raise ConfigError(f"A grid needs one point a side at least, not {side}.")
    middles = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    if spacing == "quantiles":
        x = y = torch.special.ndtri(middles)
    elif spacing != "uniform":
        raise ConfigError(f"There is no spacing {spacing!r}; there are {', '.join(SPACINGS)}.")
    elif box is None:
        raise ConfigError("An even grid needs a box to lie in: take that of the codes, `box_of(codes)`.")
    else:
        shares = torch.linspace(0, 1, side, dtype=torch.float64) if side > 1 else middles
        x, y = (box.low[axis] + shares * (box.high[axis] - box.low[axis]) for axis in (0, 1))
    rows, columns = torch.meshgrid(y.flip(0), x, indexing="ij")
    return torch.stack([columns, rows], dim=-1).reshape(-1, 2)


@torch.inference_mode()
def decode_all(model: Autoencoder, codes: Float[Tensor, "n z"]) -> Float[Tensor, "n c h w"]:
    """What the decoder makes of codes, (N, Z) -> (N, C, H, W) floats, in batches."""
    with evaluating(model):
        return torch.cat([model.decode(batch) for batch in codes.split(BATCH)])


def decode_grid(
    model: Autoencoder, side: int, *, box: Box | None = None, spacing: str = "uniform", plane: Plane | None = None
) -> tuple[Float[Tensor, "n z"], Float[Tensor, "n c h w"]]:
    """The learned manifold: a grid of codes and what each decodes to.

    Args:
        model: Any; one with max-unpooling decodes without its switches.
        side: Pictures in a row.
        box: See `grid_points`.
        spacing: See `grid_points`.
        plane: In which the grid lies; not needed for a code of two units.

    Returns:
        Codes (side * side, Z) and images (side * side, C, H, W), row by row as one would plot them: the first is top
        left, where x is lowest and y is highest.

    Raises:
        ConfigError: As `grid_points`, or if a code of other than two units is given no plane.
    """
    points = grid_points(side, box, spacing).float()
    units = model.config.latent_dim
    if plane is None and units != 2:
        raise ConfigError(
            f"The code has {units} {'unit' if units == 1 else 'units'}, and a grid two axes. Say in which plane it "
            "lies, see `plane_of_units` and `principal_plane`."
        )
    codes = points if plane is None else plane.codes(points)
    return codes, decode_all(model, codes)


# ---- from one code to another ------------------------------------------------------------------------------------


def angle_between(a: Float[Tensor, " z"], b: Float[Tensor, " z"]) -> float:
    """The angle between two vectors in radians, 0 to pi; precise near both ends; not a number if one is zero.

    Source: Kahan, How futile are mindless assessments of roundoff (2006), section 12.
    """
    u, v = (vector.double() / vector.double().norm() for vector in (a, b))
    return 2 * math.atan2(float((u - v).norm()), float((u + v).norm()))


def has_arc(a: Float[Tensor, " z"], b: Float[Tensor, " z"]) -> bool:
    """Whether a spherical way is defined: not if one is zero, nor if they point the same or opposite ways."""
    angle = angle_between(a, b)
    return not math.isnan(angle) and abs(math.sin(angle)) > NO_ARC


def interpolate(
    a: Float[Tensor, " z"], b: Float[Tensor, " z"], steps: int, how: str = "straight"
) -> Float[Tensor, "steps z"]:
    """Codes on the way from `a` to `b`, both included: (steps, Z).

    `straight` is a + t (b - a). `spherical` turns the direction at an even pace along the great circle and lets the
    length grow evenly from |a| to |b|: draws from a normal prior all have a length near sqrt(Z), and a straight way
    between two of them cuts through shorter codes than any draw. Where no arc is defined (`has_arc` says) the spherical
    way falls back to the straight one: for vectors that point the same way both are the same; for opposite ones there
    are many arcs, and a zero vector has no direction.
    Source: Shoemake, Animating rotation with quaternion curves, SIGGRAPH (1985); for codes: White, Sampling generative
    networks (2016), arXiv:1609.04468.

    Raises:
        ConfigError: For fewer than two steps, an unknown way, or codes of different sizes.

    Example:
        >>> interpolate(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 3.0]), 3, "spherical")[1].norm().round().item()
        2.0
    """
    if steps < 2:
        raise ConfigError(f"A way from one code to another has 2 steps at least, its ends, not {steps}.")
    if how not in WAYS:
        raise ConfigError(f"There is no way {how!r}; there are {', '.join(WAYS)}.")
    _same_size(a, b)
    t = torch.linspace(0, 1, steps, dtype=torch.float64)[:, None]
    start, end = a.double(), b.double()
    if how == "straight" or not has_arc(a, b):
        way = (1 - t) * start + t * end
    else:
        angle, lengths = angle_between(a, b), torch.stack([start.norm(), end.norm()])
        directions = torch.sin((1 - t) * angle) * start / lengths[0] + torch.sin(t * angle) * end / lengths[1]
        way = directions / math.sin(angle) * ((1 - t) * lengths[0] + t * lengths[1])
    way[0], way[-1] = start, end  # to the last bit
    return way.to(a)


def traverse(code: Float[Tensor, " z"], unit: int, values: Sequence[float]) -> Float[Tensor, "v z"]:
    """Copies of a code in which one unit takes each of `values` in turn: (V, Z).

    Raises:
        ConfigError: If there is no such unit.

    Example:
        >>> traverse(torch.tensor([5.0, 6.0]), 1, [0, 1]).tolist()
        [[5.0, 0.0], [5.0, 1.0]]
    """
    if not 0 <= unit < len(code):
        raise ConfigError(f"There is no unit {unit}; the code has units 0 to {len(code) - 1}.")
    codes = code.repeat(len(values), 1)
    codes[:, unit] = torch.tensor(values, dtype=code.dtype, device=code.device)
    return codes


def arithmetic(a: Float[Tensor, "*n z"], b: Float[Tensor, "*n z"], c: Float[Tensor, "*n z"]) -> Float[Tensor, "*n z"]:
    """What distinguishes `a` from `b`, done to `c`: a - b + c.

    Sources: Mikolov et al., Linguistic regularities in continuous space word representations, NAACL (2013); for codes
    of images: Radford, Metz & Chintala, DCGAN (2016), arXiv:1511.06434, section 6.3.2.

    Raises:
        ConfigError: For codes of different sizes.

    Example:
        >>> arithmetic(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.0]), torch.tensor([5.0, 0.0])).tolist()
        [5.0, 1.0]
    """
    _same_size(a, b)
    _same_size(a, c)
    return a - b + c


def _same_size(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape:
        raise ConfigError(f"Codes of one size are needed, but these have shapes {tuple(a.shape)} and {tuple(b.shape)}.")
