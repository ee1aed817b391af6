"""The size of the machine: what a container allows counts, not what the host has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aecore.runs import machine

GIGABYTE = 2**30


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty control group, on a host with 16 cores and 64 GB."""
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.setattr(os, "sysconf_names", {"SC_PHYS_PAGES": 0, "SC_PAGE_SIZE": 1}, raising=False)
    pages = {"SC_PHYS_PAGES": 64 * GIGABYTE // 4096, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("limit", "cores"),
    [
        (None, 16),
        ("max 100000\n", 16),
        ("200000 100000\n", 2),
        ("250000 100000\n", 2),
        ("50000 100000\n", 1),
        ("6400000 100000\n", 16),
    ],
)
def test_cores(cgroup: Path, limit: str | None, cores: int) -> None:
    if limit is not None:
        (cgroup / "cpu.max").write_text(limit)
    assert machine.cores() == cores


@pytest.mark.parametrize(
    ("limit", "gigabytes"), [(None, 64), ("max\n", 64), (f"{4 * GIGABYTE}\n", 4), (f"{128 * GIGABYTE}\n", 64)]
)
def test_memory(cgroup: Path, limit: str | None, gigabytes: int) -> None:
    if limit is not None:
        (cgroup / "memory.max").write_text(limit)
    assert machine.memory() == gigabytes * GIGABYTE


@pytest.mark.usefixtures("cgroup")
def test_a_system_without_affinity_or_sysconf_is_counted_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert machine.cores() == 6
    assert machine.memory() is None
