"""The images everything is measured on, and how they reach the contestants' processes.

It knows nothing of models. Nothing is downloaded: a benchmark that waits for the network measures the network.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from aecore.data import DATASETS, is_available, load_dataset
from aecore.data.image_dataset import ImageDataset
from benchmarks.settings import Settings

LOOK = 5120  # images of a quick look: twenty batches


@dataclass(frozen=True)
class BenchmarkImages:
    """A dataset and whether it is what was asked for.

    Attributes:
        dataset: The images; labels mean nothing.
        synthetic: Whether they stand in for a dataset that is not on this machine.
        note: What a report has to say about them; empty if nothing.
    """

    dataset: ImageDataset
    synthetic: bool
    note: str

    @property
    def notes(self) -> tuple[str, ...]:
        """The note as a table takes it."""
        return (self.note,) if self.note else ()


def load_images(settings: Settings) -> BenchmarkImages:
    """The dataset of the settings, or made-up images of the same number and shape if it is not on this machine."""
    spec = DATASETS[settings.data]
    if is_available(settings.data):
        images = BenchmarkImages(load_dataset(settings.data), False, "")
    else:
        note = (
            f"{spec.title} is not on this machine: measured on {spec.train_size:,} made-up images of the same shape. "
            "Set AECORE_DATA to where it lies."
        )
        train = blocks(spec.train_size, spec.image_shape)
        images = BenchmarkImages(as_dataset(train, blocks(spec.test_size, spec.image_shape, seed=1)), True, note)
    if not settings.quick:
        return images
    return replace(images, dataset=as_dataset(images.dataset.train[:LOOK], images.dataset.test[:500]))


def blocks(count: int, shape: tuple[int, int, int], seed: int = 0) -> UInt8[Tensor, "n c h w"]:
    """Made-up images (N, C, H, W): blocks of 4x4 pixels, one in five bright, as sparse as handwriting is."""
    channels, height, width = shape
    generator = torch.Generator().manual_seed(seed)
    bright = torch.rand(count, channels, -(-height // 4), -(-width // 4), generator=generator) < 1 / 5
    whole = bright.repeat_interleave(4, 2).repeat_interleave(4, 3)[:, :, :height, :width]
    return (whole.to(torch.uint8) * 255).contiguous()


def as_dataset(train: UInt8[Tensor, "n c h w"], test: UInt8[Tensor, "m c h w"]) -> ImageDataset:
    """Images as a dataset without meaningful labels."""
    return ImageDataset(
        name="benchmark",
        title="Benchmark images",
        train=train,
        test=test,
        train_labels=torch.zeros(len(train), dtype=torch.int64),
        test_labels=torch.zeros(len(test), dtype=torch.int64),
        label_names=("none",),
        source="See the report",
        licence="See the report",
    )


def resized(images: UInt8[Tensor, "n c h w"], side: int) -> UInt8[Tensor, "n c s s"]:
    """The same images at another size, (N, C, H, W) -> (N, C, side, side)."""
    parts = [
        F.interpolate(part.float(), size=(side, side), mode="bilinear").round().to(torch.uint8)
        for part in images.split(1000)
    ]
    return torch.cat(parts)


def save_images(images: UInt8[Tensor, "n c h w"], path: Path) -> Path:
    """Write images to a `.npy` file, which a process without torch can read too; give back its path."""
    np.save(path, images.numpy())
    return path
