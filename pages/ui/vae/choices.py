"""Which models can stand on the VAE page's stage, each with its account: those the lab ships, and a visitor's run.

This module knows nothing of how the stage looks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray

from aecore import pretrained
from aecore.analysis.bound import posteriors
from aecore.analysis.collapse import (
    Account,
    account_of_terms,
    averaged_over_pixels,
    cost_of_the_mean,
    kl_by_class,
    measured_on,
)
from aecore.checkpoint import Checkpoint
from aecore.data import DATASETS, is_available, load_dataset
from aecore.data.image_dataset import to_stored
from aecore.errors import CheckpointError, ConfigError
from aecore.models import BODIES
from aecore.models.autoencoder import Autoencoder
from aecore.runs.records import Run
from aecore.training import evaluate, loss_of, reconstruct
from pages.ui import lab
from pages.ui.chooser import YOURS, Network
from pages.ui.engine import pack

VARIATIONAL = "variational"
CHOSEN = "vae"
AVERAGED = "averaged"
MOST_IMAGES = 10_000  # test images an account is taken of
MOST_TWINS = 50  # runs among which the averaged one is looked for


@dataclass(frozen=True)
class Choice(Network):
    """A variational model on the stage, measured.

    Attributes:
        account: What it pays, on the first `images` test images.
        images: How many those are.
        by_class: KL of each unit by class, (K, Z).
        means: Of the codes of the example pictures, (N, Z).
        log_variances: Of the same, (N, Z).
    """

    account: Account
    images: int
    by_class: NDArray[np.float64]
    means: NDArray[np.float32]
    log_variances: NDArray[np.float32]

    @property
    def averaged_beta(self) -> float:
        """Beta of the same model, had its reconstruction loss been averaged."""
        return self.account.beta * self.account.pixels


def shipped() -> list[str]:
    """Keys of the shipped variational models whose images are here, MNIST first; without the averaged ones."""
    names = [*pretrained.AVERAGED, *(pair[1] for pair in pretrained.PAIRS.values())]
    there = pretrained.shipped_names()
    fit = [name for name in names if name in there and is_available(pretrained.RECIPES[name].dataset)]
    return sorted(fit, key=lambda name: pretrained.RECIPES[name].dataset != "mnist")


def can_stand(run: Run | None) -> bool:
    """Whether a run has a single model that can be looked at."""
    if run is None or run.rivals or not run.has_checkpoint:
        return False
    return not run.unfinished or run.state == "paused"


def titles(run: Run | None) -> dict[str, str]:
    """What can be chosen, by key: the visitor's run first, then the shipped models."""
    found = {}
    if run is not None and can_stand(run):
        code = f"{run.model.latent_dim} numbers"
        kind = f"beta {run.model.beta:g}" if run.model.bottleneck == VARIATIONAL else "not variational"
        found[YOURS] = f"Your run: {DATASETS[run.dataset].title}, {BODIES[run.model.body].title}, {code}, {kind}"
    return found | {name: _title(name) for name in shipped()}


def _title(name: str) -> str:
    recipe = pretrained.RECIPES[name]
    return (
        f"{DATASETS[recipe.dataset].title}: {BODIES[recipe.model.body].title}, {recipe.model.latent_dim} numbers, "
        f"beta {recipe.model.beta:g}"
    )


def choose(key: str, run: Run | None) -> Choice:
    """The model of that key, as `titles` names them.

    Raises:
        CheckpointError: If its files are damaged.
        DataError: If its images cannot be read.
    """
    if key == YOURS and run is not None:
        return of_run(run, titles(run)[YOURS])
    return _shipped(key)


def averaged_twin(key: str, run: Run | None, me: str) -> Run | str | None:
    """The same with its loss averaged over the pixels: a shipped model's key, a run of the visitor, or None."""
    if key != YOURS:
        twin = pretrained.AVERAGED.get(key, "")
        return twin if twin in pretrained.shipped_names() else None
    if run is None:
        return None
    try:
        wanted = averaged_over_pixels(run.model)
    except ConfigError:
        return None
    for other in lab.store().runs(owner=me, kind="training", limit=MOST_TWINS):
        same = (other.dataset, other.model, other.training) == (run.dataset, wanted, run.training)
        if same and other.id != run.id and other.state not in ("failed", "interrupted"):
            return other
    return None


