"""Plotly for components of our own: the library's file as its Python package brings it, sent once for each visit.

`st.plotly_chart` mounts a figure anew on every change, and its pointer never reaches a script; the map of codes has to
keep its zoom while points move, and to know where the pointer is. This module knows nothing of what is drawn with it.
"""

from __future__ import annotations

import gzip
from importlib.resources import files

import streamlit as st

from pages.ui.browser import source

_COMPONENT = st.components.v2.component("plotly_library", js=source("plotly.js"))


def plotly_library() -> None:
    """Have Plotly loaded in this page, as `globalThis.labPlotly`."""
    _COMPONENT(key="plotly_library", data=_compressed(), height=1)


@st.cache_resource(show_spinner=False)
def _compressed() -> bytes:
    return gzip.compress((files("plotly") / "package_data" / "plotly.min.js").read_bytes(), compresslevel=6, mtime=0)
