"""What the first layer looks for, learned with noise and without.

This module knows nothing of the bench.
"""

from __future__ import annotations

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from aecore.analysis.first_layer import first_filters, roughness
from aecore.checkpoint import Checkpoint
from aecore.models import build_model
from aecore.models.autoencoder import Autoencoder
from pages.ui.denoising.choices import Choice, choose
from pages.ui.strip import StripRow, image_strip


def first_layers(choice: Choice) -> None:
    """The filters of the network on the bench, of its twin, and of the same network before training."""
    st.subheader("What the first layer looks for", anchor=False)
    shown: dict[str, Autoencoder] = {_label(choice.checkpoint): choice.model}
    if choice.twin:
        twin = choose(choice.twin, None)
        shown[_label(twin.checkpoint)] = twin.model
    shown["before training"] = _fresh(choice.checkpoint)
    rows, said = [], []
    for label, model in shown.items():
        values, rough = _scaled(model)
        rows.append(StripRow(label, "difference", values, limit=1.0))
        said.append(f"{label} **{rough:.2f}**")
    image_strip(rows, key="first_filters", alt="Filters of the first layer, one row for each training, strongest first")
    st.caption(
        "The strongest filters, each on a scale of its own with 0 in the middle. Roughness, 0 for flat and about 1 for "
        f"unrelated neighbours: {', '.join(said)}."
    )


def _label(checkpoint: Checkpoint) -> str:
    return "with noise" if checkpoint.train_config.noise.on else "without noise"


def _fresh(checkpoint: Checkpoint) -> Autoencoder:
    return build_model(checkpoint.model_config, seed=checkpoint.train_config.seed)


def _scaled(model: Autoencoder) -> tuple[NDArray[np.float32], float]:
    """The filters (F, C, h, w), each divided by its largest value, and the roughness of all of them."""
    filters = first_filters(model)
    largest = filters.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12)
    return (filters / largest).numpy(), roughness(filters)
