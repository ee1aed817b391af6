"""MNIST's relatives and CIFAR-10 are fetched once, checked, and then read without a network, whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets
from file_server import Answer, FileServer, file_server

from aecore.data import torchvision_sets
from aecore.data.archive import Archive
from aecore.data.progress import silent
from aecore.data.torchvision_sets import CIFAR10, FASHION_MNIST, KMNIST, MNIST, TorchvisionFiles
from aecore.errors import DataError

# A miniature of MNIST in its own format: 3 training images and 2 test images of 28x28.
IMAGES = {split: os.urandom(count * 784) for split, count in (("train", 3), ("t10k", 2))}
LABELS = {"train": bytes([4, 0, 9]), "t10k": bytes([1, 7])}


def idx(content: bytes, *shape: int) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + b"".join(side.to_bytes(4, "big") for side in shape) + content


UNPACKED = {
    "train-images-idx3-ubyte": idx(IMAGES["train"], 3, 28, 28),
    "train-labels-idx1-ubyte": idx(LABELS["train"], 3),
    "t10k-images-idx3-ubyte": idx(IMAGES["t10k"], 2, 28, 28),
    "t10k-labels-idx1-ubyte": idx(LABELS["t10k"], 2),
}
PACKED = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in UNPACKED.items()}
TINY = TorchvisionFiles(
    title="MNIST",
    dataset="MNIST",
    folder="MNIST/raw",
    archives=tuple(
        Archive(name=f"{name}.gz", size=len(PACKED[f"{name}.gz"]), members={name: len(content)})
        for name, content in UNPACKED.items()
    ),
)


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder; the place in it where MNIST's files belong."""
    monkeypatch.setenv("AECORE_DATA", str(tmp_path))
    return tmp_path / "MNIST" / "raw"


@pytest.fixture
def server(raw: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """Two mirrors of the miniature; torchvision's own lists point to them."""
    assert not raw.exists()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with file_server() as running:
        for mirror in "ab":
            running.files |= {f"/{mirror}/{name}": Answer(content) for name, content in PACKED.items()}
        resources = [(name, hashlib.md5(content).hexdigest()) for name, content in PACKED.items()]
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [f"{running.url}/a/", f"{running.url}/b/"])
        monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
        yield running


def check(files: TorchvisionFiles = TINY) -> None:
    """Read and compare with what was packed."""
    for split, name in zip(files.read(silent), ("train", "t10k"), strict=True):
        assert split.images.shape[1:] == (1, 28, 28)
        assert split.images.numpy().tobytes() == IMAGES[name]
        assert split.labels.dtype == torch.int64
        assert bytes(split.labels.tolist()) == LABELS[name]


def test_files_are_fetched_once_and_then_read_without_the_network(server: FileServer) -> None:
    assert not TINY.are_present()
    check()
    assert server.asked == [f"/a/{name}" for name in PACKED]
    assert TINY.are_present()
    check()
    assert len(server.asked) == len(PACKED)


def test_progress_grows_to_one_and_names_the_file(server: FileServer) -> None:
    server.files["/a/train-images-idx3-ubyte.gz"] = Answer(b"x" * len(PACKED["train-images-idx3-ubyte.gz"]))
    told: list[tuple[str, float | None]] = []
    TINY.read(lambda text, share: told.append((text, share)))
    shares = [share for _, share in told if share is not None]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert "Downloading MNIST: train-images-idx3-ubyte.gz, 2 of 2 kB" in [text for text, _ in told]
    assert told[-1] == ("Reading MNIST", None)


def test_a_damaged_answer_is_fetched_from_the_next_mirror(server: FileServer) -> None:
    server.files["/a/t10k-labels-idx1-ubyte.gz"] = Answer(b"damaged")
    check()
    assert server.asked[-2:] == ["/a/t10k-labels-idx1-ubyte.gz", "/b/t10k-labels-idx1-ubyte.gz"]


def test_only_a_file_cut_short_is_fetched_again(server: FileServer, raw: Path) -> None:
    check()
    server.asked.clear()
    (raw / "train-images-idx3-ubyte").write_bytes(UNPACKED["train-images-idx3-ubyte"][:-1])
    assert not TINY.are_present()
    check()
    assert server.asked == ["/a/train-images-idx3-ubyte.gz"]


def test_files_overwritten_at_equal_size_are_noticed_and_fetched_again(server: FileServer, raw: Path) -> None:
    check()
    server.asked.clear()
    size = len(UNPACKED["t10k-labels-idx1-ubyte"])
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"\0" * size)
    assert TINY.are_present(), "names and sizes are right"
    check()
    assert server.asked == [f"/a/{name}" for name in PACKED]


def test_archives_put_there_by_hand_need_no_network(server: FileServer, raw: Path) -> None:
    raw.mkdir(parents=True)
    for name, content in PACKED.items():
        (raw / name).write_bytes(content)
    assert TINY.are_present()
    check()
    assert server.asked == []


def test_without_a_network_the_error_says_what_failed_and_where_files_may_be_put(server: FileServer, raw: Path) -> None:
    server.files.clear()
    with pytest.raises(DataError) as raised:
        TINY.read(silent)
    message = str(raised.value)
    assert message.startswith("MNIST could not be downloaded. train-images-idx3-ubyte.gz: 127.0.0.1 answered 404")
    assert "Check the network connection and try again" in message
    assert f"put into {raw}: {', '.join(PACKED)}." in message
    assert "damaged" not in message


