"""Which networks can stand on the denoising bench: those the lab ships, and the run of the visitor.

This module knows nothing of how the bench looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from aecore import pretrained
from aecore.analysis.denoising import (
    DENOISERS,
    Denoiser,
    Measured,
    curve_strengths,
    curves,
    denoising_curve,
    part_of,
    trained,
    typical_errors,
)
from aecore.checkpoint import Checkpoint
from aecore.data import DATASETS, is_available, load_dataset
from aecore.errors import CheckpointError
from aecore.models import BODIES
from aecore.runs.records import Run
from pages.ui import lab
from pages.ui.chooser import YOURS, Network
from pages.ui.engine import pack

CHOSEN = "denoiser"
FEW = 40  # images on which filters are measured while somebody waits


@dataclass(frozen=True)
class Choice(Network):
    """A network on the bench, ready for the browser.

    Attributes:
        twin: Key of the same network trained without noise; empty if there is none.
        known: Curves by corruption that need not be measured any more, of its twin too.
        typical: Percentiles of its errors on test images without noise.
    """

    twin: str
    known: dict[str, Any]
    typical: list[float]


def titles(run: Run | None) -> dict[str, str]:
    """What can be chosen, by key: the visitor's run first, then the shipped denoisers whose images are here."""
    found = {}
    if run is not None and run.has_checkpoint and not run.rivals and (not run.unfinished or run.state == "paused"):
        noise = run.training.noise
        found[YOURS] = f"Your run: {BODIES[run.model.body].title}, {noise.describe() or 'without noise'}"
    shipped = [name for name in pretrained.shipped_names() if name in pretrained.TWINS.values()]
    for name in sorted(shipped, key=lambda name: (pretrained.RECIPES[name].dataset != "mnist", name)):
        recipe = pretrained.RECIPES[name]
        if is_available(recipe.dataset):
            found[name] = _title(name)
            if recipe.twin in pretrained.shipped_names():
                found[recipe.twin] = _title(recipe.twin)
    return found


def _title(name: str) -> str:
    recipe = pretrained.RECIPES[name]
    noise = recipe.training.noise.describe() or "the same without noise"
    return f"{DATASETS[recipe.dataset].title}: {BODIES[recipe.model.body].title}, {noise}"


def choose(key: str, run: Run | None) -> Choice:
    """The network of that key, as `titles` names them.

    Raises:
        CheckpointError: If its files are damaged.
        DataError: If its images cannot be read.
    """
    if key == YOURS and run is not None:
        return _of_run(run.id, run.step, titles(run)[YOURS])
    return _shipped(key)


@st.cache_resource(show_spinner=False, max_entries=8)
def _shipped(name: str) -> Choice:
    checkpoint, about = pretrained.load(name), pretrained.denoising(name)
    twin = pretrained.RECIPES[name].twin
    beside = pretrained.denoising(twin) if twin else None
    if about is not None and beside is not None:
        for corruption, known in about["measured"].items():
            known["rows"] |= beside["measured"].get(corruption, {"rows": {}})["rows"]
    return _choice(name, _title(name), checkpoint, twin, about)


@st.cache_resource(show_spinner="Fetching your network …", max_entries=8)
def _of_run(run_id: str, step: int, title: str) -> Choice:  # noqa: ARG001 - a run that went on is another network
    data = lab.store().checkpoint(run_id)
    if data is None:
        raise CheckpointError("The run that stood on the bench was deleted. Choose another network.")
    return _choice(YOURS, title, Checkpoint.from_bytes(data), "", None)


def _choice(key: str, title: str, checkpoint: Checkpoint, twin: str, about: dict[str, Any] | None) -> Choice:
    model = checkpoint.build()
    if about is None:
        images = load_dataset(checkpoint.dataset).test[: pretrained.TYPICAL_OF]
        about = {"measured": {}, "typical": typical_errors(model, images)}
    packed = pack(checkpoint.files(), key)
    return Choice(key, title, checkpoint, model, packed, twin, about["measured"], about["typical"])


def curves_of(choice: Choice, corruption: str) -> dict[str, Any] | None:
    """All curves there are for a corruption, those of the filters too; None while the filters are not measured."""
    filters = filter_curves(choice.dataset, corruption)
    if filters is None:
        return None
    known = choice.known.get(corruption) or _measured(choice.digest, corruption, filters["images"], choice)
    return {**filters, "rows": {**known["rows"], **filters["rows"]}}


def filter_curves(dataset: str, corruption: str) -> dict[str, Any] | None:
    """The curves of the classical filters: as shipped, or as `measure_filters` found; None if there are neither."""
    shipped = _shipped_filters(dataset)
    found: dict[str, Any] | None = (shipped or {}).get(corruption) or _found_here().get((dataset, corruption))
    return found


def measure_filters(dataset: str, corruption: str) -> None:
    """Measure the classical filters on a dataset that the lab ships no curves for; shows how far it is.

    Whatever the visitor does meanwhile ends this run of the page; the next one goes on where it was.
    """
    strengths = curve_strengths(corruption)
    done = _half_done().setdefault((dataset, corruption), {})
    words = f"Trying the classical filters on {DATASETS[dataset].title}, once for all visitors …"
    bar = st.progress(len(done) / len(strengths), words)

    def tell(share: float) -> None:
        bar.progress(share, words)

    for number, strength in enumerate(strengths):
        if strength in done:
            continue
        done[strength] = denoising_curve(
            DENOISERS,
            load_dataset(dataset),
            corruption,
            [strength],
            images=FEW,
            tuned_on=FEW // 2,
            progress=part_of(tell, number, len(strengths)),
        )
    _found_here()[dataset, corruption] = curves([row for strength in strengths for row in done[strength]])
    _half_done().pop((dataset, corruption), None)
    bar.empty()


@st.cache_resource(show_spinner=False)
def _half_done() -> dict[tuple[str, str], dict[float, list[Measured]]]:
    """What is measured so far, by dataset and corruption, then by strength."""
    return {}


@st.cache_resource(show_spinner=False)
def _shipped_filters(dataset: str) -> dict[str, Any] | None:
    return pretrained.filters(dataset)  # as one object, never changed: it is looked at several times in every run


@st.cache_resource(show_spinner=False)
def _found_here() -> dict[tuple[str, str], dict[str, Any]]:
    """Curves of filters by dataset and corruption: measured since the server started, the same for everybody."""
    return {}


@st.cache_data(show_spinner=False, max_entries=64)
def _measured(digest: str, corruption: str, images: int, _choice: Choice) -> dict[str, Any]:  # noqa: ARG001 - cache key
    denoisers: dict[str, Denoiser] = {_choice.key: trained(_choice.model, _choice.title)}
    rows = denoising_curve(
        denoisers, load_dataset(_choice.dataset), corruption, curve_strengths(corruption), images=images
    )
    return curves(rows)
