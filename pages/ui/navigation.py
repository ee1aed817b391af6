"""The map of the lab: which pages there are, what each asks, and how to get there.

Adding a page is one entry in `PAGES`: the navigation, the frame of the page and its card on the home page follow.
This module knows nothing of what is on the pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import streamlit as st


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        path: The script, from the root of the repository.
        name: One or two words, for the navigation.
        icon: A Material symbol.
        group: Heading it stands under in the navigation; empty for none. Pages of a group stand together.
        question: The one question the page answers: its title.
        answer: One sentence of answer, shown below the title.
        invitation: What one can do there, for the card on the home page.
    """

    path: str
    name: str
    icon: str
    group: str
    question: str
    answer: str
    invitation: str


PAGES: dict[str, Page] = {
    "home": Page(
        path="app.py",
        name="Home",
        icon=":material/home:",
        group="",
        question="What is an autoencoder?",
        answer="A network that squeezes a picture into a few numbers, its :orange[code], and draws the picture again "
        "from them.",
        invitation="Draw a digit and watch its code follow.",
    ),
    "train": Page(
        path="pages/1_Train.py",
        name="Train",
        icon=":material/play_circle:",
        group="Experiments",
        question="How does an autoencoder learn?",
        answer="It changes its weights, step by step, until what comes out resembles what went in: no labels, only "
        "the pictures themselves.",
        invitation="Choose pictures and a network, press Train, and watch reconstructions come out of a blur.",
    ),
    "decoders": Page(
        path="pages/3_Decoders.py",
        name="Decoders",
        icon=":material/compare:",
        group="Experiments",
        question="Which decoder leaves a checkerboard?",
        answer="One whose pixels take turns in being written to. Here rivals learn side by side from the same batches, "
        "with a number on what they leave.",
        invitation="Train transposed convolution against upsampling, look through one lens at all of them, read the "
        "verdict.",
    ),
    "denoising": Page(
        path="pages/4_Denoising.py",
        name="Denoising",
        icon=":material/blur_on:",
        group="Experiments",
        question="When does a denoiser win?",
        answer="When it knows what the pictures look like: shown :violet[noisy] ones and told the clean ones, an "
        "autoencoder :green[draws] what must be beneath. Where it never saw such noise, or hardly any, it may lose.",
        invitation="Turn the noise while you watch it vanish, on digits or your own drawing, and see who wins: the "
        "autoencoder, a classical filter, or doing nothing.",
    ),
    "latent_space": Page(
        path="pages/5_Latent_Space.py",
        name="Latent Space",
        icon=":material/scatter_plot:",
        group="Experiments",
        question="What lies between two codes?",
        answer="Every :orange[code] is a point, and the :green[decoder] draws a picture for any point. Move over the "
        "map: where pictures were, it draws what they were; in between, what it thinks might be.",
        invitation="Walk through the codes of the network you just trained, pin points, and see what lies on the way.",
    ),
    "vae": Page(
        path="pages/6_VAE.py",
        name="VAE",
        icon=":material/casino:",
        group="Experiments",
        question="What does a variational autoencoder pay for?",
        answer="For two things: the :green[reconstruction], and all that its :orange[code] tells of the picture beyond "
        "what chance would say. One weight too many, and it tells nothing.",
        invitation="Take its loss apart, draw codes by hand, sample new pictures, and watch a code collapse when the "
        "loss is averaged over the pixels.",
    ),
    "operations": Page(
        path="pages/2_Operations.py",
        name="Operations",
        icon=":material/grid_on:",
        group="Basics",
        question="What does each operation do?",
        answer="It multiplies numbers and adds them up. Here you see which ones: forward, backward, step by step.",
        invitation="Run a convolution or a transposed convolution cell by cell, and see where checkerboards are from.",
    ),
}


def navigation() -> None:
    """Draw the list of pages, grouped, in the sidebar. The page one is on is marked by Streamlit."""
    with st.sidebar:
        st.markdown("**Autoencoder Lab**")
        for group, pages in groupby(PAGES.values(), key=lambda page: page.group):
            with st.container(gap=8):  # pixels: what a marked link is taller than its line
                if group:
                    st.caption(group)
                for page in pages:
                    st.page_link(page.path, label=page.name, icon=page.icon, help=page.question, width="stretch")


def card(page: Page) -> None:
    """Draw the card that leads to a page: its question, what one can do there, the link."""
    with st.container(border=True, height="stretch"):
        st.markdown(f"**{page.question}**")
        st.markdown(page.invitation)
        st.space("stretch")
        st.page_link(page.path, label=f"Go to {page.name}", icon=page.icon)
