"""The VAE's bench in the browser: a code drawn by hand, and pictures drawn from the prior.

Means and log-variances are computed here; noise, codes and pictures follow in the browser. Nothing of it comes back.
This module knows nothing of where models come from.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from pages.ui.browser import source
from pages.ui.engine import floats_to_json, images_to_json, keep
from pages.ui.vae.choices import Choice, example_images

SLIDERS = 6  # units with a slider of their own
SAMPLES = 36

_COMPONENT = st.components.v2.component(
    "vae_bench",
    html=source("vae.html"),
    css=source("meaning.css", "buttons.css", "framed.css", "vae.css"),
    js=source("engine.js", "kept.js", "slices.js", "random.js", "pictures.js", "signed.js", "vae.js"),
)


def bench(choice: Choice, others: list[Choice]) -> None:
    """Draw the bench with a model on it.

    Args:
        choice: The model.
        others: Models that may come next, so that the browser has them already.
    """
    keep("vae", choice.packed, *(other.packed for other in others))
    _COMPONENT(key="vae_bench", data=(payload(choice),))


def payload(choice: Choice) -> dict[str, Any]:
    """What the browser needs besides the model itself."""
    account = choice.account
    order = sorted(range(len(account.units)), key=lambda unit: -account.units[unit])
    return {
        "digest": choice.digest,
        "shape": choice.packed["image_shape"],
        "dataset": choice.dataset,
        "examples": images_to_json(example_images(choice.dataset)),
        "means": floats_to_json(choice.means),
        "log_variances": floats_to_json(choice.log_variances),
        "order": order,
        "active": list(account.in_use),
        "sliders": SLIDERS,
        "samples": SAMPLES,
    }
