"""One copy of each dataset a process, whoever asks and how many at once; names and failures in plain words."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from threading import Lock

import pytest

from aecore import data
from aecore.data import DATASETS, ImageDataset, is_available, load_dataset
from aecore.data.progress import Progress
from aecore.data.spec import Split
from aecore.errors import DataError


class Gate:
    """A dataset whose reading waits until the test lets it go on."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.reads = 0

    def read(self, progress: Progress) -> tuple[Split, Split]:
        self.reads += 1
        self.begun.set()
        assert self.go_on.wait(timeout=30)
        return DATASETS["digits8"].read(progress)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    monkeypatch.setitem(DATASETS, "gated", replace(DATASETS["digits8"], name="gated", title="Gated", read=gate.read))
    monkeypatch.setitem(data._locks, "gated", Lock())
    monkeypatch.setattr(data, "_loaded", dict(data._loaded))
    return gate


def test_many_threads_get_the_one_copy_and_those_who_wait_are_told(gate: Gate) -> None:
    got: list[ImageDataset] = []
    told: list[str] = []
    waiting = threading.Event()

    def note(message: str, _: float | None) -> None:
        told.append(message)
        waiting.set()

    first = threading.Thread(target=lambda: got.append(load_dataset("gated")))
    first.start()
    assert gate.begun.wait(timeout=30)
    second = threading.Thread(target=lambda: got.append(load_dataset("gated", note)))
    second.start()
    assert waiting.wait(timeout=30)
    gate.go_on.set()
    first.join()
    second.join()
    assert got[0] is got[1]
    assert gate.reads == 1
    assert told == ["Gated is being loaded already; waiting for it"]


def test_a_slow_dataset_does_not_hold_up_another(gate: Gate) -> None:
    slow = threading.Thread(target=load_dataset, args=("gated",))
    slow.start()
    try:
        assert gate.begun.wait(timeout=30)
        assert load_dataset("digits8").name == "digits8"
    finally:
        gate.go_on.set()
        slow.join()


def test_progress_is_not_called_for_what_is_in_memory() -> None:
    load_dataset("digits8")
    told: list[str] = []
    load_dataset("digits8", lambda message, _: told.append(message))
    assert told == []


def test_a_failure_says_what_can_be_used_and_is_not_remembered(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AECORE_DATA", str(tmp_path))

    def fail(_: Progress) -> tuple[Split, Split]:
        raise DataError("The moon is in the way.")

    gate.go_on.set()
    good = DATASETS["gated"]
    monkeypatch.setitem(DATASETS, "gated", replace(good, read=fail))
    with pytest.raises(DataError) as raised:
        load_dataset("gated")
    usable = ["digits", "digits8", "shapes", "shapes_grey", "shapes_gradient", "shapes_black"]
    assert str(raised.value) == f"The moon is in the way. Ready to use now: {', '.join(usable)}."
    monkeypatch.setitem(DATASETS, "gated", good)
    assert load_dataset("gated").name == "gated"


@pytest.mark.parametrize(
    ("asked", "near"), [("mnits", "mnist"), ("Fashion-MNIST", "fashion_mnist"), ("cifar", "cifar10")]
)
def test_an_unknown_name_lists_the_known_ones_and_the_nearest(asked: str, near: str) -> None:
    for ask in (load_dataset, is_available):
        with pytest.raises(DataError) as raised:
            ask(asked)
        message = str(raised.value)
        assert f"no dataset {asked!r}" in message
        assert ", ".join(DATASETS) in message
        assert f"Did you mean {near}?" in message


def test_availability_follows_the_files_and_needs_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AECORE_DATA", str(tmp_path))
    monkeypatch.setattr("aecore.data.download.urlopen", None)
    for name, spec in DATASETS.items():
        assert is_available(name) is (spec.download_bytes is None)
    raw = tmp_path / "KMNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 60_000), ("t10k", 10_000)):
        for kind, size in (("images-idx3", 16 + count * 784), ("labels-idx1", 8 + count)):
            with (raw / f"{part}-{kind}-ubyte").open("wb") as file:
                file.truncate(size)
    assert is_available("kmnist")
    assert not is_available("mnist")
