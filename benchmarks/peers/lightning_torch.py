"""PyTorch Lightning: the plain network and DataLoader in a LightningModule, trained by a Trainer with nothing extra.

Logger, checkpoints, progress bar and summary are off. Only the time between Lightning's `on_train_start` and
`on_train_end` counts: setting a Trainer up is paid once per training, here it happens every round. It knows nothing of
the lab.

Source: Lightning's "Lightning in 15 minutes".
"""

from __future__ import annotations

import logging
from time import perf_counter

import lightning
import torch
from torch import Tensor

from benchmarks.peers.plain_torch import Network, loader_of, loss_of, reconstruction_loss
from benchmarks.task import Ran, Task, Weights


class Module(lightning.LightningModule):  # type: ignore[misc] # skipped by mypy, see pyproject.toml
    """What Lightning is told: the loss of a batch, and the optimiser, which is kept from round to round."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task, self.network = task, Network(task)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=task.training["learning_rate"])
        self.images = 0
        self.begun = self.ended = 0.0

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        """The loss of a batch (N, C, H, W)."""
        self.images += len(batch)
        return loss_of(self.task, self.network, batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Always the same one."""
        return self.optimiser

    def on_train_start(self) -> None:
        """The clock starts."""
        self.begun = perf_counter()

    def on_train_end(self) -> None:
        """The clock stops."""
        self.ended = perf_counter()


class LightningSession:
    """See `benchmarks.task.Session`."""

    def __init__(self, task: Task) -> None:
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        lightning.seed_everything(task.training["seed"], verbose=False)
        self._task, self._module, self._loader = task, Module(task), loader_of(task)
        self.parameters = sum(parameter.numel() for parameter in self._module.parameters())
        self.about = {"loader processes": str(task.options.get("workers", 0))}

    def run(self, steps: int) -> Ran:
        """See `Session.run`."""
        before = self._module.images
        trainer = lightning.Trainer(
            max_steps=steps,
            max_epochs=-1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(self._module, self._loader)
        return Ran(self._module.ended - self._module.begun, trainer.global_step, self._module.images - before)

    def loss(self) -> float:
        """See `Session.loss`."""
        return reconstruction_loss(self._task, self._module.network)

    def weights(self) -> Weights:
        """See `Session.weights`."""
        return self._module.network.weights()


def build(task: Task) -> LightningSession:
    """A session for this task."""
    return LightningSession(task)
