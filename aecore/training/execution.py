"""How the arithmetic of a network is carried out; what it computes stays the same up to rounding.

This module knows nothing of which way is the fastest (`aecore.training.choosing` measures that).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from aecore.models.autoencoder import Autoencoder
from aecore.models.maps import MapLayer
from aecore.models.phases import DoublingConv2d
from aecore.models.rounded import Rounded
from aecore.training.config import PRECISIONS


@dataclass(frozen=True)
class Execution:
    """One way to carry a training step out.

    Attributes:
        precision: What convolutions and matrix products multiply, "float32" or "bfloat16"; sums, losses, codes that are
            charged for, weights and the optimiser's memory are float32 either way.
        channels_last: Whether the channels of a pixel lie side by side in memory, and not the pixels of a channel.
        by_phases: Whether layers that double the size are computed as in `aecore.models.phases`.
    """

    precision: str = "float32"
    channels_last: bool = False
    by_phases: bool = False

    def __str__(self) -> str:
        """In words, for people."""
        said = [self.precision, "channels last" if self.channels_last else "channels first"]
        return ", ".join([*said, "doubling by phases"] if self.by_phases else said)

    def arrange(self, model: Autoencoder) -> None:
        """Lay the model's weights out, and let its layers compute, in this way; the numbers stay what they are."""
        model.twin = None  # one of an earlier arrangement would be copied along
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        model.to(memory_format=layout)
        for layer in model.modules():
            if isinstance(layer, DoublingConv2d):
                layer.by_phases = self.by_phases
            elif isinstance(layer, MapLayer):
                layer.by_pixel = self.channels_last
        if self.precision != "float32":
            model.twin = Rounded(model)

    def place(self, images: Tensor) -> Tensor:
        """A batch of images (N, C, H, W) as the first layer wants it."""
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images

    def to_numbers(self) -> list[int]:
        """As a checkpoint keeps it among its tensors; `from_numbers` makes an equal one."""
        return [list(PRECISIONS).index(self.precision), int(self.channels_last), int(self.by_phases)]

    @classmethod
    def from_numbers(cls, numbers: list[int]) -> Self:
        """What `to_numbers` gave."""
        precision, channels_last, by_phases = numbers
        return cls(list(PRECISIONS)[precision], bool(channels_last), bool(by_phases))


PLAIN = Execution()
"""As torch does it if nobody says otherwise."""


def has_bfloat16_units() -> bool:
    """Whether this processor multiplies bfloat16 by itself; without, it would be slower than float32, not faster."""
    return bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())
