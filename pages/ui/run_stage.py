"""The stage of one run: where it stands, what it makes of its test images now, and its curves.

It draws what the store says and writes nothing but what the visitor wants. It knows nothing of forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st

from aecore.data import DATASETS
from aecore.losses import RECONSTRUCTION_LOSSES
from aecore.metrics import psnr_of_mse
from aecore.runs.records import Point, Run, Snapshot, Stage
from aecore.training import loss_of
from pages.ui import charts, lab
from pages.ui.live_line import live_line
from pages.ui.palette import current
from pages.ui.strip import Moment, StripRow, image_strip

FILM = 2.0  # seconds between two looks at a run that trains
FIRST_FILMS = 1.0  # until it is first saved, and near its end
NEAR_THE_END = 0.9  # of the budget
WAIT = 0.4  # seconds between two looks at a run of which something else is expected
MOST_MOMENTS = 14  # of a film: a worker reports no more often

STATES = {
    "queued": ("Waiting", "gray", ":material/hourglass_empty:"),
    "preparing": ("Preparing", "gray", ":material/download:"),
    "running": ("Training", "green", ":material/play_arrow:"),
    "paused": ("Paused", "orange", ":material/pause:"),
    "finished": ("Finished", "blue", ":material/check:"),
    "stopped": ("Stopped", "blue", ":material/stop:"),
    "failed": ("Failed", "red", ":material/error:"),
    "interrupted": ("Interrupted", "orange", ":material/power_off:"),
}


def look_every(run: Run | None) -> float | None:
    """Seconds between two looks at a run; None for one that has ended, which is looked at once.

    Each look costs a browser several drawings of the whole page, whatever has changed on it, and where the run trains
    on the same machine that is taken from the training. So it is looked at seldom, and what it reported meanwhile is
    then shown moment by moment. The first pictures, which change most, are not kept waiting, nor is the end.
    """
    if run is None or not run.unfinished:
        return None
    if not _trains(run):
        return WAIT
    return FILM if run.has_checkpoint and run.progress < NEAR_THE_END else FIRST_FILMS


def _trains(run: Run) -> bool:
    return run.state == "running" and run.wanted == "run"


def draw(run: Run) -> None:
    """Draw the stage of `run` as it is now, and how it came to that since the visitor last looked."""
    points = points_of(run.id)
    stage, snapshots = lab.store().stage(run.id), _since_last_look(run)
    status(run, points, [progress_text(*_as_it_was(run, points, snapshot.step)) for snapshot in snapshots[:-1]])
    if stage is None or not snapshots:
        waiting_stage(run)
        return
    pictures(stage, snapshots, key="run", seconds=look_every(run) or 0.0)
    curves(run, points, stage, snapshots[-1])
    numbers(run, points)


def _since_last_look(run: Run) -> list[Snapshot]:
    """The snapshots this visitor has not seen, oldest first, while the run trains; at other times only the newest."""
    seen_of, seen = st.session_state.get("seen_until", ("", 0))
    follows = seen_of == run.id and _trains(run)
    snapshots = lab.store().snapshots(run.id, after=seen, most=MOST_MOMENTS) if follows else []
    if not snapshots and (newest := lab.store().snapshot(run.id)):
        snapshots = [newest]
    if snapshots:
        st.session_state["seen_until"] = (run.id, snapshots[-1].step)
    return snapshots


def _as_it_was(run: Run, points: list[Point], step: int) -> tuple[Run, list[Point]]:
    """The run and its points when it had done so many steps."""
    return replace(run, step=step), [point for point in points if point.step <= step]


def status(run: Run, points: list[Point], before: Sequence[str] = ()) -> None:
    """One line that says where the run stands, and how far it is.

    Args:
        run: As it is now.
        points: All of the run.
        before: What the line says on the way there, in order.
    """
    name, colour, icon = STATES[run.state]
    if run.unfinished and run.wanted == "stop":
        name = "Stopping"
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="run_status"):
        st.badge(name, color=colour, icon=icon)  # type: ignore[arg-type]
        text = progress_text(run, points)
        # first as words, which stand there with the page: what a component writes comes a moment later
        if run.state == "running" and (before or st.session_state.get("line_of") == run.id):
            st.session_state["line_of"] = run.id
            live_line([*before, text], seconds=look_every(run) or 0.0, key="run_line")
        else:
            st.markdown(text)
    st.progress(run.progress)


def progress_text(run: Run, points: list[Point]) -> str:
    """Where the run is, in words and numbers."""
    if run.state == "queued":
        place = lab.store().place_in_queue(run.id)
        others = "" if place <= 1 else f", {place - 1} before it"
        return f"Waiting for a worker: number {max(1, place)} in the queue{others}."
    if run.message:
        return run.message
    latest_of = {point.rival: point.values for point in points if point.kind == "train"}
    if not latest_of:
        return "Loading the images and building the network …"
    latest, spent = next(iter(latest_of.values())), sum(values["seconds"] for values in latest_of.values())
    text = f"epoch **{latest['epoch']:.2f}** · step **{run.step:,}**"
    if run.total_steps:
        text += f" of {run.total_steps:,}"
    if run.state == "running" and spent > 0:
        speed = f" · **{latest['images_per_second']:,.0f}** images/s" if not run.rivals else ""
        text += f"{speed} · {time_left(run, spent)} left"
    return text


def time_left(run: Run, spent: float) -> str:
    """How long the rest will take if it goes on as it did."""
    seconds = spent * (1 - run.progress) / run.progress if run.progress > 0 else 0.0
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def waiting_stage(run: Run) -> None:
    """What stands on the stage before there is anything to see."""
    spec = DATASETS[run.dataset]
    with st.container(border=True):
        st.markdown(f"**{spec.title}** · {spec.help}")
        if run.state in ("failed", "interrupted", "stopped"):
            st.markdown("It ended before there was anything to see. Train again, or resume it.")
        else:
            st.skeleton(height=160)


def pictures(stage: Stage, snapshots: Sequence[Snapshot], key: str, seconds: float = 0.0) -> None:
    """The row of test images, what the network is shown of them, its reconstructions now, and the difference.

    Args:
        stage: The test images.
        snapshots: What the network made of them on the way to the last one, which is of now.
        key: Of the strip.
        seconds: How long that way is.
    """
    *earlier, now = [_moment(stage, snapshot) for snapshot in snapshots]
    image_strip(
        [
            StripRow("target", "target", stage.targets),
            *([StripRow("noisy input", "noisy", stage.noisy)] if stage.noisy is not None else []),
            *now.rows,
        ],
        key=f"strip_{key}",
        alt=f"Test images, and what the network makes of them after {snapshots[-1].step} steps",
        captions=now.captions,
        caption_label="MSE of each image, lower is better",
        earlier=earlier,
        seconds=seconds,
    )


def _moment(stage: Stage, snapshot: Snapshot) -> Moment:
    difference = (snapshot.reconstructions.astype(np.float32) - stage.targets.astype(np.float32)) / 255
    rows = [
        StripRow("reconstruction", "reconstruction", snapshot.reconstructions),
        StripRow("difference", "difference", difference, limit=0.5),
    ]
    return Moment(rows, [f"{error:.3g}" for error in np.square(difference).mean(axis=(1, 2, 3))])


def curves(run: Run, points: list[Point], stage: Stage, snapshot: Snapshot) -> None:
    """The loss over the epochs; beside it, for a code of two numbers, the plane of codes."""
    plane = len(snapshot.codes) > 0
    left, right = st.columns(2, gap="medium") if plane else (st.container(), None)
    with left:
        st.echarts_chart(
            _loss_chart(run, points),
            height=300,
            key="loss_chart",
            alt="Loss on training batches and on test images over the epochs",
        )
    if right is not None:
        names = DATASETS[run.dataset].label_names
        with right:
            st.echarts_chart(
                charts.plane_chart(snapshot.codes, stage.labels, names, current()),
                height=300,
                key="plane_chart",
                alt="The two-number codes of test images, coloured by class",
            )


def _loss_chart(run: Run, points: list[Point]) -> dict[str, Any]:
    pixels = np.prod(run.model.image_shape)
    train, test = (
        [[point.values["epoch"], point.values["loss"] / pixels] for point in points if point.kind == kind]
        for kind in ("train", "test")
    )
    looked_at = min(run.training.evaluation_images, DATASETS[run.dataset].test_size)
    return charts.loss_chart(
        train, test, current(), RECONSTRUCTION_LOSSES[loss_of(run.model, run.training)].unit, looked_at
    )


def numbers(run: Run, points: list[Point]) -> None:
    """The numbers of what is on the stage; the last ones are of the whole test set."""
    looks = [point.values for point in points if point.kind == "test"]
    if not looks:
        return
    final = bool(run.metrics)
    mse = run.metrics["test_mse"] if final else looks[-1]["mse"]
    images = f"all {DATASETS[run.dataset].test_size:,}" if final else f"the first {int(looks[-1]['images']):,}"
    kind = "noisy test images, against the clean ones" if run.training.noise.on else "test images"
    with st.grid(4, gap="small", min_column_width=120):
        st.metric("Test MSE ↓", f"{mse:.3g}", help=f"Mean squared error per pixel value over {images} {kind}.")
        st.metric("PSNR ↑", f"{psnr_of_mse(mse):.3g} dB", help="Of that mean squared error, with the peak at 1.")
        st.metric("Before training", f"{looks[0]['mse']:.3g}", help="Test MSE of the same network at its start.")
        if final:
            speed = f"{run.metrics['images_per_second']:,.0f}"
            st.metric("Images per s ↑", speed, help=f"Over {run.metrics['seconds']:.3g} s of training steps.")
    if why := run.computing.get(""):
        st.caption(f"Computed in {why}")


def points_of(run_id: str) -> list[Point]:
    """All points of a run; those seen before come from the session."""
    seen: dict[str, list[Point]] = st.session_state.setdefault("points_seen", {})
    known = seen.get(run_id, [])
    fresh = lab.store().points(run_id, after=known[-1].id if known else 0)
    if fresh and known and fresh[0].step < known[-1].step:  # the run went back to a checkpoint
        known, fresh = [], lab.store().points(run_id)
    seen.clear()  # of one run only: a session must not grow with every run looked at
    seen[run_id] = known + fresh
    return seen[run_id]
