"""The bench: an operation that runs step by step in the browser, forward and backward, on numbers one can type into.

The browser gets the list of products (`aecore.ops.trace.Stage`) and computes everything shown from it, so that typing
and playing wait for nobody. This module knows nothing of what the page says about it.
"""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
import streamlit as st

from aecore.ops.overlap import evenness
from aecore.ops.quiz import show
from aecore.ops.setting import Case
from aecore.ops.trace import Cells, Stage
from pages.ui.browser import source
from pages.ui.operations import state
from pages.ui.palette import DARK, LIGHT

_COMPONENT = st.components.v2.component(
    "operations_bench",
    html=source("bench.html"),
    css=source("meaning.css", "buttons.css", "bench.css"),
    js=source("engine.js", "signed.js", "wiring.js", "planes.js", "panel.js", "bench.js"),
)


def bench(case: Case) -> None:
    """Draw the bench with a case on it."""
    _COMPONENT(key=state.BENCH, data=(payload(case),), on_change_change=state.changed_on_bench)


def payload(case: Case) -> dict[str, Any]:
    """What the browser needs; values of `x`, `w` and `g` row by row."""
    about = case.setting.about
    between = [] if about.between is None else [about.between]
    letters, titles = zip(("x", "input"), *between, ("y", "output"), strict=True)
    return {
        "origin": state.follow(case),
        "half": about.half,
        "letters": letters,
        "titles": titles,
        "kernel": None if case.kernel is None else case.kernel.shape,
        "x": case.x.ravel().tolist(),
        "w": None if case.kernel is None else case.kernel.ravel().tolist(),
        "g": case.gradient.ravel().tolist(),
        "most": state.MOST,
        "stages": [pack_stage(stage) for stage in case.trace.stages],
        "periods": {name: period(case, backward=name == "backward") for name in state.LOOKS["direction"]},
        "palette": {
            name: {"diverging": palette.diverging, "sequential": palette.sequential}
            for name, palette in (("light", LIGHT), ("dark", DARK))
        },
        **{key: st.session_state[key] for key in state.LOOKS},
    }


def pack_stage(stage: Stage) -> dict[str, Any]:
    """A stage for `unpackStage` in browser/wiring.js: cells as signed bytes, weights as doubles (None: all 1)."""
    return {
        "in": stage.x.shape,
        "out": stage.out_shape,
        "kernel": None if stage.kernel is None else stage.kernel.shape,
        "source": _bytes(stage.source),
        "target": _bytes(stage.target),
        "tap": None if stage.tap is None else _bytes(stage.tap),
        "weight": None if (stage.weight == 1).all() else _base64(stage.weight.astype("<f8").tobytes()),
        "count": len(stage.weight),
        "gathers": stage.gathers,
        "rule": stage.rule,
        "padding": stage.padding,
    }


def period(case: Case, *, backward: bool) -> dict[str, str]:
    """What there is to say about a case's overlaps: their pattern, its ratio, what follows."""
    counts = case.overlaps(backward=backward)
    ratio = evenness(counts)
    if case.chooses(backward=backward):
        pattern = f"Here cells are written to {show(counts.min())} to {show(counts.max())} times"
        note = "Which cells these are depends on the numbers: each window has one winner, and the others get nothing."
        return {"pattern": pattern, "ratio": show(ratio), "note": note}
    if math.isinf(ratio):
        note = "Some cells are never written to: something that fills the holes has to follow."
    elif ratio > 1:
        note = "Uneven: even if all numbers are alike, the pattern shows. In pictures it is called the checkerboard."
    else:
        note = "Even: where all numbers are alike, no pattern appears away from the edges."
    rows = " / ".join(" ".join(map(show, row)) for row in counts)
    return {"pattern": f"Away from the edges: {rows}, again and again", "ratio": show(ratio), "note": note}


def _bytes(cells: Cells) -> str:
    assert cells.size == 0 or (cells.min() >= -128 and cells.max() <= 127), "cells of the page's sizes fit into a byte"
    return _base64(cells.astype(np.int8).tobytes())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
