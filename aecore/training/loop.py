"""The training loop, as a generator of events.

Whoever consumes it decides: not asking for the next event is a pause, asking once is a step, closing the generator
is stop. It knows nothing of processes, databases, pages or progress bars.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from aecore.data.image_dataset import ImageDataset
from aecore.errors import ConfigError
from aecore.models.autoencoder import Autoencoder
from aecore.training.config import TrainConfig
from aecore.training.draws import BatchOrder
from aecore.training.evaluation import evaluate
from aecore.training.events import Evaluated, Finished, Started, StepDone, TrainEvent
from aecore.training.execution import PLAIN, Execution
from aecore.training.objective import check_loss, loss_of
from aecore.training.optimisers import OPTIMISERS, SCHEDULES, learning_rate
from aecore.training.step import Step

EXPLODED = 100.0  # a loss this many times its first value will not come back by itself


class TrainState:
    """Everything a training needs to go on as if it had never stopped, besides the model's weights.

    Attributes:
        optimiser: The torch optimiser, bound to the model's parameters.
        rate: The learning rate at the top of the schedule.
        step: Steps done.
        images: Training images used, repeats counted.
        seconds: Time spent in steps.
        clock: Time spent in steps and evaluations: what a budget in seconds is counted against.
        first_loss: Loss of the very first batch, with all charges at their full weight; None before it.
        evaluated: Step of the latest evaluation, so that none is skipped or repeated; -1 before the first.
        execution: How steps are computed; it stays the same from the first step to the last.
    """

    def __init__(self, model: Autoencoder, config: TrainConfig, execution: Execution = PLAIN) -> None:
        self.rate = learning_rate(config.learning_rate, model.safe_rate, config.optimiser)
        self.optimiser = OPTIMISERS[config.optimiser].build(model.parameters(), self.rate, config.weight_decay)
        self.step = 0
        self.images = 0
        self.seconds = 0.0
        self.clock = 0.0
        self.first_loss: float | None = None
        self.evaluated = -1
        self.execution = execution
        self._names = {id(parameter): name for name, parameter in model.named_parameters()}

    def arrange(self, model: Autoencoder) -> None:
        """Lay the model's weights and the optimiser's memory of them out as the execution wants them.

        Fused optimisers go through both as they lie in memory, so they have to lie alike.
        """
        self.execution.arrange(model)
        for parameter, entries in self.optimiser.state.items():
            for key, value in entries.items():
                if value.shape == parameter.shape and value.stride() != parameter.stride():
                    entries[key] = torch.empty_like(parameter).copy_(value)

    def count_step(self, images: int, seconds: float) -> None:
        """Note that a step was taken: on how many images, and how long it took."""
        self.step += 1
        self.images += images
        self.seconds += seconds
        self.clock += seconds

    def to_tensors(self) -> dict[str, Tensor]:
        """The state as named tensors, for a checkpoint."""
        tensors = {
            f"{key}.{self._names[id(parameter)]}": value
            for parameter, entries in self.optimiser.state.items()
            for key, value in entries.items()
        }
        progress = [self.step, self.images, self.seconds, self.clock, self.evaluated]
        progress.append(math.nan if self.first_loss is None else self.first_loss)
        return {
            **tensors,
            "progress": torch.tensor(progress, dtype=torch.float64),
            "execution": torch.tensor(self.execution.to_numbers()),
        }

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take over what `to_tensors` gave."""
        step, images, self.seconds, self.clock, evaluated, first_loss = tensors["progress"].tolist()
        self.step, self.images, self.evaluated = int(step), int(images), int(evaluated)
        self.first_loss = None if math.isnan(first_loss) else first_loss
        self.execution = Execution.from_numbers(tensors["execution"].tolist())
        for group in self.optimiser.param_groups:
            for parameter in group["params"]:
                suffix = f".{self._names[id(parameter)]}"
                entries: dict[str, Any] = {
                    name.removesuffix(suffix): value.clone()
                    for name, value in tensors.items()
                    if name.endswith(suffix) and "." not in name.removesuffix(suffix)
                }
                if entries:
                    self.optimiser.state[parameter] = entries


def mean_image(images: UInt8[Tensor, "n c h w"]) -> Float32[Tensor, "c h w"]:
    """The mean of stored images, in [0, 1]: (N, C, H, W) -> (C, H, W)."""
    parts = [batch.sum(0, dtype=torch.int64) for batch in images.split(1000)]  # all at once would be widened first
    return (torch.stack(parts).sum(0).double() / (255 * len(images))).float()


