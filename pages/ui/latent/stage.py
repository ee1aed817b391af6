"""The map of one network with its measures: of a shipped one, of a run that has ended, or of one that goes on.

This module knows nothing of forms.
"""

from __future__ import annotations

import streamlit as st

from aecore.runs.records import Run
from pages.ui import lab
from pages.ui.chooser import YOURS, Network
from pages.ui.engine import keep
from pages.ui.latent import choices
from pages.ui.latent.codes import pictures
from pages.ui.latent.measures import measures
from pages.ui.latent.plane import Live, plane
from pages.ui.latent.replay import replay_of

MAP = "latent_map"


def draw(key: str, run: Run | None) -> bool:
    """Draw the map of the network of that key, as `choices.titles` names them; say whether to look again soon.

    Raises:
        CheckpointError: If its files are damaged.
        DataError: If its images cannot be read.
    """
    if key != YOURS or run is None:
        choice = choices.shipped(key)
        keep(MAP, choice.packed, pictures(choice.dataset))
        return plane(choice, choice.dataset, key=MAP, revision=choice.digest) | measures(choice)
    chosen = choices.of_run(run)
    if run.unfinished and run.model.latent_dim == 2:
        return _training(chosen, run)
    if chosen is None:
        st.info(
            "This run has nothing to show yet: its first checkpoint comes within ten seconds of training."
            if run.unfinished
            else "This run ended before there was a network to show. Train again, or resume it below."
        )
        return False
    replay = replay_of(run)
    keep(MAP, chosen.packed, pictures(run.dataset), *([replay] if replay else []))
    waiting = plane(chosen, run.dataset, key=MAP, revision=run.id, replay=replay["digest"] if replay else "")
    return waiting if run.unfinished else measures(chosen) | waiting


def _training(choice: Network | None, run: Run) -> bool:
    """The map while it moves, or is paused."""
    stage, snapshot = lab.store().stage(run.id), lab.store().snapshot(run.id)
    if stage is None or snapshot is None or not len(snapshot.codes):
        st.info("The map appears with the first step of the training.")
        return False
    keep(MAP, *([choice.packed] if choice else []), pictures(run.dataset))
    return plane(choice, run.dataset, key=MAP, revision=run.id, live=Live(stage, snapshot))
