"""Decoders that have learned nothing yet: what they make of random codes shows what their operations do by themselves.

This module knows nothing of runs.
"""

from __future__ import annotations

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray

from aecore.analysis.checkerboard import layer_score
from aecore.models import UPSAMPLERS, ModelConfig, build_model
from pages.ui.strip import StripRow, image_strip

CODES = 6
SHAPE = (1, 32, 32)
BESIDE = ("nearest", "pixel_shuffle_icnr")
STRETCH = 2.5  # standard deviations from the middle to the end of the scale


def untrained() -> None:
    """A transposed convolution of the chosen kernel beside even ones, before any training."""
    st.subheader("Before any training", anchor=False)
    st.markdown(
        "Random weights, random codes: whatever repeats every second pixel comes from the operations alone. "
        "Resize the kernel and look."
    )
    kernel, seed = st.columns(2)
    with kernel:
        side = st.slider(
            "Kernel of the transposed convolution", 2, 5, 3, key="kernel", bind="query-params",
            help="Stride 2. Kernels 3 and 5 overlap unevenly; 2 does not overlap; 4 overlaps evenly.",
        )  # fmt: skip
    with seed:
        draw = st.number_input(
            "Seed", 0, 9999, 0, key="untrained_seed", bind="query-params", help="Other weights, other codes."
        )
    rows, said = [], []
    for name in (f"transpose{side}", *BESIDE):
        values, score = _made(name, int(draw))
        rows.append(StripRow(UPSAMPLERS[name].title, "reconstruction", values))
        said.append(f"{UPSAMPLERS[name].title} **{score:.2g}**" if score else f"{UPSAMPLERS[name].title} **0**")
    image_strip(rows, key="untrained", alt="What untrained decoders make of six random codes, one row for each decoder")
    st.caption(f"Contrast stretched. Layer score of the last doubling, 0 is even: {', '.join(said)}.")


@st.cache_data(show_spinner=False, max_entries=200)
def _made(upsampler: str, seed: int) -> tuple[NDArray[np.uint8], float]:
    """Pictures (N, 1, H, W) with their contrast stretched, and the layer score."""
    model = build_model(ModelConfig(image_shape=SHAPE, upsample=upsampler), seed=seed).eval()
    codes = 3 * torch.randn(CODES, model.config.latent_dim, generator=torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        pictures = model.decoder(codes)
    centred = (pictures - pictures.mean((2, 3), keepdim=True)) / (STRETCH * pictures.std())
    return ((centred.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy(), layer_score(model) or 0.0
