"""A network as a list of its layers: shapes, parameters, operations, code.

Everything that has to talk *about* a network starts from this list: the diagram of tensor shapes, the parameter
and FLOP counts, the PyTorch code of a model, and the program the browser runs. It knows nothing of any of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor, nn

from aecore.models.autoencoder import Autoencoder, build_model
from aecore.models.bodies import Crop
from aecore.models.bottlenecks import FirstHalf
from aecore.models.codewords import Codewords
from aecore.models.config import ModelConfig
from aecore.models.nearest_conv import NearestConv2d
from aecore.models.unpooling import BedOfNails2d, MaxUnpool2d, SwitchPool2d

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One step of a network, for one image (shapes are without the batch dimension).

    Attributes:
        part: The half it belongs to; the map from features to the code belongs to the encoder.
        op: Name of the operation, a key of `OPERATIONS`.
        args: Its settings, JSON-ready.
        weights: Role ("weight", "bias", "codebook") to the tensor's name in the model's state dict.
        in_shape: Shape of what comes in.
        out_shape: Shape of what goes out.
        parameters: Number of values trained by gradients; codewords follow by other means.
        flops: Floating-point operations for one image; a multiplication and its addition count two. Biases,
            activations and copies are not counted, as in `torch.utils.flop_counter`.
        code: The Python expression that makes this layer, or those it stands for, with `nn` for `torch.nn`.
    """

    part: Literal["encoder", "decoder"]
    op: str
    args: dict[str, Any]
    weights: dict[str, str]
    in_shape: Shape
    out_shape: Shape
    parameters: int
    flops: int
    code: str

    def to_dict(self) -> dict[str, Any]:
        """The layer for a checkpoint's card: enough to run it without this package."""
        return {
            "part": self.part,
            "op": self.op,
            "args": self.args,
            "weights": self.weights,
            "in": list(self.in_shape),
            "out": list(self.out_shape),
            "parameters": self.parameters,
            "flops": self.flops,
        }


@dataclass(frozen=True)
class Operation:
    """How one kind of module is told about.

    Attributes:
        op: Name in cards and in the browser engine.
        args: Module -> settings.
        macs: (module, input shape, output shape) -> multiply-accumulate operations.
        code: Module -> the expression that makes it.
    """

    op: str
    args: Callable[[Any], dict[str, Any]]
    macs: Callable[[Any, Shape, Shape], int]
    code: Callable[[Any], str]


def _no_macs(*_: Any) -> int:
    return 0


def _no_args(_: Any) -> dict[str, Any]:
    return {}


def _simple(op: str, kind: type[nn.Module]) -> Operation:
    return Operation(op, _no_args, _no_macs, lambda _: f"nn.{kind.__name__}()")


def _conv_code(module: nn.Conv2d | nn.ConvTranspose2d) -> str:
    settings = {"stride": 1, "padding": 0, "output_padding": 0}
    extra = [
        f", {name}={value}"
        for name, usual in settings.items()
        if (value := getattr(module, name, (usual,))[0]) != usual
    ]
    kind = "ConvTranspose2d" if isinstance(module, nn.ConvTranspose2d) else "Conv2d"
    return (
        f"nn.{kind}({module.in_channels}, {module.out_channels}, kernel_size={module.kernel_size[0]}{''.join(extra)})"
    )


