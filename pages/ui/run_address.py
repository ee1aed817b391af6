"""Which run a page shows: the one its address names.

This module knows nothing of how a run looks.
"""

from __future__ import annotations

import streamlit as st

from aecore.errors import RunError
from aecore.runs.records import Run
from pages.ui import lab
from pages.ui.transport import STARTED


def run_on_stage(key: str) -> Run | None:
    """The run the address names under `key`; None for none, with a word if it cannot be found."""
    run_id = st.session_state.pop(STARTED, None) or st.query_params.get(key) or st.session_state.get(key)
    if not run_id:
        return None
    try:
        run = lab.store().get(run_id)
    except RunError as error:
        clear_stage(key)
        st.warning(f"{error} Here is a fresh start.", icon=":material/info:")
        return None
    show(key, run.id)  # in every run of the page: changing pages drops plain parameters of the address
    return run


def show(key: str, run_id: str) -> None:
    """Put a run on the stage."""
    st.session_state[key] = run_id
    if st.query_params.get(key) != run_id:  # else a run of the page on its way would undo what a component wrote
        st.query_params[key] = run_id


def delete(key: str, run_id: str) -> None:
    """Forget a run; for a button's callback."""
    lab.store().delete(run_id)
    if st.session_state.get(key) == run_id:
        clear_stage(key)


def clear_stage(key: str) -> None:
    """Take the run off the stage; it goes on, and stays on the shelf."""
    st.session_state.pop(key, None)
    st.query_params.pop(key, None)


def leave_running(key: str) -> None:
    """Make room for another run; for a button's callback."""
    clear_stage(key)


def current(key: str) -> Run | None:
    """The run on the stage as it is now, inside the part of the page that is drawn again and again."""
    run_id = st.session_state.get(key)
    return lab.store().get(run_id) if run_id else None


def rerun_if_it_began_or_ended(key: str, run: Run | None) -> None:
    """Draw the whole page anew when another run is on the stage, or this one needs watching no more, or again."""
    now = (run.id, run.unfinished, run.state == "paused") if run is not None else None
    name = f"{key}_going"
    known, before = name in st.session_state, st.session_state.get(name)
    st.session_state[name] = now
    if STARTED in st.session_state or (known and now != before):
        st.rerun()
