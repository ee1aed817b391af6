"""The database: found by the environment, safe to share, and in plain words when it cannot be had."""

from __future__ import annotations

import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from little_runs import until, url_in
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from aecore.errors import RunError
from aecore.runs import schema
from aecore.runs.database import Database, database_url


def sign(database: Database, name: str) -> None:
    with database.writing() as connection:
        connection.execute(insert(schema.executors).values(id=name, seen=0.0))


def count(database: Database) -> int:
    with database.reading() as connection:
        return connection.execute(select(func.count()).select_from(schema.executors)).scalar_one()


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(url_in(tmp_path))


@pytest.mark.parametrize("name", ["runs", "a b", "100%", "50%20", "what?", "a#b", "ümläut", "c:d"])
def test_a_folder_becomes_a_database_in_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / name / "deeper"
    monkeypatch.setenv("AECORE_RUNS", f" {folder} ")
    database = Database()
    sign(database, "a")
    database.close()
    assert (folder / "runs.sqlite").exists()
    again = Database(database.url)  # as a worker opens it
    assert count(again) == 1
    again.close()


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("AECORE_RUNS", "~/lab")
    assert database_url() == f"sqlite:///{tmp_path / 'lab' / 'runs.sqlite'}"


def test_without_a_word_runs_are_among_the_users_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AECORE_RUNS", raising=False)
    monkeypatch.setattr("aecore.runs.database.user_data_path", lambda name, **_: tmp_path / name)
    assert database_url().endswith("autoencoder-lab/runs/runs.sqlite")


def test_a_url_is_taken_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite+pysqlite:///{tmp_path / 'other.db'}?timeout=3"
    monkeypatch.setenv("AECORE_RUNS", url)
    database = Database()
    assert database.url == url
    sign(database, "a")
    assert count(database) == 1
    database.close()
    assert (tmp_path / "other.db").exists()


def test_a_file_in_the_way_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("AECORE_RUNS", str(tmp_path / "file"))
    with pytest.raises(RunError, match=r"Runs cannot be kept in .*Set AECORE_RUNS to a folder that can be written to"):
        database_url()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            "sqlite:////no/such/folder/runs.sqlite",
            "cannot be opened: unable to open database file. Set AECORE_RUNS to a folder",
        ),
        ("://nothing", "cannot be read. Set AECORE_RUNS to a folder"),
        ("nosuchdatabase://host/runs", "nosuchdatabase. Set AECORE_RUNS to a folder"),
        ("postgresql://user:s3cret@host:port/runs", "cannot be read. Set AECORE_RUNS to a folder"),
        ("oracle+nosuchdriver://user:s3cret@host/runs", "oracle.nosuchdriver. Set AECORE_RUNS to a folder"),
        ("mssql+pymssql://user:s3cret@host/runs", "Install the database's driver"),
        ("sqlite://", "in memory, because workers are other processes. Set AECORE_RUNS to a folder"),
        ("sqlite:///:memory:", "in memory, because workers are other processes"),
    ],
)
def test_a_database_that_cannot_be_had_is_told_in_plain_words(url: str, told: str) -> None:
    with pytest.raises(RunError) as error:
        Database(url)
    assert told in str(error.value)
    assert "s3cret" not in str(error.value), "a visitor may read this"
    assert "sqlalche.me" not in str(error.value)


def test_a_database_that_breaks_later_is_told_in_plain_words(database: Database, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "runs.sqlite") as other:
        other.execute("DROP TABLE executors")
    other.close()
    with pytest.raises(RunError, match="does not answer: no such table"):
        count(database)
    with pytest.raises(RunError, match="does not answer: no such table"):
        sign(database, "a")
    database.close()


def test_a_broken_transaction_leaves_nothing_behind(database: Database) -> None:
    def sign_twice() -> None:
        with database.writing() as connection:
            for _ in range(2):
                connection.execute(insert(schema.executors).values(id="same", seen=0.0))

    with pytest.raises(IntegrityError):
        sign_twice()
    assert count(database) == 0
    database.close()


def test_sqlite_lets_processes_read_while_one_writes(database: Database) -> None:
    with database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
    database.close()


def test_readers_neither_wait_for_a_writer_nor_see_what_it_has_not_finished(database: Database) -> None:
    sign(database, "before")
    with database.writing() as connection:
        connection.execute(insert(schema.executors).values(id="within", seen=0.0))
        assert count(database) == 1
    assert count(database) == 2
    database.close()


def test_a_reader_sees_what_others_wrote_since_it_last_looked(database: Database, tmp_path: Path) -> None:
    other = Database(url_in(tmp_path))
    for number in range(5):
        sign(other, str(number))
        assert count(database) == number + 1
    other.close()
    database.close()


def test_what_belongs_to_no_run_is_refused(database: Database) -> None:
    with pytest.raises(IntegrityError), database.writing() as connection:
        connection.execute(insert(schema.checkpoints).values(run_id="nobody", step=0, data=b""))
    database.close()


def test_a_writer_waits_its_turn(database: Database, tmp_path: Path) -> None:
    """The second of two transactions begins when the first one is over, and so works with what that one left."""
    other = Database(url_in(tmp_path))
    seen: list[int] = []
    begun = threading.Event()

    def second() -> None:
        begun.set()
        with other.writing() as connection:
            seen.append(connection.execute(select(func.count()).select_from(schema.executors)).scalar_one())

    with database.writing() as connection:
        thread = threading.Thread(target=second)
        thread.start()
        begun.wait(10)
        connection.execute(insert(schema.executors).values(id="first", seen=0.0))
        assert not seen
    thread.join(20)
    assert seen == [1]
    other.close()
    database.close()


def test_many_can_open_a_new_database_at_once(tmp_path: Path) -> None:
    ready = threading.Barrier(8)

    def open_and_sign(name: str) -> None:
        ready.wait(20)
        database = Database(url_in(tmp_path))
        sign(database, name)
        database.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(open_and_sign, map(str, range(8))))
    database = Database(url_in(tmp_path))
    assert count(database) == 8
    database.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
def test_a_closed_database_holds_no_file(tmp_path: Path) -> None:
    def open_files() -> int:
        links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
        return sum(os.readlink(link).startswith(str(tmp_path)) for link in links if os.path.lexists(link))

    database = Database(url_in(tmp_path))
    assert until(open_files, "the database is open") > 0
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: count(database), range(20)))
    database.close()
    assert open_files() == 0


def test_a_database_of_an_older_lab_gets_the_columns_it_lacks(tmp_path: Path) -> None:
    Database(url_in(tmp_path)).close()
    file = tmp_path / "runs.sqlite"
    with sqlite3.connect(file) as old:
        old.execute("ALTER TABLE runs DROP COLUMN rivals")
        old.execute("ALTER TABLE points DROP COLUMN rival")
        old.execute(
            "INSERT INTO runs (id, kind, owner, created, queued, model, training, dataset, state, wanted, "
            "step_requests, message, progress, step, executor, metrics) "
            "VALUES ('old', 'training', '', 0, 0, '{}', '{}', 'digits',"
            " 'finished', 'run', 0, '', 1, 5, '', '{}')"
        )
    database = Database(url_in(tmp_path))
    with database.reading() as connection:
        assert connection.execute(select(schema.runs.c.rivals)).scalar_one() == []
        assert connection.execute(select(schema.points.c.rival)).all() == []
    database.close()
