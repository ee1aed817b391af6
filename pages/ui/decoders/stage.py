"""The stage of the Decoders page: rivals side by side, from a run or trained beforehand; their meters and the verdict.

This module knows nothing of how settings are chosen.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray

from aecore import pretrained
from aecore.analysis.checkerboard import spectrum
from aecore.analysis.verdict import verdict
from aecore.checkpoint import Checkpoint
from aecore.compare import LOOKED_AT, watched_images
from aecore.data import DATASETS, load_dataset
from aecore.models import UPSAMPLERS, ModelConfig, describe
from aecore.models.layers import flops_per_image, parameter_count
from aecore.runs.records import Point, Run, unpack
from aecore.training import reconstruct
from pages.ui import charts, lab, run_address, run_stage
from pages.ui.decoders.form import read_comparison
from pages.ui.decoders.rivals import colours, measured, psnr
from pages.ui.palette import DARK, LIGHT, current
from pages.ui.shelf import shelf
from pages.ui.side_by_side import Column, side_by_side
from pages.ui.train_form import Settings
from pages.ui.transport import transport

RUN = "comparison"
NAMES = (*map(str, range(1, LOOKED_AT + 1)), "flat", "gradient")
DIFFERENCES = 0.1  # the end of the scale, white being 1: what a trained decoder gets wrong
METERS = {
    "mse": ("Test MSE ↓", "squared error per pixel value"),
    "psnr": ("PSNR ↑", "dB, of the mean test MSE"),
    "ssim": ("SSIM ↑", "1 is equal"),
    "image_score": ("Checkerboard in the images ↓", "energy, relative to the targets' own"),
    "layer_score": ("Unevenness of the last doubling ↓", "spread of the phase gains over their mean"),
    "gradient_score": ("Checkerboard in the gradient ↓", "largest over smallest by phase"),
}
LOGARITHMIC = ("mse", "image_score")  # they change by more than a hundredfold


def look_every(run: Run | None) -> float | None:
    """Seconds between two looks at a comparison; None for one that has ended. Nothing is shown in between."""
    every = run_stage.look_every(run)
    return None if every is None else min(every, run_stage.FIRST_FILMS)


def stage(settings: Settings | None, me: str, every: float | None) -> None:
    """Draw the buttons and the comparison; called again every so many seconds while it is going."""
    run = run_address.current(RUN)
    transport(run, me, ready=settings is not None, read=read_comparison)
    run_address.rerun_if_it_began_or_ended(RUN, run)
    if look_every(run) != every:
        st.rerun()
    if run is None:
        trained_beforehand()
    else:
        of_a_run(run, me)


def of_a_run(run: Run, me: str) -> None:
    """A comparison as it is now."""
    points = run_stage.points_of(run.id)
    run_stage.status(run, points)
    shown, snapshot = lab.store().stage(run.id), lab.store().snapshot(run.id)
    if shown is None or snapshot is None:
        run_stage.waiting_stage(run)
        return
    latest = _latest(run, points)
    pictures = dict(zip(run.rivals, snapshot.reconstructions, strict=True))
    columns(shown.targets, pictures, latest, key="comparison", when=f"after {snapshot.step:,} steps")
    meters(run, points)
    final = run.metrics.get("rivals") if run.metrics else None
    images = DATASETS[run.dataset].test_size if final else None
    numbers(run.models, latest, images)
    conclusion(run.models, run.training.seed, latest)
    if run.computing:
        with st.expander("How each is computed"):
            st.markdown("\n".join(f"- {UPSAMPLERS[name].title}: {why}" for name, why in run.computing.items()))
    with st.container(horizontal=True, gap="small"):
        after(run, me)


def after(run: Run, me: str) -> None:
    """What can be done with a comparison: keep its models, make room for another."""
    if run.has_checkpoint:
        st.download_button(
            "Save models",
            data=lambda: zipped(lab.store().checkpoint(run.id) or b""),
            file_name=f"{run.dataset}-comparison-{run.id}.zip",
            mime="application/zip",
            icon=":material/download:",
            on_click="ignore",
            key="save",
            help="A folder for each rival with model.safetensors and card.json, as the command line reads them.",
        )
    if run.unfinished or run.owner != me:
        st.button("New comparison", icon=":material/add:", key="new", on_click=run_address.leave_running, args=(RUN,))


def zipped(checkpoints: bytes) -> bytes:
    """All checkpoints of a comparison as one zip, a folder for each rival."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in unpack(checkpoints).items():
            for file, content in Checkpoint.from_bytes(data).files().items():
                archive.writestr(f"{name}/{file}", content)
    return buffer.getvalue()


def trained_beforehand() -> None:
    """Before anything was trained here: the comparison the lab comes with."""
    targets, pictures, cards = _shipped()
    first = next(iter(cards.values()))
    spec = DATASETS[first.dataset]
    st.caption(
        f"Trained beforehand on {spec.title}: the same batches, the same encoder to begin with. "
        "Press **Train** to begin a comparison of your own."
    )
    latest = {name: card.metrics for name, card in cards.items()}
    models = {name: card.model_config for name, card in cards.items()}
    columns(targets, pictures, latest, key="beforehand", when="after training")
    numbers(models, latest, spec.test_size)
    conclusion(models, first.train_config.seed, latest)


@st.cache_resource(show_spinner=False)
def _shipped() -> tuple[NDArray[np.uint8], dict[str, NDArray[np.uint8]], dict[str, Checkpoint]]:
    """Targets, and by upsampler what the shipped models make of them and their checkpoints; never changed."""
    loaded = [pretrained.load(name) for name in pretrained.COMPARISON]
    cards = {card.model_config.upsample: card for card in loaded}
    images = watched_images(load_dataset(loaded[0].dataset))
    pictures = {name: reconstruct(card.build(), images).numpy() for name, card in cards.items()}
    return images.numpy(), pictures, cards


