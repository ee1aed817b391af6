"""The run queue as an executor sees it: claim, sign of life, notice of death.

Kept apart from the store, and free of torch, so that the process which only hands out runs stays small. This
module knows nothing of what a run does.
"""

from __future__ import annotations

import time

from sqlalchemy import delete, insert, select, update

from aecore.runs import schema
from aecore.runs.database import Database

SILENT_AFTER = 15.0  # seconds without a sign of life after which an executor counts as gone


class RunQueue:
    """Waiting runs, and who carries out the others.

    Args:
        database: Where the runs are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim_next(self, executor: str) -> str | None:
        """Take the run that has waited longest; None if none waits. No two executors get the same one."""
        with self._database.writing() as connection:
            first = (
                select(schema.runs.c.id)
                .where(schema.runs.c.state == "queued")
                .order_by(schema.runs.c.queued, schema.runs.c.id)
                .limit(1)
                .scalar_subquery()
            )
            return connection.execute(
                update(schema.runs)
                .where(schema.runs.c.id == first, schema.runs.c.state == "queued")
                .values(state="preparing", executor=executor, message="")
                .returning(schema.runs.c.id)
            ).scalar_one_or_none()

    def sign_of_life(self, executor: str) -> None:
        """Say that `executor` is there, and mark the runs of executors that fell silent as interrupted."""
        now = time.time()
        with self._database.writing() as connection:
            if not connection.execute(
                update(schema.executors).where(schema.executors.c.id == executor).values(seen=now)
            ).rowcount:
                connection.execute(insert(schema.executors).values(id=executor, seen=now))
            connection.execute(delete(schema.executors).where(schema.executors.c.seen < now - SILENT_AFTER))
            living = select(schema.executors.c.id)
            connection.execute(
                update(schema.runs)
                .where(schema.runs.c.executor != "", schema.runs.c.executor.not_in(living))
                .values(state="interrupted", executor="", message="The lab was stopped while this run was going.")
            )

    def sign_off(self, executor: str) -> None:
        """Say that `executor` goes away; whatever it still held is interrupted."""
        with self._database.writing() as connection:
            connection.execute(delete(schema.executors).where(schema.executors.c.id == executor))
            connection.execute(
                update(schema.runs)
                .where(schema.runs.c.executor == executor)
                .values(state="interrupted", executor="", message="The lab was stopped while this run was going.")
            )

    def declare_dead(self, run_id: str, executor: str, message: str) -> None:
        """Mark a run as failed if `executor` still holds it although its worker is gone."""
        with self._database.writing() as connection:
            connection.execute(
                update(schema.runs)
                .where(schema.runs.c.id == run_id, schema.runs.c.executor == executor)
                .values(state="failed", executor="", message=message)
            )

    def prune(self, keep: int) -> int:
        """Forget all but the `keep` newest of the runs that neither wait nor have a worker.

        Paused runs that were left so count among them: a closed tab would otherwise keep its runs for ever.

        Returns:
            How many were forgotten.
        """
        at_rest = (schema.runs.c.executor == "") & (schema.runs.c.state != "queued")
        older = select(schema.runs.c.id).where(at_rest).order_by(schema.runs.c.created.desc()).offset(keep)
        with self._database.writing() as connection:
            return connection.execute(delete(schema.runs).where(at_rest, schema.runs.c.id.in_(older))).rowcount
