"""The PyTorch code of a model runs with nothing but torch and makes exactly this model."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from resamplers import pairs_that_go_together
from torch import Tensor, nn

from aecore.data.image_dataset import to_stored
from aecore.errors import ConfigError
from aecore.export import gif, pytorch_code
from aecore.models import BODIES, BOTTLENECKS, ModelConfig, build_model, describe
from aecore.models.activations import ACTIVATIONS
from aecore.models.bottlenecks import SPARSITIES, VectorQuantizedBottleneck
from aecore.training import TrainConfig, loss_of

SMALL = {"latent_dim": 3, "channels": 4, "hidden_units": 8}
CONFIGS = [
    *(ModelConfig(body=body, **SMALL) for body in BODIES),
    *(ModelConfig(body="mlp", activation=name, hidden_layers=3, **SMALL) for name in ACTIVATIONS),
    *(
        ModelConfig(image_shape=(3, 9, 13), downsample=down, upsample=up, stages=3, **SMALL)
        for down, up in pairs_that_go_together()
    ),
    *(ModelConfig(body=body, bottleneck=name, **SMALL) for name in BOTTLENECKS for body in ("linear", "mlp")),
    *(ModelConfig(body="mlp", bottleneck="sparse", sparsity=name, **SMALL) for name in SPARSITIES),
    *(
        ModelConfig(body="conv", bottleneck=name, downsample="maxpool", upsample="max_unpool", **SMALL)
        for name in BOTTLENECKS
    ),
]


@pytest.fixture(
    params=CONFIGS,
    ids=lambda config: f"{config.body}-{config.bottleneck}-{config.activation}-{config.downsample}-{config.upsample}",
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
        if isinstance(model.bottleneck, VectorQuantizedBottleneck):
            encoder[-1].codebook.copy_(model.bottleneck.words.codebook)  # type: ignore[union-attr, operator]
        x = torch.rand(2, *config.image_shape)
        code, *switches = encoder(x) if config.upsample == "max_unpool" else (encoder(x),)
        if config.bottleneck == "variational":
            code, _ = code.chunk(2, dim=1)  # the code draws names its halves
        torch.testing.assert_close(code, model.encode(x))
        torch.testing.assert_close(decoder(code, *switches), model(x))


def test_its_loss_is_that_of_the_model(config: ModelConfig) -> None:
    """Run with the model's own weights, the last lines give the loss the lab trains on, up to what is drawn."""
    model = build_model(config, seed=0).eval()
    code = pytorch_code(config)
    names: dict[str, object] = {}
    before, after = code.split("x = torch.rand", 1)
    exec(compile(before, "<halves>", "exec"), names)
    encoder, decoder = names["encoder"], names["decoder"]
    assert isinstance(encoder, nn.Sequential)
    assert isinstance(decoder, nn.Sequential)
    with torch.no_grad():
        for mine, copy in zip(model.parameters(), [*encoder.parameters(), *decoder.parameters()], strict=True):
            copy.copy_(mine)
        if isinstance(model.bottleneck, VectorQuantizedBottleneck):
            encoder[-1].codebook.copy_(model.bottleneck.words.codebook)  # type: ignore[union-attr, operator]
    torch.manual_seed(3)
    exec(compile("x = torch.rand" + after, "<loss>", "exec"), names)
    x, loss = names["x"], names["loss"]
    assert isinstance(x, Tensor)
    assert isinstance(loss, Tensor)
    assert x.shape == (16, *config.image_shape)
    again = torch.Generator().manual_seed(3)
    torch.rand(16, *config.image_shape, generator=again)  # the images; what comes next is what the code was drawn from
    ours = model.loss_terms(x, x, loss_of(config, TrainConfig()), again).total()
    torch.testing.assert_close(loss, ours)


def test_its_comments_tell_the_true_shapes(config: ModelConfig) -> None:
    layers = [layer for layer in describe(config) if layer.op != "first_half"]
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


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 9, 13)])
def test_a_gif_runs_forward_and_back_with_every_pixel_enlarged(shape: tuple[int, int, int]) -> None:
    images = torch.rand(4, *shape, generator=torch.Generator().manual_seed(0))
    images[0, 0, 0, 0], images[0, :, 1, 1] = 1.7, -0.3  # cut off
    made = Image.open(io.BytesIO(gif(images)))
    scale = -(-224 // max(shape[1:]))
    assert made.size == (shape[2] * scale, shape[1] * scale)
    assert made.n_frames == 6  # 0 1 2 3 2 1
    for frame, which in enumerate([0, 1, 2, 3, 2, 1]):
        made.seek(frame)
        shown = torch.from_numpy(np.asarray(made.convert("RGB")).copy())[scale // 2 :: scale, scale // 2 :: scale]
        wanted = to_stored(images[which : which + 1])[0].expand(3, -1, -1).permute(1, 2, 0)
        # grey has its 256 levels in a GIF; colours are the nearest of a palette
        assert (shown.int() - wanted.int()).abs().float().mean() <= (0 if shape[0] == 1 else 12), frame


def test_a_gif_needs_pictures() -> None:
    for wrong in (torch.zeros(0, 1, 8, 8), torch.zeros(2, 4, 8, 8)):
        with pytest.raises(ConfigError, match="GIF"):
            gif(wrong)
