"""Training as a generator of events, its configuration, and evaluation."""

from aecore.training.config import TrainConfig
from aecore.training.evaluation import Evaluation, encode, evaluate, reconstruct
from aecore.training.events import Evaluated, Finished, Started, StepDone, TrainEvent
from aecore.training.loop import TrainState, check_fit, check_loss, train

__all__ = [
    "Evaluated",
    "Evaluation",
    "Finished",
    "Started",
    "StepDone",
    "TrainConfig",
    "TrainEvent",
    "TrainState",
    "check_fit",
    "check_loss",
    "encode",
    "evaluate",
    "reconstruct",
    "train",
]
