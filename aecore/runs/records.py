"""What the store remembers of a run, as plain records.

This module knows nothing of databases or processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from aecore.models.config import ModelConfig
from aecore.runs.states import UNFINISHED_STATES, State, Wanted
from aecore.training.config import TrainConfig

GRID_SIDE = 8
TERM, UNIT = "term ", "unit "


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run as the store has it now.

    Attributes:
        id: Short name, fit for a link.
        kind: What sort of run; "training" trains one model, "comparison" several in lockstep.
        owner: The visitor who may steer it; anybody with the link may watch.
        created: Seconds since 1970.
        model: Which network; in a comparison, what the rivals share.
        training: How it is trained.
        rivals: In a comparison the upsamplers that are tried; empty otherwise.
        computing: How the steps of each model are computed and why, by rival, in words; empty until that is known.
        dataset: Name of the dataset.
        state: Where it stands.
        wanted: Where its owner wants it.
        step_requests: How many single steps were asked for and not yet taken.
        message: One sentence for people: progress while preparing, or why it ended.
        progress: Share of the budget used, in [0, 1].
        step: Steps done.
        total_steps: Steps of the budget; None if the clock decides.
        executor: Who runs it; empty if nobody does.
        metrics: Final numbers by name.
        has_checkpoint: Whether there is something to resume from or to save.
    """

    id: str
    kind: str
    owner: str
    created: float
    model: ModelConfig
    training: TrainConfig
    dataset: str
    state: State
    wanted: Wanted
    step_requests: int
    message: str
    progress: float
    step: int
    total_steps: int | None
    executor: str
    metrics: dict[str, Any]
    has_checkpoint: bool
    rivals: tuple[str, ...] = ()
    computing: dict[str, str] = field(default_factory=dict)

    @property
    def models(self) -> dict[str, ModelConfig]:
        """The networks by rival; that of a run without rivals under the empty name."""
        if not self.rivals:
            return {"": self.model}
        return {name: replace(self.model, upsample=name) for name in self.rivals}

    @property
    def unfinished(self) -> bool:
        """Whether it waits for a worker or has one."""
        return self.state in UNFINISHED_STATES


@dataclass(frozen=True)
class Point:
    """One point of a run's curves.

    Attributes:
        id: Grows with time over all runs; ask the store for points after the last one seen.
        step: Steps done.
        kind: "train" for an average over the steps since the point before, "test" for a look at the test set.
        values: Numbers by name; `loss` is summed over the values of an image. A look at the test set also has the
            parts of the loss, named with `TERM` before them, and each unit's part of the first charge, see `by_unit`;
            with a warm-up, as `share`, how much of the charges counted.
        rival: Whose they are in a comparison; empty otherwise.
    """

    id: int
    step: int
    kind: Literal["train", "test"]
    values: dict[str, float]
    rival: str = ""

    @property
    def terms(self) -> dict[str, float]:
        """The parts of the loss by name, before their weights."""
        return {name.removeprefix(TERM): value for name, value in self.values.items() if name.startswith(TERM)}

    @property
    def units(self) -> list[float]:
        """Each unit's part of the first charge, where that is a sum over units."""
        return [value for name, value in self.values.items() if name.startswith(UNIT)]  # written in their order


def by_unit(amounts: Iterable[float]) -> dict[str, float]:
    """Amounts per unit of the code as numbers by name, for a point."""
    return {f"{UNIT}{number}": amount for number, amount in enumerate(amounts)}


@dataclass(frozen=True)
class Snapshot:
    """What a model made of a fixed set of images at one moment.

    Attributes:
        step: Steps done.
        reconstructions: (N, C, H, W) uint8, of the stage's targets; in a comparison (R, N, C, H, W), rival by rival.
        codes: (M, 2) float32, of the stage's labelled images; empty when the code is not two numbers.
        grid: (K, C, H, W) uint8 where the code is two numbers: what the decoder makes of the middles of the
            `GRID_SIDE` x `GRID_SIDE` cells of `box`, row by row from the top, where the second number is highest.
        box: The smaller and the larger coordinates of that grid's edges, (2, 2) float32.
    """

    step: int
    reconstructions: NDArray[np.uint8]
    codes: NDArray[np.float32]
    grid: NDArray[np.uint8] | None = None
    box: NDArray[np.float32] | None = None

    def to_bytes(self) -> bytes:
        """The arrays, for the store."""
        plane: dict[str, NDArray[Any]] = {}
        if self.grid is not None and self.box is not None:
            plane = {"grid": self.grid, "box": self.box}
        return save_arrays({"reconstructions": self.reconstructions, "codes": self.codes, **plane})

    @classmethod
    def from_bytes(cls, step: int, data: bytes) -> Snapshot:
        """What `to_bytes` gave, with its step."""
        arrays = load_arrays(data)
        return cls(step, arrays["reconstructions"], arrays["codes"], arrays.get("grid"), arrays.get("box"))


@dataclass(frozen=True)
class Stage:
    """The fixed test images a run is watched on.

    Attributes:
        targets: (N, C, H, W) uint8, the row of images shown.
        labels: (M,) int64, the class of each image whose code is shown.
        noisy: (N, C, H, W) uint8, what the network is shown of the targets; None if it is the targets themselves.
    """

    targets: NDArray[np.uint8]
    labels: NDArray[np.int64]
    noisy: NDArray[np.uint8] | None = None

    def to_bytes(self) -> bytes:
        """The arrays, for the store."""
        noisy = {} if self.noisy is None else {"noisy": self.noisy}
        return save_arrays({"targets": self.targets, "labels": self.labels, **noisy})

    @classmethod
    def from_bytes(cls, data: bytes) -> Stage:
        """What `to_bytes` gave."""
        arrays = load_arrays(data)
        return cls(arrays["targets"], arrays["labels"], arrays.get("noisy"))


def pack(checkpoints: Mapping[str, bytes]) -> bytes:
    """The checkpoints of a run by rival, as one; `unpack` gives them back."""
    return save_arrays({f"of {name}": np.frombuffer(data, np.uint8) for name, data in checkpoints.items()})


def unpack(data: bytes) -> dict[str, bytes]:
    """The checkpoints that `pack` put together, by rival."""
    return {name.removeprefix("of "): array.tobytes() for name, array in load_arrays(data).items()}
