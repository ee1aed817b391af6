"""Which networks can be on the map: the visitor's run, and those the lab ships.

This module knows nothing of how the map looks.
"""

from __future__ import annotations

import json

import streamlit as st

from aecore import pretrained
from aecore.checkpoint import CARD_FILE, Checkpoint
from aecore.data import DATASETS, is_available
from aecore.models import BODIES, BOTTLENECKS, ModelConfig
from aecore.runs.records import Run
from pages.ui import lab
from pages.ui.chooser import YOURS, Network
from pages.ui.engine import pack

CHOSEN = "map"


def titles(run: Run | None) -> dict[str, str]:
    """What can be chosen, by key: the visitor's run first, then shipped networks whose images are here.

    The pairs with a code of two numbers come first, variational before plain, then the others by dataset.
    """
    found = {}
    if run is not None and not run.rivals:
        found[YOURS] = f"Your run: {_words(run.model)}"
    names = [name for name in pretrained.shipped_names() if is_available(pretrained.RECIPES[name].dataset)]
    first = [name for pair in reversed(list(pretrained.PAIRS.values())) for name in reversed(pair)]
    for name in sorted(names, key=lambda name: (first.index(name) if name in first else len(first), name)):
        found[name] = _title(name)
    return found


@st.cache_data(show_spinner=False)
def _title(name: str) -> str:
    card = json.loads((pretrained.WEIGHTS / name / CARD_FILE).read_text(encoding="utf-8"))
    words = f"{DATASETS[card['dataset']['name']].title}: {_words(ModelConfig.from_dict(card['model']))}"
    kind = ", denoiser" if pretrained.RECIPES[name].twin else ""
    averaged = ", loss averaged over pixels" if name in pretrained.AVERAGED.values() else ""
    return words + kind + averaged


def _words(model: ModelConfig) -> str:
    numbers = f"{model.latent_dim} number{'s' if model.latent_dim > 1 else ''}"
    upsampler = f" ({model.upsample})" if model.body == "conv" else ""
    return f"{BOTTLENECKS[model.bottleneck].title.lower()} {BODIES[model.body].title}{upsampler}, {numbers}"


def of_run(run: Run) -> Network | None:
    """The network of a run as its latest checkpoint has it; None before there is one.

    Raises:
        CheckpointError: If the checkpoint cannot be read.
    """
    step = lab.store().checkpoint_step(run.id)
    return None if step is None else _of_run(run.id, step, bool(run.metrics))


@st.cache_resource(show_spinner=False, max_entries=16)
def shipped(name: str) -> Network:
    """A network that the lab ships.

    Raises:
        CheckpointError: If its files are damaged.
    """
    return _choice(name, _title(name), pretrained.load(name))


@st.cache_resource(show_spinner=False, max_entries=8)
def _of_run(run_id: str, step: int, measured: bool) -> Network | None:  # noqa: ARG001 - a later checkpoint is another
    data = lab.store().checkpoint(run_id)
    if data is None:  # deleted a moment ago
        return None
    checkpoint = Checkpoint.from_bytes(data)
    return _choice(YOURS, f"Your run: {_words(checkpoint.model_config)}", checkpoint)


def _choice(key: str, title: str, checkpoint: Checkpoint) -> Network:
    return Network(key, title, checkpoint, checkpoint.build(), pack(checkpoint.files(), key))
