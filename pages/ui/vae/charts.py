"""Charts of what a variational model pays: options for `st.echarts_chart`.

This module knows nothing of runs or pages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecore.analysis.collapse import Account
from pages.ui.charts import head, small_text, steps_axis
from pages.ui.palette import Palette

NATS = "nats per image"
MOST_ROWS = 40  # units a heatmap shows, those with the most KL
MOST_BARS = 64
LITTLE = 0.1  # nats; bars lower than that are not drawn larger than they are


def terms_chart(history: Sequence[Account], palette: Palette, steps: int | None) -> dict[str, Any]:
    """The parts of the loss over the steps of a training, and the weight of the KL where it warms up.

    Looks at which the loss was no number are left out.

    Args:
        history: In order, each with its `step`.
        palette: Colours of the theme.
        steps: Steps of the whole budget.
    """
    history = [now for now in history if math.isfinite(now.negative_elbo)]
    curves = {
        "reconstruction": ([[now.step, now.reconstruction] for now in history], palette.decoder.fill, 2.5, "solid"),
        "KL": ([[now.step, now.kl] for now in history], palette.code.fill, 2.5, "solid"),
        "−ELBO": ([[now.step, now.negative_elbo] for now in history], palette.ink, 1.5, "solid"),
    }
    weights = [[now.step, now.weight] for now in history]
    warms = any(now.share < 1 for now in history[1:])
    if warms:
        curves["KL weight"] = (weights, palette.target.fill, 1.5, "dashed")
    text = small_text(palette)
    right = {
        "type": "value",
        "name": "weight",
        "nameTextStyle": text,
        "min": 0,
        "axisLabel": text,
        "splitLine": {"show": False},
    }
    left = {
        "type": "value",
        "min": 0,
        "axisLabel": text,
        "splitNumber": 4,
        "splitLine": {"lineStyle": {"color": palette.line}},
    }
    return {
        "animation": False,
        "title": head("Cost of an image ↓", f"{NATS}, on test images", palette),
        "legend": {"bottom": 0, "left": 0, "itemGap": 8, "itemWidth": 14, "itemHeight": 7, "textStyle": text},
        "grid": {"containLabel": False, "left": 8, "right": 8 if warms else 14, "top": 58, "bottom": 56},
        "tooltip": {"trigger": "axis", "valueFormatter": "%.3g"},
        "xAxis": steps_axis(steps, text),
        "yAxis": [left, right] if warms else [left],
        "series": [
            {
                "name": name,
                "type": "line",
                "data": rows,
                "yAxisIndex": int(name.startswith("KL weight")),
                "symbol": "circle",
                "symbolSize": 4,
                "lineStyle": {"width": width, "type": line},
                "itemStyle": {"color": colour},
            }
            for name, (rows, colour, width, line) in curves.items()
        ],
    }


def cost_chart(costs: Mapping[str, tuple[float, float]], palette: Palette) -> dict[str, Any]:
    """Reconstruction and KL of several models as bars that add up to the negative ELBO.

    Args:
        costs: Name to (reconstruction, KL), from top to bottom.
        palette: Colours of the theme.
    """
    text = small_text(palette)
    names = list(costs)[::-1]
    parts = (("reconstruction", 0, palette.decoder.fill), ("KL", 1, palette.code.fill))
    return {
        "animation": False,
        "title": head("Cost of an image ↓", f"{NATS}; both together are −ELBO", palette),
        "legend": {"bottom": 0, "left": 0, "itemWidth": 14, "itemHeight": 8, "textStyle": text},
        "grid": {"containLabel": False, "left": 4, "right": 18, "top": 54, "bottom": 34},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}, "valueFormatter": "%.3g"},
        "xAxis": {
            "type": "value",
            "axisLabel": {**text, "hideOverlap": True},
            "splitNumber": 4,
            "splitLine": {"lineStyle": {"color": palette.line}},
        },
        "yAxis": {
            "type": "category",
            "data": names,
            "axisLabel": {**text, "width": 92, "overflow": "break", "lineHeight": 13},
        },
        "series": [
            {
                "name": name,
                "type": "bar",
                "stack": "cost",
                "barMaxWidth": 34,
                "data": [costs[row][part] for row in names],
                "itemStyle": {"color": colour},
            }
            for name, part, colour in parts
        ],
    }


def units_chart(account: Account, palette: Palette) -> dict[str, Any]:
    """The KL of each unit as bars, the largest first, those in use in the code's colour.

    Where activity is not measured, units that may be active count as in use.
    """
    text = small_text(palette)
    use, heights = account.in_use, [kl if math.isfinite(kl) else 0.0 for kl in account.units]
    order = sorted(range(len(heights)), key=lambda unit: -heights[unit])[:MOST_BARS]
    label = "active" if account.active is not None else "may be active"
    kinds = ((label, True, palette.code.fill), ("unused", False, palette.target.fill))
    more = f", the first {MOST_BARS} of {len(use)}" if len(use) > MOST_BARS else ""
    return {
        "animation": False,
        "title": head(
            f"Units: {sum(use)} of {len(use)} {label}",
            f"KL of each, nats per image{more}",
            palette,
        ),
        "legend": {"bottom": 0, "left": 0, "itemWidth": 14, "itemHeight": 8, "textStyle": text},
        "grid": {"containLabel": False, "left": 8, "right": 14, "top": 54, "bottom": 48},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}, "valueFormatter": "%.3g"},
        "xAxis": {
            "type": "category",
            "data": [str(unit + 1) for unit in order],
            "name": "unit",
            "nameLocation": "middle",
            "nameGap": 22,
            "nameTextStyle": text,
            "axisLabel": {**text, "hideOverlap": True},
        },
        "yAxis": {
            "type": "value",
            "min": 0,
            **({"max": LITTLE} if max(heights, default=0.0) < LITTLE else {}),
            "axisLabel": text,
            "splitNumber": 3,
            "splitLine": {"lineStyle": {"color": palette.line}},
        },
        "series": [
            {
                "name": name,
                "type": "bar",
                "stack": "kl",
                "barMaxWidth": 28,
                "data": [heights[unit] if use[unit] is kind else None for unit in order],
                "itemStyle": {"color": colour},
            }
            for name, kind, colour in kinds
        ],
    }


def heat_chart(
    values: NDArray[np.float64], columns: Sequence[str], palette: Palette, *, title: str, across: str
) -> dict[str, Any]:
    """The KL of each unit (rows) against steps or classes (columns).

    Args:
        values: (columns, Z), nats.
        columns: What each column is.
        palette: Colours of the theme.
        title: What is to be seen.
        across: What the columns are.
    """
    text = small_text(palette)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    shown = np.argsort(-values.max(0, initial=0.0), kind="stable")[:MOST_ROWS]
    shown = np.sort(shown)[::-1]  # the first unit on top
    most = float(values.max(initial=0.0))
    more = f"; {MOST_ROWS} of {values.shape[1]} units" if values.shape[1] > MOST_ROWS else ""
    return {
        "animation": False,
        "title": head(title, f"KL of each unit, nats{more}", palette),
        "grid": {"containLabel": False, "left": 24, "right": 14, "top": 58, "bottom": 56},
        "tooltip": {"trigger": "item", "valueFormatter": "%.3g"},
        "xAxis": {
            "type": "category",
            "data": list(columns),
            "name": across,
            "nameLocation": "middle",
            "nameGap": 22,
            "nameTextStyle": text,
            "axisLabel": {**text, "hideOverlap": True},
        },
        "yAxis": {
            "type": "category",
            "data": [str(unit + 1) for unit in shown],
            "name": "unit",
            "nameLocation": "middle",
            "nameGap": 26,
            "nameTextStyle": text,
            "axisLabel": {**text, "hideOverlap": True},
        },
        "visualMap": {
            "type": "continuous",
            "min": 0,
            "max": max(most, LITTLE),
            "orient": "horizontal",
            "left": 0,
            "bottom": 0,
            "itemWidth": 12,
            "itemHeight": 150,
            "precision": 2,
            "calculable": True,
            "inRange": {"color": list(palette.sequential)},
            "textStyle": text,
        },
        "series": [
            {
                "name": "KL",
                "type": "heatmap",
                "data": [
                    [column, row, round(float(values[column, unit]), 4)]
                    for column in range(len(columns))
                    for row, unit in enumerate(shown)
                ],
            }
        ],
    }
