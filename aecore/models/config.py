"""Which autoencoder to build: the names of its parts and their sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aecore.dials import Config, dial
from aecore.errors import ConfigError
from aecore.models.activations import ACTIVATION_TITLES
from aecore.models.bodies import BODIES
from aecore.models.bottlenecks import BOTTLENECKS, SPARSITIES
from aecore.models.parts import Part, titles
from aecore.models.resampling import DOWNSAMPLERS, UPSAMPLERS

_REGISTRIES: dict[str, Mapping[str, Part[Any]]] = {
    "body": BODIES,
    "bottleneck": BOTTLENECKS,
    "downsample": DOWNSAMPLERS,
    "upsample": UPSAMPLERS,
}
SMALLEST_SIDE, LARGEST_SIDE, MOST_CHANNELS = 8, 64, 4


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Config):
    """The choices that define an autoencoder; equal configurations build equal networks.

    Attributes:
        image_shape: (C, H, W) of the images; C from 1 to 4, sides from 8 to 64 pixels.

    Raises:
        ConfigError: For a value out of range or an unknown name, with what would fit.

    Example:
        >>> ModelConfig(body="conv", latent_dim=32).upsample
        'nearest'
    """

    image_shape: tuple[int, int, int] = (1, 28, 28)
    body: str = dial(
        "conv",
        label="Network",
        choices=titles(BODIES),
        help="What the encoder and the decoder are made of.",
    )
    latent_dim: int = dial(
        32,
        label="Code size",
        low=1,
        high=256,
        scale="log",
        help="How many numbers the code holds: the width of the bottleneck.",
    )
    bottleneck: str = dial(
        "plain",
        choices=titles(BOTTLENECKS),
        help="What happens to the code between encoder and decoder.",
    )
    beta: float = dial(
        1.0,
        low=0,
        high=100_000,
        scale="log",
        when={"bottleneck": ("variational",)},
        help="Weight of the KL divergence. At 1 the loss is the negative evidence lower bound (ELBO) and nothing else.",
    )
    sparsity: str = dial(
        "l1",
        label="What is charged",
        choices=SPARSITIES,
        when={"bottleneck": ("sparse",)},
        help="How activity is measured: by the size of each unit, or by how far its mean is from a target.",
    )
    sparsity_weight: float = dial(
        0.1, low=0, high=100, scale="log", when={"bottleneck": ("sparse",)}, help="Weight of the charge for activity."
    )
    target_activation: float = dial(
        0.05,
        low=0.001,
        high=0.5,
        when={"bottleneck": ("sparse",), "sparsity": ("kl",)},
        advanced=True,
        help="Share of the time a unit should be active.",
    )
    contraction_weight: float = dial(
        0.1,
        low=0,
        high=100,
        scale="log",
        when={"bottleneck": ("contractive",)},
        help="Weight of the squared Jacobian of the code.",
    )
    codewords: int = dial(
        64,
        low=2,
        high=1024,
        scale="log",
        when={"bottleneck": ("vector_quantized",)},
        help="How many words each list has.",
    )
    word_size: int = dial(
        2,
        low=1,
        high=32,
        when={"bottleneck": ("vector_quantized",)},
        advanced=True,
        help="How many numbers of the code one word stands for.",
    )
    commitment: float = dial(
        0.25,
        low=0,
        high=100,
        scale="log",
        when={"bottleneck": ("vector_quantized",)},
        advanced=True,
        help="Weight of the distance between what the encoder gives and its word.",
    )
    downsample: str = dial(
        "stride",
        label="Downsampling",
        choices=titles(DOWNSAMPLERS),
        when={"body": ("conv",)},
        help="How each stage of the encoder halves the resolution.",
    )
    upsample: str = dial(
        "nearest",
        label="Upsampling",
        choices=titles(UPSAMPLERS),
        when={"body": ("conv",)},
        help="How each stage of the decoder doubles the resolution.",
    )
    channels: int = dial(
        16,
        label="Channels",
        low=4,
        high=64,
        scale="log",
        when={"body": ("conv",)},
        advanced=True,
        help="Feature maps of the first stage; each further stage has twice as many.",
    )
    stages: int = dial(
        2,
        low=1,
        high=4,
        when={"body": ("conv",)},
        advanced=True,
        help="How often the resolution is halved on the way to the code.",
    )
    hidden_units: int = dial(
        400,
        low=8,
        high=1024,
        scale="log",
        when={"body": ("mlp",)},
        advanced=True,
        help="Width of each hidden layer.",
    )
    hidden_layers: int = dial(
        1,
        low=1,
        high=4,
        when={"body": ("mlp",)},
        advanced=True,
        help="Hidden layers on each side of the code.",
    )
    activation: str = dial(
        "silu",
        choices=ACTIVATION_TITLES,
        when={"body": ("mlp", "conv")},
        advanced=True,
        help="The nonlinearity between layers.",
    )

    def __post_init__(self) -> None:
        """Check the dials, whether the chosen parts go together, and the image shape."""
        super().__post_init__()
        for name, registry in _REGISTRIES.items():
            part = registry[getattr(self, name)]
            for other, allowed in part.needs.items():
                if self.matters(name) and getattr(self, other) not in allowed:
                    raise ConfigError(
                        f"{part.title} ({name}={getattr(self, name)}) needs {other} to be {' or '.join(allowed)}, but "
                        f"it is {getattr(self, other)}. Change {other}, or choose another {name}."
                    )
        shape = self.image_shape
        if not isinstance(shape, tuple) or [type(side) for side in shape] != [int, int, int]:
            raise ConfigError(f"image_shape is {shape}, expected three whole numbers (channels, height, width).")
        channels, *sides = shape
        if not 1 <= channels <= MOST_CHANNELS:
            raise ConfigError(f"image_shape has {channels} channels, expected 1 to {MOST_CHANNELS}.")
        if not all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in sides):
            raise ConfigError(
                f"Images of {sides[0]}x{sides[1]} pixels do not fit: each side must have {SMALLEST_SIDE} to "
                f"{LARGEST_SIDE} pixels. Resize them first."
            )

    def for_images(self, image_shape: tuple[int, int, int]) -> ModelConfig:
        """The same model for images of another shape (C, H, W)."""
        return dataclasses.replace(self, image_shape=image_shape)
