"""The PyTorch code of a model runs with nothing but torch and makes exactly this model."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from resamplers import pairs_that_go_together
from torch import Tensor, nn

from aecore.export import pytorch_code
from aecore.models import BODIES, ModelConfig, build_model, describe
from aecore.models.activations import ACTIVATIONS

SMALL = {"latent_dim": 3, "channels": 4, "hidden_units": 8}
CONFIGS = [
    *(ModelConfig(body=body, **SMALL) for body in BODIES),
    *(ModelConfig(body="mlp", activation=name, hidden_layers=3, **SMALL) for name in ACTIVATIONS),
    *(
        ModelConfig(image_shape=(3, 9, 13), downsample=down, upsample=up, stages=3, **SMALL)
        for down, up in pairs_that_go_together()
    ),
]


@pytest.fixture(
    params=CONFIGS, ids=lambda config: f"{config.body}-{config.activation}-{config.downsample}-{config.upsample}"
)
def config(request: pytest.FixtureRequest) -> ModelConfig:
    made: ModelConfig = request.param
    return made


def run(config: ModelConfig) -> dict[str, object]:
    names: dict[str, object] = {}
    exec(compile(pytorch_code(config), "<code of a model>", "exec"), names)
    return names


def test_it_makes_the_same_model(config: ModelConfig) -> None:
    names, model = run(config), build_model(config, seed=0)
    encoder, decoder = names["encoder"], names["decoder"]
    assert isinstance(encoder, nn.Sequential)
    assert isinstance(decoder, nn.Sequential)
    with torch.no_grad():
        ours = list(model.parameters())
        theirs = [*encoder.parameters(), *decoder.parameters()]
        for mine, copy in zip(ours, theirs, strict=True):
            assert mine.shape == copy.shape
            copy.copy_(mine)
        x = torch.rand(2, *config.image_shape)
        code, *switches = encoder(x) if config.upsample == "max_unpool" else (encoder(x),)
        torch.testing.assert_close(code, model.encode(x))
        torch.testing.assert_close(decoder(code, *switches), model(x))


def test_its_loss_is_the_squared_error_per_image(config: ModelConfig) -> None:
    names = run(config)
    x, decoder, code, loss = (names[name] for name in ("x", "decoder", "code", "loss"))
    assert isinstance(x, Tensor)
    assert isinstance(loss, Tensor)
    assert isinstance(decoder, nn.Sequential)
    assert x.shape == (16, *config.image_shape)
    beside = [names["switches"]] if "switches" in names else []
    torch.testing.assert_close(loss, ((decoder(code, *beside) - x) ** 2).sum() / 16)


def test_its_comments_tell_the_true_shapes(config: ModelConfig) -> None:
    layers = describe(config)
    told = [ast.literal_eval(f"({shape},)") for shape in re.findall(r"# \(N, ([\d, ]+)\)", pytorch_code(config))]
    halves = [[layer for layer in layers if layer.part == part] for part in ("encoder", "decoder")]
    assert told == [shape for half in halves for shape in [half[0].in_shape, *(layer.out_shape for layer in half)]]


def test_it_is_tidy(config: ModelConfig) -> None:
    code = pytorch_code(config)
    assert code.endswith("\n")
    assert not code.endswith("\n\n")
    assert all(line == line.rstrip() and len(line) <= 110 for line in code.splitlines())
    assert "aecore" not in code
    ops = {layer.op for layer in describe(config)}
    assert ("class Crop" in code) is ("crop" in ops)
    assert ("class BedOfNails" in code) is ("bed_of_nails" in ops)
    assert ("class Encoder" in code) is ("max_unpool2d" in ops)


def test_it_passes_the_linter(tmp_path: Path) -> None:
    for number, config in enumerate(CONFIGS):
        (tmp_path / f"model{number}.py").write_text(pytorch_code(config), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--select=E,F,W,I", "--line-length=110", tmp_path],
        capture_output=True,
        check=False,
        text=True,
    )
    assert result.returncode == 0, result.stdout