def columns(
    targets: NDArray[np.uint8],
    pictures: Mapping[str, NDArray[np.uint8]],
    latest: Mapping[str, Mapping[str, Any]],
    *,
    key: str,
    when: str,
) -> None:
    """The target and every rival, side by side."""
    unit = torch.from_numpy(targets[:LOOKED_AT]).float() / 255
    grey = (LIGHT.target.fill, DARK.target.fill)
    shown = [Column("Target", grey, targets, "the input itself", spectrum(unit).float().numpy())]
    for name, images in pictures.items():
        error = torch.from_numpy(images[:LOOKED_AT]).float() / 255 - unit
        now = latest.get(name, {})
        note = f"PSNR {psnr(now):.1f} dB" if now else ""
        shown.append(Column(UPSAMPLERS[name].title, colours(name), images, note, spectrum(error).float().numpy()))
    alt = f"Test images and what each decoder makes of them {when}"
    side_by_side(shown, names=NAMES, key=key, alt=alt, difference_limit=DIFFERENCES)


def meters(run: Run, points: list[Point]) -> None:
    """All measures over the steps, one colour for each rival."""
    looks = [point for point in points if point.kind == "test"]
    palette = current()
    with st.grid(3, gap="small", min_column_width=220):
        for name, (title, unit) in METERS.items():
            curves = {
                rival: (
                    [
                        [float(p.step), value]
                        for p in looks
                        if p.rival == rival and (value := _value(p, name)) is not None
                    ],
                    colours(rival)[palette is DARK],
                )
                for rival in run.rivals
            }
            st.echarts_chart(
                charts.meter_chart(title, unit, curves, palette, run.total_steps, logarithmic=name in LOGARITHMIC),
                height=240,
                key=f"meter_{name}",
                alt=f"{title} of every rival over the training steps",
            )


def _value(point: Point, name: str) -> float | None:
    return psnr(point.values) if name == "psnr" else point.values.get(name)


def numbers(models: Mapping[str, ModelConfig], latest: Mapping[str, Mapping[str, Any]], images: int | None) -> None:
    """One row for each rival; the best number of each column is in bold."""
    if not latest:
        return
    heads = {
        "PSNR ↑": (psnr, "{:.2f} dB", max),
        "SSIM ↑": (lambda now: now.get("test_ssim", now.get("ssim")), "{:.3f}", max),
        "images ↓": (lambda now: now.get("image_score"), "{:#.2g}", min),
        "fields ↓": (lambda now: now.get("field_amplitude"), "{:#.2g}", min),
        "layer ↓": (lambda now: now.get("layer_score"), "{:#.2g}", min),
        "gradient ↓": (lambda now: now.get("gradient_score"), "{:#.2g}", min),
        "images/s ↑": (lambda now: now.get("images_per_second"), "{:,.0f}", max),
    }
    rows = ["| | " + " | ".join(heads) + " | weights | MFLOP |", "|:--|" + "--:|" * (len(heads) + 2)]
    best = {
        head: choose(known)
        for head, (read, _, choose) in heads.items()
        if (known := [value for now in latest.values() if (value := read(now)) is not None])
    }
    for name, now in latest.items():
        cells = []
        for head, (read, form, _) in heads.items():
            value = read(now)
            text = "–" if value is None else "0" if value == 0 else form.format(value)
            cells.append(f"**{text}**" if value is not None and value == best[head] else text)
        layers = describe(models[name])
        cells += [f"{parameter_count(layers):,}", f"{flops_per_image(layers) / 1e6:.2f}"]
        rows.append(f"| {UPSAMPLERS[name].title} | " + " | ".join(cells) + " |")
    st.subheader("The numbers", anchor=False)
    st.markdown("\n".join(rows))
    measured_on = f"all {images:,} test images" if images else "the first test images"
    st.caption(
        f"On {measured_on}. *images*: energy of the pattern of period 2 that the decoder adds, relative to all real "
        "detail there; 1 is as strong. *fields*: the same pattern on flat and shaded grey, in grey levels of 255. "
        "*layer*: how unequally the last doubling answers by phase; 0 is even. "
        "*gradient*: the same going backward through the encoder; 1 is even."
    )


def conclusion(models: Mapping[str, ModelConfig], seed: int, latest: Mapping[str, Mapping[str, Any]]) -> None:
    """What the numbers say."""
    if len(latest) > 1:
        with st.container(border=True, key="verdict"):
            st.markdown("**What these numbers say**")
            st.markdown("\n".join(f"- {line}" for line in verdict(measured(models, seed, latest))))


def _latest(run: Run, points: list[Point]) -> dict[str, dict[str, Any]]:
    """The final numbers of each rival, or those of its latest look."""
    if run.metrics:
        final: dict[str, dict[str, Any]] = run.metrics["rivals"]
        return {name: final[name] for name in run.rivals if name in final}
    looks = {point.rival: dict(point.values) for point in points if point.kind == "test"}
    speeds = {p.rival: p.values["images_per_second"] for p in points if p.kind == "train"}
    return {
        name: {**looks[name], **({"images_per_second": speeds[name]} if name in speeds else {})}
        for name in run.rivals
        if name in looks
    }


def own_comparisons(me: str) -> None:
    """The visitor's comparisons, newest first."""
    runs = lab.store().runs(owner=me, kind="comparison", limit=20)
    if runs:
        st.subheader("Your comparisons", anchor=False)
        shelf(RUN, runs, _title)


def _title(run: Run) -> str:
    return f"{DATASETS[run.dataset].title} · {', '.join(UPSAMPLERS[name].title for name in run.rivals)}"
