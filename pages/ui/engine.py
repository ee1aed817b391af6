"""A trained model as data for the browser's engine (`browser/engine.js`), without loading torch.

A component that runs a model puts `browser_model(folder)` into its `data` and `source("engine.js", ...)` into its
script. This module knows nothing of what the model is shown for.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import streamlit as st
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from safetensors import SafetensorError
from safetensors.numpy import load

from aecore.errors import CheckpointError
from pages.ui.browser import source

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"  # aecore.pretrained.WEIGHTS, whose module loads torch
BODY_LABELS = {"linear": "Linear", "mlp": "Fully connected", "conv": "Convolutional"}
FILES = ("card.json", "model.safetensors")
_KEEPER = st.components.v2.component("browser_keeper", js=source("keeper.js"))
LAYER_KEYS = ("part", "op", "in", "out", "weights", "args")


def browser_model(folder: Path) -> dict[str, Any]:
    """Read a model and pack it for the browser; later calls get it from memory until the file changes.

    Args:
        folder: Holds `model.safetensors` and `card.json`, as `aecore train --out` writes them.

    Returns:
        A JSON-ready dictionary, to be treated as read-only, with the keys

        - `name`, `body`, `label` (the body in words), `dataset`, `latent_dim`, `image_shape` ([C, H, W]) and
          `parameters` (how many);
        - `metrics`: from the card: `test_mse` per pixel, `test_psnr` in dB of the mean MSE, ...;
        - `digest`: changes whenever weights or layers do;
        - `layers`: what to compute, in order, from the card;
        - `weights`: name to `{"shape", "data"}`, the data as base64 of little-endian float32;
        - `examples`: `{"shape": [N, C, H, W], "data"}` with base64 of uint8, or None if the card names none.

    Raises:
        CheckpointError: If a file is missing, damaged or does not fit the other.
    """
    try:
        changed = (folder / "model.safetensors").stat().st_mtime_ns
    except OSError as error:
        raise CheckpointError(
            f"{folder} holds no model.safetensors. Make the shipped models with `make weights`."
        ) from error
    return _read(str(folder), changed)


def keep(key: str, *packed: dict[str, Any]) -> None:
    """Send models, and whatever else has a `digest`, to the browser, where `whenKept` (`browser/kept.js`) finds them.

    What was sent before under this key is not sent again. There may be several keys on a page.
    """
    _KEEPER(key=f"{key}_kept", data=(list(packed),), height=1)


def floats_to_json(values: NDArray[Any]) -> dict[str, Any]:
    """Any values as `{"shape", "data"}` with base64 of little-endian float32."""
    data = numpy.ascontiguousarray(values, dtype="<f4").tobytes()
    return {"shape": list(values.shape), "data": base64.b64encode(data).decode("ascii")}


def images_to_json(images: NDArray[numpy.uint8]) -> dict[str, Any]:
    """Images (N, C, H, W) as `{"shape", "data"}` with base64 of their bytes."""
    return {"shape": list(images.shape), "data": base64.b64encode(images.tobytes()).decode("ascii")}


# One entry per shipped model and version of its file; the dictionaries are handed out as they are, never copied.
@st.cache_resource(max_entries=16, show_spinner=False)
def _read(folder_name: str, changed: int) -> dict[str, Any]:  # noqa: ARG001 - `changed` is part of the cache key
    folder = Path(folder_name)
    try:
        files = {name: (folder / name).read_bytes() for name in FILES}
        packed = pack(files, folder.name)
        examples = json.loads(files["card.json"]).get("examples")
        return {**packed, "examples": _examples(folder / examples, packed["image_shape"]) if examples else None}
    except (OSError, UnidentifiedImageError) as error:
        raise CheckpointError(f"The model in {folder} cannot be read. Make it again with `make weights`.") from error


def pack(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    """A model for the browser, as `browser_model` gives it, without examples.

    Args:
        files: The content of `model.safetensors` and `card.json`, as `Checkpoint.files` gives it.
        name: What the model is called if its card does not say.

    Raises:
        CheckpointError: If one is damaged or does not fit the other.
    """
    try:
        card = json.loads(files["card.json"])
        tensors = load(files["model.safetensors"])
        image_shape = list(card["model"]["image_shape"])
        layers = [{key: layer[key] for key in LAYER_KEYS} for layer in card["layers"]]
        used = [name for layer in layers for name in layer["weights"].values()]
        return {
            "digest": hashlib.sha256(b"".join(files[name] for name in FILES)).hexdigest()[:16],
            "name": card.get("name", name),
            "body": card["model"]["body"],
            "label": BODY_LABELS.get(card["model"]["body"], card["model"]["body"]),
            "dataset": card["dataset"]["name"],
            "latent_dim": card["model"]["latent_dim"],
            "image_shape": image_shape,
            "parameters": sum(tensors[name].size for name in used),
            "metrics": card["metrics"],
            "layers": layers,
            "weights": {name: floats_to_json(tensors[name]) for name in used},
            "examples": None,
        }
    except SafetensorError as error:
        raise CheckpointError(f"The model {name} cannot be read. Make it again with `make weights`.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"The card of {name} is damaged or does not fit its model. Make it again with `make weights`."
        ) from error


def _examples(path: Path, image_shape: list[int]) -> dict[str, Any]:
    """Cut a strip of images side by side into (N, C, H, W)."""
    channels, height, width = image_shape
    with Image.open(path) as picture:
        strip = numpy.asarray(picture.convert("L" if channels == 1 else "RGB"))
    cells = strip.reshape(height, -1, width, channels)  # (H, N W, C) -> (H, N, W, C); C is 1 where the strip is grey
    return images_to_json(cells.transpose(1, 3, 0, 2))
