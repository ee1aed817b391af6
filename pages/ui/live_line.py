"""A line of words that changes several times a second, written in the browser without drawing anything else anew.

This module knows nothing of what the words say.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from pages.ui.browser import source

_COMPONENT = st.components.v2.component(
    "live_line",
    html='<p class="live-line"></p>',
    css=source("live_line.css"),
    js=source("film.js", "live_line.js"),
    isolate_styles=False,  # words like all others: in the page's font, and found by whoever looks through the page
)


def live_line(moments: Sequence[str], *, seconds: float, key: str) -> None:
    """Write a line, and what it said on the way there.

    Args:
        moments: What to write one after another, at least one; what stands between two `**` is bold.
        seconds: How long that takes; all moments have the same share of it, the last one too.
        key: Streamlit's key; while it stays, new words take the place of the old ones.
    """
    _COMPONENT(key=key, data=(list(moments), seconds))
