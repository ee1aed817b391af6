"""The snapshots of a training, packed for the browser to play again.

This module knows nothing of how they are shown.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from aecore.runs.records import GRID_SIDE, Run
from pages.ui import lab
from pages.ui.engine import floats_to_json, images_to_json

MOMENTS = 40  # enough to see it move; more would be megabytes


def replay_of(run: Run) -> dict[str, Any] | None:
    """A run's snapshots with a code of two numbers, evenly spread; None if there are fewer than two."""
    steps = lab.store().snapshot_steps(run.id)
    if run.unfinished or run.rivals or len(steps) < 2:
        return None
    return _packed(run.id, run.step, tuple(steps[i] for i in _evenly(len(steps), MOMENTS)))


def _evenly(count: int, most: int) -> list[int]:
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})


@st.cache_resource(show_spinner=False, max_entries=4)
def _packed(run_id: str, step: int, steps: tuple[int, ...]) -> dict[str, Any] | None:
    store = lab.store()
    stage = store.stage(run_id)
    shots = [shot for at in steps if (shot := store.snapshot(run_id, at=at)) is not None]
    shots = [shot for shot in shots if shot.grid is not None and shot.box is not None]
    if stage is None or len(shots) < 2:
        return None
    grids, boxes = [shot.grid for shot in shots], [shot.box for shot in shots]
    return {
        "digest": f"replay-{run_id}-{step}",
        "steps": [shot.step for shot in shots],
        "side": GRID_SIDE,
        "codes": floats_to_json(np.stack([shot.codes for shot in shots])),
        "boxes": [box.tolist() for box in boxes if box is not None],
        "grids": images_to_json(np.stack([grid for grid in grids if grid is not None])),
        "reconstructions": images_to_json(np.stack([shot.reconstructions for shot in shots])),
        "targets": images_to_json(stage.targets),
    }
