"""Latent Space: walk through the codes of a network with the pointer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.frame import frame, told_kindly

if TYPE_CHECKING:
    from aecore.runs.records import Run

USUAL = {"body": "mlp", "latent_dim": 2, "bottleneck": "variational"}
LOOK_EVERY = 0.5  # seconds between two looks at what is going on


def main() -> None:
    """Draw the page."""
    frame("latent_space")
    with told_kindly():
        explorer()


def explorer() -> None:
    """The map with a network on it, a pair to compare, and below it the training of one's own."""
    # Imported here: the frame is on the screen while torch is loaded.
    from pages.ui import lab
    from pages.ui.latent.library import plotly_library
    from pages.ui.latent.pair import pair
    from pages.ui.run_address import run_on_stage
    from pages.ui.train_stage import RUN, own_runs, training
    from pages.ui.visitor import visitor

    me = visitor()
    lab.executor()  # so that a worker is warm when Train is pressed
    plotly_library()
    run = run_on_stage(RUN)
    with told_kindly():
        on_the_map(run)
    with told_kindly():
        pair()
    st.subheader("Train a code of your own", anchor=False)
    st.markdown("The same as on the page *Train*. With a code of two numbers the map above moves while it learns.")
    training(run, me, USUAL)
    own_runs(me)


def on_the_map(run: Run | None) -> None:
    """The choice of a network, the map, and its measures."""
    from pages.ui.chooser import YOURS, choose_network
    from pages.ui.latent import choices

    titles = choices.titles(run)
    if not titles:
        st.info("There is no trained network in this copy of the lab. Train one below, or run `make weights`.")
        return
    key = choose_network(
        choices.CHOSEN,
        titles,
        run,
        label="Network on the map",
        help_text="The run you train below, and the networks the lab ships.",
    )
    busy = st.session_state.get("map_busy", False) or (key == YOURS and run is not None and changing(run))
    st.fragment(the_map, run_every=LOOK_EVERY if busy else None)(key, busy)


def changing(run: Run) -> bool:
    """Whether a run's map may be another one in a moment."""
    return run.unfinished and run.state != "paused"


def the_map(key: str, watched: bool) -> None:
    """The map and its measures; drawn again and again while a run goes on or something is being worked out."""
    from pages.ui.chooser import YOURS
    from pages.ui.latent import stage
    from pages.ui.run_address import current
    from pages.ui.train_stage import RUN

    busy = False  # after an error too: nobody should watch it come again and again
    with told_kindly():
        run = current(RUN)
        if key == YOURS and run is None:
            st.rerun()  # it was taken off the stage a moment ago
        busy = stage.draw(key, run) or (key == YOURS and run is not None and changing(run))
    st.session_state["map_busy"] = busy
    if busy != watched:
        st.rerun()


if __name__ == "__main__":
    main()
