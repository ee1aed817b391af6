"""Models packed for the browser: what comes out, and what is said when it cannot."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy
import pytest
from PIL import Image
from safetensors.numpy import save_file

from aecore.errors import CheckpointError
from pages.ui.engine import browser_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a model of one layer each way for 3x2x4 pictures, and three examples in colour."""
    weight = numpy.arange(24, dtype=numpy.float16).reshape(1, 24)
    save_file({"down": weight, "up": weight.T.copy(), "unused": weight}, tmp_path / "model.safetensors")
    strip = numpy.arange(2 * 12 * 3, dtype=numpy.uint8).reshape(2, 12, 3)
    Image.fromarray(strip).save(tmp_path / "strip.png")
    layers = [
        {"part": "encoder", "op": "linear", "in": [24], "out": [1], "weights": {"weight": "down"}, "args": {}},
        {"part": "decoder", "op": "linear", "in": [1], "out": [24], "weights": {"weight": "up"}, "args": {}},
    ]
    card = {
        "model": {"body": "conv", "latent_dim": 1, "image_shape": [3, 2, 4]},
        "dataset": {"name": "shapes", "checksum": "abc"},
        "metrics": {"test_mse": 0.5},
        "layers": layers,
        "examples": "strip.png",
    }
    (tmp_path / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return tmp_path


def test_weights_and_examples_arrive_unchanged(model: Path) -> None:
    packed = browser_model(model)
    assert json.loads(json.dumps(packed)) == packed
    assert set(packed["weights"]) == {"down", "up"}, "what no layer uses stays behind"
    up = packed["weights"]["up"]
    values = numpy.frombuffer(base64.b64decode(up["data"]), "<f4").reshape(up["shape"])
    assert (values == numpy.arange(24).reshape(24, 1)).all()
    assert packed["parameters"] == 48
    examples = packed["examples"]
    pictures = numpy.frombuffer(base64.b64decode(examples["data"]), numpy.uint8).reshape(examples["shape"])
    strip = numpy.asarray(Image.open(model / "strip.png"))
    for i in range(3):
        assert (pictures[i] == strip[:, 4 * i : 4 * i + 4].transpose(2, 0, 1)).all()


def test_a_changed_file_is_read_again(model: Path) -> None:
    before = browser_model(model)
    assert browser_model(model) is before
    weight = numpy.zeros((1, 24), dtype=numpy.float32)
    save_file({"down": weight, "up": weight.T.copy()}, model / "model.safetensors")
    assert browser_model(model)["digest"] != before["digest"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.safetensors", None, "holds no model.safetensors"),
        ("model.safetensors", b"damaged", "cannot be read"),
        ("card.json", None, "cannot be read"),
        ("card.json", b"{", "is damaged"),
        ("card.json", b"{}", "is damaged"),
        ("card.json", b'"text"', "is damaged"),
        ("strip.png", b"damaged", "cannot be read"),
        ("strip.png", None, "cannot be read"),
    ],
)
def test_what_is_missing_or_damaged_is_said(model: Path, name: str, content: bytes | None, message: str) -> None:
    if content is None:
        (model / name).unlink()
    else:
        (model / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as raised:
        browser_model(model)
    assert "make weights" in str(raised.value)
