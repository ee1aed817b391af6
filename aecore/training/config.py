"""How to train: loss, optimiser, budget, noise and seed."""

from __future__ import annotations

from dataclasses import dataclass

from aecore.dials import Config, dial, part
from aecore.losses import RECONSTRUCTION_LOSSES
from aecore.models.parts import titles
from aecore.noise import NONE, NoiseConfig
from aecore.training.optimisers import OPTIMISERS, SCHEDULES

AUTO = "auto"
PRECISIONS = {"float32": "float32", "bfloat16": "bfloat16"}
BUDGET_UNITS = {"epochs": "Epochs", "steps": "Steps", "seconds": "Seconds"}


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Config):
    """The choices of one training; the same configuration gives the same losses.

    A budget in seconds is the exception: how many steps fit into it depends on the machine.

    Attributes:
        noise: What is done to the images the network sees. The target is always the clean image, so with noise the
            network becomes a denoiser.

    Raises:
        ConfigError: For a value out of range or an unknown name, with what would fit.

    Example:
        >>> TrainConfig(budget=200, budget_unit="steps").total_steps(1437)
        200
    """

    budget: int = dial(5, low=1, high=100_000, scale="log", help="How long to train, in the unit below.")
    budget_unit: str = dial(
        "epochs",
        label="Budget in",
        choices=BUDGET_UNITS,
        help="An epoch shows every training image once; a step is one batch.",
    )
    loss: str = dial(
        AUTO,
        choices={AUTO: "Suits the network", **{name: loss.title for name, loss in RECONSTRUCTION_LOSSES.items()}},
        help="What counts as a difference between target and reconstruction. If left open: squared error, and for a "
        "variational code binary cross-entropy where the network allows it.",
    )
    learning_rate: float = dial(
        0.0,
        low=0,
        high=10.0,
        scale="log",
        help="The largest step size of the schedule; 0 takes one that is safe for the network. Too high kills units "
        "or explodes, too low crawls.",
    )
    batch_size: int = dial(
        128,
        low=1,
        high=4096,
        scale="log",
        unit="images",
        help="Images averaged for one step.",
    )
    optimiser: str = dial(
        "adam",
        choices=titles(OPTIMISERS),
        advanced=True,
        help="The rule that turns gradients into steps.",
    )
    schedule: str = dial(
        "one_cycle",
        choices=titles(SCHEDULES),
        advanced=True,
        help="How the learning rate changes over the budget.",
    )
    warmup: float = dial(
        0.0,
        label="Warm-up of the charge",
        low=0,
        high=1,
        advanced=True,
        help="Share of the budget over which what the bottleneck charges, such as a KL divergence, grows to its full "
        "weight.",
    )
    weight_decay: float = dial(0.0, low=0, high=1, advanced=True, help="Pull of every weight towards zero.")
    precision: str = dial(
        AUTO,
        choices={AUTO: "Fastest here", **PRECISIONS},
        advanced=True,
        help="What convolutions and matrix products multiply. Fastest here: what a few steps show to be the fastest on "
        "this machine while the loss stays the same; a short training is computed in float32.",
    )
    evaluate_every: int = dial(
        0,
        low=0,
        high=1_000_000,
        unit="steps",
        advanced=True,
        help="Steps between two looks at the test set; 0 spreads about 25 of them over the budget.",
    )
    evaluation_images: int = dial(
        2000,
        label="Images per look",
        low=16,
        high=100_000,
        unit="images",
        advanced=True,
        help="Test images used for each point of the curve; the final numbers always use all of them.",
    )
    seed: int = dial(
        0, low=0, high=2**31 - 1, advanced=True, help="Makes initial weights and batches the same every time."
    )

    noise: NoiseConfig = part(NONE)  # noqa: RUF009 - a dataclass field, like those made with dial()

    def steps_per_epoch(self, images: int) -> int:
        """Batches that show each of `images` training images once; the last one may be smaller."""
        return -(-images // self.batch_size)

    def total_steps(self, images: int) -> int | None:
        """Steps of the whole budget on `images` training images; None if the clock decides."""
        if self.budget_unit == "seconds":
            return None
        return self.budget * (self.steps_per_epoch(images) if self.budget_unit == "epochs" else 1)

    def evaluation_interval(self, images: int) -> int:
        """Steps between two evaluations on the test set."""
        if self.evaluate_every:
            return self.evaluate_every
        total = self.total_steps(images)
        return max(1, total // 25) if total is not None else self.steps_per_epoch(images)
