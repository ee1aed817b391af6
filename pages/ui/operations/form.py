"""The settings of the Operations page: operation, sizes, ready-made numbers.

The widgets follow the dials of `Setting`. This module knows nothing of the bench.
"""

from __future__ import annotations

import streamlit as st

from aecore.ops.operations import OPERATIONS
from aecore.ops.setting import Setting
from pages.ui import forms
from pages.ui.operations import state

LABELS = {"x": "Input", "w": "Kernel", "g": "Gradient of the output"}


def form() -> None:
    """Draw the settings."""
    st.selectbox(
        "Operation",
        list(OPERATIONS),
        format_func=lambda name: OPERATIONS[name].title,
        key=state.OPERATION,
        on_change=state.reset_to_usual,
        help="Each begins with the settings one meets most often.",
    )
    operation = OPERATIONS[st.session_state[state.OPERATION]]
    dials = Setting.dials()
    advanced = [name for name in operation.dials if dials[name].advanced]
    choices = [name for name in operation.dials if dials[name].choices]
    with st.grid(2, gap="small", min_column_width=110):
        forms.dial_widgets(Setting, [name for name in operation.dials if name not in (*advanced, *choices)], bind=False)
    forms.dial_widgets(Setting, choices, bind=False)
    _presets("x")
    if operation.has_kernel:
        _presets("w")
    if st.session_state["direction"] == "backward":
        _presets("g")
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if advanced:
            with st.popover("More dials", icon=":material/tune:"):
                forms.dial_widgets(Setting, advanced, bind=False)
        st.button(
            "Reset",
            icon=":material/undo:",
            on_click=state.reset_to_usual,
            key="reset",
            help="Back to the usual settings of this operation.",
        )


def _presets(letter: str) -> None:
    presets = state.PRESETS[letter]
    options = [*presets, *([state.OWN] if st.session_state[letter] == state.OWN else [])]
    st.selectbox(
        LABELS[letter],
        options,
        format_func=lambda name: "Your own" if name == state.OWN else presets[name].title,
        key=letter,
        help="Ready-made numbers. Or type into the cells.",
    )
