"""The choice of the network a page shows: one the lab ships, or the visitor's run, which steps forward when it is new.

This module knows nothing of what is shown of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from aecore.checkpoint import Checkpoint
from aecore.models.autoencoder import Autoencoder
from aecore.runs.records import Run

YOURS = "yours"


@dataclass(frozen=True)
class Network:
    """A network that was chosen, ready for the browser.

    Attributes:
        key: What it is called in a link.
        title: What it is called on the page.
        checkpoint: Its card.
        model: The network itself, in evaluation mode; never changed.
        packed: For the browser's engine.
    """

    key: str
    title: str
    checkpoint: Checkpoint
    model: Autoencoder
    packed: dict[str, Any]

    @property
    def dataset(self) -> str:
        """Name of the dataset it learned from."""
        return self.checkpoint.dataset

    @property
    def digest(self) -> str:
        """Changes whenever the network does."""
        return str(self.packed["digest"])


def choose_network(name: str, titles: Mapping[str, str], run: Run | None, *, label: str, help_text: str) -> str:
    """Draw the choice and give the key of what is chosen; the address names it.

    A run that was not among the titles a moment ago is chosen by itself, at first what the link says; else the choice
    is left alone.

    Args:
        name: What the choice is called in the address and in the session.
        titles: What can be chosen, by key, at least one; the visitor's run under `YOURS`.
        run: That run.
        label: What is chosen.
        help_text: What there is to choose from.
    """
    seen_name = f"{name}_seen"
    here = run.id if run is not None and YOURS in titles else None
    linked = st.query_params.get(name) if seen_name not in st.session_state else None
    seen = st.session_state.get(seen_name, here if linked in titles else None)
    st.session_state[seen_name] = here
    if linked in titles:
        st.session_state[name] = linked
    elif here is not None and here != seen:
        st.session_state[name] = YOURS
    elif st.session_state.get(name) not in titles:
        last = st.session_state.get(f"{name}_last")  # a widget's own state goes with its page
        if last in titles:
            st.session_state[name] = last
        else:
            st.session_state.pop(name, None)
    key: str = st.selectbox(label, list(titles), format_func=titles.__getitem__, key=name, help=help_text)
    st.session_state[f"{name}_last"] = key
    if st.query_params.get(name) != key:  # else a run of the page on its way would undo what a component wrote
        st.query_params[name] = key
    return key
