"""What the Operations page says about what is on its bench: numbers, formulas, the line of PyTorch, the identities.

This module knows nothing of how the numbers got there.
"""

from __future__ import annotations

import math

import numpy as np
import streamlit as st

from aecore.ops.identities import (
    Identity,
    fold_nearest,
    gradient_is_transposed,
    matrices_are_transposed,
    nearest_is_transposed,
    phase_sums,
)
from aecore.ops.overlap import evenness
from aecore.ops.quiz import show
from aecore.ops.setting import Case, receptive_side
from aecore.ops.trace import Array
from pages.ui.operations import state
from pages.ui.operations.examples import next_after

WIDEST = 38  # letters of a row of a matrix, so that two fit side by side


def tell(case: Case, off: float | None) -> None:
    """Everything there is to say; `off` is the difference to torch, None while that is being found out."""
    numbers(case, off)
    explanation(case, off)
    identities(case)


def difference_to_torch(case: Case) -> float:
    """Run the line of PyTorch shown and compare; the first call may have to load torch."""
    from aecore.ops.torch_check import differences

    return differences(case).largest


def try_next(case: Case) -> None:
    """Buttons that set up what is worth seeing after this."""
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.markdown("**Try next**")
        for number, example in enumerate(next_after(state.link_of(case))):
            st.button(example.title, key=f"next_{number}", help=example.see, on_click=state.take, args=(example.link,))


def numbers(case: Case, off: float | None) -> None:
    """The numbers of what is on the bench."""
    backward = st.session_state["direction"] == "backward"
    _, height, width = case.trace.result.shape
    ratio = evenness(case.overlaps(backward=backward))
    side = receptive_side(case.setting)
    with st.grid(5, gap="small", min_column_width=130):
        st.metric("Output", f"{height}×{width}", help="Rows and columns.")
        st.metric("Multiplications", f"{case.trace.multiplications:,}", help="Those with padding among them.")
        st.metric(
            "An output cell sees", f"{side}×{side}", help="Its receptive field, at the most, away from the edges."
        )
        st.metric(
            "Overlap, most : least",
            "holes" if math.isinf(ratio) else f"{show(ratio)} : 1",
            help="How much is written to the cells away from the edges (where maxima decide: to all cells), "
            f"{'going backward' if backward else 'going forward'}: the most over the least.",
        )
        st.metric("Difference to torch", "…" if off is None else show(off), help=CHECK)


CHECK = (
    "The largest difference of output and gradients from PyTorch in double precision, for exactly these numbers. "
    "About 1e-15 of the values is rounding."
)


def explanation(case: Case, off: float | None) -> None:
    """What the operation does, the line of PyTorch, and the formulas with the numbers in them."""
    about = case.setting.about
    words, formulas = st.columns([1, 1.1], gap="large")
    with words:
        st.subheader("What happens", anchor=False)
        st.markdown(f"{about.help} {about.notice}")
        st.caption(about.source)
    with formulas:
        st.subheader("The formula", anchor=False)
        st.latex(about.formula)
        letters, filled = case.setting.size_formula()
        size = case.trace.result.shape[1]
        st.caption("How many rows, and likewise columns, come out:")
        st.latex(letters)
        st.latex(rf"{filled} = \mathbf{{{size}}}")
    st.code(torch_code(case), language="python")
    result = "…" if off is None else f"the largest difference is {show(off)}"
    st.caption(f"Checked against torch: this code was run forward and backward on the numbers above; {result}.")


def torch_code(case: Case) -> str:
    """The code that does it, with the shapes it is for."""
    shapes = f"# x: {(1, *case.x.shape)}"
    if case.kernel is not None:
        shapes += f", w: {case.kernel.shape}"
    return f"import torch.nn.functional as F\n\n{shapes}\n{case.setting.about.torch(case.setting)}"


def identities(case: Case) -> None:
    """The two identities behind decoders, on the numbers shown, where they are about this operation."""
    setting = case.setting
    if setting.operation == "conv2d":
        _gradient_identity(case)
    elif setting.operation == "conv_transpose2d":
        _transposed_identity(case)
    elif setting.operation == "resize_conv2d" and setting.mode == "nearest":
        _nearest_identity(case)


