"""Home: what an autoencoder is, one that runs, and the map of the lab."""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from pages.ui.frame import frame, told_kindly
from pages.ui.navigation import PAGES, card

SHOWN = ("digits-conv", "digits-linear")
WIDTH = 1080  # pixels: wider lines are hard to read, and the diagram does not grow any further


def main() -> None:
    """Draw the page."""
    frame("home")
    with st.container(width=WIDTH):
        with told_kindly():
            stage()
        st.subheader("The lab", anchor=False)
        with st.grid("auto", min_column_width=280):
            for name, page in PAGES.items():
                if name != "home":
                    card(page)


def stage() -> None:
    """The running diagram, the numbers of the models in it, and what they mean."""
    # Imported here: the frame's text is on the screen while numpy and the models are loaded.
    from pages.ui.engine import WEIGHTS, browser_model
    from pages.ui.toy import toy

    folders = [WEIGHTS / name for name in SHOWN]
    models = [browser_model(folder) for folder in folders if folder.is_dir()]
    if models:
        toy(models, key="toy")
        numbers(models)
        explanations(models[0])
    else:
        empty_stage()


def empty_stage() -> None:
    """What stands on the stage while there are no trained models to show."""
    train = PAGES["train"]
    with st.container(border=True):
        st.markdown("**The models that run here are not in this copy of the lab.**")
        st.markdown("Train one of your own now, or make the shipped ones with `make weights` and reload the page.")
        st.page_link(train.path, label=train.question, icon=train.icon)


def numbers(models: list[dict[str, Any]]) -> None:
    """One row for each model on the stage; the best error is in bold."""
    best = min(model["metrics"].get("test_mse") or math.inf for model in models)
    rows = ["| on the stage | test MSE ↓ | PSNR ↑ | weights |", "|:--|--:|--:|--:|"]
    for model in models:
        mse, psnr = model["metrics"].get("test_mse"), model["metrics"].get("test_psnr")
        mark = "**" if mse == best and len(models) > 1 else ""
        rows.append(
            f"| {model['label']} | {mark}{three_digits(mse)}{mark} | {three_digits(psnr)}\N{NO-BREAK SPACE}dB "
            f"| {model['parameters']:,} |"
        )
    st.markdown("\n".join(rows))
    st.caption(
        f"On test pictures of *{models[0]['dataset']}*, which were kept from training. MSE per pixel: lower is better. "
        "PSNR of that MSE: higher is better. Weights: how many values were trained."
    )


def three_digits(value: float | None) -> str:
    """Three significant digits, or a dash for a number the card does not give."""
    return "–" if value is None else f"{value:#.3g}"


def explanations(model: dict[str, Any]) -> None:
    """Why it is so: three short texts about what is on the stage."""
    values, code = math.prod(model["image_shape"]), model["latent_dim"]
    target, bottleneck, kinds = st.columns(3, gap="medium")
    with target:
        st.subheader("The target is the input", anchor=False)
        st.markdown(
            "The :gray[grey picture] goes in, and the :green[green one] is compared with it, pixel by pixel: their "
            "mean squared error (MSE) is all the network is ever told. Nobody says which digit it is."
        )
    with bottleneck:
        st.subheader("The bottleneck forces a choice", anchor=False)
        st.markdown(
            f"{values} pixel values have to pass through {code} :orange[numbers]. What these cannot hold is lost, so "
            "training spends them on what the pictures differ in. Pull a bar to see what it stands for."
        )
    with kinds:
        st.subheader("Linear or convolutional", anchor=False)
        st.markdown(
            f"The linear one adds up {code} fixed pictures, one for each bar: at its best it spans what principal "
            "component analysis (PCA) finds. The convolutional one sees neighbourhoods, and bends."
        )


if __name__ == "__main__":
    main()
