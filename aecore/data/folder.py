"""Where downloaded datasets lie on the disk, and how a file gets there whole or not at all.

A file is written under a name of its own, `.NAME.<random>.part`, and renamed when it is complete: nobody ever
reads half a file, and two processes that fetch the same one cannot mix their bytes. It knows nothing of datasets.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from aecore.errors import DataError

_DAY_S = 24 * 60 * 60
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your share of the disk is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "writing there is not permitted",
    errno.EPERM: "writing there is not permitted",
    errno.ENOTDIR: "a file stands where a folder is needed",
    errno.EEXIST: "a file stands where a folder is needed",
}


def data_folder() -> Path:
    """Root of the downloaded datasets: `AECORE_DATA`, or else a folder in the user's cache. It may not exist yet."""
    chosen = os.environ.get("AECORE_DATA", "").strip()
    if chosen:
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_cache_path("autoencoder-lab", appauthor=False) / "data"


@contextmanager
def disk_errors_in_plain_words(path: Path) -> Iterator[None]:
    """Turn an error of the operating system while writing `path` into a `DataError`."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0) or error.strerror or str(error)
        raise DataError(
            f"{path} could not be written: {reason}. "
            "Make room or allow writing there, or set AECORE_DATA to another folder."
        ) from error


@contextmanager
def part_beside(path: Path) -> Iterator[Path]:
    """Lend the name of a new file beside `path`; what is still there afterwards is removed.

    Raises:
        DataError: If the folder of `path` cannot be made.
    """
    with disk_errors_in_plain_words(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _remove_abandoned(path: Path) -> None:
    """Remove parts of `path` that a killed process left: no download takes a day."""
    for part in path.parent.glob(f".{path.name}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > _DAY_S:
                part.unlink()
