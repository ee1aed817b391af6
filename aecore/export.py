"""A model in other forms, for use elsewhere: at present, the PyTorch code that makes it.

This module knows nothing of pages.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from aecore.models.bodies import Crop
from aecore.models.config import ModelConfig
from aecore.models.layers import Layer, describe

_CROP = f'''

class {Crop.__name__}(nn.Module):
    """Keep the top left height x width pixels."""

    def __init__(self, height, width):
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x):
        return x[:, :, :self.height, :self.width]

'''


def pytorch_code(config: ModelConfig) -> str:
    """PyTorch code that builds exactly this model, with nothing but torch.

    It defines `encoder` and `decoder`, two `nn.Sequential`s. Their parameters come in the order of the model's own,
    so that weights can be copied one by one; until then they are torch's own initial ones.

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
    halves = "".join(_sequential(part, list(half), width) for part, half in groupby(layers, lambda layer: layer.part))
    crop = _CROP if any(layer.op == "crop" for layer in layers) else ""
    shape = ", ".join(map(str, config.image_shape))
    return f"""import torch
from torch import nn
{crop}
{halves}
x = torch.rand(16, {shape})  # images in [0, 1]
code = encoder(x)
loss = (decoder(code) - x).square().flatten(1).sum(1).mean()  # the target is the input
"""


def _sequential(name: str, layers: list[Layer], width: int) -> str:
    lines = [_commented(f"{name} = nn.Sequential(", layers[0].in_shape, width)]
    lines += [_commented(f"    {layer.code},", layer.out_shape, width) for layer in layers]
    return "\n".join([*lines, ")\n"])


def _commented(code: str, shape: Iterable[int], width: int) -> str:
    return f"{code:<{width}}  # (N, {', '.join(map(str, shape))})"
