"""What `train()` reports, as it happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Started:
    """Training is about to take its first step, or its first one after a checkpoint.

    Attributes:
        step: Steps already done.
        total_steps: Steps of the whole budget; None when the budget is in seconds.
        steps_per_epoch: Steps that show every training image once.
    """

    step: int
    total_steps: int | None
    steps_per_epoch: int


@dataclass(frozen=True)
class StepDone:
    """One batch was used.

    Attributes:
        step: Steps done, this one included.
        epoch: Times the training set was shown, as a fraction.
        progress: Share of the budget used, in [0, 1].
        loss: The batch's loss before the step: summed over the values of an image, averaged over the batch.
        learning_rate: The rate this step was taken with.
        images: Training images used so far, repeats counted.
        seconds: Time spent in steps so far; evaluations and pauses are not in it.
    """

    step: int
    epoch: float
    progress: float
    loss: float
    learning_rate: float
    images: int
    seconds: float


@dataclass(frozen=True)
class Evaluated:
    """The model was tried on test images.

    Attributes:
        step: Steps done when it was tried.
        loss: The same loss as in training at this step, charges that warm up included in their share: summed over the
            values of an image, averaged over the images.
        mse: Mean squared error per value.
        images: How many test images it was tried on; always the first ones of the test set.
        terms: The parts of the loss before their weights, by name; without charges only the reconstruction.
        units: Each unit's part of the first charge, where that is a sum over units; empty otherwise.
        share: How much of the charges counts at this step; less than 1 while they warm up.
    """

    step: int
    loss: float
    mse: float
    images: int
    terms: Mapping[str, float] = field(default_factory=dict)
    units: tuple[float, ...] = ()
    share: float = 1.0


@dataclass(frozen=True)
class Finished:
    """Training ended by itself.

    Attributes:
        step: Steps done.
        reason: Whether the budget is used up or the loss went astray.
        message: One sentence for people; what to try if something went wrong.
    """

    step: int
    reason: Literal["budget", "diverged"]
    message: str


TrainEvent = Started | StepDone | Evaluated | Finished
