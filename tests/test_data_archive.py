"""Archives are fetched, or taken from the folder, and unpacked whole; the share of the work done never falls."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import Answer, FileServer, file_server

from aecore.data.archive import Archive, fetch
from aecore.data.download import DownloadError, RemoteFile
from aecore.data.progress import silent

IMAGES, LABELS = os.urandom(1_500_000), os.urandom(2_000)  # random bytes do not shrink
PACKED = {"images.gz": gzip.compress(IMAGES), "labels.gz": gzip.compress(LABELS)}
ARCHIVES = [
    Archive(name="images.gz", size=len(PACKED["images.gz"]), members={"images": len(IMAGES)}),
    Archive(name="labels.gz", size=len(PACKED["labels.gz"]), members={"labels": len(LABELS)}),
]


def tar_of(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with file_server() as running:
        running.files |= {f"/{name}": Answer(content) for name, content in PACKED.items()}
        yield running


def remotes(server: FileServer, packed: dict[str, bytes] = PACKED) -> dict[str, RemoteFile]:
    return {
        name: RemoteFile(name=name, urls=(f"{server.url}/{name}",), md5=hashlib.md5(content).hexdigest())
        for name, content in packed.items()
    }


def test_members_are_unpacked_and_archives_not_kept(server: FileServer, tmp_path: Path) -> None:
    assert not any(archive.is_unpacked(tmp_path) for archive in ARCHIVES)
    fetch("Test", ARCHIVES, remotes(server), tmp_path, silent)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"images": IMAGES, "labels": LABELS}
    assert all(archive.is_unpacked(tmp_path) for archive in ARCHIVES)


def test_only_the_wanted_members_of_a_tar_are_unpacked(server: FileServer, tmp_path: Path) -> None:
    packed = {"set.tar.gz": tar_of({"batches/one": b"1", "batches/two": b"22", "batches/readme.html": b"?"})}
    server.files["/set.tar.gz"] = Answer(packed["set.tar.gz"])
    archive = Archive(
        name="set.tar.gz", size=len(packed["set.tar.gz"]), members={"batches/one": None, "batches/two": 2}
    )
    fetch("Test", [archive], remotes(server, packed), tmp_path, silent)
    assert archive.is_unpacked(tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "batches").iterdir()} == {"one": b"1", "two": b"22"}
    assert [path.name for path in tmp_path.iterdir()] == ["batches"]


def test_the_share_done_never_falls_and_ends_at_one_even_after_a_bad_answer(server: FileServer, tmp_path: Path) -> None:
    images = PACKED["images.gz"]
    server.files["/images.gz"] = [Answer(images[: len(images) // 2], promised=len(images)), Answer(images)]
    told: list[tuple[str, float]] = []
    fetch("Test", ARCHIVES, remotes(server), tmp_path, lambda text, share: told.append((text, share or 0.0)))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[0] > 0
    assert told[-1] == ("Test is complete", 1.0)
    assert "Downloading Test: images.gz, 1.5 of 1.5 MB" in [text for text, _ in told]
    assert "Downloading Test: labels.gz, 2 of 2 kB" in [text for text, _ in told]


def test_an_archive_put_there_by_hand_is_used_without_the_network_and_left(tmp_path: Path, server: FileServer) -> None:
    for name, content in PACKED.items():
        (tmp_path / name).write_bytes(content)
    fetch("Test", ARCHIVES, remotes(server), tmp_path, silent)
    assert server.asked == []
    assert (tmp_path / "images").read_bytes() == IMAGES
    assert (tmp_path / "images.gz").exists()


def test_a_damaged_archive_put_there_by_hand_is_not_used(tmp_path: Path, server: FileServer) -> None:
    (tmp_path / "images.gz").write_bytes(PACKED["images.gz"][:-100])
    fetch("Test", ARCHIVES, remotes(server), tmp_path, silent)
    assert server.asked == ["/images.gz", "/labels.gz"]
    assert (tmp_path / "images").read_bytes() == IMAGES


def test_what_arrived_before_a_failure_is_kept_and_whole(tmp_path: Path, server: FileServer) -> None:
    server.files["/labels.gz"] = Answer(status=500)
    with pytest.raises(DownloadError, match=r"labels\.gz: 127\.0\.0\.1 answered 500"):
        fetch("Test", ARCHIVES, remotes(server), tmp_path, silent)
    assert [archive.is_unpacked(tmp_path) for archive in ARCHIVES] == [True, False]


def test_a_file_of_the_wrong_size_does_not_count_as_unpacked(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(IMAGES[:-1])
    (tmp_path / ".labels.0a1b2c3d.part").write_bytes(LABELS)
    assert [archive.is_unpacked(tmp_path) for archive in ARCHIVES] == [False, False]