def choose_twin(twin: Run | str | None) -> Choice | None:
    """The averaged model, if it is there and can be looked at."""
    if isinstance(twin, str):
        return _shipped(twin)
    if twin is not None and can_stand(twin) and not twin.unfinished:
        return of_run(twin, "The same, averaged over the pixels")
    return None


def of_run(run: Run, title: str) -> Choice:
    """The model of a run; while it is paused its charge may still be warming up."""
    looks = [point for point in lab.store().points(run.id) if point.kind == "test"] if run.unfinished else []
    share = looks[-1].values.get("share", 1.0) if looks else 1.0
    return _of_run(run.id, run.step, title, share)


@st.cache_resource(show_spinner="Measuring the model …", max_entries=16)
def _shipped(name: str) -> Choice:
    return _choice(name, _title(name), pretrained.load(name))


@st.cache_resource(show_spinner="Measuring your network …", max_entries=16)
def _of_run(run_id: str, step: int, title: str, share: float) -> Choice:  # noqa: ARG001 - a run that went on is another network
    data = lab.store().checkpoint(run_id)
    if data is None:
        raise CheckpointError("The run that stood on the stage was deleted. Choose another model.")
    return _choice(YOURS, title, Checkpoint.from_bytes(data), share)


def _choice(key: str, title: str, checkpoint: Checkpoint, share: float = 1.0) -> Choice:
    model, dataset = checkpoint.build(), load_dataset(checkpoint.dataset)
    config, training = checkpoint.model_config, checkpoint.train_config
    loss, images = loss_of(config, training), dataset.test[:MOST_IMAGES]
    found = evaluate(model, images, loss, training.noise)
    posterior, examples = posteriors(model, images), posteriors(model, pretrained.examples(dataset))
    if posterior is None or examples is None:
        raise CheckpointError("This model's code is no distribution. Choose a variational one.")
    account = account_of_terms(found.terms, found.units, config, loss, share=share, step=None)
    classes = len(DATASETS[checkpoint.dataset].label_names)
    return Choice(
        key,
        title,
        checkpoint,
        model,
        pack(checkpoint.files(), key),
        measured_on(account, posterior, _cost_of_the_mean(checkpoint.dataset, loss)),
        len(images),
        kl_by_class(posterior, dataset.test_labels[:MOST_IMAGES].long(), classes).numpy(),
        examples.mean.numpy(),
        examples.log_variance.numpy(),
    )


@st.cache_data(show_spinner=False)
def _cost_of_the_mean(dataset: str, loss: str) -> float:
    images = load_dataset(dataset)
    return cost_of_the_mean(images.train, images.test[:MOST_IMAGES], loss)


@st.cache_data(show_spinner=False)
def example_images(dataset: str) -> NDArray[np.uint8]:
    """Test pictures to choose from (N, C, H, W)."""
    images: NDArray[np.uint8] = pretrained.examples(load_dataset(dataset)).numpy()
    return images


def reconstructed(choice: Choice) -> NDArray[np.uint8]:
    """The example pictures as the decoder draws their mean codes (N, C, H, W)."""
    return _decoded(choice.digest, choice.dataset, choice)


@st.cache_data(show_spinner=False, max_entries=64)
def _decoded(digest: str, dataset: str, _choice: Choice) -> NDArray[np.uint8]:  # noqa: ARG001 - the cache's key
    images: NDArray[np.uint8] = reconstruct(_choice.model, torch.from_numpy(example_images(dataset))).numpy()
    return images


@st.cache_data(show_spinner=False, max_entries=64)
def drawn(digest: str, count: int, _model: Autoencoder) -> NDArray[np.uint8]:  # noqa: ARG001 - the cache's key
    """Pictures of codes from the prior, always the same codes, (N, C, H, W)."""
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        codes = torch.randn(count, _model.config.latent_dim, generator=generator)
        images: NDArray[np.uint8] = to_stored(_model.decode(codes)).numpy()
    return images
