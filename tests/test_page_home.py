"""The home page as Streamlit runs it, without a browser: what stands on it, and what it must not load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image
from safetensors.numpy import save_file
from streamlit.testing.v1 import AppTest

from pages.ui import engine, warmup
from pages.ui.navigation import PAGES
from pages.ui.toy import pen_width

ROOT = Path(__file__).parents[1]
PIXELS, CODE = 64, 4


def write_model(folder: Path, body: str, test_mse: float | None) -> None:
    """A linear model for 8x8 pictures with random weights, and ten examples, as the lab ships them."""
    random = numpy.random.default_rng(0)
    folder.mkdir(parents=True)
    weights = {
        "bottleneck.weight": random.normal(size=(CODE, PIXELS)),
        "bottleneck.bias": random.normal(size=CODE),
        "decoder.weight": random.normal(size=(PIXELS, CODE)),
        "decoder.bias": random.normal(size=PIXELS),
    }
    save_file({name: values.astype("float32") for name, values in weights.items()}, folder / "model.safetensors")
    Image.fromarray(random.integers(0, 256, (8, 80), dtype=numpy.uint8)).save(folder / "examples.png")

    def layer(part: str, op: str, came: list[int], went: list[int], name: str = "", **args: Any) -> dict[str, Any]:
        roles = {role: f"{name}.{role}" for role in ("weight", "bias")} if name else {}
        return {"part": part, "op": op, "in": came, "out": went, "weights": roles, "args": args}

    card = {
        "name": folder.name,
        "model": {"body": body, "latent_dim": CODE, "image_shape": [1, 8, 8]},
        "dataset": {"name": "digits", "checksum": ""},
        "metrics": {"test_mse": test_mse, "test_psnr": 18.7},
        "layers": [
            layer("encoder", "flatten", [1, 8, 8], [PIXELS]),
            layer("encoder", "linear", [PIXELS], [CODE], "bottleneck"),
            layer("decoder", "linear", [CODE], [PIXELS], "decoder"),
            layer("decoder", "unflatten", [PIXELS], [1, 8, 8], shape=[1, 8, 8]),
        ],
        "examples": "examples.png",
    }
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of the shipped models; nothing is loaded in the background."""
    monkeypatch.setattr(engine, "WEIGHTS", tmp_path)
    monkeypatch.setattr(warmup, "start", lambda: None)
    return tmp_path


def run_home() -> AppTest:
    home = AppTest.from_file(str(ROOT / "app.py"), default_timeout=20).run()
    assert not home.exception
    return home


def words(home: AppTest) -> str:
    return "\n".join(str(element.value) for element in [*home.title, *home.subheader, *home.markdown, *home.caption])


def test_the_page_says_what_an_autoencoder_is_and_shows_one(weights: Path) -> None:
    write_model(weights / "digits-conv", "conv", 0.00291)
    write_model(weights / "digits-linear", "linear", 0.0135)
    home = run_home()
    assert home.title[0].value == "What is an autoencoder?"
    [component] = home.get("bidi_component")
    [data] = json.loads(component.proto.json)
    assert [model["label"] for model in data["models"]] == ["Convolutional", "Linear"]
    assert data["examples"]["shape"] == [10, 1, 8, 8]
    assert "**0.00291**" in words(home), "the better of the two is marked"
    assert "0.0135" in words(home)
    assert f"{PIXELS} pixel values have to pass through {CODE}" in words(home)
    assert {"The target is the input", "The bottleneck forces a choice"} <= {s.value for s in home.subheader}


def test_every_page_can_be_reached(weights: Path) -> None:
    write_model(weights / "digits-linear", "linear", 0.0135)
    links = [link.value for link in run_home().page_link]
    for name, page in PAGES.items():
        assert page.name in links, "in the navigation"
        assert name == "home" or f"Go to {page.name}" in links, "on the map"


def test_the_map_lists_the_pages_there_are() -> None:
    there = {"app.py"} | {f"pages/{path.name}" for path in (ROOT / "pages").glob("*.py") if path.name != "__init__.py"}
    assert {page.path for page in PAGES.values()} == there


def test_without_models_the_page_says_what_to_do(weights: Path) -> None:
    assert not list(weights.iterdir())
    home = run_home()
    assert not home.get("bidi_component")
    assert "make weights" in words(home)
    assert PAGES["train"].question in [link.value for link in home.page_link]


def test_a_damaged_model_is_told_in_words(weights: Path) -> None:
    write_model(weights / "digits-linear", "linear", 0.0135)
    (weights / "digits-linear" / "model.safetensors").write_bytes(b"not a model")
    home = run_home()
    assert "cannot be read" in home.error[0].value
    assert "The lab" in [s.value for s in home.subheader], "the rest of the page stays"


def test_numbers_the_card_does_not_give_are_dashes(weights: Path) -> None:
    write_model(weights / "digits-conv", "conv", None)
    assert "| Convolutional | – |" in words(run_home())


def test_the_first_paint_loads_nothing_heavy(weights: Path) -> None:
    """What home imports on top of Streamlit, in a process of its own."""
    write_model(weights / "digits-linear", "linear", 0.0135)
    script = f"""
import sys
from streamlit.testing.v1 import AppTest
before = set(sys.modules)
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from pages.ui import engine, warmup
warmup.start = lambda: None
engine.WEIGHTS = Path({str(weights)!r})
home = AppTest.from_file({str(ROOT / "app.py")!r}, default_timeout=20).run()
assert not home.exception and home.get("bidi_component")
print("\\n".join(set(sys.modules) - before))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert "pages.ui.toy" in loaded
    heavy = {"torch", "torchvision", "sklearn", "scipy", "pandas", "pyarrow", "sqlalchemy", "plotly.graph_objects"}
    assert not heavy & loaded


def test_the_pen_is_as_wide_as_the_strokes_of_the_examples() -> None:
    pictures = numpy.zeros((2, 1, 28, 28), dtype=numpy.uint8)
    assert pen_width(pictures) > 0, "blank pictures have no strokes to measure"
    pictures[:, :, 4:24, 10:13] = 255
    thin = pen_width(pictures)
    pictures[:, :, 4:24, 10:16] = 255
    assert 2 < thin < 4 < pen_width(pictures) < 8
