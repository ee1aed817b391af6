"""What a contestant is told to train, and what it has to be able to do.

Everything here is plain: no torch, no Keras, so that each contestant's process holds its own framework and no other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FIRST_IMAGES = 256  # of the training set: what `Session.loss` looks at

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One network, the images, and how to train it; JSON-ready, files by path.

    Attributes:
        layers: The network as `aecore.models.layers.Layer.to_dict` lists it, in the order the layers run.
        model: `ModelConfig.to_dict()`: the same network as only the lab understands it.
        training: `TrainConfig.to_dict()`; peers read `batch_size`, `learning_rate`, `loss` ("mse" or "bce") and `seed`,
            and train at a constant rate with Adam.
        images: File with the training images, uint8 (N, C, H, W).
        weights: File with the weights to begin with, by the lab's names and in its layout; empty for whatever the
            framework draws by itself.
        mean_loss: Whether peers minimise the mean over values, as tutorials do, instead of the sum.
        options: What only some contestants know: `workers` of a DataLoader, `precision` of the lab.
    """

    layers: list[dict[str, Any]]
    model: dict[str, Any]
    training: dict[str, Any]
    images: str
    weights: str = ""
    mean_loss: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """For a file."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Task:
        """What `to_json` gave."""
        return cls(**json.loads(text))

    @property
    def variational(self) -> bool:
        """Whether the code is drawn from a Gaussian, and its KL divergence is charged."""
        return bool(self.model["bottleneck"] == "variational")

    def load_images(self) -> NDArray[np.uint8]:
        """The training images, (N, C, H, W)."""
        images: NDArray[np.uint8] = np.load(self.images)
        return images

    def load_weights(self) -> Weights:
        """The weights to begin with; empty if the framework draws its own."""
        if not self.weights:
            return {}
        with np.load(self.weights) as arrays:
            return dict(arrays)


@dataclass(frozen=True)
class Ran:
    """What came of being told to take some steps.

    Attributes:
        seconds: Wall-clock time they took.
        steps: How many were taken; fewer than asked for where a budget is used up.
        images: Training images used, repeats counted.
    """

    seconds: float
    steps: int
    images: int

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.images / self.seconds


class Session(Protocol):
    """A network in training; each contestant's module has `build(task) -> Session`."""

    @property
    def parameters(self) -> int:
        """Number of trained values."""

    @property
    def about(self) -> Mapping[str, str]:
        """How it does what it does, in words: precision, number of loader processes."""

    def run(self, steps: int) -> Ran:
        """Take so many steps, going on where the last call ended."""

    def loss(self) -> float:
        """Reconstruction loss of the first `FIRST_IMAGES` images, of a variational network from the mean code.

        Summed over the values of an image, averaged over the images, computed by the contestant's own network: so
        that it can be seen whether all networks are the same function.
        """

    def weights(self) -> Weights:
        """All weights as they are now, by the lab's names and in its layout."""
