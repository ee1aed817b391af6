"""Training a network: the run the address names, or a trained model of the lab before there is a run, and the form.

This module knows nothing of the page around it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import streamlit as st

from aecore import pretrained
from aecore.checkpoint import Checkpoint
from aecore.data import DATASETS, is_available, load_dataset
from aecore.runs.records import Run, Snapshot, Stage
from aecore.training import corrupted, encode, reconstruct
from pages.ui import lab, run_address, run_stage
from pages.ui.shelf import shelf
from pages.ui.train_form import AS_USUAL, BUILT_IN, Settings, fill, read_settings, settings_form, suggest_budget
from pages.ui.transport import transport

RUN = "run"
SHOWN_IMAGES = 8


def training(
    run: Run | None,
    me: str,
    usual: Mapping[str, Any] = AS_USUAL,
    below: Callable[[Run], None] = lambda _: None,
) -> Settings | None:
    """Draw the stage and the form beside it; give what the form says, or None if that does not go together.

    Args:
        run: The run on the stage, if any.
        me: Who is looking.
        usual: What the form begins with, see `settings_form`.
        below: Draws what a page shows besides of the run on the stage, as often as the stage is drawn.
    """
    left, right = st.columns([2.2, 1], gap="small")
    with right:
        st.subheader("Settings", anchor=False)
        settings = settings_form(usual)
    with left:
        every = run_stage.look_every(run)
        st.fragment(stage, run_every=every)(settings, me, below, every)
    return settings


def stage(settings: Settings | None, me: str, below: Callable[[Run], None], every: float | None) -> None:
    """Draw the buttons and the run, or a trained model; called again every so many seconds while a run is going."""
    run = run_address.current(RUN)
    transport(run, me, ready=settings is not None, read=read_settings)
    run_address.rerun_if_it_began_or_ended(RUN, run)
    if run_stage.look_every(run) != every:
        st.rerun()
    if run is not None:
        run_stage.draw(run)
        below(run)
        after(run, me)
    elif settings is not None:
        trained_model(settings)


def after(run: Run, me: str) -> None:
    """What can be done with a run: keep its model, take over its settings, make room for another."""
    with st.container(horizontal=True, gap="small"):
        if run.has_checkpoint:
            st.download_button(
                "Save checkpoint",
                data=lambda: Checkpoint.from_bytes(lab.store().checkpoint(run.id) or b"").to_zip(),
                file_name=f"{run.dataset}-{run.model.body}-{run.id}.zip",
                mime="application/zip",
                icon=":material/download:",
                on_click="ignore",
                key="save",
                help="model.safetensors and card.json, as the command line reads and writes them.",
            )
        st.button(
            "Use these settings",
            icon=":material/content_copy:",
            key="copy",
            on_click=fill,
            args=(Settings(run.dataset, run.model, run.training),),
            help="Fill the form with the settings of the run on the stage.",
        )
        if run.state == "failed" and not is_available(run.dataset):
            st.button(
                "Take the built-in digits",
                icon=":material/dataset:",
                key="built_in",
                on_click=take_built_in,
                args=(run,),
                help="The same network on images that come with the lab.",
            )
        if run.unfinished or run.owner != me:
            st.button(
                "New run",
                icon=":material/add:",
                key="new",
                on_click=run_address.leave_running,
                args=(RUN,),
                help="Prepare another run.",
            )


def take_built_in(run: Run) -> None:
    """Fill the form with the settings of a run whose images cannot be had, on built-in ones; for a callback."""
    fill(Settings(BUILT_IN, run.model, run.training))
    suggest_budget()


def trained_model(settings: Settings) -> None:
    """Before anything was trained: a model of the lab that is most like what the form says."""
    spec = DATASETS[settings.dataset]
    name = pretrained.best_match(settings.dataset, settings.model, settings.training.noise)
    if name is None or not is_available(settings.dataset):
        with st.container(border=True):
            st.markdown(f"**{spec.title}.** {spec.help}")
            st.markdown("Press **Train**: reconstructions of test images will appear here within a second or two.")
        return
    shown, metrics, title = _trained(name)
    st.caption(
        f"Trained beforehand: {title} on {spec.title}, test MSE {metrics['test_mse']:.3g} (lower is better). "
        "Press **Train** to begin one of your own."
    )
    run_stage.pictures(*shown, key="trained")


@st.cache_data(show_spinner=False)
def _trained(name: str) -> tuple[tuple[Stage, list[Snapshot]], dict[str, float], str]:
    checkpoint = pretrained.load(name)
    images = load_dataset(checkpoint.dataset).test[:SHOWN_IMAGES]
    model, noise = checkpoint.build(), checkpoint.train_config.noise
    snapshot = Snapshot(0, reconstruct(model, images, noise).numpy(), encode(model, images[:0]).numpy())
    title = f"{checkpoint.model_config.body}, {checkpoint.model_config.latent_dim} numbers"
    title += f", noise: {noise.describe()}" if noise.on else ""
    noisy = corrupted(images, noise).numpy() if noise.on else None
    return (Stage(images.numpy(), np.zeros(0, dtype=np.int64), noisy), [snapshot]), checkpoint.metrics, title


def own_runs(me: str) -> None:
    """The visitor's runs, newest first, to look at again or throw away."""
    runs = lab.store().runs(owner=me, kind="training", limit=20)
    st.subheader("Your runs", anchor=False)
    if not runs:
        st.caption("None yet. Every run you train stays here until you delete it, on this machine only.")
        return
    shelf(RUN, runs, _title)


def _title(run: Run) -> str:
    mse = f" · test MSE {run.metrics['test_mse']:.3g}" if run.metrics else ""
    when = datetime.fromtimestamp(run.created).strftime("%H:%M")
    noise = f" · {run.training.noise.describe()}" if run.training.noise.on else ""
    return f"{DATASETS[run.dataset].title} · {run.model.body} · {run.model.latent_dim} numbers{noise}{mse} · {when}"
