"""The list of layers tells the truth: its shapes, counts and operations are those of the network itself.

The interpreter in here knows only a checkpoint's two files and `torch.nn.functional`: what it computes is what
anybody can compute who reads the card.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from resamplers import pairs_that_go_together
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from aecore.checkpoint import Checkpoint
from aecore.models import BODIES, BOTTLENECKS, ModelConfig, build_model, describe
from aecore.models.activations import ACTIVATIONS
from aecore.models.layers import OPERATIONS, flops_per_image, operation_of, parameter_count
from aecore.training import TrainConfig


def configs() -> list[ModelConfig]:
    """Each part at least once, on sides that halve evenly and on odd ones."""
    small = {"latent_dim": 3, "channels": 4, "hidden_units": 8}
    found = [ModelConfig(body=body, **small) for body in BODIES]
    found += [
        ModelConfig(body="mlp", activation=a, hidden_layers=2, image_shape=(3, 9, 13), **small) for a in ACTIVATIONS
    ]
    found += [ModelConfig(body="mlp", bottleneck=name, **small) for name in BOTTLENECKS]
    found += [ModelConfig(body="mlp", bottleneck="sparse", sparsity="kl", **small)]
    found += [
        ModelConfig(body="mlp", bottleneck="vector_quantized", word_size=size, codewords=5, **small)
        for size in (1, 3, 8)
    ]
    for image_shape, stages in (((1, 8, 8), 2), ((3, 9, 13), 3)):
        for down, up in pairs_that_go_together():
            found.append(ModelConfig(image_shape=image_shape, downsample=down, upsample=up, stages=stages, **small))
    return found


@pytest.fixture(
    params=configs(),
    ids=lambda c: "-".join(
        str(choice)
        for choice in (c.body, c.bottleneck, c.sparsity, c.word_size, c.downsample, c.upsample, c.activation, c.stages)
    ),
)
def config(request: pytest.FixtureRequest) -> ModelConfig:
    made: ModelConfig = request.param
    return made


def batch(config: ModelConfig) -> Tensor:
    return torch.rand((2, *config.image_shape), generator=torch.Generator().manual_seed(0))


def run(  # noqa: PLR0911, PLR0912 - one case for each operation, as in any interpreter
    layer: dict[str, Any], x: Tensor, tensors: dict[str, Tensor], switches: list[Tensor]
) -> Tensor:
    """One layer of a card, by its operation's name and arguments alone; poolings leave their switches in the list."""
    args = layer["args"]
    named = {role: tensors[name] for role, name in layer["weights"].items()}
    match layer["op"]:
        case "flatten":
            return x.flatten(1)
        case "unflatten":
            return x.reshape(len(x), *args["shape"])
        case "linear":
            return F.linear(x, **named)
        case "conv2d":
            return F.conv2d(x, **named, stride=args["stride"], padding=args["padding"])
        case "conv_transpose2d":
            return F.conv_transpose2d(
                x, **named, stride=args["stride"], padding=args["padding"], output_padding=args["output_padding"]
            )
        case "max_pool2d":
            switches.append(blocks(x).argmax(4))
            return F.max_pool2d(x, args["kernel"], args["stride"], ceil_mode=args["ceil_mode"])
        case "nearest_conv2d":
            doubled = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
            return F.conv2d(doubled, **named, padding=args["padding"])
        case "upsample_bilinear":
            return F.interpolate(x, scale_factor=args["factor"], mode="bilinear")
        case "bed_of_nails":
            return unblocked(F.one_hot(torch.tensor(0), 4) * x[..., None])
        case "max_unpool2d":
            return unblocked(F.one_hot(switches.pop(), 4) * x[..., None])
        case "pixel_shuffle":
            return F.pixel_shuffle(x, args["factor"])
        case "first_half":
            return x[:, : x.shape[1] // 2]
        case "codewords":
            return spelled(x, named["codebook"], args["size"])
        case "crop":
            return x[:, :, : args["height"], : args["width"]]
        case "relu":
            return F.relu(x)
        case "silu":
            return x * torch.sigmoid(x)
        case "tanh":
            return torch.tanh(x)
        case "sigmoid":
            return torch.sigmoid(x)
        case unknown:
            raise NotImplementedError(f"teach this interpreter {unknown!r}")


def spelled(code: Tensor, codebook: Tensor, size: int) -> Tensor:
    """Each `size` numbers of each code replaced by the nearest word of their list."""
    rows = [
        torch.cat(
            [
                min(words[:, : len(part)], key=lambda word, part=part: float((word - part).square().sum()))
                for part, words in zip(row.split(size), codebook, strict=True)
            ]
        )
        for row in code
    ]
    return torch.stack(rows)


def blocks(x: Tensor) -> Tensor:
    """The 2x2 blocks of a plane, edge ones filled up with what is never largest: (N, C, h, w, 4)."""
    even = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), value=-torch.inf)
    return even.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)


def unblocked(values: Tensor) -> Tensor:
    """(N, C, h, w, 4) -> (N, C, 2h, 2w)."""
    return F.pixel_shuffle(values.permute(0, 1, 4, 2, 3).flatten(1, 2), 2)


