"""What every page starts with: browser tab, navigation, the question and its answer; and how errors are told.

A page calls `frame(name)` before it imports anything that needs torch, so that a visitor reads while it loads.
This module knows nothing of what a page shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from aecore.errors import AecoreError
from pages.ui import warmup
from pages.ui.browser import LOGO
from pages.ui.navigation import PAGES, navigation

SIDEBAR_WIDTH = 212  # pixels: as wide as the navigation needs, so that the stage gets the rest


def frame(name: str) -> None:
    """Draw the frame of a page: everything above its stage.

    The first call of a server process also starts loading torch in the background.

    Args:
        name: The page's key in `PAGES`.
    """
    page = PAGES[name]
    st.set_page_config(
        page_title=f"{page.name} · Autoencoder Lab",
        page_icon=str(LOGO),
        layout="wide",
        initial_sidebar_state=SIDEBAR_WIDTH,
    )
    st.logo(str(LOGO), size="large")
    navigation()
    st.title(page.question, anchor=False)
    st.markdown(page.answer)
    warmup.start()


@contextmanager
def told_kindly() -> Iterator[None]:
    """Show an error meant for people in place of what could not be drawn; the rest of the page stays.

    Only `AecoreError` is caught: its message says what came, what was expected and what to do. Anything else is a
    mistake of ours, which Streamlit writes to the server's log; the page then says no more than that it happened.
    """
    try:
        yield
    except AecoreError as error:
        show_error(error)


def show_error(error: AecoreError) -> None:
    """Say what came, what was expected and what to do."""
    st.error(str(error), icon=":material/error:")
