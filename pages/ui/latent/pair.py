"""Plain against variational, side by side: the same network, data and training, and another bottleneck.

This module knows nothing of the map above it.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from aecore import pretrained
from aecore.data import DATASETS, is_available
from pages.ui.engine import keep
from pages.ui.frame import told_kindly
from pages.ui.latent import choices
from pages.ui.latent.codes import pictures
from pages.ui.latent.measures import measured, shown
from pages.ui.latent.plane import plane

SHOWN = "pair_shown"
SAME = 0.02  # shares closer than this are called equal
TITLES = ("Plain: nothing holds the codes together", "Variational: held near one cloud")


def pair() -> None:
    """Offer the comparison; draw it once it is wanted, for it decodes two planes."""
    here = [name for name in reversed(list(pretrained.PAIRS)) if is_available(name)]
    shipped = pretrained.shipped_names()
    here = [name for name in here if all(part in shipped for part in pretrained.PAIRS[name])]
    if not here:
        return
    st.subheader("Holes and cover", anchor=False)
    st.markdown(
        "Nothing tells a plain autoencoder where to put its codes: they spread as far as they like, and between them "
        "the decoder was never asked to draw. A variational one smears every code and pays for distance from one round "
        "cloud. How far that closes the holes is measured here, and differs from training to training."
    )
    st.toggle("Compare plain and variational", key=SHOWN, bind="query-params")
    if st.session_state[SHOWN]:
        dataset = (
            here[0]
            if len(here) == 1
            else st.segmented_control(
                "Images",
                here,
                default=here[0],
                format_func=lambda name: DATASETS[name].title,
                key="pair_of",
                required=True,
            )
        )
        st.fragment(side_by_side, run_every=1.0 if st.session_state.get("pair_busy") else None)(dataset)


def side_by_side(dataset: str) -> None:
    """Two maps on one scale of colours, and the same numbers of both."""
    busy = False  # after an error too: nobody should watch it come again and again
    with told_kindly():
        busy = _two(dataset)
    was = st.session_state.get("pair_busy", False)
    st.session_state["pair_busy"] = busy
    if busy != was:
        st.rerun()


def _two(dataset: str) -> bool:
    """Draw both; say whether something is still being measured."""
    two = [choices.shipped(name) for name in pretrained.PAIRS[dataset]]
    keep("pair", *(choice.packed for choice in two), pictures(dataset))
    numbers = [measured(choice) for choice in two]
    for choice, found, title, column in zip(two, numbers, TITLES, st.columns(2, gap="medium"), strict=True):
        with column:
            st.markdown(f"**{title}**")
            plane(choice, dataset, key=f"pair_{choice.key}", revision=choice.digest, compact=True)
            if found is None:
                st.caption("Measuring the code …")
            else:
                shown(found)
    plain, variational = numbers
    if plain is not None and variational is not None:
        st.markdown(compared(plain, variational))
    st.caption("Both on the same scale: black is 0 and white is 1. Axes are in the units of each code.")
    return plain is None or variational is None


def compared(plain: dict[str, Any], variational: dict[str, Any]) -> str:
    """What the numbers of two codes say of holes, in words: see `measures` for what they are."""
    filled = _against("fill", plain["covered"], variational["covered"])
    empty = _against("decode to nothing on", plain["nothing"], variational["nothing"])
    return (
        f"On these pictures the variational codes {filled} of their plane, and {empty} of it. What is certain is where "
        "to look: codes drawn from N(0, 1) fall where the variational ones are."
    )


def _against(verb: str, plain: float, variational: float) -> str:
    """Such as 'fill more (80 % against 66 %)'."""
    if abs(variational - plain) < SAME:
        word = "about as much as the plain ones"
    else:
        word = ("more" if variational > plain else "less") + " than the plain ones"
    return f"{verb} {word} ({100 * variational:.0f} % against {100 * plain:.0f} %)"
