"""Charts that stream: options for `st.echarts_chart`, which updates in place without a blank frame.

This module knows nothing of runs or pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pages.ui.palette import Palette

MOST_POINTS = 300  # more than a screen can show of a curve


def thin(rows: list[list[float]]) -> list[list[float]]:
    """At most `MOST_POINTS` rows, evenly chosen, the first and the last among them."""
    if len(rows) <= MOST_POINTS:
        return rows
    chosen = np.linspace(0, len(rows) - 1, MOST_POINTS).round().astype(int)
    return [rows[index] for index in chosen]


def loss_chart(
    train: list[list[float]], test: list[list[float]], palette: Palette, unit: str, test_images: int
) -> dict[str, Any]:
    """Training and test loss over the epochs, on one logarithmic scale.

    Args:
        train: Rows of (epoch, loss per pixel value), in order.
        test: The same on test images.
        palette: Colours of the theme.
        unit: Unit of the loss per pixel value.
        test_images: How many test images each test point was measured on.
    """
    curves = {
        "training batches": (thin(train), palette.target.fill),
        f"{test_images:,} test images": (test, palette.ink),
    }
    values = [row[1] for rows, _ in curves.values() for row in rows if row[1] > 0]
    low, high = (10.0 ** np.floor(np.log10(min(values))), max(values) * 1.1) if values else (0.001, 1.0)
    text = {"color": palette.ink}
    return {
        "animation": False,
        "title": {
            "left": 0,
            "text": f"Loss per pixel ({unit}), lower is better",
            "textStyle": {**text, "fontSize": 14},
        },
        "legend": {"top": 26, "left": 0, "textStyle": text, "itemGap": 18},
        "grid": {"containLabel": False, "left": 46, "right": 16, "top": 58, "bottom": 42},
        "tooltip": {"trigger": "axis", "valueFormatter": "%.4g"},
        "xAxis": {
            "type": "value",
            "name": "epochs",
            "nameLocation": "middle",
            "nameGap": 26,
            "min": 0,
            "axisLabel": text,
            "nameTextStyle": text,
            "splitLine": {"show": False},
        },
        "yAxis": {
            "type": "log",
            "min": float(low),
            "max": float(high),
            "axisLabel": {**text, "showMaxLabel": False},
            "splitLine": {"lineStyle": {"color": palette.line}},
            "minorSplitLine": {"show": True, "lineStyle": {"color": palette.line, "opacity": 0.5}},
        },
        "series": [
            {
                "name": name,
                "type": "line",
                "data": rows,
                "showSymbol": symbol,
                "symbol": "circle",
                "symbolSize": 6,
                "lineStyle": {"width": width},
                "itemStyle": {"color": colour},
                "z": depth,
            }
            for depth, ((name, (rows, colour)), symbol, width) in enumerate(
                zip(curves.items(), (False, True), (1.5, 2.5), strict=True)
            )
        ],
    }


def meter_chart(
    title: str,
    unit: str,
    curves: Mapping[str, tuple[list[list[float]], str]],
    palette: Palette,
    steps: int | None,
    *,
    logarithmic: bool = False,
) -> dict[str, Any]:
    """One measure of several models over the training steps.

    Args:
        title: What is measured, with its direction.
        unit: Its unit.
        curves: Name to (rows of (step, value) in order, colour).
        palette: Colours of the theme.
        steps: Steps of the whole budget, so that all charts have the same axis.
        logarithmic: Whether equal heights are equal ratios; values of 0 are then left out.
    """
    text = small_text(palette)
    return {
        "animation": False,
        "title": head(title, unit, palette),
        "legend": {"bottom": 0, "left": 0, "type": "scroll", "itemWidth": 14, "itemHeight": 8, "textStyle": text},
        "grid": {"containLabel": False, "left": 46, "right": 12, "top": 50, "bottom": 64},
        "tooltip": {"trigger": "axis", "valueFormatter": "%.3g"},
        "xAxis": steps_axis(steps, text),
        "yAxis": {
            "type": "log" if logarithmic else "value",
            "scale": True,
            "axisLabel": {**text, "hideOverlap": True},
            "splitNumber": 3,
            "splitLine": {"lineStyle": {"color": palette.line}},
        },
        "series": [
            {
                "name": name,
                "type": "line",
                "data": [row for row in rows if row[1] > 0 or not logarithmic],
                "symbol": "circle",
                "symbolSize": 4,
                "lineStyle": {"width": 2},
                "itemStyle": {"color": colour},
            }
            for name, (rows, colour) in curves.items()
        ],
    }


def plane_chart(
    codes: NDArray[np.float32], labels: NDArray[np.int64], names: Sequence[str], palette: Palette
) -> dict[str, Any]:
    """Codes of two numbers as points of a plane, coloured by class.

    Args:
        codes: (N, 2).
        labels: Class of each, (N,).
        names: Name of each class.
        palette: Colours of the theme.
    """
    text = {"color": palette.ink}
    span = max(float(np.ptp(codes, axis=0).max()), 1e-3) if len(codes) else 1.0
    step = _round_up(span / 4)
    axis = {
        "type": "value",
        "interval": step,
        "axisLabel": text,
        "nameTextStyle": text,
        "nameLocation": "middle",
        "splitLine": {"lineStyle": {"color": palette.line, "opacity": 0.5}},
    }
    ranges = [_range_around(codes[:, unit], span, step) for unit in (0, 1)]
    return {
        "animation": False,
        "title": {"left": 0, "text": "Codes of test images, by class", "textStyle": {**text, "fontSize": 14}},
        "legend": {"top": 26, "left": 0, "textStyle": text, "itemGap": 8, "itemWidth": 10, "itemHeight": 10},
        "grid": {"containLabel": False, "left": 46, "right": 16, "top": 78, "bottom": 42},
        "tooltip": {"trigger": "item", "formatter": "{a}: {c}"},
        "xAxis": {**axis, **ranges[0], "name": "code 1", "nameGap": 26},
        "yAxis": {**axis, **ranges[1], "name": "code 2", "nameGap": 30},
        "series": [
            {
                "name": name,
                "type": "scatter",
                "data": codes[labels == number].round(3).tolist(),
                "symbolSize": 5,
                "itemStyle": {"color": palette.classes[number % len(palette.classes)], "opacity": 0.8},
            }
            for number, name in enumerate(names)
        ],
    }


def small_text(palette: Palette) -> dict[str, Any]:
    """The style of words in a small chart."""
    return {"color": palette.ink, "fontSize": 11}


def head(title: str, unit: str, palette: Palette) -> dict[str, Any]:
    """What is drawn in a small chart, and in which unit."""
    text = small_text(palette)
    return {
        "left": 0,
        "text": title,
        "subtext": unit,
        "itemGap": 5,
        "textStyle": {**text, "fontSize": 13, "lineHeight": 16},
        "subtextStyle": text,
    }


def steps_axis(steps: int | None, text: Mapping[str, Any]) -> dict[str, Any]:
    """The axis of steps below a curve.

    Args:
        steps: Of the whole budget, if that is known.
        text: Style of its words.
    """
    return {
        "type": "value",
        "name": "steps",
        "nameLocation": "middle",
        "nameGap": 22,
        "min": 0,
        **({"max": steps} if steps else {}),
        "axisLabel": {**text, "hideOverlap": True},
        "nameTextStyle": text,
        "splitLine": {"show": False},
    }


def _range_around(values: NDArray[np.float32], span: float, step: float) -> dict[str, float]:
    """Ends of an axis, on multiples of `step`, so that it holds `span` around the middle of `values`."""
    middle = float(values.min() + values.max()) / 2 if len(values) else 0.0
    low, high = np.floor((middle - span / 2) / step), np.ceil((middle + span / 2) / step)
    return {"min": float(low * step), "max": float(high * step)}


def _round_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten: axes that stay put while points move a little."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value))
