"""The run store: the one source of truth about every run.

Pages read it and write only what they *want* of a run; workers obey that and write what happened. Neither ever
talks to the other, so a run survives a reload, a closed tab and a restarted server, and any number of pages can
watch it. This module knows nothing of processes or of training.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, tuple_, update

from aecore.errors import ConfigError, RunError
from aecore.models.config import ModelConfig
from aecore.runs import schema
from aecore.runs.database import Database
from aecore.runs.records import Point, Run, Snapshot, Stage
from aecore.runs.states import RESUMABLE_STATES, UNFINISHED_STATES, State, Wanted
from aecore.training.config import TrainConfig

MOST_SNAPSHOTS = 200
NEWEST_SNAPSHOTS = 16  # of them, which are not thinned: more than come between two looks of a page

NewPoint = tuple[int, str, Mapping[str, float]] | tuple[int, str, Mapping[str, float], str]


class RunLostError(RunError):
    """A worker wrote to a run that it does not hold, or no longer holds."""


class RunStore:
    """Runs, their curves, snapshots and checkpoints, in any database SQLAlchemy knows.

    Safe to use from many threads and processes at once.

    Raises:
        RunError: If the database cannot be reached.
    """

    def __init__(self, url: str | None = None) -> None:
        self.database = Database(url)

    @property
    def url(self) -> str:
        """The database's URL."""
        return self.database.url

    def close(self) -> None:
        """Give back the connections."""
        self.database.close()

    # -- what pages do -------------------------------------------------------------------------------------------

    def create(
        self,
        *,
        model: ModelConfig,
        training: TrainConfig,
        dataset: str,
        owner: str = "",
        rivals: Sequence[str] = (),
        most_unfinished: int | None = None,
    ) -> str:
        """Put a new run into the queue.

        Args:
            model: Which network.
            training: How to train it.
            dataset: Name of the dataset.
            owner: Who may steer it.
            rivals: Upsamplers to compare; the run is a comparison then, and a training otherwise.
            most_unfinished: How many unfinished runs this owner may have, this one included.

        Returns:
            The new run's id.

        Raises:
            RunError: If the owner has too many unfinished runs already.
        """
        run_id, now = secrets.token_hex(6), time.time()
        with self.database.writing() as connection:
            if most_unfinished is not None:
                mine = select(func.count()).where(
                    schema.runs.c.owner == owner, schema.runs.c.state.in_(UNFINISHED_STATES)
                )
                count = connection.execute(mine).scalar_one()
                if count >= most_unfinished:
                    raise RunError(
                        f"You already have {count} unfinished run{'s' if count > 1 else ''}, and {most_unfinished} "
                        f"{'are' if most_unfinished > 1 else 'is'} allowed at a time. Stop one, or wait for it."
                    )
            connection.execute(
                insert(schema.runs).values(
                    id=run_id,
                    kind="comparison" if rivals else "training",
                    rivals=list(rivals),
                    owner=owner,
                    created=now,
                    queued=now,
                    model=model.to_dict(),
                    training=training.to_dict(),
                    dataset=dataset,
                    state="queued",
                    wanted="run",
                    metrics={},
                )
            )
        return run_id

    def get(self, run_id: str) -> Run:
        """The run as it is now.

        Raises:
            RunError: If there is no such run, or another version of the lab made it in a way this one cannot read.
        """
        with self.database.reading() as connection:
            row = connection.execute(_run_query().where(schema.runs.c.id == run_id)).one_or_none()
        if row is None:
            raise RunError(f"There is no run {run_id!r} here. It may have been deleted, or made on another machine.")
        try:
            return _run(row)
        except ConfigError as error:
            raise RunError(
                f"Run {run_id!r} was made by another version of the lab. {error} Start a new run."
            ) from error

    def runs(self, *, owner: str | None = None, kind: str | None = None, limit: int = 50) -> list[Run]:
        """The newest runs first, of one owner or kind or of all; those this version cannot read are left out."""
        query = _run_query().order_by(schema.runs.c.created.desc()).limit(limit)
        if kind is not None:
            query = query.where(schema.runs.c.kind == kind)
        if owner is not None:
            query = query.where(schema.runs.c.owner == owner)
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        readable = []
        for row in rows:
            with suppress(ConfigError):
                readable.append(_run(row))
        return readable

    def ask_run(self, run_id: str) -> None:
        """Want the run to go on; one that has no worker any more goes back into the queue."""
        self._ask(run_id, wanted="run")

    def ask_pause(self, run_id: str) -> None:
        """Want the run to hold still; one that still waits for a worker pauses as soon as it has one."""
        self._ask(run_id, wanted="pause")

    def ask_step(self, run_id: str) -> None:
        """Want exactly one more step, then a pause."""
        self._ask(run_id, wanted="pause", steps=1)

    def ask_stop(self, run_id: str) -> None:
        """Want the run to end and keep what it learned; without a worker it ends at once."""
        with self.database.writing() as connection:
            connection.execute(
                update(schema.runs).where(schema.runs.c.id == run_id).values(wanted="stop", step_requests=0)
            )
            connection.execute(
                update(schema.runs)
                .where(
                    schema.runs.c.id == run_id,
                    schema.runs.c.executor == "",
                    schema.runs.c.state.in_(("queued", "paused", "interrupted")),
                )
                .values(state="stopped", message="Stopped.")
            )

    def _ask(self, run_id: str, *, wanted: Wanted, steps: int = 0) -> None:
        mine = schema.runs.c.id == run_id
        more = schema.runs.c.step_requests + steps if steps else 0
        with self.database.writing() as connection:
            connection.execute(update(schema.runs).where(mine).values(wanted=wanted, step_requests=more))
            if wanted == "run" or steps:
                connection.execute(
                    update(schema.runs)
                    .where(mine, schema.runs.c.executor == "", schema.runs.c.state.in_(RESUMABLE_STATES))
                    .values(state="queued", queued=time.time(), message="")
                )

    def delete(self, run_id: str) -> None:
        """Forget a run that is over.

        Raises:
            RunError: If it is not over, or there is no such run.
        """
        with self.database.writing() as connection:
            gone = connection.execute(
                delete(schema.runs).where(schema.runs.c.id == run_id, schema.runs.c.state.not_in(UNFINISHED_STATES))
            )
            if gone.rowcount:
                return
        if self.get(run_id).unfinished:
            raise RunError("This run is not over yet. Stop it first, then delete it.")

    def place_in_queue(self, run_id: str) -> int:
        """How many turns until the run starts: 1 for the next one, 0 if it does not wait."""
        with self.database.reading() as connection:
            mine = connection.execute(
                select(schema.runs.c.queued).where(schema.runs.c.id == run_id, schema.runs.c.state == "queued")
            ).scalar_one_or_none()
            if mine is None:
                return 0
            turn = tuple_(schema.runs.c.queued, schema.runs.c.id)
            ahead = select(func.count()).where(schema.runs.c.state == "queued", turn < (mine, run_id))
            return int(connection.execute(ahead).scalar_one()) + 1

    def points(self, run_id: str, *, after: int = 0) -> list[Point]:
        """The points of a run's curves with an id above `after`, oldest first."""
        query = (
            select(schema.points)
            .where(schema.points.c.run_id == run_id, schema.points.c.id > after)
            .order_by(schema.points.c.id)
        )
        with self.database.reading() as connection:
            return [Point(row.id, row.step, row.kind, row.values, row.rival) for row in connection.execute(query)]

    def stage(self, run_id: str) -> Stage | None:
        """The test images the run is watched on; None before it has begun."""
        with self.database.reading() as connection:
            data = connection.execute(
                select(schema.stages.c.data).where(schema.stages.c.run_id == run_id)
            ).scalar_one_or_none()
        return None if data is None else Stage.from_bytes(data)

    def snapshot(self, run_id: str, *, at: int | None = None) -> Snapshot | None:
        """The newest snapshot, or the newest one not after step `at`; None if there is none."""
        query = select(schema.snapshots).where(schema.snapshots.c.run_id == run_id)
        if at is not None:
            query = query.where(schema.snapshots.c.step <= at)
        with self.database.reading() as connection:
            row = connection.execute(query.order_by(schema.snapshots.c.step.desc()).limit(1)).one_or_none()
        return None if row is None else Snapshot.from_bytes(row.step, row.data)

    def snapshots(self, run_id: str, *, after: int, most: int) -> list[Snapshot]:
        """The newest snapshots after step `after`, oldest first, at most `most` of them."""
        query = (
            select(schema.snapshots)
            .where(schema.snapshots.c.run_id == run_id, schema.snapshots.c.step > after)
            .order_by(schema.snapshots.c.step.desc())
            .limit(most)
        )
        with self.database.reading() as connection:
            return [Snapshot.from_bytes(row.step, row.data) for row in connection.execute(query)][::-1]

    def snapshot_steps(self, run_id: str) -> list[int]:
        """The steps of which there are snapshots, in order."""
        query = select(schema.snapshots.c.step).where(schema.snapshots.c.run_id == run_id)
        with self.database.reading() as connection:
            return sorted(connection.execute(query).scalars())

    def checkpoint(self, run_id: str) -> bytes | None:
        """The run's latest checkpoint as `Checkpoint.to_bytes` made it; None if there is none.

        In a comparison, those of all rivals, as `aecore.runs.records.pack` put them together.
        """
        with self.database.reading() as connection:
            return connection.execute(
                select(schema.checkpoints.c.data).where(schema.checkpoints.c.run_id == run_id)
            ).scalar_one_or_none()

    def checkpoint_step(self, run_id: str) -> int | None:
        """At which step the latest checkpoint was made, without fetching it; None if there is none."""
        with self.database.reading() as connection:
            return connection.execute(
                select(schema.checkpoints.c.step).where(schema.checkpoints.c.run_id == run_id)
            ).scalar_one_or_none()

    # -- what workers do -----------------------------------------------------------------------------------------

    def count_computing(self, executor: str) -> int:
        """How many of this executor's runs are computing now; paused ones are not."""
        query = select(func.count()).where(
            schema.runs.c.executor == executor, schema.runs.c.state.in_(("preparing", "running"))
        )
        with self.database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def holder(self, run_id: str) -> str:
        """The executor that carries the run out; empty if none does, or there is no such run."""
        query = select(schema.runs.c.executor).where(schema.runs.c.id == run_id)
        with self.database.reading() as connection:
            return connection.execute(query).scalar_one_or_none() or ""

    # Every write of a worker names the `holder` it works for and raises `RunLostError` if the run is not, or no
    # longer, that one's: a worker that was frozen for a while must not disturb what happened to the run since.

    @contextmanager
    def _held(self, run_id: str, holder: str) -> Iterator[Connection]:
        with self.database.writing() as connection:
            mine = select(schema.runs.c.id).where(schema.runs.c.id == run_id, schema.runs.c.executor == holder)
            if connection.execute(mine.with_for_update()).one_or_none() is None:
                raise RunLostError(f"Run {run_id!r} is in other hands by now, or was deleted.")
            yield connection

    def step_taken(self, run_id: str, *, holder: str = "") -> None:
        """Note that one of the single steps asked for was taken."""
        pending = (schema.runs.c.id == run_id) & (schema.runs.c.step_requests > 0)
        with self._held(run_id, holder) as connection:
            connection.execute(update(schema.runs).where(pending).values(step_requests=schema.runs.c.step_requests - 1))

    def set_stage(self, run_id: str, stage: Stage, *, holder: str = "") -> None:
        """Keep the test images the run is watched on."""
        with self._held(run_id, holder) as connection:
            connection.execute(delete(schema.stages).where(schema.stages.c.run_id == run_id))
            connection.execute(insert(schema.stages).values(run_id=run_id, data=stage.to_bytes()))

    def report(
        self,
        run_id: str,
        *,
        holder: str = "",
        state: State | None = None,
        message: str | None = None,
        progress: float | None = None,
        step: int | None = None,
        total_steps: int | None = None,
        computing: Mapping[str, str] | None = None,
        points: Iterable[NewPoint] = (),
        snapshot: Snapshot | None = None,
    ) -> None:
        """Write what happened since the last report, all of it or nothing.

        Args:
            run_id: The run.
            holder: The executor the caller works for.
            state: Where it stands now; None to leave it, like the next five.
            message: One sentence for people.
            progress: Share of the budget used.
            step: Steps done.
            total_steps: Steps of the budget.
            computing: How the steps of each model are computed and why, by rival.
            points: (step, "train" or "test", values) for the curves, in a comparison with the rival as the fourth.
            snapshot: What the model makes of the stage now. At most `MOST_SNAPSHOTS` are kept, thinned evenly
                up to the newest ones.
        """
        changes = {
            name: value
            for name, value in {
                "state": state,
                "message": message,
                "progress": progress,
                "step": step,
                "total_steps": total_steps,
                "computing": None if computing is None else dict(computing),
            }.items()
            if value is not None
        }
        rows = [
            {"run_id": run_id, "step": at, "kind": kind, "values": dict(values), "rival": "".join(rival)}
            for at, kind, values, *rival in points
        ]
        with self._held(run_id, holder) as connection:
            if changes:
                connection.execute(update(schema.runs).where(schema.runs.c.id == run_id).values(**changes))
            if rows:
                connection.execute(insert(schema.points), rows)
            if snapshot is not None:
                _add_snapshot(connection, run_id, snapshot)

    def save_checkpoint(self, run_id: str, step: int, data: bytes, *, holder: str = "") -> None:
        """Keep `data` as the run's checkpoint in place of the one before."""
        with self._held(run_id, holder) as connection:
            connection.execute(delete(schema.checkpoints).where(schema.checkpoints.c.run_id == run_id))
            connection.execute(insert(schema.checkpoints).values(run_id=run_id, step=step, data=data))

    def rewind(self, run_id: str, step: int, *, holder: str = "") -> None:
        """Forget curves and snapshots after `step`: the run goes on from a checkpoint made there."""
        with self._held(run_id, holder) as connection:
            for table in (schema.points, schema.snapshots):
                connection.execute(delete(table).where(table.c.run_id == run_id, table.c.step > step))

    def release(
        self,
        run_id: str,
        state: State,
        message: str,
        metrics: Mapping[str, Any] | None = None,
        *,
        holder: str = "",
    ) -> None:
        """Give the run back: no worker holds it any more, and this is how it stands.

        A run released as paused follows at once what its owner asked for since the worker last looked.
        """
        values: dict[str, Any] = {"state": state, "message": message, "executor": ""}
        if metrics is not None:
            values["metrics"] = dict(metrics)
        run = update(schema.runs).where(schema.runs.c.id == run_id)
        with self._held(run_id, holder) as connection:
            connection.execute(run.values(**values))
            if state == "paused":
                goes_on = or_(schema.runs.c.wanted == "run", schema.runs.c.step_requests > 0)
                connection.execute(run.where(goes_on).values(state="queued", queued=time.time()))
                connection.execute(
                    run.where(schema.runs.c.wanted == "stop").values(state="stopped", message="Stopped.")
                )


