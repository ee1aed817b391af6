"""Denoising: turn the noise and see who wins, an autoencoder, a classical filter or doing nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.frame import frame, told_kindly

if TYPE_CHECKING:
    from aecore.runs.records import Run
    from pages.ui.denoising.choices import Choice

USUAL = {"corruption": "gaussian"}


def main() -> None:
    """Draw the page."""
    frame("denoising")
    with told_kindly():
        lab_of_noise()


def lab_of_noise() -> None:
    """The bench with a trained network on it, and below it the training of one's own."""
    # Imported here: the frame is on the screen while torch is loaded.
    from pages.ui import lab
    from pages.ui.run_address import run_on_stage
    from pages.ui.train_stage import RUN, own_runs, training
    from pages.ui.visitor import visitor

    me = visitor()
    lab.executor()  # so that a worker is warm when Train is pressed
    run = run_on_stage(RUN)
    choice = None
    with told_kindly():
        choice = on_the_bench(run)
    st.subheader("Train a denoiser of your own", anchor=False)
    st.markdown("The same as on the page *Train*, with noise. When it has ended it stands on the bench above.")
    training(run, me, USUAL)
    own_runs(me)
    if choice is not None:
        measured_last(choice)


def on_the_bench(run: Run | None) -> Choice | None:
    """The choice of a network, the bench, and the filters of its first layer; None if there is nothing to choose."""
    from pages.ui.chooser import choose_network
    from pages.ui.denoising import choices
    from pages.ui.denoising.first_layer import first_layers

    titles = choices.titles(run)
    if not titles:
        st.info("There is no trained denoiser in this copy of the lab. Train one below, or run `make weights`.")
        return None
    key = choose_network(
        choices.CHOSEN,
        titles,
        run,
        label="Network on the bench",
        help_text="The shipped denoisers, the same networks trained without noise, and the run you trained below.",
    )
    choice = choices.choose(key, run)
    turning(choice)
    first_layers(choice)
    return choice


@st.fragment
def turning(choice: Choice) -> None:
    """The bench; what is done on it runs no other part of the page, unless filters have to be measured for it."""
    from pages.ui.denoising.bench import asked, bench, was_asked
    from pages.ui.denoising.choices import filter_curves

    if was_asked() and filter_curves(choice.dataset, asked(choice)["corruption"]) is None:
        st.rerun()
    bench(choice)


def measured_last(choice: Choice) -> None:
    """Measure the classical filters if nobody has, when all else is on the screen; then draw the page with them."""
    from pages.ui.denoising.bench import asked
    from pages.ui.denoising.choices import filter_curves, measure_filters

    corruption = asked(choice)["corruption"]
    if filter_curves(choice.dataset, corruption) is None:
        with st.bottom:
            measure_filters(choice.dataset, corruption)
        st.rerun()


if __name__ == "__main__":
    main()