OPERATIONS: dict[type[nn.Module], Operation] = {
    nn.Flatten: _simple("flatten", nn.Flatten),
    nn.Unflatten: Operation(
        "unflatten",
        lambda m: {"shape": list(m.unflattened_size)},
        _no_macs,
        lambda m: f"nn.Unflatten(1, {tuple(m.unflattened_size)})",
    ),
    nn.Linear: Operation(
        "linear",
        _no_args,
        lambda m, _, __: m.in_features * m.out_features,
        lambda m: f"nn.Linear({m.in_features}, {m.out_features})",
    ),
    nn.Conv2d: Operation(
        "conv2d",
        lambda m: {"kernel": m.kernel_size[0], "stride": m.stride[0], "padding": m.padding[0]},
        lambda m, _, out: m.in_channels * m.kernel_size[0] * m.kernel_size[1] * math.prod(out),
        _conv_code,
    ),
    nn.ConvTranspose2d: Operation(
        "conv_transpose2d",
        lambda m: {
            "kernel": m.kernel_size[0],
            "stride": m.stride[0],
            "padding": m.padding[0],
            "output_padding": m.output_padding[0],
        },
        lambda m, came, _: m.out_channels * m.kernel_size[0] * m.kernel_size[1] * math.prod(came),
        _conv_code,
    ),
    nn.MaxPool2d: Operation(
        "max_pool2d",
        lambda m: {"kernel": m.kernel_size, "stride": m.stride, "ceil_mode": m.ceil_mode},
        _no_macs,
        lambda m: (
            f"nn.MaxPool2d({m.kernel_size}, ceil_mode={m.ceil_mode}"
            f"{', return_indices=True' if isinstance(m, SwitchPool2d) else ''})"
        ),
    ),
    NearestConv2d: Operation(
        "nearest_conv2d",
        lambda m: {"padding": m.padding[0]},
        lambda m, came, _: m.out_channels * 16 * math.prod(came),
        lambda m: f"nn.Upsample(scale_factor=2), {_conv_code(m)}",
    ),
    nn.Upsample: Operation(
        "upsample_bilinear",
        lambda m: {"factor": int(m.scale_factor)},
        _no_macs,
        lambda m: f'nn.Upsample(scale_factor={int(m.scale_factor)}, mode="{m.mode}")',
    ),
    BedOfNails2d: Operation("bed_of_nails", _no_args, _no_macs, lambda _: "BedOfNails()"),
    MaxUnpool2d: Operation("max_unpool2d", _no_args, _no_macs, lambda _: "nn.MaxUnpool2d(2)"),
    nn.PixelShuffle: Operation(
        "pixel_shuffle",
        lambda m: {"factor": m.upscale_factor},
        _no_macs,
        lambda m: f"nn.PixelShuffle({m.upscale_factor})",
    ),
    FirstHalf: Operation("first_half", _no_args, _no_macs, lambda _: "FirstHalf()"),
    Codewords: Operation(
        "codewords",
        lambda m: {"size": m.size},
        lambda m, _, __: m.codebook.numel(),
        lambda m: f"Codewords({m.latent_dim}, {m.codebook.shape[1]}, {m.size})",
    ),
    Crop: Operation(
        "crop",
        lambda m: {"height": m.height, "width": m.width},
        _no_macs,
        lambda m: f"Crop({m.height}, {m.width})",
    ),
    nn.ReLU: _simple("relu", nn.ReLU),
    nn.SiLU: _simple("silu", nn.SiLU),
    nn.Tanh: _simple("tanh", nn.Tanh),
    nn.Sigmoid: _simple("sigmoid", nn.Sigmoid),
}


def operation_of(module: nn.Module) -> Operation | None:
    """How this module is told about: by its own class, or the nearest one above it; None if it is no layer."""
    return next((OPERATIONS[kind] for kind in type(module).__mro__ if kind in OPERATIONS), None)


def describe(model: Autoencoder | ModelConfig) -> list[Layer]:
    """List a network's layers in the order they run, by sending one blank image through it.

    Args:
        model: A network, or a configuration, which is then built without allocating its weights; asked again for the
            same configuration, the answer comes from memory.
    """
    return list(_layers_of(model) if isinstance(model, ModelConfig) else _walk(model))


@lru_cache(maxsize=512)
def _layers_of(config: ModelConfig) -> list[Layer]:
    with torch.device("meta"):
        return _walk(build_model(config))


def _walk(model: Autoencoder) -> list[Layer]:
    tensor_names = {id(tensor): name for name, tensor in model.state_dict(keep_vars=True).items()}
    part_of = {id(module): "decoder" for half in (model.decoder, model.output) for module in half.modules()}
    layers: list[Layer] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | tuple[Tensor, Tensor]) -> None:
        operation = operation_of(module)
        assert operation is not None
        values = output[0] if isinstance(output, tuple) else output  # a pooling may give its switches too
        came, went = tuple(inputs[0].shape[1:]), tuple(values.shape[1:])
        own = dict(module.named_parameters(recurse=False))
        kept = {"codebook": module.codebook} if isinstance(module, Codewords) else {}
        layers.append(
            Layer(
                part="decoder" if id(module) in part_of else "encoder",
                op=operation.op,
                args=operation.args(module),
                weights={role: tensor_names[id(tensor)] for role, tensor in {**own, **kept}.items()},
                in_shape=came,
                out_shape=went,
                parameters=sum(tensor.numel() for tensor in own.values()),
                flops=2 * operation.macs(module, came, went),
                code=operation.code(module),
            )
        )

    hooks = [module.register_forward_hook(note) for module in model.modules() if operation_of(module)]
    device = next(model.parameters()).device
    try:
        with torch.no_grad():
            model(torch.zeros(1, *model.config.image_shape, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return layers


def parameter_count(layers: Iterable[Layer]) -> int:
    """Number of trained values."""
    return sum(layer.parameters for layer in layers)


def flops_per_image(layers: Iterable[Layer]) -> int:
    """Floating-point operations of one image's way through encoder and decoder; a multiply-add counts two."""
    return sum(layer.flops for layer in layers)
