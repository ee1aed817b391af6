"""The stage of the VAE page: the loss as an equation with the numbers of now, the verdict, and the charts.

This module knows nothing of where models come from, and nothing of the browser's bench.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np
import streamlit as st

from aecore.analysis.collapse import Account, account_of_terms, verdict
from aecore.data import DATASETS
from aecore.runs.records import Point, Run
from aecore.training import loss_of
from pages.ui import run_stage
from pages.ui.chooser import YOURS
from pages.ui.palette import Palette, current
from pages.ui.vae import charts
from pages.ui.vae.choices import VARIATIONAL, Choice

CHART_HEIGHT = 280
NARROWEST = 250  # pixels of a chart
SMALLEST = 1e-7  # nats; below is rounding


def account_and_verdict(account: Account, measured_on: str) -> None:
    """What the model pays, and beside it what that means."""
    left, right = st.columns([1, 1.25], gap="medium")
    with left:
        equation(account, measured_on)
    with right:
        told(account)


def equation(account: Account, measured_on: str) -> None:
    """The loss and the negative ELBO as sums, the numbers of the model under their names."""
    palette = current()
    weight = f"{account.beta:,.6g}" if account.share == 1 else f"{account.share:.2f} × {account.beta:,.6g}"
    reconstruction = ("reconstruction", number(account.reconstruction), palette.decoder.text)
    kl = ("KL", number(account.kl), palette.code.text)
    of_loss = reconstruction
    if account.constant:
        of_loss = ("squared error", number(account.reconstruction - account.constant), palette.decoder.text)
    rows: list[list[str | tuple[str, str, str]]] = [
        [("loss", number(account.loss), palette.ink), "=", of_loss, "+", ("beta", weight, palette.ink), "×", kl],
        [("−ELBO", number(account.negative_elbo), palette.ink), "=", reconstruction, "+", kl],
    ]
    lines = "".join(_line(row, palette) for row in rows)
    st.html(f'<div style="display:grid;gap:6px" role="group" aria-label="The loss as a sum">{lines}</div>')
    constant = ""
    if account.constant:
        constant = f" The reconstruction is the squared error and {account.constant:.3g} more, a Gaussian's constant."
    st.caption(f"Nats per image, lower is better, on {measured_on}.{constant}")


def _line(row: Sequence[str | tuple[str, str, str]], palette: Palette) -> str:
    cells = []
    for part in row:
        if isinstance(part, str):
            cells.append(f'<span style="font-size:1.25rem;align-self:end">{part}</span>')
            continue
        name, number, colour = (html.escape(word) for word in part)
        cells.append(
            f'<span style="display:inline-grid;color:{colour};border-top:3px solid {colour};padding-top:2px">'
            f'<span style="font-size:0.8125rem">{name}</span>'
            f'<span style="font-size:1.25rem;font-weight:600;font-variant-numeric:tabular-nums">{number}</span></span>'
        )
    style = f"display:flex;flex-wrap:wrap;gap:4px 12px;color:{palette.ink};line-height:1.25"
    return f'<div style="{style}">{"".join(cells)}</div>'


def number(amount: float) -> str:
    """Nats with two decimals, so that the parts add up; a little, which a large beta may multiply, with two digits.

    Example:
        >>> number(98.2462), number(0.0000237), number(-1e-9)
        ('98.25', '0.000024', '0.00')
    """
    if not math.isfinite(amount):
        return "no number"
    if abs(amount) < SMALLEST:
        return "0.00"
    digits = 2 if abs(amount) >= 0.01 else 1 - math.floor(math.log10(abs(amount)))
    return f"{amount:,.{digits}f}"


def told(account: Account) -> None:
    """The verdict in words: a warning where something should be changed."""
    said = verdict(account)
    words = f"**{said.title}**\n\n{' '.join(said.reasons)}"
    with st.container(key=f"vae_verdict_{said.kind}"):
        if said.trouble:
            st.warning(words, icon=":material/warning:")
        else:
            st.markdown(words)


def history_of(run: Run, points: Sequence[Point]) -> list[Account]:
    """What the run paid at each look at the test set."""
    loss = loss_of(run.model, run.training)
    return [
        account_of_terms(
            point.terms,
            point.units,
            run.model,
            loss,
            share=point.values.get("share", 1.0),
            step=point.step,
        )
        for point in points
        if point.kind == "test" and "kl" in point.terms
    ]


def live(run: Run) -> None:
    """A run that goes on, as it is now; one that has ended stands on the stage above."""
    if run.model.bottleneck != VARIATIONAL or run.rivals or not run.unfinished:
        return
    history = history_of(run, run_stage.points_of(run.id))
    if not history:
        return
    now = history[-1]
    images = min(run.training.evaluation_images, DATASETS[run.dataset].test_size)
    equation(now, f"the first {images:,} test images after {now.step:,} steps")
    told(now)
    over_time(run, history, now, "live")


def of_choice(choice: Choice, run: Run | None, twin: Choice | None) -> None:
    """The charts of a model that stands still: its history if it is a run, else what its weights tell."""
    if choice.key == YOURS and run is not None:
        history = history_of(run, run_stage.points_of(run.id))
        over_time(run, history, choice.account, "ended")
        return
    palette = current()
    account = choice.account
    costs = {"this model": (account.reconstruction, account.kl)}
    if twin is not None:
        costs["averaged over pixels"] = (twin.account.reconstruction, twin.account.kl)
    if account.blank is not None:
        costs["the mean picture for all"] = (account.blank, 0.0)
    names = DATASETS[choice.dataset].label_names
    with st.grid(3, gap="small", min_column_width=NARROWEST):
        st.echarts_chart(
            charts.cost_chart(costs, palette),
            height=CHART_HEIGHT,
            key="vae_costs",
            alt="Reconstruction and KL of the model on the stage, and of others to compare it with",
        )
        units(account, "shipped")
        st.echarts_chart(
            charts.heat_chart(choice.by_class, names, palette, title="Which class each unit tells", across="class"),
            height=CHART_HEIGHT,
            key="vae_classes",
            alt="KL of each unit on the test images of each class",
        )
    st.caption(
        "A model that comes with the lab has no history: these numbers were computed from its weights, on the test "
        "images. Train one below to see them change."
    )


def over_time(run: Run, history: Sequence[Account], now: Account, key: str) -> None:
    """The charts of a run: its terms over the steps, its units now, its units over the steps."""
    palette = current()
    values = np.array([look.units for look in history]).reshape(len(history), -1)
    steps = [f"{look.step:,}" for look in history]
    with st.grid(3, gap="small", min_column_width=NARROWEST):
        st.echarts_chart(
            charts.terms_chart(history, palette, run.total_steps),
            height=CHART_HEIGHT,
            key=f"vae_terms_{key}",
            alt="Reconstruction, KL and negative ELBO on test images over the training steps",
        )
        units(now, key)
        st.echarts_chart(
            charts.heat_chart(values, steps, palette, title="When each unit came into use", across="step"),
            height=CHART_HEIGHT,
            key=f"vae_heat_{key}",
            alt="KL of each unit over the training steps",
        )


def units(account: Account, key: str) -> None:
    """The bars of the units."""
    st.echarts_chart(
        charts.units_chart(account, current()),
        height=CHART_HEIGHT,
        key=f"vae_units_{key}",
        alt="KL of each unit, the largest first, and which of them are active",
    )
