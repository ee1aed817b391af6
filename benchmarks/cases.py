"""The networks that are measured, and how a task is made of one.

This module knows nothing of who carries the task out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aecore.data.image_dataset import ImageDataset
from aecore.models.autoencoder import Autoencoder, build_model
from aecore.models.config import ModelConfig
from aecore.models.layers import describe
from aecore.training.config import TrainConfig
from aecore.training.evaluation import evaluate
from aecore.training.loop import mean_image
from aecore.training.objective import loss_of
from benchmarks.images import save_images
from benchmarks.task import Task, Weights

RATE = 1e-3  # what tutorials of all peers take


@dataclass(frozen=True)
class Case:
    """One network with its batch.

    Attributes:
        title: For a row of a table.
        model: The network.
        batch: Images in a batch.
        steps: Steps of one round: a few seconds for the slower ones.
    """

    title: str
    model: ModelConfig
    batch: int
    steps: int


CONV = ModelConfig(body="conv", upsample="nearest", latent_dim=32)

CASES: dict[str, Case] = {
    "linear": Case("linear, z=32", ModelConfig(body="linear", latent_dim=32), 256, 200),
    "mlp_vae": Case(
        "MLP-VAE 784-400-20",
        ModelConfig(body="mlp", bottleneck="variational", latent_dim=20, hidden_units=400, hidden_layers=1),
        128,
        300,
    ),
    "conv_transpose3": Case("conv, transposed k3", replace(CONV, upsample="transpose3"), 256, 60),
    "conv_nearest": Case("conv, nearest", CONV, 256, 60),
    "conv_nearest_wide": Case("conv, nearest, twice the channels", replace(CONV, channels=2 * CONV.channels), 256, 40),
}


def training_of(case: Case, seed: int = 0) -> TrainConfig:
    """A training without end at one fixed rate, as peers have it."""
    training = TrainConfig(
        budget=100_000,
        budget_unit="steps",
        batch_size=case.batch,
        learning_rate=RATE,
        optimiser="adam",
        schedule="constant",
        seed=seed,
    )
    return replace(training, loss=loss_of(case.model, training))


def task_of(
    model: ModelConfig,
    training: TrainConfig,
    dataset: ImageDataset,
    folder: Path,
    *,
    same_start: bool = True,
    **more: Any,
) -> Task:
    """The task, with the files it names written to `folder`.

    Args:
        model: The network.
        training: How to train it.
        dataset: Its training images are what is trained on.
        folder: Where files go.
        same_start: Whether all contestants begin with the lab's weights; otherwise each draws its own.
        more: Further fields of the task.
    """
    weights = folder / f"start-{training.seed}.npz"
    if same_start:
        fresh = build_model(model, seed=training.seed)
        fresh.start_from(mean_image(dataset.train))  # as the lab would at its first step; now all begin there
        np.savez(weights, allow_pickle=False, **{name: tensor.numpy() for name, tensor in fresh.state_dict().items()})
    images = folder / "images.npy"
    return Task(
        layers=[layer.to_dict() for layer in describe(model)],
        model=model.to_dict(),
        training=training.to_dict(),
        images=str(images if images.exists() else save_images(dataset.train, images)),
        weights=str(weights) if same_start else "",
        **more,
    )


def trained_model(model: ModelConfig, weights: Weights) -> Autoencoder:
    """The lab's network with the weights of any contestant."""
    network = build_model(model, seed=0)
    network.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
    return network


def judged_loss(case: Case, weights: Weights, dataset: ImageDataset, images: int) -> float:
    """The training loss of any contestant's weights on the first training images, by one judge for all.

    Summed over the values of an image, averaged over the images; of a variational network with the same draws for all.
    """
    network = trained_model(case.model, weights)
    return evaluate(network, dataset.train[:images], loss_of(case.model, training_of(case))).loss
