"""The same model with its reconstruction averaged over the pixels, beside the one whose loss is summed.

This module knows nothing of the bench.
"""

from __future__ import annotations

import streamlit as st

from aecore.analysis.collapse import averaged_over_pixels, averaging_is_a_beta
from aecore.data import DATASETS
from aecore.runs.records import Run
from pages.ui import lab, run_stage
from pages.ui.chooser import YOURS
from pages.ui.strip import StripRow, image_strip
from pages.ui.train_form import Settings
from pages.ui.transport import TROUBLE, queue
from pages.ui.vae.choices import Choice, choose_twin, drawn, example_images, reconstructed
from pages.ui.vae.stage import number

LOOK_EVERY = 0.4  # seconds between two looks at the averaged run
SHOWN = 8


def averaged(choice: Choice, run: Run | None, twin: Run | str | None, me: str) -> None:
    """Both side by side, or the way to get there."""
    st.subheader("Averaged over the pixels", anchor=False)
    account = choice.account
    st.markdown(
        f"Dividing the reconstruction by the {account.pixels:,} pixel values is multiplying beta by them: "
        f"rec / {account.pixels:,} + {account.beta:g} × KL = (rec + **{choice.averaged_beta:,.6g}** × KL) / "
        f"{account.pixels:,}, and the factor in front of it all changes nothing for Adam."
    )
    if isinstance(twin, Run) and twin.unfinished:
        st.fragment(going_on, run_every=LOOK_EVERY)(twin.id)
        return
    beside = choose_twin(twin)
    if beside is not None:
        both(choice, beside)
    elif choice.key == YOURS and run is not None and not averaging_is_a_beta(run.training):
        st.caption(
            "This run was trained so that the size of the whole loss matters too (its optimiser, or its weight decay): "
            "averaging would be more than another beta. Train with Adam and without decay to compare."
        )
    elif choice.key == YOURS and run is not None:
        st.button(
            "Train the same, averaged",
            icon=":material/play_arrow:",
            key="vae_train_averaged",
            on_click=start,
            args=(run, me),
            help=f"The same network, images, batches and budget with beta {choice.averaged_beta:,.6g}.",
        )
        if trouble := st.session_state.pop(TROUBLE, None):
            st.warning(trouble, icon=":material/info:")
    else:
        st.caption("This one has no averaged twin in the lab. Choose another model, or train one below.")


def start(run: Run, me: str) -> None:
    """Put the averaged twin of a run into the queue; for a button's callback."""
    queue(lambda: Settings(run.dataset, averaged_over_pixels(run.model), run.training), me)


def going_on(run_id: str) -> None:
    """The averaged run while it is trained."""
    run = lab.store().get(run_id)
    if not run.unfinished:
        st.rerun()
    words = run_stage.progress_text(run, lab.store().points(run_id))
    st.progress(run.progress, f"Training the averaged one: {words}")
    shown, snapshot = lab.store().stage(run_id), lab.store().snapshot(run_id)
    if shown is not None and snapshot is not None:
        image_strip(
            [
                StripRow("target", "target", shown.targets),
                StripRow("averaged", "reconstruction", snapshot.reconstructions),
            ],
            key="vae_strip_averaged",
            alt="Test images and what the network makes of them whose loss is averaged over the pixels",
        )


def both(choice: Choice, beside: Choice) -> None:
    """Reconstructions and samples of both, one below the other, and their numbers."""
    images = example_images(choice.dataset)[:SHOWN]
    rows = [StripRow("target", "target", images)]
    for name, model in (("summed", choice), ("averaged", beside)):
        rows.append(StripRow(f"{name}: again", "reconstruction", reconstructed(model)[:SHOWN]))
        rows.append(StripRow(f"{name}: drawn", "reconstruction", drawn(model.digest, SHOWN, model.model)))
    image_strip(
        rows,
        key="vae_strip_both",
        alt="Test images, their reconstructions, and pictures drawn from the prior, with the loss summed and averaged",
    )
    columns = (choice.account, beside.account)
    best = min(now.negative_elbo for now in columns)
    lines = {
        "": ["summed", "averaged"],
        ":--": ["--:", "--:"],
        "beta": [f"{now.beta:,.6g}" for now in columns],
        "reconstruction ↓": [number(now.reconstruction) for now in columns],
        "KL": [number(now.kl) for now in columns],
        "−ELBO ↓": [
            f"**{number(now.negative_elbo)}**" if now.negative_elbo == best else number(now.negative_elbo)
            for now in columns
        ],
        "active units": [f"{sum(now.in_use)} of {len(now.units)}" for now in columns],
    }
    st.markdown("\n".join(f"| {name} | {' | '.join(cells)} |" for name, cells in lines.items()))
    st.caption(
        f"Nats per image, on {choice.images:,} test images of {DATASETS[choice.dataset].title}. *again*: the decoded "
        "mean of the picture's code; *drawn*: a code from the prior."
    )
