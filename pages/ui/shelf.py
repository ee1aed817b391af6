"""The shelf: a visitor's runs of one kind, newest first, to look at again or throw away.

This module knows nothing of what is on the stage above it.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from aecore.runs.records import Run
from pages.ui import run_address
from pages.ui.run_stage import STATES

GOING = ("Going on", "gray", ":material/more_horiz:")


def shelf(key: str, runs: list[Run], title: Callable[[Run], str]) -> None:
    """Draw one line for each run.

    Args:
        key: Under which the page's address names its run.
        runs: What is on the shelf.
        title: What to say of a run.
    """
    for run in runs:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            # a run that goes on changes its state by the second, and this list is drawn once
            name, colour, icon = GOING if run.unfinished else STATES[run.state]
            st.badge(name, color=colour, icon=icon)  # type: ignore[arg-type]
            st.markdown(title(run), width="stretch")
            st.button(
                "Show",
                key=f"show_{run.id}",
                icon=":material/visibility:",
                on_click=run_address.show,
                args=(key, run.id),
            )
            st.button(
                "Delete",
                key=f"delete_{run.id}",
                icon=":material/delete:",
                disabled=run.unfinished,
                on_click=run_address.delete,
                args=(key, run.id),
            )
