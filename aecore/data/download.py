"""Fetches one file over the network and checks it, trying mirror after mirror.

It knows nothing of datasets, archives or where files belong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from aecore.data.folder import disk_errors_in_plain_words, part_beside
from aecore.errors import DataError

TIMEOUT_S = 20.0  # without a single byte
_CHUNK = 128 * 1024
# The name torchvision gives: some hosts turn Python's own away.
_HEADERS = {"User-Agent": "pytorch/vision"}

Report = Callable[[int, int | None], None]
"""`report(received, length)` in bytes; `length` is None where the server does not say."""


class DownloadError(DataError):
    """No mirror gave the file; the message says what each of them did."""


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """One file on the network.

    Attributes:
        name: Its file name.
        urls: Where to ask, in this order.
        md5: Checksum in hex.
    """

    name: str
    urls: tuple[str, ...]
    md5: str


class _FailedError(Exception):
    """One attempt failed; the message completes "the host ..."."""


@contextmanager
def downloaded(file: RemoteFile, folder: Path, report: Report) -> Iterator[Path]:
    """Lend a complete, checked copy of `file` in `folder`; it is removed afterwards.

    Each mirror is asked once; a single one twice, because a connection may break by accident.

    Raises:
        DownloadError: If no mirror gave it.
        DataError: If it cannot be written.
    """
    attempts = file.urls if len(file.urls) > 1 else file.urls * 2
    failures: list[str] = []
    with part_beside(folder / file.name) as part:
        for url in attempts:
            try:
                _fetch(url, file.md5, part, report)
                break
            except _FailedError as failure:
                failures.append(f"{urlsplit(url).hostname} {failure}")
        else:
            raise DownloadError(f"{file.name}: {'; '.join(dict.fromkeys(failures))}.")
        yield part


def md5_of(path: Path) -> str:
    """Checksum of a file, in hex."""
    with path.open("rb") as source:
        # MD5 guards against accidents here, not against attackers.
        return hashlib.file_digest(source, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _fetch(url: str, md5: str, part: Path, report: Report) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    received = 0
    with disk_errors_in_plain_words(part), part.open("wb") as sink:
        for chunk, length in _chunks(url):
            sink.write(chunk)
            digest.update(chunk)
            received += len(chunk)
            report(received, length)
    if digest.hexdigest() != md5:
        raise _FailedError("sent a damaged file (its checksum is wrong)")


def _chunks(url: str) -> Iterator[tuple[bytes, int | None]]:
    """Yield the body piece by piece, each with the length of the whole.

    Errors of the network become `_FailedError` in here, so that none of the disk, met by the consumer, is taken
    for one.
    """
    try:
        with urlopen(Request(url, headers=_HEADERS), timeout=TIMEOUT_S) as response:
            length: int | None = response.length
            received = 0
            while chunk := response.read(_CHUNK):
                received += len(chunk)
                yield chunk, length
    except (OSError, HTTPException) as error:
        raise _FailedError(_reason(error)) from error
    if length is not None and received < length:
        raise _FailedError(f"broke off after {received:,} of {length:,} bytes")


def _reason(error: OSError | HTTPException) -> str:
    if isinstance(error, HTTPError):
        return f"answered {error.code} {error.reason}"
    cause = getattr(error, "reason", error)  # URLError wraps the operating system's error
    if isinstance(cause, TimeoutError):
        return f"did not answer within {TIMEOUT_S:.0f} seconds"
    return f"could not be reached ({getattr(cause, 'strerror', None) or cause or type(error).__name__})"
