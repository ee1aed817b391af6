"""The tables of the run store, for any database SQLAlchemy knows.

This module knows nothing of what is done with them.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()


def _run_id() -> Column[str]:
    return Column("run_id", String(16), ForeignKey("runs.id", ondelete="CASCADE"), nullable=False)


runs = Table(
    "runs",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("owner", String(64), nullable=False, index=True),
    Column("created", Double, nullable=False),
    Column("queued", Double, nullable=False),
    Column("model", JSON, nullable=False),
    Column("training", JSON, nullable=False),
    Column("dataset", String(64), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("wanted", String(16), nullable=False),
    Column("step_requests", Integer, nullable=False, default=0),
    Column("message", Text, nullable=False, default=""),
    Column("progress", Double, nullable=False, default=0.0),
    Column("step", Integer, nullable=False, default=0),
    Column("total_steps", Integer),
    Column("executor", String(32), nullable=False, default=""),
    Column("metrics", JSON, nullable=False),
    Column("rivals", JSON, nullable=False, server_default="[]"),
    Column("computing", JSON, nullable=False, server_default="{}"),
)

stages = Table(
    "stages",
    metadata,
    _run_id(),
    Column("data", LargeBinary, nullable=False),
    Index("stage_of", "run_id", unique=True),
)

points = Table(
    "points",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    _run_id(),
    Column("step", Integer, nullable=False),
    Column("kind", String(8), nullable=False),
    Column("values", JSON, nullable=False),
    Column("rival", String(32), nullable=False, server_default=""),
    Index("points_of", "run_id", "id"),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    _run_id(),
    Column("step", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("snapshots_of", "run_id", "step", unique=True),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    _run_id(),
    Column("step", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("checkpoint_of", "run_id", unique=True),
)

executors = Table(
    "executors", metadata, Column("id", String(32), primary_key=True), Column("seen", Double, nullable=False)
)
"""Who runs things, and when it last said so; a run whose executor fell silent is interrupted."""
