"""The models the lab ships: how each is made, and where they lie.

`make weights` makes all of them from the data. This module knows nothing of pages.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from aecore.analysis.denoising import (
    CURVE_IMAGES,
    DENOISERS,
    Denoiser,
    curve_strengths,
    curves,
    denoising_curve,
    part_of,
    trained,
    typical_errors,
)
from aecore.checkpoint import CARD_FILE, Checkpoint
from aecore.compare import scores
from aecore.data import DATASETS, load_dataset
from aecore.data.image_dataset import ImageDataset
from aecore.errors import CheckpointError
from aecore.fit import fit
from aecore.models.autoencoder import Autoencoder
from aecore.models.config import ModelConfig
from aecore.noise import CORRUPTIONS, NONE, NoiseConfig
from aecore.training.config import TrainConfig
from aecore.training.events import TrainEvent

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
EXAMPLES_FILE = "examples.png"
EXAMPLES = 10
DENOISING_FILE = "denoising.json"
TYPICAL_OF = 2000  # test images
BLIND = NoiseConfig(corruption="gaussian", strength=0.5, weakest=0.0)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one shipped model is made.

    Attributes:
        dataset: Name of the dataset.
        model: Which network; the image shape is the dataset's.
        training: How it is trained.
        twin: The same network trained without noise, where there is one to compare a denoiser with.
    """

    dataset: str
    model: ModelConfig
    training: TrainConfig
    twin: str = ""

    @cached_property
    def fitted_model(self) -> ModelConfig:
        """The network for this dataset's images."""
        return self.model.for_images(DATASETS[self.dataset].image_shape)


def in_float32(budget: int, **others: Any) -> TrainConfig:
    """A training of so many epochs whose weights do not depend on what is fastest on a machine."""
    return TrainConfig(budget=budget, precision="float32", **others)


def denoiser_and_twin(name: str, dataset: str, model: ModelConfig, budget: int) -> dict[str, Recipe]:
    """Two recipes that differ in the noise they are trained with and in nothing else; the one without comes first."""
    twin = f"{name}-twin"
    return {
        twin: Recipe(dataset=dataset, model=model, training=in_float32(budget)),
        name: Recipe(
            dataset=dataset,
            model=model,
            training=in_float32(budget, noise=BLIND),
            twin=twin,
        ),
    }


def planes(dataset: str, model: ModelConfig, budget: int) -> dict[str, Recipe]:
    """Two recipes for a code of two numbers, plain and variational; body, loss and training are the same."""
    training = in_float32(budget, loss="bce")
    variational = replace(model, bottleneck="variational")
    return {
        f"{dataset}-plane": Recipe(dataset=dataset, model=model, training=training),
        f"{dataset}-vae": Recipe(dataset=dataset, model=variational, training=training),
    }


def summed_and_averaged(name: str, dataset: str, model: ModelConfig, budget: int) -> dict[str, Recipe]:
    """A variational recipe, and the same with its reconstruction loss averaged over the pixels instead of summed.

    The second is written as its equal: to divide the one term by the number of pixels is, up to the size of the whole
    loss, to multiply the weight of the other by it.
    """
    pixels = math.prod(DATASETS[dataset].image_shape)
    training = in_float32(budget)
    summed = replace(model, bottleneck="variational")
    return {
        name: Recipe(dataset=dataset, model=summed, training=training),
        f"{name}-averaged": Recipe(dataset=dataset, model=replace(summed, beta=float(pixels)), training=training),
    }


RECIPES: dict[str, Recipe] = {
    "mnist-linear": Recipe(
        dataset="mnist",
        model=ModelConfig(body="linear", latent_dim=32),
        training=in_float32(20),
    ),
    "mnist-conv": Recipe(
        dataset="mnist",
        model=ModelConfig(body="conv", latent_dim=32),
        training=in_float32(10),
    ),
    **{
        f"shapes-{name}": Recipe(
            dataset="shapes",
            model=ModelConfig(body="conv", upsample=name),
            training=in_float32(4),
        )
        for name in ("transpose3", "transpose4", "nearest")
    },
    "digits-linear": Recipe(
        dataset="digits",
        model=ModelConfig(body="linear", latent_dim=16),
        training=in_float32(200),
    ),
    "digits-conv": Recipe(
        dataset="digits",
        model=ModelConfig(body="conv", latent_dim=16),
        training=in_float32(100),
    ),
    **denoiser_and_twin("digits-denoiser", "digits", ModelConfig(body="conv", latent_dim=64), 150),
    **denoiser_and_twin("mnist-denoiser", "mnist", ModelConfig(body="conv", latent_dim=128), 15),
    **planes("digits", ModelConfig(body="mlp", latent_dim=2, hidden_units=128), 100),
    **planes("mnist", ModelConfig(body="mlp", latent_dim=2, hidden_units=256), 30),
    **summed_and_averaged("digits-vae-10", "digits", ModelConfig(body="mlp", latent_dim=10, hidden_units=128), 200),
    **summed_and_averaged("mnist-vae-20", "mnist", ModelConfig(body="mlp", latent_dim=20, hidden_units=256), 20),
    **denoiser_and_twin("mnist-mlp-denoiser", "mnist", ModelConfig(body="mlp", latent_dim=64, hidden_units=128), 15),
}

