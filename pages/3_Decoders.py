"""Decoders: transposed convolution against upsampling, side by side, with a number on the checkerboard."""

from __future__ import annotations

import streamlit as st

from pages.ui.frame import frame, told_kindly


def main() -> None:
    """Draw the page."""
    frame("decoders")
    with told_kindly():
        bench()


def bench() -> None:
    """The stage with its controls beside it, and below it decoders that have learned nothing yet."""
    # Imported here: the frame is on the screen while torch is loaded.
    from pages.ui import lab
    from pages.ui.decoders.form import comparison_form
    from pages.ui.decoders.stage import RUN, look_every, own_comparisons, stage
    from pages.ui.decoders.untrained import untrained
    from pages.ui.run_address import run_on_stage
    from pages.ui.visitor import visitor

    me = visitor()
    lab.executor()  # so that a worker is warm when Train is pressed
    run = run_on_stage(RUN)
    left, right = st.columns([2.6, 1], gap="small")
    with right:
        st.subheader("What to compare", anchor=False)
        settings = comparison_form()
    with left:
        every = look_every(run)
        st.fragment(stage, run_every=every)(settings, me, every)
    untrained()
    own_comparisons(me)


if __name__ == "__main__":
    main()
