"""Training as a generator of events, its configuration, and evaluation."""

from aecore.training.config import TrainConfig
from aecore.training.evaluation import Evaluation, corrupted, encode, evaluate, reconstruct
from aecore.training.events import Evaluated, Finished, Started, StepDone, TrainEvent
from aecore.training.lockstep import Turn, check_lockstep, train_together
from aecore.training.loop import TrainState, check_fit, train
from aecore.training.objective import check_loss, loss_of

__all__ = [
    "Evaluated",
    "Evaluation",
    "Finished",
    "Started",
    "StepDone",
    "TrainConfig",
    "TrainEvent",
    "TrainState",
    "Turn",
    "check_fit",
    "check_lockstep",
    "check_loss",
    "corrupted",
    "encode",
    "evaluate",
    "loss_of",
    "reconstruct",
    "train",
    "train_together",
]