def _run_query() -> Any:
    has_checkpoint = select(schema.checkpoints.c.run_id).where(schema.checkpoints.c.run_id == schema.runs.c.id).exists()
    return select(schema.runs, has_checkpoint.label("has_checkpoint"))


def _run(row: Row[Any]) -> Run:
    values = dict(row._mapping)
    del values["queued"]
    values["rivals"] = tuple(values["rivals"])
    values["model"] = ModelConfig.from_dict(values["model"])
    values["training"] = TrainConfig.from_dict(values["training"])
    values["has_checkpoint"] = bool(values["has_checkpoint"])
    return Run(**values)


def _add_snapshot(connection: Connection, run_id: str, snapshot: Snapshot) -> None:
    mine = schema.snapshots.c.run_id == run_id
    connection.execute(delete(schema.snapshots).where(mine, schema.snapshots.c.step == snapshot.step))
    connection.execute(insert(schema.snapshots).values(run_id=run_id, step=snapshot.step, data=snapshot.to_bytes()))
    steps = list(connection.execute(select(schema.snapshots.c.step).where(mine).order_by("step")).scalars())
    if len(steps) > MOST_SNAPSHOTS:
        # the one whose neighbours are nearest to each other goes, never the first or one of the newest
        spare = min(range(1, len(steps) - NEWEST_SNAPSHOTS), key=lambda i: steps[i + 1] - steps[i - 1])
        connection.execute(delete(schema.snapshots).where(mine, schema.snapshots.c.step == steps[spare]))
