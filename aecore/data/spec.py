"""What the registry says about a dataset before it is loaded.

Forms, docs, the command line and the pages' captions are derived from a `DatasetSpec`. It knows nothing of how
its dataset is read: that is the function it carries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from jaxtyping import Int64, UInt8
from torch import Tensor

from aecore.data.image_dataset import ImageDataset
from aecore.data.progress import Progress


class Split(NamedTuple):
    """The training half or the test half of a dataset: images in [0, 255], labels, known factors."""

    images: UInt8[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]
    factors: Mapping[str, Tensor] = MappingProxyType({})


Reader = Callable[[Progress], tuple[Split, Split]]
"""Makes (training split, test split), downloading what is missing."""


def _always() -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """One line of the registry.

    Attributes:
        name: Key in the registry.
        title: Name for people.
        help: One sentence: what the images are and what they are good for.
        image_shape: (C, H, W).
        train_size: Number of training images.
        test_size: Number of test images.
        label_names: Name of each class, in the order of the labels.
        source: Where the images come from.
        licence: Under which terms they may be used.
        redistributable: Whether example images may be shipped with weights.
        read: Makes (training split, test split), downloading what is missing.
        download_bytes: Size of the download, None for datasets that come with the lab.
        is_present: Whether `read` needs no network; looks at names and sizes of files at most.
    """

    name: str
    title: str
    help: str
    image_shape: tuple[int, int, int]
    train_size: int
    test_size: int
    label_names: tuple[str, ...]
    source: str
    licence: str
    redistributable: bool
    read: Reader
    download_bytes: int | None = None
    is_present: Callable[[], bool] = _always

    def load(self, progress: Progress) -> ImageDataset:
        """Read the dataset anew. Most callers want `load_dataset`, which shares one copy.

        Raises:
            DataError: If its files are missing or damaged and cannot be fetched.
        """
        train, test = self.read(progress)
        dataset = ImageDataset(
            name=self.name,
            title=self.title,
            train=train.images,
            test=test.images,
            train_labels=train.labels,
            test_labels=test.labels,
            label_names=self.label_names,
            source=self.source,
            licence=self.licence,
            train_factors=dict(train.factors),
            test_factors=dict(test.factors),
        )
        assert dataset.image_shape == self.image_shape, (self.name, dataset.image_shape)
        assert (len(dataset.train), len(dataset.test)) == (self.train_size, self.test_size), self.name
        return dataset