PAIRS = {"digits": ("digits-plane", "digits-vae"), "mnist": ("mnist-plane", "mnist-vae")}
"""By dataset, two shipped models with a code of two numbers that differ in their bottleneck: plain, variational."""
AVERAGED = {"digits-vae-10": "digits-vae-10-averaged", "mnist-vae-20": "mnist-vae-20-averaged"}
"""Shipped variational models, each with the one whose loss was averaged over the pixels."""

TWINS = {recipe.twin: name for name, recipe in RECIPES.items() if recipe.twin}
"""Denoisers by the name of the same network trained without noise."""
FILTERS_ON = tuple(dict.fromkeys(recipe.dataset for recipe in RECIPES.values() if recipe.twin))
"""Datasets on which the lab ships what classical filters can do."""

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
        checkpoint.metrics.update(scores(checkpoint.build(), dataset, recipe.training))
    if DATASETS[recipe.dataset].redistributable:
        checkpoint.extra["examples"] = EXAMPLES_FILE
        folder.mkdir(parents=True, exist_ok=True)
        example_strip(dataset).save(folder / EXAMPLES_FILE, optimize=True)
    checkpoint.save(folder)
    if recipe.twin or name in TWINS:
        (folder / DENOISING_FILE).write_text(json.dumps(on_the_bench(checkpoint.build(), name, dataset)) + "\n")
    return checkpoint


def on_the_bench(model: Autoencoder, name: str, dataset: ImageDataset) -> dict[str, Any]:
    """What the denoising page shows of a model: `measured`, corruption -> `curves`; `typical`, see `typical_errors`."""
    return {
        "measured": measured({name: trained(model, name)}, dataset),
        "typical": typical_errors(model, dataset.test[:TYPICAL_OF]),
    }


def measured(
    denoisers: Mapping[str, Denoiser], dataset: ImageDataset, progress: Callable[[float], None] = lambda _: None
) -> dict[str, Any]:
    """The curves of denoisers on the first test images, by corruption; see `aecore.analysis.denoising.curves`."""
    found = {}
    for number, corruption in enumerate(CORRUPTIONS):
        rows = denoising_curve(
            denoisers,
            dataset,
            corruption,
            curve_strengths(corruption),
            images=CURVE_IMAGES,
            progress=part_of(progress, number, len(CORRUPTIONS)),
        )
        found[corruption] = curves(rows)
    return found


def make_filters(dataset: str, into: Path = WEIGHTS, progress: Callable[[float], None] = lambda _: None) -> None:
    """Measure the classical filters on a dataset and write their curves into `into`/filters."""
    folder = into / "filters"
    folder.mkdir(parents=True, exist_ok=True)
    found = measured(DENOISERS, load_dataset(dataset), progress)
    (folder / f"{dataset}.json").write_text(json.dumps(found) + "\n")


def filters(dataset: str, weights: Path = WEIGHTS) -> dict[str, Any] | None:
    """The curves of the classical filters on a dataset, by corruption; None if they were not measured."""
    return _read(weights / "filters" / f"{dataset}.json")


def denoising(name: str, weights: Path = WEIGHTS) -> dict[str, Any] | None:
    """What `on_the_bench` found of a shipped model; None if it was not measured."""
    return _read(weights / name / DENOISING_FILE)


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.exists() else None


def examples(dataset: ImageDataset) -> UInt8[Tensor, "n c h w"]:
    """Ten test images: the first of each class, then the first others."""
    firsts = {int(label): index for index, label in reversed(list(enumerate(dataset.test_labels.tolist())))}
    chosen = [firsts[label] for label in sorted(firsts)][:EXAMPLES]
    chosen += [index for index in range(len(dataset.test)) if index not in chosen][: EXAMPLES - len(chosen)]
    return dataset.test[chosen]


def example_strip(dataset: ImageDataset) -> Image.Image:
    """The examples of a dataset side by side."""
    strip = np.concatenate(list(examples(dataset).numpy()), axis=2)  # (C, H, 10 W)
    return Image.fromarray(strip[0] if len(strip) == 1 else np.moveaxis(strip, 0, 2))


def shipped_names(weights: Path = WEIGHTS) -> list[str]:
    """Names of the models that lie in `weights`, sorted."""
    return sorted(card.parent.name for card in weights.glob(f"*/{CARD_FILE}"))


def best_match(dataset: str, model: ModelConfig, noise: NoiseConfig = NONE, weights: Path = WEIGHTS) -> str | None:
    """The shipped model of this dataset most like what is asked for; None without any of this dataset.

    What counts is, in this order: noise or not, the bottleneck, the body, and about as long a code.
    """
    candidates = []
    for name in shipped_names(weights):
        card = json.loads((weights / name / CARD_FILE).read_text(encoding="utf-8"))
        if card["dataset"]["name"] == dataset:
            noisy = NoiseConfig.from_dict(card["training"].get("noise", {})).on
            theirs = ModelConfig.from_dict(card["model"])
            rank = (noisy != noise.on, theirs.bottleneck != model.bottleneck, theirs.body != model.body)
            odd = name in TWINS or name in AVERAGED.values()
            candidates.append((*rank, odd, abs(math.log(theirs.latent_dim / model.latent_dim)), name))
    return min(candidates)[-1] if candidates else None


def denoisers(dataset: str, weights: Path = WEIGHTS) -> list[Checkpoint]:
    """The shipped denoisers of a dataset, each with its twin after it."""
    names = [
        part
        for name, recipe in RECIPES.items()
        if recipe.twin and recipe.dataset == dataset
        for part in (name, recipe.twin)
    ]
    return [load(name, weights) for name in names if name in shipped_names(weights)]


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
