"""A trained model as a file: `model.safetensors` with its weights, `card.json` with everything else.

Nothing is ever unpickled. This module knows nothing of runs, pages or how the numbers on the card were made.
"""

from __future__ import annotations

import io
import json
import math
import platform
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

import aecore
from aecore.errors import CheckpointError, ConfigError
from aecore.models.autoencoder import Autoencoder, build_model
from aecore.models.config import ModelConfig
from aecore.models.layers import describe
from aecore.training.config import TrainConfig
from aecore.training.loop import TrainState

WEIGHTS_FILE, CARD_FILE = "model.safetensors", "card.json"
CARD_FORMAT = 2  # 1 had the doubling and the convolution of `nearest` as two layers
TRAINING_PREFIX = "training."

Entry = TypeVar("Entry")


def versions() -> dict[str, str]:
    """Versions of what the numbers on a card depend on."""
    return {
        "aecore": aecore.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
    }


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A model's weights and its card.

    Attributes:
        model_config: Which network the weights belong to.
        train_config: How it was trained.
        dataset: Name of the dataset it was trained on.
        dataset_checksum: SHA-256 of that data, empty if unknown.
        weights: The model's state dict.
        training_state: The optimiser's memory and the progress, to go on from here; empty for a finished model.
        metrics: Numbers by name, such as `test_mse`.
        command: The command that made it, empty if it was made otherwise.
        versions: What it was made with.
        extra: Anything else for the card, JSON-ready.
    """

    model_config: ModelConfig
    train_config: TrainConfig
    dataset: str
    dataset_checksum: str = ""
    weights: dict[str, Tensor]
    training_state: dict[str, Tensor] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    versions: dict[str, str] = field(default_factory=versions)
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Autoencoder, state: TrainState | None = None, **about: Any) -> Self:
        """The checkpoint of a model as it is now; give `state` to be able to resume.

        Tensors are copied: training on does not change the checkpoint.
        """
        tensors = {} if state is None else state.to_tensors()
        return cls(
            model_config=model.config,
            weights={name: _plain(tensor) for name, tensor in model.state_dict().items()},
            training_state={name: _plain(tensor) for name, tensor in tensors.items()},
            **about,
        )

    def card(self) -> dict[str, Any]:
        """Everything but the tensors, JSON-ready; `layers` tells how to compute the model from them."""
        layers = describe(self.model_config)
        return {
            "format": CARD_FORMAT,
            "model": self.model_config.to_dict(),
            "training": self.train_config.to_dict(),
            "dataset": {"name": self.dataset, "checksum": self.dataset_checksum},
            "seed": self.train_config.seed,
            "metrics": {name: _json_number(value) for name, value in self.metrics.items()},
            "command": self.command,
            "versions": self.versions,
            **self.extra,
            "layers": [layer.to_dict() for layer in layers],
        }

    def to_bytes(self) -> bytes:
        """Weights, training state and card in one safetensors file; `from_bytes` makes an equal checkpoint."""
        tensors = {**self.weights, **{TRAINING_PREFIX + name: t for name, t in self.training_state.items()}}
        return save_tensors(tensors, metadata={"card": json.dumps(self.card())})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises:
            CheckpointError: If the bytes are damaged or hold something else.
        """
        try:
            tensors = load_tensors(data)
            header_length = int.from_bytes(data[:8], "little")
            card = json.loads(json.loads(data[8 : 8 + header_length])["__metadata__"]["card"])
        except (SafetensorError, KeyError, ValueError, RecursionError) as error:
            raise CheckpointError("This is not a checkpoint of the lab, or it is damaged.") from error
        return cls._assemble(card, tensors)

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` and `card.json` into `folder`, which is made if need be.

        The training state stays behind: the files describe a model, not an unfinished run.

        Raises:
            CheckpointError: If the folder cannot be written to.
        """
        make_folder(folder)
        try:
            for name, content in self.files().items():
                (folder / name).write_bytes(content)
        except OSError as error:
            raise _unwritable(folder, error) from error

    def to_zip(self) -> bytes:
        """The two files `save` writes, in one zip archive."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.files().items():
                archive.writestr(name, content)
        return buffer.getvalue()

    def files(self) -> dict[str, bytes]:
        """The content of the files that `save` writes, by name."""
        card = json.dumps(self.card(), indent=2, ensure_ascii=False) + "\n"
        return {WEIGHTS_FILE: save_tensors(self.weights), CARD_FILE: card.encode()}

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a folder that `save` wrote.

        Raises:
            CheckpointError: If a file is missing, damaged, or does not fit the other.
        """
        try:
            card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
            tensors = load_tensors((folder / WEIGHTS_FILE).read_bytes())
        except FileNotFoundError as error:
            raise CheckpointError(
                f"{folder} holds no {Path(error.filename).name}. A checkpoint is a folder with {WEIGHTS_FILE} and "
                f"{CARD_FILE}, as `aecore train --out` writes it."
            ) from error
        except (OSError, SafetensorError, ValueError, RecursionError) as error:
            raise CheckpointError(f"The checkpoint in {folder} cannot be read; it is damaged.") from error
        return cls._assemble(card, tensors)

    @classmethod
    def _assemble(cls, card: Any, tensors: dict[str, Tensor]) -> Self:
        known = {
            "format", "model", "training", "dataset", "seed", "metrics", "command", "versions", "layers",
        }  # fmt: skip
        if (card_format := _entry(card, "format", int)) != CARD_FORMAT:
            raise CheckpointError(
                f"The card has format {card_format}, this version reads {CARD_FORMAT}. Make the checkpoint anew."
            )
        dataset = _entry(card, "dataset", dict)
        try:
            return cls(
                model_config=ModelConfig.from_dict(_entry(card, "model", dict)),
                train_config=TrainConfig.from_dict(_entry(card, "training", dict)),
                dataset=_entry(dataset, "name", str),
                dataset_checksum=_entry(dataset, "checksum", str),
                weights={n: t for n, t in tensors.items() if not n.startswith(TRAINING_PREFIX)},
                training_state={
                    n.removeprefix(TRAINING_PREFIX): t for n, t in tensors.items() if n.startswith(TRAINING_PREFIX)
                },
                metrics=_entry(card, "metrics", dict),
                command=_entry(card, "command", str),
                versions=_entry(card, "versions", dict),
                extra={name: value for name, value in card.items() if name not in known},
            )
        except ConfigError as error:
            raise CheckpointError(f"The card does not describe a model of this version: {error}") from error

    def build(self) -> Autoencoder:
        """The model with these weights, ready for use (evaluation mode).

        Raises:
            CheckpointError: If the weights do not fit the configuration.
        """
        model = build_model(self.model_config)
        try:
            model.load_state_dict(self.weights)
        except RuntimeError as error:
            raise CheckpointError("The weights do not fit the network the card describes.") from error
        return model.eval()

    def resume(self, model: Autoencoder) -> TrainState:
        """The training state to hand to `train()`, bound to `model` (made by `build`).

        Raises:
            CheckpointError: If another version wrote the training state.
        """
        state = TrainState(model, self.train_config)
        try:
            if self.training_state:
                state.load_tensors(self.training_state)
        except (KeyError, ValueError) as error:
            raise CheckpointError("The training state is of another version. Train anew from the start.") from error
        return state


def make_folder(folder: Path) -> None:
    """Make the folder of a checkpoint; it may be there already.

    Raises:
        CheckpointError: If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> CheckpointError:
    return CheckpointError(f"Cannot write to {folder}: {error.strerror}. Choose another folder.")


def _entry(card: Any, name: str, kind: type[Entry]) -> Entry:
    value = card.get(name) if isinstance(card, dict) else None
    if not isinstance(value, kind):
        raise CheckpointError(f"The card is incomplete: {name!r} is missing or of the wrong kind.")
    return value


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().contiguous()


def _json_number(value: Any) -> Any:
    return value if not isinstance(value, float) or math.isfinite(value) else None
