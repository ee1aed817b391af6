"""What there is to say about a network: its numbers, its diagram, its code.

This module knows nothing of training.
"""

from __future__ import annotations

import math

import streamlit as st

from aecore.export import pytorch_code
from aecore.models import ModelConfig, describe
from aecore.models.layers import flops_per_image, parameter_count
from pages.ui.diagram import show_diagram
from pages.ui.palette import current


def network(model: ModelConfig) -> None:
    """Draw everything about the network `model` describes."""
    layers = describe(model)
    values = math.prod(model.image_shape)
    st.subheader("The network", anchor=False)
    with st.grid(4, gap="small", min_column_width=120):
        st.metric("Parameters", f"{parameter_count(layers):,}", help="Numbers that training adjusts.")
        st.metric(
            "Work for one image",
            f"{flops_per_image(layers) / 1e6:.3g} MFLOP",
            help="Floating-point operations through encoder and decoder; a multiplication and its addition are two.",
        )
        st.metric("Code", f"{model.latent_dim} of {values:,}", help="Numbers in the code, of the values in an image.")
        st.metric("Squeezed to", f"{model.latent_dim / values:.2%}", help="Size of the code relative to the image.")
    # only what is open is drawn: highlighting code is the slowest thing on this page
    diagram, code = st.tabs(["Layer by layer", "PyTorch code"], on_change="rerun", key="network_tabs")
    if diagram.open:
        with diagram:
            show_diagram(layers, current())
            st.caption("One block for each tensor: as tall as its pictures, as wide as its channels. Below: its shape.")
    if code.open:
        with code:
            st.code(pytorch_code(model), language="python")
