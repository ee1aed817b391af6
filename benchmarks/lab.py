"""The lab's own engine as a contestant: its public generator of events, consumed as a worker consumes it.

It knows nothing of the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from aecore.data.image_dataset import ImageDataset, to_unit
from aecore.losses import RECONSTRUCTION_LOSSES
from aecore.models.autoencoder import Autoencoder, build_model
from aecore.models.config import ModelConfig
from aecore.training.choosing import choose
from aecore.training.config import TrainConfig
from aecore.training.events import StepDone, TrainEvent
from aecore.training.execution import PLAIN, Execution
from aecore.training.loop import TrainState, train
from aecore.training.objective import loss_of
from aecore.training.process import prepare_process
from benchmarks.images import as_dataset
from benchmarks.task import FIRST_IMAGES, Ran, Task, Weights

NEVER = 1_000_000  # steps between two looks at the test set: whoever measures looks by themselves


def start(
    model: Autoencoder, dataset: ImageDataset, config: TrainConfig, options: Mapping[str, Any]
) -> tuple[Execution, Iterator[TrainEvent]]:
    """The one place where the engine is called: choose how to compute, as a worker does, then train.

    Args:
        model: As `build_model` gives it; its weights change.
        dataset: The training images, and a few of them as test set.
        config: How to train.
        options: `precision` "float32" forbids all others; without it the engine chooses.
    """
    config = replace(config, precision=options.get("precision", config.precision))
    execution = choose(model, dataset.train, config).execution
    return execution, train(model, dataset, config, TrainState(model, config, execution))


class LabSession:
    """See `benchmarks.task.Session`."""

    def __init__(self, task: Task) -> None:
        prepare_process()  # as in every worker
        os.environ["AECORE_CACHE"] = str(
            Path(task.images).parent
        )  # nothing is remembered from earlier: choosing counts, too
        self._config = ModelConfig.from_dict(task.model)
        training = TrainConfig.from_dict(task.training)
        self._training = replace(training, evaluate_every=NEVER, evaluation_images=16)
        self._model = build_model(self._config, seed=training.seed)
        if weights := task.load_weights():
            self._model.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
        images = torch.from_numpy(task.load_images())
        self._dataset = as_dataset(images, images[:16])
        self._options = task.options
        self._execution = PLAIN
        self._events: Iterator[TrainEvent] | None = None
        self._images = 0
        self.parameters = sum(parameter.numel() for parameter in self._model.parameters())

    @property
    def about(self) -> Mapping[str, str]:
        """See `Session.about`."""
        return {"precision": self._execution.precision, "computed": str(self._execution)}

    def run(self, steps: int) -> Ran:
        """See `Session.run`: wall-clock time, so whatever the engine does between steps counts."""
        done, before, losses = 0, self._images, []
        begun = perf_counter()
        if self._events is None:
            self._execution, self._events = start(self._model, self._dataset, self._training, self._options)
        while done < steps and (event := next(self._events, None)) is not None:
            if isinstance(event, StepDone):
                losses.append(event.loss)  # as a worker does
                self._images = event.images
                done += 1
        return Ran(perf_counter() - begun, done, self._images - before)

    @torch.inference_mode()
    def loss(self) -> float:
        """See `Session.loss`."""
        x = to_unit(self._dataset.train[:FIRST_IMAGES])
        code = self._model.encode(x)
        measure = RECONSTRUCTION_LOSSES[loss_of(self._config, self._training)].per_sample
        return float(measure(self._model.decoder(code), x, self._model.output).mean())

    def weights(self) -> Weights:
        """See `Session.weights`."""
        return {name: tensor.detach().numpy().copy() for name, tensor in self._model.state_dict().items()}


def build(task: Task) -> LabSession:
    """A session for this task."""
    return LabSession(task)
