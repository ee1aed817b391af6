"""The states of a run, and what its owner may want of it."""

from __future__ import annotations

from typing import Literal

State = Literal["queued", "preparing", "running", "paused", "finished", "stopped", "failed", "interrupted"]
Wanted = Literal["run", "pause", "stop"]

UNFINISHED_STATES: tuple[State, ...] = ("queued", "preparing", "running", "paused")
"""States from which a run goes on without being asked again."""
RESUMABLE_STATES: tuple[State, ...] = ("paused", "interrupted", "stopped", "failed")
"""States in which asking for more puts a run without a worker back into the queue."""
