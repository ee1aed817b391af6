"""The limits of the run queue, from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Self

from aecore.errors import ConfigError
from aecore.runs.machine import cores, memory

WORKER_MEMORY = 2**30  # bytes; a worker holds 270 to 560 MB, and the images come on top


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How much may run at once.

    Attributes:
        most_running: Runs with a worker at the same time on this machine, paused ones included (AECORE_MAX_RUNS).
        most_per_visitor: Unfinished runs one visitor may have (AECORE_SESSION_RUNS).
        keep: Ended runs that are remembered (AECORE_KEEP_RUNS).
    """

    most_running: int
    most_per_visitor: int = 3
    keep: int = 200

    @classmethod
    def from_environment(cls) -> Self:
        """The settings named by the environment; by default one run for each core that has memory for it.

        Raises:
            ConfigError: If a variable is not a whole number of at least 1.
        """
        return cls(
            most_running=_whole_number("AECORE_MAX_RUNS", runs_that_fit()),
            most_per_visitor=_whole_number("AECORE_SESSION_RUNS", cls.most_per_visitor),
            keep=_whole_number("AECORE_KEEP_RUNS", cls.keep),
        )


def runs_that_fit() -> int:
    """How many workers this machine has cores and memory for, at least one."""
    available = memory()
    if available is None:
        return cores()
    return max(1, min(cores(), available // WORKER_MEMORY - 1))  # one share is for the server itself


def _whole_number(variable: str, default: int) -> int:
    text = os.environ.get(variable, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{variable} is {text!r}, expected a whole number of at least 1.")
    return int(text)
