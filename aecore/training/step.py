"""One training step: stored images in, gradients out.

This module knows nothing of epochs, budgets or when to look at the test set.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from aecore.data.image_dataset import to_unit
from aecore.models.autoencoder import Autoencoder
from aecore.training.config import TrainConfig
from aecore.training.draws import codes_of_step, noise_of_step
from aecore.training.execution import Execution
from aecore.training.objective import loss_of
from aecore.training.recording import Recording, record


@dataclass(frozen=True)
class BatchLoss:
    """The loss of one batch.

    Attributes:
        minimised: What the gradients are of: with the bottleneck's charges by their share.
        full: With all of them.
    """

    minimised: Float[Tensor, ""]
    full: Float[Tensor, ""]


class Step:
    """A training step of one network, to be taken again and again.

    It is recorded when it is taken for the second time, and played back from then on; the last batch of an epoch, if
    it is smaller, is computed anew. So what a network does must not change from step to step by anything else than
    numbers in tensors.

    Attributes:
        unrecorded: Why there is no recording, if it was not possible; empty if nothing went wrong.
    """

    def __init__(
        self,
        model: Autoencoder,
        stored: UInt8[Tensor, "n c h w"],
        config: TrainConfig,
        execution: Execution,
        *,
        recorded: bool = True,
    ) -> None:
        """Get ready.

        Args:
            model: The network, arranged for `execution`, in training mode.
            stored: All training images.
            config: How to train: which loss, which noise, and the seed.
            execution: How it is computed.
            recorded: Whether it may be recorded; a step has the same bits either way.
        """
        self._model, self._stored, self._config, self._execution = model, stored, config, execution
        self._network = model if model.twin is None else model.twin.network
        self._weights, self._learned = list(model.parameters()), list(self._network.parameters())
        self._loss = loss_of(model.config, config)
        self._draws = torch.Generator()
        self._share = torch.ones((), dtype=torch.float64)
        self._recorded = recorded
        self._size: int | None = None  # of the batches that may be recorded
        self._recording: Recording | None = None
        self.unrecorded = ""

    def backward(self, index: Int64[Tensor, " b"], number: int, share: float = 1.0) -> BatchLoss:
        """Compute the loss of one batch, and the gradients of all weights, which replace those of the step before.

        Args:
            index: Which of the images make the batch.
            number: Which step this is; noise and drawn codes are a function of seed and number.
            share: How much of the bottleneck's charges counts, in [0, 1].
        """
        target = self._execution.place(to_unit(torch.index_select(self._stored, 0, index)))
        noise = self._config.noise
        seen = [noise.corrupt(target, noise_of_step(self._config.seed, number))] if noise.on else []
        codes_of_step(self._config.seed, number, self._draws)
        self._share.fill_(share)
        minimised, full, *gradients = self._results(target, *seen)
        for weight, gradient in zip(self._weights, gradients, strict=True):
            weight.grad = gradient
        return BatchLoss(minimised, full)

    def _results(self, *images: Tensor) -> list[Tensor]:
        """Loss and gradients; from the recording, where there is one for batches of this size."""
        again, self._size = len(images[0]) == self._size, self._size or len(images[0])
        if not (again and self._recorded):
            return self._computed(*images)
        if self._recording is not None:
            return self._recording.play(*images)
        tensors = [*self._weights, *self._learned, *self._network.buffers()]
        known = {id(tensor): tensor for tensor in tensors}.values()
        found = record(lambda: self._computed(*images), images, [*known, self._share, self._draws])
        self._recording, self.unrecorded = found.recording, found.why_not
        self._recorded = found.recording is not None
        return found.results

    def _computed(self, target: Tensor, seen: Tensor | None = None) -> list[Tensor]:
        """The loss that is minimised, the full one, and the gradients in the order of the weights."""
        if self._model.twin is not None:
            self._model.twin.refresh()
        terms = self._network.loss_terms(target if seen is None else seen, target, self._loss, self._draws)
        minimised = terms.total(self._share)
        gradients = torch.autograd.grad(minimised, self._learned)
        full = terms.total() if terms.bottleneck else minimised
        return [minimised.detach(), full.detach(), *map(_as_of, self._weights, gradients)]


def _as_of(weight: Tensor, gradient: Tensor) -> Tensor:
    """A gradient with the digits of its weight, and lying as it does: fused optimisers go through both side by side."""
    alike = gradient.dtype == weight.dtype and gradient.stride() == weight.stride()
    return gradient if alike else torch.empty_like(weight, requires_grad=False).copy_(gradient)
