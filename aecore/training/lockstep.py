"""Several models trained side by side: the same seed, the same batches, one step each in turn.

Batches are a function of seed and epoch alone (`aecore.training.draws.epoch_order`), so models that take turns see the
same images in the same order. This module knows nothing of what the models differ in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aecore.data.image_dataset import ImageDataset
from aecore.errors import ConfigError
from aecore.models.autoencoder import Autoencoder
from aecore.training.config import TrainConfig
from aecore.training.events import Finished, StepDone, TrainEvent
from aecore.training.loop import TrainState, train


@dataclass(frozen=True)
class Turn:
    """What one of the models did.

    Attributes:
        name: Which model.
        event: What it reports.
        even: Whether here is a place to pause or to save: all models still going have taken the same number of steps
            and ended their turns. With one model every event is such a place.
    """

    name: str
    event: TrainEvent
    even: bool


def check_lockstep(count: int, config: TrainConfig) -> None:
    """Raise `ConfigError` if `count` models cannot be trained in lockstep like this; says what would work."""
    if count > 1 and config.budget_unit == "seconds":
        raise ConfigError(
            "A budget in seconds would give quick models more steps than slow ones. Compare with a budget in epochs "
            "or steps; the speed of each is reported."
        )


def train_together(
    models: Mapping[str, Autoencoder], dataset: ImageDataset, config: TrainConfig, states: Mapping[str, TrainState]
) -> Iterator[Turn]:
    """Train `models` in place, step by step in turn; yield what each reports, as `train` does.

    A model that diverges is finished, and the others go on. With one model this is `train`.

    Args:
        models: By name; their weights change.
        dataset: What to learn from.
        config: How, for all of them.
        states: Where each one's training stands, by name; equally far.

    Raises:
        ConfigError: If models, data and configuration do not go together.
    """
    check_lockstep(len(models), config)
    going = {name: train(model, dataset, config, states[name]) for name, model in models.items()}
    while going:
        for name in list(going):
            last = name == list(going)[-1]
            for event in going[name]:
                ends_turn = isinstance(event, StepDone | Finished)
                yield Turn(name, event, even=len(going) == 1 or (last and ends_turn))
                if isinstance(event, Finished):
                    del going[name]
                if ends_turn:
                    break
