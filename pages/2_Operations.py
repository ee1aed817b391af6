"""Operations: every operation of an autoencoder, taken apart into products."""

from __future__ import annotations

import sys

import streamlit as st

from aecore.errors import AecoreError
from pages.ui.frame import frame, show_error, told_kindly


def main() -> None:
    """Draw the page."""
    frame("operations")
    workshop()


def workshop() -> None:
    """The bench with its settings beside it, and below what there is to say about what is on it."""
    # Imported here: the frame is on the screen while numpy is loaded.
    from pages.ui.operations import notes, state
    from pages.ui.operations.bench import bench
    from pages.ui.operations.form import form
    from pages.ui.operations.quiz import quiz

    state.open_link()
    for said in state.trouble():
        st.warning(f"The link does not fit. {said} Here is what is usual instead.", icon=":material/info:")
    left, right = st.columns([2.4, 1], gap="medium")
    with right:
        form()
    with left:
        try:
            case = state.case()
        except AecoreError as error:
            show_error(error)
            return
        with told_kindly():
            bench(case)
            notes.try_next(case)
    state.write_link(case)
    told = st.empty()
    off = notes.difference_to_torch(case) if "torch" in sys.modules else None
    with told.container(), told_kindly():
        notes.tell(case, off)
    with told_kindly():
        quiz(case)
    if off is None:  # all else is on the screen while torch is loaded
        with told.container(), told_kindly():
            notes.tell(case, notes.difference_to_torch(case))


if __name__ == "__main__":
    main()