def _gradient_identity(case: Case) -> None:
    assert case.kernel is not None
    sizes = {"stride": case.setting.stride, "padding": case.setting.padding, "dilation": case.setting.dilation}
    proof = gradient_is_transposed(case.x, case.kernel, case.gradient, **sizes)
    st.subheader("Its gradient is a transposed convolution", anchor=False)
    st.markdown(
        "Left, the gradient of the input by the chain rule: press Backward and watch. Right, the transposed "
        f"convolution of the output's gradient with the same kernel: `{proof.call}`. Output padding makes up for rows "
        "the stride skipped."
    )
    _both_sides(proof, r"\frac{\partial L}{\partial x}", r"\texttt{conv\_transpose2d}(\tfrac{\partial L}{\partial y})")
    turned = matrices_are_transposed(case.x, case.kernel, **sizes)
    st.caption(
        f"Their matrices are each other's transpose, hence the name: the largest difference is "
        f"{show(turned.difference)}. “Deconvolution” is a misnomer: nothing is undone."
    )


def _transposed_identity(case: Case) -> None:
    assert case.kernel is not None
    if case.setting.output_padding >= case.setting.stride:
        st.caption(
            "With an output padding of a stride or more it is no convolution's gradient: the convolution would find "
            "room for more outputs than there are inputs here."
        )
        return
    sizes = {"stride": case.setting.stride, "padding": case.setting.padding, "dilation": case.setting.dilation}
    proof = gradient_is_transposed(np.zeros(case.trace.result.shape), case.kernel, case.x, **sizes)
    st.subheader("It is the gradient of a convolution", anchor=False)
    st.markdown(
        f"Take a convolution with the same kernel, stride and padding that reads {case.trace.result.shape[1]}×"
        f"{case.trace.result.shape[2]} cells, and hand this input back through it as a gradient. Left, what arrives "
        "by the chain rule; right, the output above."
    )
    _both_sides(proof, r"\text{chain rule}", "y")


def _nearest_identity(case: Case) -> None:
    assert case.kernel is not None
    setting = case.setting
    if setting.padding >= setting.kernel:
        st.caption(
            f"With padding {setting.padding} the outermost cells see nothing of the input; a transposed convolution "
            f"has no such cells. With padding up to {setting.kernel - 1} the two are the same."
        )
        return
    proof = nearest_is_transposed(case.x, case.kernel, factor=setting.factor, padding=setting.padding)
    folded = fold_nearest(case.kernel, setting.factor)
    side, f = folded.shape[-1], setting.factor
    st.subheader("It is one transposed convolution", anchor=False)
    st.markdown(
        f"Turn the kernel by 180° and sum it over windows of {f}×{f}: used with stride {f} and padding "
        f"{setting.kernel - 1 - setting.padding}, the {side}×{side} kernel on the right does both steps at once."
    )
    st.latex(rf"w = {_matrix(_rows(case.kernel[0, 0]))} \quad\longrightarrow\quad w' = {_matrix(_rows(folded[0, 0]))}")
    _both_sides(proof, "y", r"\texttt{conv\_transpose2d}(x, w')")
    sums = phase_sums(folded, f)[0]
    st.markdown(
        f"Why no checkerboard: on a flat input, each place of a {f}×{f} block gets the sum of its own taps of $w'$, "
        f"and these sums are all alike: {', '.join(map(show, sums.ravel()))}. That is the sum of $w$."
    )


def _both_sides(proof: Identity, left: str, right: str) -> None:
    """Both sides with their numbers, as far as these can be read, and their largest difference."""
    rows = [_rows(side[0]) for side in (proof.left, proof.right)]
    if max(len(row) for side in rows for row in side) <= WIDEST:
        for column, name, side in zip(st.columns(2, gap="medium"), (left, right), rows, strict=True):
            column.latex(rf"{name} = {_matrix(side)}")
    st.markdown(f"Largest difference over all {proof.left.size} values: **{show(proof.difference)}**")


def _rows(values: Array) -> list[str]:
    return [" & ".join(show(value).replace("−", "-") for value in row) for row in values]


def _matrix(rows: list[str]) -> str:
    lines = r" \\ ".join(rows)
    return rf"\begin{{bmatrix}} {lines} \end{{bmatrix}}"
