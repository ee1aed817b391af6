"""Runs small enough for a test, and a way to wait for what they do. For the tests of `aecore.runs`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from aecore.models.config import ModelConfig
from aecore.runs.executor import Executor
from aecore.runs.queue import RunQueue
from aecore.runs.store import RunStore
from aecore.training.config import TrainConfig

T = TypeVar("T")

MODEL = ModelConfig(image_shape=(1, 8, 8), body="mlp", hidden_units=8, latent_dim=2)
SHORT = TrainConfig(budget=20, budget_unit="steps", batch_size=32, evaluation_images=64)
ENDLESS = TrainConfig(budget=100_000, budget_unit="steps", batch_size=32, evaluation_images=64)


class Nobody(Executor):
    """An executor that carries out nothing, so that every state stays as a test left it."""

    def __init__(self) -> None:
        self.nudges = 0

    def nudge(self) -> None:
        self.nudges += 1

    def close(self) -> None:
        """Nothing to stop."""


def open_store(folder: Path) -> RunStore:
    """A store of its own in `folder`."""
    return RunStore(url_in(folder))


def url_in(folder: Path) -> str:
    """The URL of the store in `folder`."""
    return f"sqlite:///{folder / 'runs.sqlite'}"


def add_run(
    store: RunStore,
    training: TrainConfig = SHORT,
    *,
    model: ModelConfig = MODEL,
    dataset: str = "digits8",
    **about: Any,
) -> str:
    """Put a little run into the queue."""
    return store.create(model=model, training=training, dataset=dataset, **about)


def claim(store: RunStore, executor: str = "tester") -> str:
    """Take the run whose turn it is."""
    run_id = RunQueue(store.database).claim_next(executor)
    assert run_id is not None, "no run waits"
    return run_id


def until(condition: Callable[[], T], what: str, seconds: float = 30.0) -> T:
    """Wait until `condition()` is true and give its value; fail if that takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.005)
    raise AssertionError(f"waited {seconds:g} s in vain: {what}")
