"""A file arrives whole and checked, from whichever mirror gives it, or the reader is told why not."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from file_server import Answer, FileServer, file_server

from aecore.data import download
from aecore.data.download import DownloadError, RemoteFile, downloaded, md5_of
from aecore.errors import DataError

BODY = os.urandom(300_000)
MD5 = hashlib.md5(BODY).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with file_server() as running:
        yield running


def file_at(server: FileServer, *mirrors: str) -> RemoteFile:
    return RemoteFile(name="data.gz", urls=tuple(f"{server.url}/{mirror}/data.gz" for mirror in mirrors), md5=MD5)


def silent(received: int, length: int | None) -> None:
    pass


def test_the_copy_is_whole_while_lent_and_gone_afterwards(server: FileServer, tmp_path: Path) -> None:
    server.files["/a/data.gz"] = Answer(BODY)
    with downloaded(file_at(server, "a"), tmp_path / "new" / "folder", silent) as part:
        assert part.read_bytes() == BODY
        assert md5_of(part) == MD5
    assert list((tmp_path / "new" / "folder").iterdir()) == []


def test_the_report_grows_to_the_whole_length(server: FileServer, tmp_path: Path) -> None:
    server.files["/a/data.gz"] = Answer(BODY)
    reports: list[tuple[int, int | None]] = []
    with downloaded(file_at(server, "a"), tmp_path, lambda *report: reports.append(report)):
        pass
    received = [report[0] for report in reports]
    assert len(received) > 1
    assert received == sorted(received)
    assert reports[-1] == (len(BODY), len(BODY))


@pytest.mark.parametrize(
    "bad",
    [
        Answer(b"x" * len(BODY)),  # right length, wrong checksum
        Answer(BODY[:-1]),
        Answer(BODY[:1000], promised=len(BODY)),
        Answer(status=404),
        Answer(status=503),
    ],
    ids=["damaged", "short", "broken off", "missing", "busy"],
)
def test_the_next_mirror_is_asked_after_a_bad_answer(server: FileServer, tmp_path: Path, bad: Answer) -> None:
    server.files |= {"/a/data.gz": bad, "/b/data.gz": Answer(BODY)}
    with downloaded(file_at(server, "a", "b"), tmp_path, silent) as part:
        assert part.read_bytes() == BODY
    assert server.asked == ["/a/data.gz", "/b/data.gz"]


def test_an_only_host_is_asked_twice(server: FileServer, tmp_path: Path) -> None:
    server.files["/a/data.gz"] = [Answer(BODY[:10], promised=len(BODY)), Answer(BODY)]
    with downloaded(file_at(server, "a"), tmp_path, silent) as part:
        assert part.read_bytes() == BODY
    assert len(server.asked) == 2


def test_when_all_fail_the_error_says_what_each_did_and_nothing_is_left(server: FileServer, tmp_path: Path) -> None:
    server.files |= {"/a/data.gz": Answer(b"wrong"), "/b/data.gz": Answer(BODY[:1000], promised=300_000)}
    with (
        pytest.raises(DownloadError) as raised,
        downloaded(file_at(server, "a", "b", "c"), tmp_path, silent),
    ):
        pass
    message = str(raised.value)
    assert message.startswith("data.gz: 127.0.0.1 sent a damaged file (its checksum is wrong); ")
    assert "127.0.0.1 broke off after 1,000 of 300,000 bytes" in message
    assert "127.0.0.1 answered 404 Not Found" in message
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_host_is_named_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # taken, but nobody listens
        file = RemoteFile(name="data.gz", urls=(f"http://127.0.0.1:{closed.getsockname()[1]}/data.gz",), md5=MD5)
        with (
            pytest.raises(DownloadError, match=r"^data\.gz: 127\.0\.0\.1 could not be reached \(.*refused\)\.$"),
            downloaded(file, tmp_path, silent),
        ):
            pass


def test_a_host_that_keeps_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        file = RemoteFile(name="data.gz", urls=(f"http://127.0.0.1:{mute.getsockname()[1]}/data.gz",), md5=MD5)
        with pytest.raises(DownloadError, match="did not answer within"), downloaded(file, tmp_path, silent):
            pass


def test_an_interrupted_download_leaves_nothing_behind(server: FileServer, tmp_path: Path) -> None:
    server.files["/a/data.gz"] = Answer(BODY)

    def interrupt(*_: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), downloaded(file_at(server, "a"), tmp_path, interrupt):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full to play a full disk")
def test_a_full_disk_is_reported_as_such_and_no_mirror_is_blamed(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/a/data.gz"] = Answer(BODY)

    @contextmanager
    def full(_: Path) -> Iterator[Path]:
        yield Path("/dev/full")

    monkeypatch.setattr(download, "part_beside", full)
    with (
        pytest.raises(DataError, match=r"could not be written: the disk is full\. .*AECORE_DATA") as raised,
        downloaded(file_at(server, "a"), tmp_path, silent),
    ):
        pass
    assert not isinstance(raised.value, DownloadError)
    assert len(server.asked) == 1
