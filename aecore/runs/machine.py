"""How much of the machine is ours: cores and memory, within what a container or a scheduler allows.

A container on a large host sees all of the host's cores and memory and gets a small share of them; sizing by what
it sees would start dozens of workers on two cores. This module knows nothing of runs.
"""

from __future__ import annotations

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def cores() -> int:
    """Cores this process may use at the same time, at least one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _limit("cpu.max").partition(" ")
    if quota.isdecimal() and period.isdecimal():
        allowed = min(allowed, int(quota) // int(period))
    return max(1, allowed)


def memory() -> int | None:
    """Bytes of memory this process may use; None if the system does not tell."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _limit("memory.max")
    return min(installed, int(limit)) if limit.isdecimal() else installed


def _limit(name: str) -> str:
    """A limit of our control group (https://docs.kernel.org/admin-guide/cgroup-v2.html); empty if there is none."""
    try:
        return (CGROUP / name).read_text().strip()
    except OSError:
        return ""
