"""A model in other forms, for use elsewhere: at present, the PyTorch code that makes it.

This module knows nothing of pages.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from aecore.models.bodies import Crop
from aecore.models.config import ModelConfig
from aecore.models.layers import Layer, describe

_UNPOOL = "max_unpool2d"
_CROP = f'''

class {Crop.__name__}(nn.Module):
    """Keep the top left height x width pixels."""

    def __init__(self, height, width):
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x):
        return x[:, :, :self.height, :self.width]

'''

_BED_OF_NAILS = '''

class BedOfNails(nn.Module):
    """Every value goes to the top left of a 2x2 block of zeros."""

    def forward(self, x):
        nails = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
        nails[:, :, ::2, ::2] = x
        return nails

'''

_WITH_SWITCHES = '''

class Encoder(nn.Sequential):
    """Gives the code, and where each pooling found its largest values."""

    def forward(self, x):
        switches = []
        for layer in self:
            if isinstance(layer, nn.MaxPool2d):
                width = x.shape[-1]
                x, places = layer(x)
                # where the values are in a plane of exactly twice the pooled size
                switches.append(places + places // width * (2 * x.shape[-1] - width))
            else:
                x = layer(x)
        return x, switches


class Decoder(nn.Sequential):
    """Draws the image from the code, and puts values back where the poolings found them."""

    def forward(self, x, switches):
        left = list(switches)
        for layer in self:
            x = layer(x, left.pop()) if isinstance(layer, nn.MaxUnpool2d) else layer(x)
        return x

'''


def pytorch_code(config: ModelConfig) -> str:
    """PyTorch code that builds exactly this model, with nothing but torch.

    It defines `encoder` and `decoder`, two `nn.Sequential`s. Their parameters come in the order of the model's own,
    so that weights can be copied one by one; until then they are torch's own initial ones. With max-unpooling, where
    the poolings found their values goes from one to the other beside the code.

    Example:
        >>> print(pytorch_code(ModelConfig(body="linear", latent_dim=2)))
        import torch
        from torch import nn
        <BLANKLINE>
        encoder = nn.Sequential(           # (N, 1, 28, 28)
            nn.Flatten(),                  # (N, 784)
            nn.Linear(784, 2),             # (N, 2)
        )
        decoder = nn.Sequential(           # (N, 2)
            nn.Linear(2, 784),             # (N, 784)
            nn.Unflatten(1, (1, 28, 28)),  # (N, 1, 28, 28)
        )
        <BLANKLINE>
        x = torch.rand(16, 1, 28, 28)  # images in [0, 1]
        code = encoder(x)
        loss = (decoder(code) - x).square().flatten(1).sum(1).mean()  # the target is the input
        <BLANKLINE>
    """
    layers = describe(config)
    width = max(len(layer.code) for layer in layers) + 5
    ops = {layer.op for layer in layers}
    classes = "".join(
        text for op, text in (("crop", _CROP), ("bed_of_nails", _BED_OF_NAILS), (_UNPOOL, _WITH_SWITCHES)) if op in ops
    )
    shape = ", ".join(map(str, config.image_shape))
    encoder, decoder, beside = (
        ("Encoder", "Decoder", ", switches") if _UNPOOL in ops else ("nn.Sequential", "nn.Sequential", "")
    )
    kinds = {"encoder": encoder, "decoder": decoder}
    halves = "".join(
        _sequential(part, kinds[part], list(half), width) for part, half in groupby(layers, lambda layer: layer.part)
    )
    return f"""import torch
from torch import nn
{classes}
{halves}
x = torch.rand(16, {shape})  # images in [0, 1]
code{beside} = encoder(x)
loss = (decoder(code{beside}) - x).square().flatten(1).sum(1).mean()  # the target is the input
"""


def _sequential(name: str, kind: str, layers: list[Layer], width: int) -> str:
    lines = [_commented(f"{name} = {kind}(", layers[0].in_shape, width)]
    lines += [_commented(f"    {layer.code},", layer.out_shape, width) for layer in layers]
    return "\n".join([*lines, ")\n"])


def _commented(code: str, shape: Iterable[int], width: int) -> str:
    return f"{code:<{width}}  # (N, {', '.join(map(str, shape))})"
