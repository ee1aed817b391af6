"""Archives whose files make up a dataset: what is missing, fetching, unpacking.

It knows nothing of what the files contain.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from aecore.data.download import RemoteFile, Report, downloaded, md5_of
from aecore.data.folder import disk_errors_in_plain_words, part_beside
from aecore.data.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A packed file: `.gz` of one member, or `.tar.gz` of several.

    Attributes:
        name: Its file name.
        size: Its size in bytes.
        members: Size in bytes of each unpacked file, by its path below the folder; None where any size will do.
    """

    name: str
    size: int
    members: Mapping[str, int | None]

    def is_unpacked(self, folder: Path) -> bool:
        """Whether every member lies in `folder` in its right size."""
        return all(
            (folder / member).is_file() and (size is None or (folder / member).stat().st_size == size)
            for member, size in self.members.items()
        )


def fetch(
    title: str, archives: Sequence[Archive], remotes: Mapping[str, RemoteFile], folder: Path, progress: Progress
) -> None:
    """Put the members of all `archives` into `folder`, whole and checked.

    An archive that already lies there with the right checksum, put there by hand perhaps, is used instead of the
    network, and left there. Archives downloaded here are not kept.

    Raises:
        DownloadError: If no mirror gives an archive.
        DataError: If the disk does not take it.
    """
    meter = _Meter(title, archives, progress)
    for archive in archives:
        with _whole(remotes[archive.name], folder, meter) as packed:
            progress(f"Unpacking {archive.name}", meter.fraction)
            _unpack(packed, archive, folder)
        meter.finish(archive)
    progress(f"{title} is complete", 1.0)


@contextmanager
def _whole(remote: RemoteFile, folder: Path, meter: _Meter) -> Iterator[Path]:
    placed = folder / remote.name
    if placed.is_file() and md5_of(placed) == remote.md5:
        yield placed
    else:
        with downloaded(remote, folder, meter.reporter(remote.name)) as part:
            yield part


def _unpack(packed: Path, archive: Archive, folder: Path) -> None:
    if archive.name.endswith(".tar.gz"):
        with tarfile.open(packed) as tar:
            for member in archive.members:
                packed_member = tar.extractfile(member)
                assert packed_member is not None, f"{member} is a file in {archive.name}"
                _store(packed_member, folder / member)
    else:
        (member,) = archive.members
        with gzip.open(packed) as source:
            _store(source, folder / member)


def _store(source: IO[bytes] | gzip.GzipFile, target: Path) -> None:
    with part_beside(target) as part, disk_errors_in_plain_words(target):
        with part.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1024 * 1024)
        part.replace(target)


class _Meter:
    """Adds the bytes of several archives up to one share of the whole, which never falls, not even on a retry."""

    def __init__(self, title: str, archives: Sequence[Archive], progress: Progress) -> None:
        self._title = title
        self._sizes = {archive.name: archive.size for archive in archives}
        self._finished = 0
        self._progress = progress
        self.fraction = 0.0

    def reporter(self, name: str) -> Report:
        """Make a `report` for the archive `name`."""

        def report(received: int, length: int | None) -> None:
            length = max(length or self._sizes[name], received)
            self._advance(self._sizes[name] * received / length)
            self._progress(f"Downloading {self._title}: {name}, {_amount(received, length)}", self.fraction)

        return report

    def finish(self, archive: Archive) -> None:
        """Count an archive as done."""
        self._advance(archive.size)
        self._finished += archive.size

    def _advance(self, of_this: float) -> None:
        share = (self._finished + of_this) / sum(self._sizes.values())
        self.fraction = max(self.fraction, share)


def _amount(received: int, length: int) -> str:
    unit, name, digits = (1e6, "MB", 1) if length >= 1e6 else (1e3, "kB", 0)
    return f"{received / unit:.{digits}f} of {length / unit:.{digits}f} {name}"
