"""The models the lab ships: how each is made, and where they lie.

`make weights` makes all of them from the data. This module knows nothing of pages.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from aecore.checkpoint import CARD_FILE, Checkpoint
from aecore.compare import scores
from aecore.data import DATASETS, load_dataset
from aecore.data.image_dataset import ImageDataset
from aecore.errors import CheckpointError
from aecore.fit import fit
from aecore.models.config import ModelConfig
from aecore.training.config import TrainConfig
from aecore.training.events import TrainEvent

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
EXAMPLES_FILE = "examples.png"
EXAMPLES = 10


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one shipped model is made.

    Attributes:
        dataset: Name of the dataset.
        model: Which network; the image shape is the dataset's.
        training: How it is trained.
    """

    dataset: str
    model: ModelConfig
    training: TrainConfig

    @cached_property
    def fitted_model(self) -> ModelConfig:
        """The network for this dataset's images."""
        return self.model.for_images(DATASETS[self.dataset].image_shape)


RECIPES: dict[str, Recipe] = {
    "mnist-linear": Recipe(
        dataset="mnist",
        model=ModelConfig(body="linear", latent_dim=32),
        training=TrainConfig(budget=20),
    ),
    "mnist-conv": Recipe(
        dataset="mnist", model=ModelConfig(body="conv", latent_dim=32), training=TrainConfig(budget=10)
    ),
    **{
        f"shapes-{name}": Recipe(
            dataset="shapes", model=ModelConfig(body="conv", upsample=name), training=TrainConfig(budget=4)
        )
        for name in ("transpose3", "transpose4", "nearest")
    },
    "digits-linear": Recipe(
        dataset="digits", model=ModelConfig(body="linear", latent_dim=16), training=TrainConfig(budget=200)
    ),
    "digits-conv": Recipe(
        dataset="digits", model=ModelConfig(body="conv", latent_dim=16), training=TrainConfig(budget=100)
    ),
}

COMPARISON = tuple(name for name in RECIPES if name.startswith("shapes-"))
"""Shipped models that differ in their upsampler only: the comparison shown before anybody has trained one."""


def make(name: str, into: Path = WEIGHTS, on_event: Callable[[TrainEvent], None] = lambda _: None) -> Checkpoint:
    """Train the shipped model `name` and write it into `into`/`name`.

    Where the data's licence allows it, a strip of ten test images goes with it, one of each class if there are
    ten, so that the model can be shown at once.
    """
    recipe, folder = RECIPES[name], into / name
    dataset = load_dataset(recipe.dataset)
    checkpoint = fit(
        recipe.fitted_model,
        recipe.training,
        dataset,
        on_event=on_event,
        command=f"python -m aecore weights --only {name}",
    )
    checkpoint.extra["name"] = name
    if name in COMPARISON:
        checkpoint.metrics.update(scores(checkpoint.build(), dataset, recipe.training.loss))
    if DATASETS[recipe.dataset].redistributable:
        checkpoint.extra["examples"] = EXAMPLES_FILE
        folder.mkdir(parents=True, exist_ok=True)
        example_strip(dataset).save(folder / EXAMPLES_FILE, optimize=True)
    checkpoint.save(folder)
    return checkpoint


def example_strip(dataset: ImageDataset) -> Image.Image:
    """Ten test images side by side: the first of each class, then the first others."""
    firsts = {int(label): index for index, label in reversed(list(enumerate(dataset.test_labels.tolist())))}
    chosen = [firsts[label] for label in sorted(firsts)][:EXAMPLES]
    chosen += [index for index in range(len(dataset.test)) if index not in chosen][: EXAMPLES - len(chosen)]
    strip = np.concatenate(list(dataset.test[chosen].numpy()), axis=2)  # (C, H, 10 W)
    return Image.fromarray(strip[0] if len(strip) == 1 else np.moveaxis(strip, 0, 2))


def shipped_names(weights: Path = WEIGHTS) -> list[str]:
    """Names of the models that lie in `weights`, sorted."""
    return sorted(card.parent.name for card in weights.glob(f"*/{CARD_FILE}"))


def best_match(dataset: str, model: ModelConfig, weights: Path = WEIGHTS) -> str | None:
    """The shipped model of this dataset most like `model`: the same body if there is one; None without any."""
    candidates = []
    for name in shipped_names(weights):
        card = json.loads((weights / name / CARD_FILE).read_text(encoding="utf-8"))
        if card["dataset"]["name"] == dataset:
            candidates.append((card["model"]["body"] != model.body, name))
    return min(candidates)[1] if candidates else None


def load(name: str, weights: Path = WEIGHTS) -> Checkpoint:
    """Load the shipped model `name`.

    Raises:
        CheckpointError: If it is not there or damaged.
    """
    if name not in shipped_names(weights):
        raise CheckpointError(
            f"There is no shipped model {name!r}; there are {', '.join(shipped_names(weights)) or 'none'}."
        )
    return Checkpoint.load(weights / name)
