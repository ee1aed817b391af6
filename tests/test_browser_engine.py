"""The browser's engine computes what torch computes: every operation, and every registered network."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from playwright.sync_api import Page
from resamplers import pairs_that_go_together
from safetensors.torch import save_file
from torch import nn

from aecore.models import BODIES, BOTTLENECKS, ModelConfig, build_model, describe
from aecore.models.bodies import Crop
from aecore.models.bottlenecks import SPARSITIES, FirstHalf
from aecore.models.codewords import Codewords
from aecore.models.layers import OPERATIONS, operation_of
from aecore.models.nearest_conv import NearestConv2d
from aecore.models.unpooling import BedOfNails2d, MaxUnpool2d
from pages.ui.browser import source
from pages.ui.engine import browser_model, floats_to_json

pytestmark = pytest.mark.browser

CLOSE = 1e-4  # largest difference allowed in any value; float32 sums in another order differ by about 1e-6


def words_at_random(latent_dim: int, words: int, size: int) -> Codewords:
    """Words to choose from."""
    made = Codewords(latent_dim, words, size)
    made.draw(torch.Generator().manual_seed(0))
    return made


CASES: list[tuple[nn.Module, tuple[int, ...]]] = [
    (nn.Flatten(), (3, 5, 7)),
    (nn.Unflatten(1, (3, 5, 7)), (105,)),
    (nn.Linear(13, 7), (13,)),
    (nn.Linear(7, 13, bias=False), (7,)),
    (nn.Conv2d(1, 4, 3, padding=1), (1, 28, 28)),
    (nn.Conv2d(3, 5, 3, stride=2, padding=1), (3, 17, 23)),
    (nn.Conv2d(2, 3, 4, stride=2, padding=1, bias=False), (2, 8, 9)),
    (nn.Conv2d(3, 2, 5, stride=3), (3, 11, 16)),
    (nn.Conv2d(2, 2, 1, padding=2), (2, 3, 4)),
    (nn.ConvTranspose2d(1, 4, 3, stride=2, padding=1, output_padding=1), (1, 7, 7)),
    (nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1), (4, 5, 9)),
    (nn.ConvTranspose2d(3, 1, 2, stride=2, bias=False), (3, 8, 8)),
    (nn.ConvTranspose2d(2, 3, 5, stride=2, padding=2, output_padding=1), (2, 4, 6)),
    (nn.ConvTranspose2d(2, 2, 3, stride=3, output_padding=2), (2, 3, 5)),
    (nn.ConvTranspose2d(2, 3, 3, padding=1), (2, 6, 5)),
    (nn.MaxPool2d(2), (3, 8, 10)),
    (nn.MaxPool2d(2, ceil_mode=True), (3, 7, 9)),
    (nn.MaxPool2d(3, stride=2, ceil_mode=True), (1, 8, 9)),
    (NearestConv2d(3, 5), (3, 5, 4)),
    (NearestConv2d(4, 1), (4, 1, 7)),
    (nn.Upsample(scale_factor=2, mode="bilinear"), (3, 5, 4)),
    (nn.Upsample(scale_factor=3, mode="bilinear"), (1, 7, 2)),
    (BedOfNails2d(), (3, 5, 4)),
    (MaxUnpool2d(), (2, 3, 4)),
    (nn.PixelShuffle(2), (8, 3, 5)),
    (nn.PixelShuffle(3), (9, 2, 4)),
    (FirstHalf(), (10,)),
    (words_at_random(6, 9, 2), (6,)),
    (words_at_random(5, 4, 3), (5,)),
    (Crop(7, 5), (3, 8, 6)),
    (nn.ReLU(), (2, 3, 5)),
    (nn.SiLU(), (17,)),
    (nn.Tanh(), (17,)),
    (nn.Sigmoid(), (2, 3, 5)),
]


@pytest.fixture(scope="module")
def differences() -> Iterator[list[float]]:
    """The largest difference of every case; the largest of all is printed in the end."""
    collected: list[float] = []
    yield collected
    if collected:
        print(f"\nengine and torch differ by at most {max(collected):.1e} in {len(collected)} cases")


@pytest.fixture
def engine(page: Page) -> Page:
    """A blank page in which the engine is loaded."""
    page.add_script_tag(content=source("engine.js"))
    return page


def largest_difference(ours: list[float], torchs: torch.Tensor) -> float:
    assert len(ours) == torchs.numel()
    return float(numpy.abs(numpy.asarray(ours) - torchs.flatten().double().numpy()).max())


def test_the_cases_cover_every_operation(engine: Page) -> None:
    exported = {operation.op for operation in OPERATIONS.values()}
    assert set(engine.evaluate("Object.keys(OPERATIONS)")) == exported
    assert {operation.op for module, _ in CASES if (operation := operation_of(module))} == exported


@pytest.mark.parametrize(("module", "shape"), CASES, ids=[f"{type(m).__name__}-{i}" for i, (m, _) in enumerate(CASES)])
def test_an_operation_equals_torch(
    engine: Page, module: nn.Module, shape: tuple[int, ...], differences: list[float]
) -> None:
    torch.manual_seed(0)
    x = 2 * torch.randn(2, *shape)
    with torch.no_grad():
        y = module(x)
    operation = operation_of(module)
    assert operation is not None
    layer = {
        "op": operation.op,
        "args": operation.args(module),
        "in": list(shape),
        "out": list(y.shape[1:]),
        "weights": {role: role for role in module.state_dict()},
    }
    weights = {role: floats_to_json(tensor.numpy()) for role, tensor in module.state_dict().items()}
    results = engine.evaluate(
        """([layer, weights, inputs]) => {
            const tensors = {}
            for (const [name, { shape, data }] of Object.entries(weights)) {
                tensors[name] = { shape, data: decodeFloats(data) }
            }
            const step = prepare(layer, tensors)
            return inputs.map((input) => Array.from(step(Float32Array.from(input)))) // twice, with the same buffers
        }""",
        [layer, weights, x.flatten(1).tolist()],
    )
    difference = max(largest_difference(ours, torchs) for ours, torchs in zip(results, y, strict=True))
    differences.append(difference)
    assert difference < CLOSE


def registered_networks() -> list[ModelConfig]:
    """A small network for every body and every bottleneck, and for `conv` every way down with every way up."""
    configs = []
    for shape in ((1, 28, 28), (3, 17, 23)):
        for body in BODIES:
            common: dict[str, Any] = {"image_shape": shape, "body": body, "latent_dim": 5}
            if body == "conv":
                configs += [
                    ModelConfig(**common, channels=4, downsample=down, upsample=up)
                    for down, up in pairs_that_go_together()
                ]
            else:
                configs.append(ModelConfig(**common))
        small: dict[str, Any] = {"image_shape": shape, "body": "mlp", "latent_dim": 5, "hidden_units": 16}
        configs += [ModelConfig(**small, bottleneck=name) for name in BOTTLENECKS]
        configs += [ModelConfig(**small, bottleneck="sparse", sparsity=name) for name in SPARSITIES]
    return configs


def save_model(config: ModelConfig, folder: Path) -> torch.nn.Module:
    """Write a model with random weights as the lab ships it."""
    model = build_model(config, seed=0).eval()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    card = {
        "model": config.to_dict(),
        "dataset": {"name": "random", "checksum": ""},
        "metrics": {},
        "layers": [layer.to_dict() for layer in describe(model)],
    }
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return model


@pytest.mark.parametrize(
    "config",
    registered_networks(),
    ids=lambda c: f"{c.body}-{c.bottleneck}-{c.downsample}-{c.upsample}-{c.image_shape[0]}",
)
def test_a_network_equals_torch(engine: Page, config: ModelConfig, tmp_path: Path, differences: list[float]) -> None:
    model = save_model(config, tmp_path)
    x = torch.rand(1, *config.image_shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        code = model.encode(x)
        decoded, reconstruction = model.decode(code), model(x)
    ours = engine.evaluate(
        """([packed, pixels]) => {
            const model = loadModel(packed)
            const code = Array.from(model.encode(Float32Array.from(pixels)))
            return {
                code,
                reconstruction: Array.from(model.reconstruct(Float32Array.from(pixels))),
                decoded: Array.from(model.decode(Float32Array.from(code))), // of the code alone: without switches
            }
        }""",
        [browser_model(tmp_path), x.flatten().tolist()],
    )
    torchs = {"code": code, "decoded": decoded, "reconstruction": reconstruction}
    difference = max(largest_difference(ours[name], values) for name, values in torchs.items())
    differences.append(difference)
    assert difference < CLOSE


def test_a_decoder_is_quick_enough_to_follow_the_pointer(engine: Page, tmp_path: Path) -> None:
    """Code -> 32x7x7 -> 16x14x14 -> 1x28x28. The time is printed, not judged: a test machine may be busy."""
    config = ModelConfig(image_shape=(1, 28, 28), body="conv", latent_dim=16, channels=16, upsample="transpose4")
    save_model(config, tmp_path)
    milliseconds = engine.evaluate(
        """(packed) => {
            const model = loadModel(packed)
            const code = new Float32Array(packed.latent_dim).fill(0.3)
            const time = (count) => {
                const start = performance.now()
                for (let i = 0; i < count; i++) model.decode(code)
                return (performance.now() - start) / count
            }
            return [time(1), (time(50), time(200))]
        }""",
        browser_model(tmp_path),
    )
    print(
        f"\na 28x28 convolutional decoder in the browser: {milliseconds[0]:.2f} ms cold, {milliseconds[1]:.2f} ms warm"
    )
    assert all(math.isfinite(value) for value in milliseconds)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"op": "dream"}, 'there is no operation "dream" here'),
        ({"in": [3]}, "expects 3, but gets 1,8,8"),
        ({"weights": {"weight": "gone"}}, 'needs the weights "gone"'),
    ],
)
def test_a_model_it_cannot_run_is_refused_with_the_reason(
    engine: Page, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    save_model(ModelConfig(image_shape=(1, 8, 8), body="linear", latent_dim=2), tmp_path)
    packed = browser_model(tmp_path)
    broken = {**packed, "layers": [{**packed["layers"][0], **change}, *packed["layers"][1:]]}
    if "weights" in change:
        broken["layers"][0]["op"] = "linear"
    said = engine.evaluate("(packed) => { try { loadModel(packed) } catch (error) { return error.message } }", broken)
    assert message in said
