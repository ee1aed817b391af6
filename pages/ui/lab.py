"""The one store and the one executor that all visitors of this server share.

This module knows nothing of what pages show.
"""

from __future__ import annotations

import streamlit as st

from aecore.runs.executor import Executor, LocalExecutor
from aecore.runs.settings import RunSettings
from aecore.runs.store import RunStore


@st.cache_resource(show_spinner=False)
def store() -> RunStore:
    """The run store; safe to share, since every call is a transaction of its own."""
    return RunStore()


@st.cache_resource(show_spinner=False)
def executor() -> Executor:
    """Who carries out the runs; started by the first page that may need it, so that a worker is warm by then."""
    return LocalExecutor(store())


@st.cache_resource(show_spinner=False)
def settings() -> RunSettings:
    """The limits of the queue."""
    return RunSettings.from_environment()
