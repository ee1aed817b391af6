"""The choice of the noise a network is trained to remove: kind, range of strengths, clipping.

The strengths are one slider with two ends, in the unit of the chosen noise; `NoiseConfig` has the upper one and the
share of it that is the lower one. This module knows nothing of the rest of the form.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from aecore.errors import ConfigError
from aecore.noise import CORRUPTIONS, NO_NOISE, NoiseConfig
from pages.ui import forms

STRENGTHS = "noise_strengths"
_STRENGTHS_OF = "noise_strengths_of"


def noise_widgets(usual: str = NO_NOISE) -> None:
    """Draw the widgets.

    Args:
        usual: The corruption to begin with.
    """
    forms.dial_widgets(NoiseConfig, ["corruption"], usual={"corruption": usual})
    corruption = st.session_state["corruption"]
    if corruption == NO_NOISE:
        return
    about = CORRUPTIONS[corruption]
    whole = (about.low, about.high)
    chosen = st.session_state.get(STRENGTHS)
    outside = chosen is not None and not about.low <= min(chosen) <= max(chosen) <= about.high
    if outside or st.session_state.get(_STRENGTHS_OF, corruption) != corruption:  # another kind has another unit
        st.session_state[STRENGTHS] = (about.low, about.usual)
    st.session_state[_STRENGTHS_OF] = corruption
    st.slider(
        f"Strengths ({about.unit})" if about.unit else "Strengths",
        *whole,
        value=(about.low, about.usual),
        step=about.step,
        key=STRENGTHS,
        bind="query-params",
        help=f"{about.help} Strength: {about.measure}. Each image gets one from this range; draw both ends together "
        "to train at a single strength.",
    )
    forms.dial_widgets(NoiseConfig, ["clip"])


def read_noise() -> NoiseConfig:
    """What the widgets say now; in a button's callback too.

    Raises:
        ConfigError: If they say that the noise is none.
    """
    corruption = st.session_state.get("corruption", NO_NOISE)
    if corruption == NO_NOISE:
        return NoiseConfig()
    about = CORRUPTIONS[corruption]
    weakest, strongest = st.session_state.get(STRENGTHS, (about.low, about.usual))
    if not strongest:
        raise ConfigError(
            f"Strengths from 0 to 0 are no noise at all. Draw the upper end up to {about.high:g}, or choose None."
        )
    chosen: dict[str, Any] = {"strength": strongest, "weakest": round(min(1.0, weakest / strongest), 6)}
    return NoiseConfig(corruption=corruption, clip=st.session_state.get("clip", True), **chosen)


def fill_noise(noise: NoiseConfig) -> None:
    """Set the widgets to what a configuration says; for a button's callback."""
    st.session_state["corruption"] = noise.corruption
    st.session_state["clip"] = noise.clip
    if noise.on:
        st.session_state[STRENGTHS] = noise.range()
        st.session_state[_STRENGTHS_OF] = noise.corruption
