"""VAE: what a variational autoencoder pays for, and what happens when it pays too much."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.frame import frame, told_kindly

if TYPE_CHECKING:
    from aecore.runs.records import Run


def main() -> None:
    """Draw the page."""
    frame("vae")
    with told_kindly():
        lab_of_variation()


def lab_of_variation() -> None:
    """The stage with a trained model on it, and below it the training of one's own."""
    # Imported here: the frame is on the screen while torch is loaded.
    from pages.ui import lab
    from pages.ui.run_address import run_on_stage
    from pages.ui.train_stage import RUN, own_runs, training
    from pages.ui.vae.notes import USUAL
    from pages.ui.vae.stage import live
    from pages.ui.visitor import visitor

    me = visitor()
    lab.executor()  # so that a worker is warm when Train is pressed
    run = run_on_stage(RUN)
    with told_kindly():
        on_the_stage(run, me)
    st.subheader("Train a variational autoencoder of your own", anchor=False)
    st.markdown("The same as on the page *Train*, with a code that is drawn. When it has ended it stands on the stage.")
    training(run, me, USUAL, live)
    own_runs(me)


def on_the_stage(run: Run | None, me: str) -> None:
    """The choice of a model, its account, the bench, the charts, and what there is to say and to try."""
    from pages.ui.chooser import YOURS, choose_network
    from pages.ui.vae import averaged, choices, notes, stage
    from pages.ui.vae.bench import bench

    titles = choices.titles(run)
    if not titles:
        st.info("There is no trained VAE in this copy of the lab. Train one below, or run `make weights`.")
        return
    if run is not None and YOURS not in titles and run.unfinished:
        st.caption("A run is going on below. It comes onto the stage when it has ended.")
    left, right = st.columns([2.2, 1], gap="small", vertical_alignment="bottom")
    with left:
        key = choose_network(
            choices.CHOSEN,
            titles,
            run,
            label="Model on the stage",
            help_text="The variational models that come with the lab, and the run you trained below.",
        )
    if key == YOURS and run is not None and run.model.bottleneck != choices.VARIATIONAL:
        notes.not_variational(run.model.latent_dim)
        return
    summed = choices.choose(key, run)
    twin = choices.averaged_twin(key, run, me)
    beside = choices.choose_twin(twin)
    swapped = right.toggle(
        "Average over pixels",
        key=choices.AVERAGED,
        bind="query-params",
        disabled=beside is None,
        help="Show the same model, trained with its reconstruction loss averaged over the pixels instead of summed.",
    )
    choice = beside if swapped and beside is not None else summed
    stage.account_and_verdict(choice.account, f"{choice.images:,} test images")
    bench(choice, [other for other in (summed, beside) if other is not None and other is not choice])
    shown = twin if choice is beside and not isinstance(twin, str) else run
    stage.of_choice(choice, shown, beside if choice is summed else None)
    averaged.averaged(summed, run, twin, me)
    notes.explanations(choice.account)
    notes.try_next()


if __name__ == "__main__":
    main()