def test_damaged_files_that_cannot_be_fetched_again_are_named(server: FileServer, raw: Path) -> None:
    check()
    server.files.clear()
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"\0")
    with pytest.raises(DataError, match=f"lies in {raw} is damaged or incomplete: t10k-labels-idx1-ubyte"):
        TINY.read(silent)


def test_files_that_cannot_be_read_even_when_fresh_are_reported(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = gzip.compress(idx(LABELS["t10k"], 3))  # three labels promised, two there
    archives = (*TINY.archives[:3], Archive(name="t10k-labels-idx1-ubyte.gz", size=len(wrong), members={}))
    archives[3].members["t10k-labels-idx1-ubyte"] = 10  # type: ignore[index]
    resources = [*torchvision.datasets.MNIST.resources[:3], (archives[3].name, hashlib.md5(wrong).hexdigest())]
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
    server.files["/a/t10k-labels-idx1-ubyte.gz"] = Answer(wrong)
    files = TorchvisionFiles(title="MNIST", dataset="MNIST", folder="MNIST/raw", archives=archives)
    with pytest.raises(DataError, match="cannot be read, though they were just fetched"):
        files.read(silent)


@pytest.mark.usefixtures("server")
def test_many_readers_at_once_do_not_spoil_each_others_files(raw: Path) -> None:
    failures: list[Exception] = []

    def reader() -> None:
        try:
            check()
        except Exception as error:  # noqa: BLE001 - carried to the main thread
            failures.append(error)

    readers = [threading.Thread(target=reader) for _ in range(4)]
    for thread in readers:
        thread.start()
    for thread in readers:
        thread.join()
    assert failures == []
    assert {path.name: path.read_bytes() for path in raw.iterdir()} == UNPACKED


@pytest.mark.usefixtures("server")
def test_a_part_of_another_process_is_never_taken_for_the_file(raw: Path) -> None:
    raw.mkdir(parents=True)
    part = raw / ".train-images-idx3-ubyte.0a1b2c3d.part"
    part.write_bytes(UNPACKED["train-images-idx3-ubyte"][:100])
    check()
    assert part.exists(), "whoever writes it may still be at work"


def test_cifar_comes_out_channels_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AECORE_DATA", str(tmp_path))
    pixels = np.random.default_rng(0).integers(0, 256, (12, 3072), dtype=np.uint8)
    members = {
        f"data_batch_{number}": {"data": pixels[2 * number - 2 : 2 * number], "labels": [number, 0]}
        for number in range(1, 6)
    }
    members |= {"test_batch": {"data": pixels[10:], "labels": [9, 8]}, "batches.meta": {"label_names": ["airplane"]}}
    contents = {name: pickle.dumps(member) for name, member in members.items()}
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in contents.items():
            header = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    reader = torchvision.datasets.CIFAR10
    monkeypatch.setattr(reader, "train_list", [[f"data_batch_{n}", md5[f"data_batch_{n}"]] for n in range(1, 6)])
    monkeypatch.setattr(reader, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(reader, "meta", {**reader.meta, "md5": md5["batches.meta"]})
    monkeypatch.setattr(reader, "tgz_md5", hashlib.md5(packed.getvalue()).hexdigest())
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(packed.getvalue())

    assert CIFAR10.are_present()
    train, test = CIFAR10.read(silent)
    assert train.images.shape == (10, 3, 32, 32)
    assert train.images.is_contiguous()
    assert train.images.numpy().tobytes() == pixels[:10].tobytes()
    assert train.labels.tolist() == [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]
    assert test.labels.tolist() == [9, 8]

    (tmp_path / "cifar-10-python.tar.gz").unlink()
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(b"overwritten")
    with file_server() as server:
        monkeypatch.setattr(reader, "url", f"{server.url}/cifar-10-python.tar.gz")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        server.files["/cifar-10-python.tar.gz"] = [
            Answer(packed.getvalue()[:1000], promised=len(packed.getvalue())),
            Answer(packed.getvalue()),
        ]
        assert torch.equal(CIFAR10.read(silent)[1].images, test.images), "damage is noticed, the same host asked twice"
        assert len(server.asked) == 2


@pytest.mark.parametrize("files", [MNIST, FASHION_MNIST, KMNIST, CIFAR10], ids=lambda files: files.dataset)
def test_our_layout_is_torchvisions(files: TorchvisionFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AECORE_DATA", str(tmp_path))
    reader = getattr(torchvision.datasets, files.dataset)
    assert files._remotes().keys() == {archive.name for archive in files.archives}
    assert all(remote.urls and len(remote.md5) == 32 for remote in files._remotes().values())
    members = {tmp_path / files.folder / member for archive in files.archives for member in archive.members}
    if files is CIFAR10:
        names = [name for name, _ in reader.train_list + reader.test_list] + [reader.meta["filename"]]
        assert members == {tmp_path / reader.base_folder / name for name in names}
        assert files.archives[0].name == reader.filename
    else:
        names = [name.removesuffix(".gz") for name, _ in reader.resources]
        assert members == {tmp_path / files.dataset / "raw" / name for name in names}


def test_torchvision_is_not_imported_before_it_is_needed() -> None:
    assert not hasattr(torchvision_sets, "torchvision")