def check_fit(model: Autoencoder, dataset: ImageDataset, config: TrainConfig) -> None:
    """Raise `ConfigError` if model, data and training do not go together; says what would."""
    if model.config.image_shape != dataset.image_shape:
        raise ConfigError(
            f"The model is built for images of shape {model.config.image_shape}, but {dataset.title} has "
            f"{dataset.image_shape}. Build it with ModelConfig(...).for_images(dataset.image_shape)."
        )
    check_loss(model.config, config)


def train(
    model: Autoencoder, dataset: ImageDataset, config: TrainConfig, state: TrainState | None = None
) -> Iterator[TrainEvent]:
    """Train `model` in place on `dataset.train`; yield `Started`, then steps and evaluations, then `Finished`.

    With noise in the configuration the network sees corrupted images, in training and in evaluations, and is told to
    give back the clean ones. Source: Vincent et al., Stacked denoising autoencoders, JMLR 11 (2010), section 3.

    The same model, data, configuration and execution give the same losses, paused or not, on the same machine with the
    same number of threads. Given a `state` restored from a checkpoint, training goes on as if it had never stopped.

    Args:
        model: The autoencoder; its weights change. A fresh one starts from the mean training image.
        dataset: What to learn from; the test set is only looked at.
        config: How to train.
        state: Where an earlier training stopped, and how steps are computed. It is kept up to date at every event, so
            that a consumer can save it between any two of them.

    Raises:
        ConfigError: If model, data and configuration do not go together.
    """
    check_fit(model, dataset, config)
    state = state or TrainState(model, config)
    schedule = SCHEDULES[config.schedule].build
    count = len(dataset.train)
    per_epoch, total = config.steps_per_epoch(count), config.total_steps(count)
    interval = config.evaluation_interval(count)
    shown = dataset.test[: config.evaluation_images]
    reconstruction_loss = loss_of(model.config, config)

    def progress() -> float:
        used = state.step / total if total else state.clock / config.budget
        return min(1.0, used)

    def share() -> float:
        return min(1.0, progress() / config.warmup) if config.warmup else 1.0

    def look() -> Evaluated:
        begun = perf_counter()
        result = evaluate(model, shown, reconstruction_loss, config.noise, share())
        state.clock += perf_counter() - begun
        state.evaluated = state.step
        return Evaluated(state.step, result.loss, result.mse, result.images, result.terms, result.units, share())

    yield Started(state.step, total, per_epoch)

    if state.step == 0:
        model.start_from(mean_image(dataset.train))
    model.train()
    state.arrange(model)
    step = Step(model, dataset.train, config, state.execution)
    order = BatchOrder(config.seed, count, config.batch_size)
    try:
        while True:
            if state.evaluated != state.step and (state.step % interval == 0 or progress() >= 1):
                seen = look()
                if astray(seen.loss, state.first_loss):
                    yield Finished(state.step, "diverged", divergence_message(state.step, seen.loss, state.rate))
                    return
                yield seen
            if progress() >= 1:
                break

            begun = perf_counter()
            index = order.batch(state.step)
            rate = state.rate * schedule(progress())
            for group in state.optimiser.param_groups:
                group["lr"] = rate
            found = step.backward(index, state.step, share())
            loss = float(found.minimised)
            if state.first_loss is None:
                state.first_loss = float(found.full)
            if astray(loss, state.first_loss):
                yield Finished(state.step, "diverged", divergence_message(state.step, loss, state.rate))
                return
            state.optimiser.step()

            state.count_step(len(index), perf_counter() - begun)
            yield StepDone(state.step, state.step / per_epoch, progress(), loss, rate, state.images, state.seconds)
        yield Finished(state.step, "budget", f"The budget of {config.budget:,} {config.budget_unit} is used up.")
    finally:
        PLAIN.arrange(model)


def astray(loss: float, first_loss: float | None) -> bool:
    """Whether a loss is no number or has exploded, measured by the first one."""
    return not math.isfinite(loss) or loss > EXPLODED * (first_loss or math.inf)


def divergence_message(step: int, loss: float, rate: float) -> str:
    """Why a run was ended early and what to try, in one or two sentences."""
    what = f"grew to {loss:.3g}" if math.isfinite(loss) else "was no longer a number"
    return (
        f"The loss {what} after {step} steps, so training was ended. The learning rate {rate:g} is "
        f"probably too high here: try {rate / 10:g}."
    )
