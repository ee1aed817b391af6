"""What the numbers on the VAE page mean, with the numbers, and what to try next.

This module knows nothing of charts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import streamlit as st

from aecore.analysis.collapse import Account
from aecore.data import DATASETS
from pages.ui.train_form import DATASET, suggest_budget
from pages.ui.vae.choices import VARIATIONAL
from pages.ui.vae.stage import number

USUAL: dict[str, Any] = {"bottleneck": VARIATIONAL, "body": "mlp", "latent_dim": 10}
_TOLD = "vae_form_told"


@dataclass(frozen=True)
class Trial:
    """Something to try: what it sets in the form, and what one will see."""

    label: str
    dials: dict[str, Any]
    see: str


TRIALS = {
    "beta_4": Trial("Beta 4", {"beta": 4.0, "warmup": 0.0}, "Fewer units in use, blurrier pictures, better samples."),
    "beta_tenth": Trial(
        "Beta 0.1", {"beta": 0.1, "warmup": 0.0}, "Sharper pictures, and codes that spread beyond the prior."
    ),
    "warmup_half": Trial(
        "Warm-up over half the budget",
        {"beta": 1.0, "warmup": 0.5},
        "The KL rises first and is pressed down later: more units stay in use.",
    ),
    "averaged": Trial(
        "Averaged over pixels",
        {"warmup": 0.0},  # and beta the number of pixels, which depends on the images
        "The KL goes to 0, all units fall silent, and every picture is the same grey one.",
    ),
}


def explanations(account: Account) -> None:
    """What each number on the stage means."""
    st.subheader("What these numbers mean", anchor=False)
    st.markdown(
        f"- :green[**Reconstruction**, {number(account.reconstruction)} nats]: how surprising the picture is to the "
        f"decoder once it has the code. It is *summed* over the {account.pixels:,} pixel values, as it must be to be "
        "the surprise at the whole picture.\n"
        f"- :orange[**KL**, {number(account.kl)} nats]: how far the code's Gaussian is from the prior N(0, I): about "
        f"what the code tells of its picture, {number(account.bits)} bits.\n"
        f"- **−ELBO**, {number(account.negative_elbo)} nats: both together. It is never below −log p(picture), so a "
        "lower one means that the model finds real pictures more probable.\n"
        f"- **Beta**, {account.beta:,.6g}: what a nat of KL costs. At 1 the loss is −ELBO; above, codes say less and "
        "the prior fits them better; at 0 nothing holds them together.\n"
        "- **Active**: a unit whose mean varies over the pictures by more than 0.01 (Burda, Grosse & Salakhutdinov, "
        "2016)."
    )


def try_next() -> None:
    """Buttons that set the form below up."""
    st.subheader("Try next", anchor=False)
    with st.container(horizontal=True, gap="small", key="vae_trials"):
        for name, trial in TRIALS.items():
            st.button(trial.label, key=f"vae_try_{name}", on_click=set_up, args=(trial,), help=trial.see)
    if said := st.session_state.pop(_TOLD, None):
        st.caption(said)


def set_up(trial: Trial) -> None:
    """Set the form to a variational network with these dials; for a button's callback."""
    for name, value in {**USUAL, **trial.dials}.items():
        st.session_state[name] = value
    if trial is TRIALS["averaged"]:
        st.session_state["beta"] = float(math.prod(DATASETS[st.session_state[DATASET]].image_shape))
    suggest_budget()
    st.session_state[_TOLD] = f"The form below is set up: {trial.label.lower()}. Press **Train**. {trial.see}"


def not_variational(latent_dim: int) -> None:
    """What there is to say of a model whose code is a point, and the way out."""
    st.info(
        f"This run is no variational autoencoder: its code is {latent_dim} numbers and no distribution. So there is no "
        "KL to look at, and no prior from which new pictures could be drawn.",
        icon=":material/info:",
    )
    trial = Trial("A variational autoencoder", {"beta": 1.0, "warmup": 0.0}, "Reconstruction and KL are both charged.")
    st.button(
        "Set up a variational autoencoder",
        icon=":material/casino:",
        key="vae_set_up",
        on_click=set_up,
        args=(trial,),
    )
    if said := st.session_state.get(_TOLD):
        st.caption(said)
