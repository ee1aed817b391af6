"""The data folder is where the settings say, and a file appears in it whole or not at all."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from aecore.data.folder import data_folder, disk_errors_in_plain_words, part_beside
from aecore.errors import DataError


def test_the_folder_is_the_one_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AECORE_DATA", str(tmp_path / "data"))
    assert data_folder() == tmp_path / "data"
    assert not data_folder().exists(), "asking for the folder does not make it"


def test_a_tilde_means_the_users_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AECORE_DATA", "~/images")
    assert data_folder() == Path.home() / "images"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_without_a_setting_it_lies_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv("AECORE_DATA", raising=False)
    else:
        monkeypatch.setenv("AECORE_DATA", value)
    assert data_folder().name == "data"
    assert "autoencoder-lab" in data_folder().parts
    assert data_folder().is_absolute()


def test_each_part_has_a_name_of_its_own(tmp_path: Path) -> None:
    with part_beside(tmp_path / "x.gz") as one, part_beside(tmp_path / "x.gz") as other:
        assert one != other
        assert one.parent == other.parent == tmp_path


def test_a_part_that_was_not_renamed_is_removed_even_after_an_error(tmp_path: Path) -> None:
    def write_half() -> None:
        with part_beside(tmp_path / "x.gz") as part:
            part.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_a_renamed_part_stays(tmp_path: Path) -> None:
    with part_beside(tmp_path / "x.gz") as part:
        part.write_bytes(b"whole")
        part.replace(tmp_path / "x.gz")
    assert (tmp_path / "x.gz").read_bytes() == b"whole"


def test_parts_of_killed_processes_go_but_those_being_written_stay(tmp_path: Path) -> None:
    old, young, other = (tmp_path / f".{name}.part" for name in ("x.gz.00000000", "x.gz.11111111", "y.gz.22222222"))
    for part in (old, young, other):
        part.write_bytes(b"half")
    for part in (old, other):
        os.utime(part, (time.time() - 2 * 24 * 60 * 60,) * 2)
    with part_beside(tmp_path / "x.gz"):
        assert sorted(tmp_path.iterdir()) == [young, other]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EACCES, "writing there is not permitted"),
        (errno.EROFS, "the disk is read-only"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_errors_of_the_disk_say_where_why_and_what_to_do(tmp_path: Path, number: int, words: str) -> None:
    target = tmp_path / "x.gz"
    with pytest.raises(DataError) as raised, disk_errors_in_plain_words(target):
        raise OSError(number, os.strerror(number))
    assert str(raised.value).startswith(f"{target} could not be written: {words}. ")
    assert "set AECORE_DATA to another folder" in str(raised.value)


def test_a_file_where_a_folder_is_needed_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    for target in (tmp_path / "data" / "x.gz", tmp_path / "data" / "MNIST" / "x.gz"):
        with pytest.raises(DataError, match="a file stands where a folder is needed"), part_beside(target):
            pass
