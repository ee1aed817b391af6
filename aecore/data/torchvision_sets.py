"""MNIST and its relatives and CIFAR-10: fetched into torchvision's folder layout, then read by torchvision.

What lies there already is used without touching the network. Mirrors and checksums are torchvision's own. It knows
nothing of the registry.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from aecore.data.archive import Archive, fetch
from aecore.data.download import DownloadError, RemoteFile
from aecore.data.folder import data_folder
from aecore.data.progress import Progress
from aecore.data.spec import Split
from aecore.errors import DataError

# What torchvision's readers raise for files cut short or overwritten.
_DAMAGE = (OSError, RuntimeError, ValueError, TypeError, KeyError, EOFError, AssertionError, pickle.UnpicklingError)


@dataclass(frozen=True, kw_only=True)
class TorchvisionFiles:
    """The files of one dataset of torchvision, below the data folder.

    Attributes:
        title: Name for people.
        dataset: Its class in `torchvision.datasets`.
        folder: Where that class expects its archives, relative to the data folder.
        archives: The archives and what they unpack to.
    """

    title: str
    dataset: str
    folder: str
    archives: tuple[Archive, ...]

    @property
    def download_bytes(self) -> int:
        """Size of all archives together."""
        return sum(archive.size for archive in self.archives)

    def are_present(self) -> bool:
        """Whether every file lies there, unpacked or packed, by name and size."""
        folder = data_folder() / self.folder
        return all(archive.is_unpacked(folder) or (folder / archive.name).is_file() for archive in self.archives)

    def read(self, progress: Progress) -> tuple[Split, Split]:
        """Read (training split, test split), fetching what is missing, and everything once more if it is damaged.

        Raises:
            DataError: If files are missing or damaged and cannot be fetched or written.
        """
        folder = data_folder() / self.folder
        missing = [archive for archive in self.archives if not archive.is_unpacked(folder)]
        if missing:
            self._fetch(missing, folder, progress)
        progress(f"Reading {self.title}", None)
        try:
            return self._split(train=True), self._split(train=False)
        except _DAMAGE:
            progress(f"The files of {self.title} are damaged; fetching them again", None)
            self._fetch(self.archives, folder, progress)
        try:
            return self._split(train=True), self._split(train=False)
        except _DAMAGE as error:
            raise DataError(
                f"The files of {self.title} in {folder} cannot be read, though they were just fetched: {error}. "
                "Check that folder, or set AECORE_DATA to another one."
            ) from error

    def _split(self, *, train: bool) -> Split:
        raw = self._reader()(data_folder(), train=train, download=False)
        images = torch.as_tensor(raw.data)
        images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)  # (N, H, W) or (N, H, W, C)
        return Split(images.contiguous(), torch.as_tensor(raw.targets, dtype=torch.int64))

    def _fetch(self, archives: Sequence[Archive], folder: Path, progress: Progress) -> None:
        try:
            fetch(self.title, archives, self._remotes(), folder, progress)
        except DownloadError as error:
            names = ", ".join(archive.name for archive in archives)
            there = [name for archive in archives for name in archive.members if (folder / name).exists()]
            damage = f" What lies in {folder} is damaged or incomplete: {', '.join(there)}." if there else ""
            raise DataError(
                f"{self.title} could not be downloaded. {error}{damage} Check the network connection and try again, "
                f"or fetch by other means and put into {folder}: {names}."
            ) from error

    def _remotes(self) -> dict[str, RemoteFile]:
        reader = self._reader()
        if hasattr(reader, "mirrors"):
            return {
                name: RemoteFile(name=name, urls=tuple(mirror + name for mirror in reader.mirrors), md5=md5)
                for name, md5 in reader.resources
            }
        return {reader.filename: RemoteFile(name=reader.filename, urls=(reader.url,), md5=reader.tgz_md5)}

    def _reader(self) -> Any:
        # Imported here because it takes over a second, which the built-in datasets need not wait for.
        import torchvision.datasets

        return getattr(torchvision.datasets, self.dataset)


def _idx_files(title: str, dataset: str, sizes: tuple[int, int, int, int]) -> TorchvisionFiles:
    """The layout that MNIST's relatives share: 60,000 and 10,000 images of 28x28 in IDX files.

    `sizes` are those of the archives: training images and labels, test images and labels.
    """
    unpacked = {
        "train-images-idx3-ubyte": 16 + 60_000 * 28 * 28,
        "train-labels-idx1-ubyte": 8 + 60_000,
        "t10k-images-idx3-ubyte": 16 + 10_000 * 28 * 28,
        "t10k-labels-idx1-ubyte": 8 + 10_000,
    }
    archives = tuple(
        Archive(name=f"{name}.gz", size=packed_size, members={name: size})
        for (name, size), packed_size in zip(unpacked.items(), sizes, strict=True)
    )
    return TorchvisionFiles(title=title, dataset=dataset, folder=f"{dataset}/raw", archives=archives)


MNIST = _idx_files("MNIST", "MNIST", (9_912_422, 28_881, 1_648_877, 4_542))
FASHION_MNIST = _idx_files("Fashion-MNIST", "FashionMNIST", (26_421_880, 29_515, 4_422_102, 5_148))
KMNIST = _idx_files("Kuzushiji-MNIST", "KMNIST", (18_165_135, 29_497, 3_041_136, 5_120))

_CIFAR10_MEMBERS = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")
CIFAR10 = TorchvisionFiles(
    title="CIFAR-10",
    dataset="CIFAR10",
    folder="",
    archives=(
        Archive(
            name="cifar-10-python.tar.gz",
            size=170_498_071,
            # No sizes: torchvision checks the MD5 of each before it unpickles it.
            members={f"cifar-10-batches-py/{name}": None for name in _CIFAR10_MEMBERS},
        ),
    ),
)
