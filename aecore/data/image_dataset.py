"""One dataset of images in memory: what every model trains on and every page shows.

An `ImageDataset` is made once and shared by all runs of a process, so nobody writes into its tensors. It knows
nothing of where the images came from, of files or of downloads; batches are cut out of it by indexing and become
floats with `to_unit` on the fly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor

from aecore.errors import DataError


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageDataset:
    """Images in [0, 255], split into training and test, with labels.

    Attributes:
        name: Key in the registry.
        title: Name for people.
        train: Training images (N, C, H, W), uint8 on the CPU.
        test: Test images (M, C, H, W), uint8 on the CPU.
        train_labels: Class of each training image, an index into `label_names`.
        test_labels: Class of each test image.
        label_names: Name of each class, in the order of the labels.
        source: Where the images come from, for a caption.
        licence: Under which terms they may be used.
        train_factors: What is known to have made each training image, one number per image; empty for real images.
        test_factors: The same for the test images, under the same names.

    Raises:
        DataError: If shapes, types, counts or labels do not fit together.
    """

    name: str
    title: str
    train: UInt8[Tensor, "n c h w"]
    test: UInt8[Tensor, "m c h w"]
    train_labels: Int64[Tensor, " n"]
    test_labels: Int64[Tensor, " m"]
    label_names: tuple[str, ...]
    source: str
    licence: str
    train_factors: Mapping[str, Tensor] = field(default_factory=dict)
    test_factors: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_split("train", self.train, self.train_labels, self.train_factors)
        self._check_split("test", self.test, self.test_labels, self.test_factors)
        train_shape, test_shape = tuple(self.train.shape[1:]), tuple(self.test.shape[1:])
        self._require(train_shape == test_shape, f"training images {train_shape} but test images {test_shape}")
        self._require(
            self.train_factors.keys() == self.test_factors.keys(),
            f"training factors {sorted(self.train_factors)} but test factors {sorted(self.test_factors)}",
        )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.train.shape[1:]
        return channels, height, width

    @cached_property
    def checksum(self) -> str:
        """SHA-256 in hex over type, shape and bytes of images and labels: equal only for equal data, on any machine."""
        digest = hashlib.sha256()
        for part in (self.train, self.test, self.train_labels, self.test_labels):
            array = part.contiguous().numpy()
            little_endian = array.astype(array.dtype.newbyteorder("<"), copy=False)
            digest.update(f"{array.dtype.name} {array.shape}\n".encode())
            digest.update(little_endian.data)
        return digest.hexdigest()

    def _check_split(self, split: str, images: Tensor, labels: Tensor, factors: Mapping[str, Tensor]) -> None:
        shape = tuple(images.shape)
        self._require(
            images.dtype == torch.uint8 and images.ndim == 4 and images.numel() > 0,
            f"{split} images are {images.dtype} {shape}, expected torch.uint8 (N, C, H, W) with at least one image",
        )
        self._require(
            labels.dtype == torch.int64 and tuple(labels.shape) == shape[:1],
            f"{split} labels are {labels.dtype} {tuple(labels.shape)}, expected torch.int64 {shape[:1]}",
        )
        low, high = int(labels.min()), int(labels.max())
        self._require(
            low >= 0 and high < len(self.label_names),
            f"{split} labels run from {low} to {high}, but there are names for 0 to {len(self.label_names) - 1}",
        )
        for factor, values in factors.items():
            self._require(
                tuple(values.shape) == shape[:1],
                f"{split} factor {factor!r} has shape {tuple(values.shape)}, expected one number per image {shape[:1]}",
            )

    def _require(self, condition: bool, problem: str) -> None:
        if not condition:
            raise DataError(f"The dataset {self.name!r} does not fit together: {problem}.")


def to_unit(images: UInt8[Tensor, "n c h w"]) -> Float32[Tensor, "n c h w"]:
    """Turn stored pixels into what models see: float32 in [0, 1], exactly `x / 255`, on the images' device.

    >>> to_unit(torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8))
    tensor([[[[0.0000, 0.2000, 1.0000]]]])
    """
    # A tensor as divisor: CUDA turns division by a Python number into a multiplication by its rounded reciprocal.
    return images.to(torch.float32).div_(torch.full((), 255.0, device=images.device))


def to_stored(images: Float[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
    """Images as they would be stored: clipped to [0, 1], rounded to 0..255.

    >>> to_stored(torch.tensor([[[[-0.2, 0.2, 1.0]]]]))
    tensor([[[[  0,  51, 255]]]], dtype=torch.uint8)
    """
    return images.clamp(0, 1).mul(255).round().to(torch.uint8)
