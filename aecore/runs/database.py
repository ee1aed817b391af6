"""The database behind the run store and the queue: where it lies and how it is opened.

This module knows nothing of runs.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from platformdirs import user_data_path
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.schema import CreateColumn

from aecore.errors import RunError
from aecore.runs import schema

PATIENCE = 10  # seconds to wait for others to give the file of a database free
_GIVE = "Set AECORE_RUNS to a folder, or to a URL such as postgresql+psycopg://user:password@host/database."


def database_url() -> str:
    """The database named by AECORE_RUNS: a SQLAlchemy URL or a folder; else a folder among the user's data.

    Raises:
        RunError: If the folder cannot be made.
    """
    place = os.environ.get("AECORE_RUNS", "").strip()
    if "://" in place:
        return place
    folder = Path(place).expanduser() if place else user_data_path("autoencoder-lab", appauthor=False) / "runs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"Runs cannot be kept in {folder}: {error.strerror}. Set AECORE_RUNS to a folder that can be written to."
        ) from error
    file = URL.create("sqlite", database=str((folder / "runs.sqlite").resolve()))
    return file.render_as_string()  # not an f-string: some characters of a path mean something else in a URL


class Database:
    """A database with the tables of `aecore.runs.schema`, safe to use from many threads and processes at once.

    Args:
        url: A SQLAlchemy URL; None for the one the environment names.

    Raises:
        RunError: If it cannot be opened.
    """

    def __init__(self, url: str | None = None) -> None:
        self.url = url or database_url()
        where = _parsed(self.url)
        self._name = where.render_as_string()  # without its password: the name is shown to people
        try:
            self._engine = create_engine(where, pool_pre_ping=True)  # a server may have hung up since the last call
            if self._engine.dialect.name == "sqlite":
                event.listen(self._engine, "connect", _sqlite_settings)
                event.listen(self._engine, "begin", _sqlite_begin)
            self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")
            schema.metadata.create_all(self._engine)
            _add_new_columns(self._engine)
        except DBAPIError as error:
            raise RunError(f"The run store {self._name} cannot be opened: {_reason(error)}. {_GIVE}") from error
        except ImportError as error:
            raise RunError(
                f"The run store {self._name} cannot be opened: {error}. Install the database's driver with pip."
            ) from error
        except SQLAlchemyError as error:
            raise RunError(f"The run store {self._name} cannot be opened: {error}. {_GIVE}") from error

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: all of it happens, or nothing.

        Raises:
            RunError: If the database does not answer, is locked for too long or cannot be written to.
        """
        with self._in_plain_words(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees what is committed and never makes a writer wait.

        Raises:
            RunError: If the database does not answer.
        """
        with self._in_plain_words(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def _in_plain_words(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            raise RunError(
                f"The run store {self._name} does not answer: {_reason(error)}. Try again in a moment; if it stays "
                "so, look whether its disk is full."
            ) from error

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()


def _add_new_columns(engine: Engine) -> None:
    """Give the tables of an older version of the lab the columns it did not have; their defaults fill them."""
    tables = inspect(engine)
    for table in schema.metadata.tables.values():
        there = {column["name"] for column in tables.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                with engine.begin() as connection, suppress(DBAPIError):  # another process may be doing the same
                    definition = CreateColumn(column).compile(dialect=engine.dialect)
                    connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {definition}")


def _parsed(text: str) -> URL:
    try:
        url = make_url(text)
    except (SQLAlchemyError, ValueError) as error:  # the text is not quoted: a visitor may see it, and its password
        raise RunError(f"The address of the run store cannot be read. {_GIVE}") from error
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise RunError(f"Runs cannot be kept in memory, because workers are other processes. {_GIVE}")
    return url


def _reason(error: DBAPIError) -> str:
    """What the database itself said, in its first line."""
    return str(error.orig).partition("\n")[0].rstrip(".")


def _sqlite_settings(connection: Any, _: Any) -> None:
    """Many processes read while one writes; see https://sqlite.org/wal.html."""
    connection.isolation_level = None  # transactions are begun by `_sqlite_begin`, not behind our back
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={1000 * PATIENCE}")
    _use_write_ahead_log(cursor)
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _use_write_ahead_log(cursor: sqlite3.Cursor) -> None:
    """Change the journal of a new file; where several do so at once, SQLite does not wait, whatever its timeout."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _sqlite_begin(connection: Connection) -> None:
    """Take the write lock first: a transaction that reads and then writes cannot be overtaken in between."""
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
