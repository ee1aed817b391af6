"""A model in other forms, for use elsewhere: the PyTorch code that makes it, and moving pictures of what it decodes.

This module knows nothing of pages.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import groupby

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from aecore.data.image_dataset import to_stored
from aecore.errors import ConfigError
from aecore.models.bodies import Crop
from aecore.models.config import ModelConfig
from aecore.models.layers import Layer, describe
from aecore.training.config import TrainConfig
from aecore.training.objective import loss_of

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

_CODEWORDS = '''

class Codewords(nn.Module):
    """Each part of a code replaced by the nearest word of its list; the words move as running means."""

    def __init__(self, latent_dim, words, size):
        super().__init__()
        self.latent_dim, self.size, self.parts = latent_dim, size, -(-latent_dim // size)
        self.register_buffer("codebook", torch.randn(self.parts, words, size))

    def forward(self, code):
        padded = nn.functional.pad(code, (0, self.parts * self.size - self.latent_dim))
        vectors = padded.unflatten(1, (self.parts, self.size)).transpose(0, 1)
        chosen = torch.cdist(vectors, self.codebook).argmin(2).T
        return self.codebook[torch.arange(self.parts), chosen].flatten(1)[:, :self.latent_dim]

'''

_BED_OF_NAILS = '''

class BedOfNails(nn.Module):
    """Every value goes to the top left of a 2x2 block of zeros."""

    def forward(self, x):
        nails = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
        nails[:, :, ::2, ::2] = x
        return nails

'''

# How a bottleneck's code comes from the encoder, and what is added to the loss of an image: by its name.
_CODE = {
    "variational": """mean, log_variance = encoder(x).chunk(2, dim=1)
code = mean + (log_variance / 2).exp() * torch.randn_like(mean)
kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)
charge = {beta:g} * kl
""",
    "sparse-l1": """code = encoder(x)
charge = {sparsity_weight:g} * code.abs().sum(1)
""",
    "sparse-kl": """code = encoder(x)
target, means = torch.tensor({target_activation:g}), code.mean(0)
coins = target * (target / means).log() + (1 - target) * ((1 - target) / (1 - means)).log()
charge = {sparsity_weight:g} * coins.sum()
""",
    "contractive": """x.requires_grad_()
code = encoder(x)
gradients = [torch.autograd.grad(unit.sum(), x, create_graph=True)[0] for unit in code.unbind(1)]
charge = {contraction_weight:g} * sum(gradient.square().flatten(1).sum(1) for gradient in gradients)
""",
    "vector_quantized": """wish = encoder[:-1](x)
words = encoder[-1](wish)  # in training these follow, as running means, the vectors that choose them
code = wish + (words - wish).detach()  # the gradient goes straight through
charge = {commitment:g} * (wish - words).square().sum(1)
""",
}
# The same where switches come beside the code.
_WITH_SWITCHES_BESIDE = {
    "code = encoder(x)": "code, switches = encoder(x)",
    "wish = encoder": "wish, switches = encoder",
    "mean, log_variance = encoder(x)": "features, switches = encoder(x)\nmean, log_variance = features",
}
_LOSS = {
    "mse": "({image} - x).square().flatten(1).sum(1)",
    "bce": 'nn.functional.binary_cross_entropy({image}, x, reduction="none").flatten(1).sum(1)',
}

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
    the poolings found their values goes from one to the other beside the code. The last lines are the loss as it is
    trained by default; of a variational code the encoder gives means and log-variances.

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
    layers = [layer for layer in describe(config) if layer.op != "first_half"]  # its two halves are named instead
    width = max(len(layer.code) for layer in layers) + 5
    ops = {layer.op for layer in layers}
    classes = "".join(
        text
        for op, text in (
            ("crop", _CROP),
            ("bed_of_nails", _BED_OF_NAILS),
            (_UNPOOL, _WITH_SWITCHES),
            ("codewords", _CODEWORDS),
        )
        if op in ops
    )
    shape = ", ".join(map(str, config.image_shape))
    encoder, decoder, beside = (
        ("Encoder", "Decoder", ", switches") if _UNPOOL in ops else ("nn.Sequential", "nn.Sequential", "")
    )
    kinds = {"encoder": encoder, "decoder": decoder}
    halves = "".join(
        _sequential(part, kinds[part], list(half), width) for part, half in groupby(layers, lambda layer: layer.part)
    )
    kind = f"sparse-{config.sparsity}" if config.bottleneck == "sparse" else config.bottleneck
    made = _CODE[kind].format(**config.to_dict()) if kind in _CODE else "code = encoder(x)\n"
    for alone, together in _WITH_SWITCHES_BESIDE.items() if beside else ():
        made = made.replace(alone, together)
    error = _LOSS[loss_of(config, TrainConfig())].format(image=f"decoder(code{beside})")
    loss = f"error = {error}\nloss = (error + charge).mean()" if kind in _CODE else f"loss = {error}.mean()"
    return f"""import torch
from torch import nn
{classes}
{halves}
x = torch.rand(16, {shape})  # images in [0, 1]
{made}{loss}  # the target is the input
"""


def _sequential(name: str, kind: str, layers: list[Layer], width: int) -> str:
    lines = [_commented(f"{name} = {kind}(", layers[0].in_shape, width)]
    lines += [_commented(f"    {layer.code},", layer.out_shape, width) for layer in layers]
    return "\n".join([*lines, ")\n"])


def _commented(code: str, shape: Iterable[int], width: int) -> str:
    return f"{code:<{width}}  # (N, {', '.join(map(str, shape))})"


GIF_SIDE = 224  # pixels the larger side should have at least
GIF_FRAME = 120  # milliseconds


def gif(images: Float[Tensor, "n c h w"]) -> bytes:
    """Pictures as a GIF that runs forward and back for ever, each pixel enlarged by a whole number.

    Args:
        images: (N, C, H, W) floats in [0, 1], C 1 or 3; values beyond are cut off.

    Raises:
        ConfigError: If there are no images, or they are neither grey nor in colour.

    Example:
        >>> import torch
        >>> gif(torch.zeros(2, 1, 8, 8))[:6]
        b'GIF89a'
    """
    if len(images) == 0 or images.shape[1] not in (1, 3):
        raise ConfigError(f"A GIF is made of grey or colour images (N, 1 or 3, H, W), not {tuple(images.shape)}.")
    scale = -(-GIF_SIDE // max(images.shape[2:]))
    enlarged = to_stored(images).repeat_interleave(scale, 2).repeat_interleave(scale, 3).permute(0, 2, 3, 1).numpy()
    frames = [Image.fromarray(frame[..., 0] if frame.shape[2] == 1 else frame) for frame in enlarged]
    frames += frames[-2:0:-1]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=GIF_FRAME, loop=0)
    return file.getvalue()