def test_the_two_files_alone_suffice_to_compute_the_model(config: ModelConfig, tmp_path: Path) -> None:
    model = build_model(config, seed=0)
    Checkpoint.of(model, train_config=TrainConfig(), dataset="digits").save(tmp_path)

    layers = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))["layers"]
    tensors = load_file(tmp_path / "model.safetensors")
    x = batch(config)
    values, switches = {"encoder": x}, []
    for layer in layers:
        values.setdefault(layer["part"], values["encoder"])
        values[layer["part"]] = run(layer, values[layer["part"]], tensors, switches)
    with torch.no_grad():
        torch.testing.assert_close(values["encoder"], model.encode(x))
        torch.testing.assert_close(values["decoder"], model(x))
    used = {name for layer in layers for name in layer["weights"].values()}
    for_training_alone = set(tensors) - used
    assert for_training_alone <= {"bottleneck.words.counts", "bottleneck.words.sums"}, "every other tensor is used"


def test_shapes_are_those_of_the_actual_tensors(config: ModelConfig) -> None:
    model, layers = build_model(config, seed=0), describe(config)
    modules: list[nn.Module] = [
        *model.encoder,
        *model.bottleneck.children(),
        *model.decoder,
        *([] if isinstance(model.output, nn.Identity) else [model.output]),
    ]
    assert len(layers) == len(modules)
    x = batch(config)
    for layer, module in zip(layers, modules, strict=True):
        assert tuple(x.shape[1:]) == layer.in_shape
        x = module(x)
        x = x[0] if isinstance(x, tuple) else x
        assert tuple(x.shape[1:]) == layer.out_shape
        operation = operation_of(module)
        assert operation is not None
        assert layer.op == operation.op


def test_the_halves_meet_in_the_code(config: ModelConfig) -> None:
    layers = describe(config)
    parts = [layer.part for layer in layers]
    assert parts == sorted(parts, reverse=True), "encoder first, then decoder"
    first_of_decoder = parts.index("decoder")
    assert layers[0].in_shape == layers[-1].out_shape == config.image_shape
    assert layers[first_of_decoder - 1].out_shape == layers[first_of_decoder].in_shape == (config.latent_dim,)


def test_parameters_are_counted_as_torch_counts_them(config: ModelConfig) -> None:
    model, layers = build_model(config, seed=0), describe(config)
    assert parameter_count(layers) == sum(parameter.numel() for parameter in model.parameters())
    sizes = dict(model.named_parameters())
    for layer in layers:
        assert layer.parameters == sum(sizes[name].numel() for name in layer.weights.values() if name in sizes)
        assert set(layer.weights.values()) <= set(model.state_dict())


def test_flops_are_counted_as_torch_counts_them(config: ModelConfig) -> None:
    model = build_model(config, seed=0)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(batch(config)[:1])
    unseen = 0  # torch does not count distances: one product for each number of each word
    if config.bottleneck == "vector_quantized":
        parts = -(-config.latent_dim // config.word_size)
        unseen = 2 * parts * config.codewords * config.word_size
    assert flops_per_image(describe(config)) == counter.get_total_flops() + unseen > unseen


def test_a_configuration_is_described_as_its_network_is(config: ModelConfig) -> None:
    assert describe(config) == describe(build_model(config, seed=0))


def test_describing_leaves_the_network_as_it_was(config: ModelConfig) -> None:
    model = build_model(config, seed=0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    mode = model.training
    describe(model)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model.training is mode
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_known_counts_of_a_known_network() -> None:
    # 784 -> 32 -> 784: 784*32 + 32 weights and biases in, 32*784 + 784 out; two operations per multiply-add
    layers = describe(ModelConfig(body="linear", latent_dim=32))
    assert parameter_count(layers) == 784 * 32 + 32 + 32 * 784 + 784 == 50_992
    assert flops_per_image(layers) == 2 * (784 * 32 + 32 * 784) == 100_352


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation.op for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)


def test_what_lies_between_features_and_code_is_told_by_its_operations() -> None:
    def between(bottleneck: str, **choices: object) -> list[str]:
        layers = describe(ModelConfig(body="linear", bottleneck=bottleneck, **choices))
        return [layer.op for layer in layers if layer.part == "encoder"]

    assert between("plain") == between("contractive") == ["flatten", "linear"]
    assert between("variational") == ["flatten", "linear", "first_half"]
    assert between("sparse", sparsity="l1") == ["flatten", "linear", "relu"]
    assert between("sparse", sparsity="kl") == ["flatten", "linear", "sigmoid"]
    assert between("vector_quantized") == ["flatten", "linear", "codewords"]


def test_codewords_are_told_but_not_counted_as_trained_by_gradients() -> None:
    layers = describe(ModelConfig(body="linear", bottleneck="vector_quantized", latent_dim=5, codewords=7))
    words = next(layer for layer in layers if layer.op == "codewords")
    assert (words.in_shape, words.out_shape, words.args) == ((5,), (5,), {"size": 2})
    assert words.weights == {"codebook": "bottleneck.words.codebook"}
    assert (words.parameters, words.flops) == (0, 2 * 3 * 7 * 2)
    assert words.code == "Codewords(5, 7, 2)"
