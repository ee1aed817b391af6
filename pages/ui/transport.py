"""The buttons that steer a run: train, pause, step, stop, resume. They only write what is wanted into the store.

This module knows nothing of how a run looks.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from aecore.errors import AecoreError
from aecore.runs.records import Run
from aecore.runs.states import RESUMABLE_STATES
from pages.ui import lab
from pages.ui.train_form import Settings

TROUBLE = "transport_trouble"
STARTED = "transport_started"


def transport(run: Run | None, visitor: str, *, ready: bool, read: Callable[[], Settings]) -> None:
    """Draw the buttons for `run`, or for the run that may be started; always the same ones in the same places.

    Args:
        run: The run on the stage, if any.
        visitor: Who presses them.
        ready: Whether the form beside the stage holds no mistake.
        read: What the form says; called when Train is pressed, where it may raise `AecoreError`.
    """
    store = lab.store()
    mine = run is not None and run.owner == visitor
    going = run is not None and run.unfinished
    may_steer = mine and going and run is not None and run.wanted != "stop"
    resumable = mine and run is not None and run.state in RESUMABLE_STATES and run.progress < 1
    with st.container(horizontal=True, gap="small", key="transport"):
        if may_steer and run is not None and run.wanted == "pause":
            _button("Resume", "play_arrow", "T", store.ask_run, run.id, primary=True)
        else:
            st.button(
                "Train",
                icon=":material/play_arrow:",
                type="primary",
                key="train",
                shortcut="T",
                disabled=going or not ready,
                on_click=start,
                args=(read, visitor),
                help="Start a new run with the settings beside the stage.",
            )
        run_id = run.id if run is not None else ""
        running = may_steer and run is not None and run.wanted == "run"
        _button("Pause", "pause", "P", store.ask_pause, run_id, disabled=not running)
        _button(
            "Step", "skip_next", "S", store.ask_step, run_id, disabled=not may_steer, help_text="One batch, then pause."
        )
        _button(
            "Stop",
            "stop",
            "X",
            store.ask_stop,
            run_id,
            disabled=not may_steer,
            help_text="End it; what was learned is kept.",
        )
        if resumable and not going:
            _button("Resume", "play_arrow", None, store.ask_run, run_id, help_text="Go on where it stopped.")
    if run is not None and going and not mine:
        st.caption("You are watching somebody else's run. Train one of your own from a new page: your settings stay.")
    if trouble := st.session_state.pop(TROUBLE, None):
        st.warning(trouble, icon=":material/info:")


def start(read: Callable[[], Settings], visitor: str) -> None:
    """Put a new run with the settings of the form into the queue and show it; for a button's callback."""
    if run_id := queue(read, visitor):
        st.session_state[STARTED] = run_id


def queue(read: Callable[[], Settings], visitor: str) -> str | None:
    """Put a new run into the queue and give its id; None with the reason under `TROUBLE` if that cannot be."""
    try:
        settings = read()
        run_id = lab.store().create(
            model=settings.model,
            training=settings.training,
            dataset=settings.dataset,
            rivals=settings.rivals,
            owner=visitor,
            most_unfinished=lab.settings().most_per_visitor,
        )
    except AecoreError as error:
        st.session_state[TROUBLE] = str(error)
        return None
    lab.executor().nudge()
    return run_id


def _ask(wish: Callable[[str], None], run_id: str) -> None:
    wish(run_id)
    lab.executor().nudge()


def _button(
    label: str,
    icon: str,
    shortcut: str | None,
    wish: Callable[[str], None],
    run_id: str,
    *,
    disabled: bool = False,
    primary: bool = False,
    help_text: str | None = None,
) -> None:
    st.button(
        label,
        icon=f":material/{icon}:",
        key=label.lower(),
        shortcut=shortcut,
        type="primary" if primary else "secondary",
        disabled=disabled,
        on_click=_ask,
        args=(wish, run_id),
        help=help_text,
    )
