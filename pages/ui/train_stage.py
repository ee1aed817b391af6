"""The stage of the Train page: the run the address names, or a trained model of the lab before there is a run.

This module knows nothing of how settings are chosen.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import streamlit as st

from aecore import pretrained
from aecore.checkpoint import Checkpoint
from aecore.data import DATASETS, is_available, load_dataset
from aecore.errors import RunError
from aecore.runs.records import Run, Snapshot, Stage
from aecore.training import encode, reconstruct
from pages.ui import lab, run_stage
from pages.ui.train_form import BUILT_IN, Settings, fill, suggest_budget
from pages.ui.transport import STARTED, transport

RUN = "run"
SHOWN_IMAGES = 8
GOING = ("Going on", "gray", ":material/more_horiz:")


def run_on_stage() -> Run | None:
    """The run the address names; None for none, with a word if it cannot be found."""
    run_id = st.session_state.pop(STARTED, None) or st.query_params.get(RUN) or st.session_state.get(RUN)
    if not run_id:
        return None
    try:
        run = lab.store().get(run_id)
    except RunError as error:
        clear_stage()
        st.warning(f"{error} Here is a fresh start.", icon=":material/info:")
        return None
    # written in every run of the page: changing pages drops plain parameters of the address
    st.session_state[RUN] = st.query_params[RUN] = run.id
    return run


def clear_stage() -> None:
    """Take the run off the stage; it goes on, and stays on the shelf."""
    st.session_state.pop(RUN, None)
    st.query_params.pop(RUN, None)


def stage(settings: Settings | None, me: str) -> None:
    """Draw the buttons and the run, or a trained model; called again and again while a run is going."""
    run_id = st.session_state.get(RUN)
    run = lab.store().get(run_id) if run_id else None
    going = run is not None and run.unfinished
    transport(run, me, ready=settings is not None)
    if STARTED in st.session_state or going != st.session_state.get("stage_going", going):
        st.session_state["stage_going"] = going
        st.rerun()  # the whole page: another run is on the stage, or this one no longer needs watching
    st.session_state["stage_going"] = going
    if run is not None:
        run_stage.draw(run)
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
            st.button("New run", icon=":material/add:", key="new", on_click=leave_running, help="Prepare another run.")


def take_built_in(run: Run) -> None:
    """Fill the form with the settings of a run whose images cannot be had, on built-in ones; for a callback."""
    fill(Settings(BUILT_IN, run.model, run.training))
    suggest_budget()


def leave_running() -> None:
    """Make room for another run; for a button's callback."""
    clear_stage()
    st.session_state["stage_going"] = None


def trained_model(settings: Settings) -> None:
    """Before anything was trained: a model of the lab that is most like what the form says."""
    spec = DATASETS[settings.dataset]
    name = pretrained.best_match(settings.dataset, settings.model)
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
def _trained(name: str) -> tuple[tuple[Stage, Snapshot], dict[str, float], str]:
    checkpoint = pretrained.load(name)
    images = load_dataset(checkpoint.dataset).test[:SHOWN_IMAGES]
    model = checkpoint.build()
    snapshot = Snapshot(0, reconstruct(model, images).numpy(), encode(model, images[:0]).numpy())
    title = f"{checkpoint.model_config.body}, {checkpoint.model_config.latent_dim} numbers"
    return (Stage(images.numpy(), np.zeros(0, dtype=np.int64)), snapshot), checkpoint.metrics, title


def shelf(me: str) -> None:
    """The visitor's runs, newest first, to look at again or throw away."""
    runs = lab.store().runs(owner=me, kind="training", limit=20)
    st.subheader("Your runs", anchor=False)
    if not runs:
        st.caption("None yet. Every run you train stays here until you delete it, on this machine only.")
        return
    for run in runs:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            # a run that goes on changes its state by the second, and this list is drawn once
            name, colour, icon = GOING if run.unfinished else run_stage.STATES[run.state]
            st.badge(name, color=colour, icon=icon)  # type: ignore[arg-type]
            st.markdown(_title(run), width="stretch")
            st.button("Show", key=f"show_{run.id}", icon=":material/visibility:", on_click=show, args=(run.id,))
            st.button(
                "Delete",
                key=f"delete_{run.id}",
                icon=":material/delete:",
                disabled=run.unfinished,
                on_click=delete,
                args=(run.id,),
            )


def show(run_id: str) -> None:
    """Put a run on the stage; for a button's callback."""
    st.session_state[RUN] = st.query_params[RUN] = run_id


def delete(run_id: str) -> None:
    """Forget a run; for a button's callback."""
    lab.store().delete(run_id)
    if st.session_state.get(RUN) == run_id:
        clear_stage()


def _title(run: Run) -> str:
    mse = f" · test MSE {run.metrics['test_mse']:.3g}" if run.metrics else ""
    when = datetime.fromtimestamp(run.created).strftime("%H:%M")
    return f"{DATASETS[run.dataset].title} · {run.model.body} · {run.model.latent_dim} numbers{mse} · {when}"
