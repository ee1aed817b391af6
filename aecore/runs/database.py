"""The database behind the run store and the queue: where it lies and how it is opened.

This module knows nothing of runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from platformdirs import user_data_path
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from aecore.errors import RunError
from aecore.runs import schema


def database_url() -> str:
    """The database named by AECORE_RUNS: a SQLAlchemy URL or a folder; else a folder among the user's data.

    Raises:
        RunError: If the folder cannot be made.
    """
    place = os.environ.get("AECORE_RUNS", "")
    if "://" in place:
        return place
    folder = Path(place) if place else user_data_path("autoencoder-lab") / "runs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"Runs cannot be kept in {folder}: {error.strerror}. Set AECORE_RUNS to a folder that can be written to."
        ) from error
    return f"sqlite:///{(folder / 'runs.sqlite').resolve()}"


class Database:
    """A database with the tables of `aecore.runs.schema`, safe to use from many threads and processes at once.

    Args:
        url: A SQLAlchemy URL; None for the one the environment names.

    Raises:
        RunError: If it cannot be opened.
    """

    def __init__(self, url: str | None = None) -> None:
        self.url = url or database_url()
        try:
            self._engine = create_engine(self.url)
            if self._engine.dialect.name == "sqlite":
                event.listen(self._engine, "connect", _sqlite_settings)
                event.listen(self._engine, "begin", _sqlite_begin)
            self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")
            schema.metadata.create_all(self._engine)
        except (SQLAlchemyError, ImportError) as error:
            raise RunError(f"The run store {self.url} cannot be opened: {error}. Check AECORE_RUNS.") from error

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: all of it happens, or nothing."""
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees what is committed and never makes a writer wait."""
        with self._reader.connect() as connection:
            yield connection

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()


def _sqlite_settings(connection: Any, _: Any) -> None:
    """Many processes read while one writes; see https://sqlite.org/wal.html."""
    connection.isolation_level = None  # transactions are begun by `_sqlite_begin`, not behind our back
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=10000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_begin(connection: Connection) -> None:
    """Take the write lock first: a transaction that reads and then writes cannot be overtaken in between."""
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
