"""What each of the lab's processes is for, what it holds in memory, and how much of the processor it uses.

On Linux; elsewhere there is nothing to read. It knows nothing of what they do but how they were started.
"""

from __future__ import annotations

import os
from contextlib import suppress

from benchmarks.memory import MIB, PROCESSES, Process, descendants

Held = dict[str, dict[str, float]]
"""Role -> {"resident": MiB, "private": MiB, "count": processes}."""


def memory_of_the_lab(server: int, *, training: bool) -> Held:
    """What the lab's processes hold by role, the server first; empty where the system does not tell.

    Args:
        server: Process number of the server, which has to descend from this process.
        training: Whether a run is going on.
    """
    own = [process for process in descendants(os.getpid()) if process.id == server]
    roles = {"server": own, **by_role(descendants(server), training=training)} if own else {}
    return {
        role: {
            "resident": sum(process.resident for process in processes) / MIB,
            "private": sum(process.private for process in processes) / MIB,
            "count": len(processes),
        }
        for role, processes in roles.items()
    }


def by_role(below: list[Process], *, training: bool) -> dict[str, list[Process]]:
    """The processes below the server by what they are for.

    While a run is going on, the worker that has computed most is the one at work.
    """
    forkers = {process.id for process in below if _is_forked(process)}
    workers = {process.id for process in below if _is_forked(process) and process.parent in forkers}
    at_work = max(workers, key=processor_seconds) if training and workers else None
    roles: dict[str, list[Process]] = {}
    for process in below:
        if process.id in workers:
            role = "worker that trains" if process.id == at_work else "worker, warm and waiting"
        elif process.id in forkers:
            role = "what workers are forked from"
        elif "aecore.runs.supervisor" in process.command:
            role = "supervisor"
        else:
            role = "resource tracker" if "multiprocessing.resource_tracker" in process.command else "others"
        roles.setdefault(role, []).append(process)
    return roles


def processor_time() -> dict[str, float]:
    """Seconds of processor time so far by whose, of all that descends from this process; empty as above."""
    below = descendants(os.getpid())
    spent = {"worker": 0.0, "server": 0.0, "browser": 0.0} if below else {}
    for process in below:
        if _is_forked(process):
            whose = "worker"
        elif "streamlit run" in process.command:
            whose = "server"
        elif "chrom" in process.command:
            whose = "browser"
        else:
            continue
        spent[whose] += processor_seconds(process.id)
    return spent


def processor_seconds(process: int) -> float:
    """Processor time a process has used; 0 if it is gone."""
    with suppress(OSError):
        return parse_ticks((PROCESSES / str(process) / "stat").read_text()) / os.sysconf("SC_CLK_TCK")
    return 0.0


def parse_ticks(stat: str) -> int:
    """Ticks in user and in system mode from `/proc/<pid>/stat` (proc_pid_stat(5), Linux manual pages).

    Example:
        >>> parse_ticks("7 (a) (b) S 3 7 7 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 9 4096 25 0")
        200
    """
    fields = stat.rpartition(")")[2].split()  # a name may contain anything, brackets too; the state comes after it
    return int(fields[11]) + int(fields[12])


def _is_forked(process: Process) -> bool:
    """Whether it is a worker, or what workers are forked from: a forked process has its parent's command."""
    return "multiprocessing.forkserver" in process.command
