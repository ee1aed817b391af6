"""Memory that a training process keeps: its pages are not asked for again at every step."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aecore.training import memory as memory_module
from aecore.training.memory import hold_memory

ROOT = Path(__file__).resolve().parent.parent
GLIBC = sys.platform.startswith("linux") and os.confstr("CS_GNU_LIBC_VERSION") is not None
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage").exists()
STEPS, TENSORS, MEGABYTES = 10, 6, 8

CHILD = f"""
import json, resource, torch
from aecore.training.memory import hold_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range({STEPS}):
        tensors = [torch.zeros({MEGABYTES} << 18).fill_(1) for _ in range({TENSORS})]
        del tensors
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
usual, held, first, later = faults(), hold_memory(), faults(), faults()
print(json.dumps([usual, held, first, later]))
"""


@pytest.mark.skipif(not GLIBC, reason="this is about glibc on Linux")
def test_held_memory_is_not_handed_out_anew_at_every_step() -> None:
    """In a process of its own, which is changed for good. A page has at most 2 MB, where the system makes huge ones."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    usual, held, first, later = json.loads(done.stdout)
    assert held or not HUGE_PAGES
    assert usual >= STEPS * TENSORS * MEGABYTES / 2, "otherwise there would be nothing to gain"
    assert first < usual / 5, "each page once"
    assert later < usual / 50, "and then no more"


@pytest.mark.parametrize("platform", ["darwin", "win32", "freebsd14"])
def test_elsewhere_nothing_is_done(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise AssertionError("the C library was asked for")

    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", refuse)
    assert hold_memory() is False


class OtherLibrary:
    """A C library that can be asked for memory but knows nothing of glibc's settings."""

    def __init__(self) -> None:
        self.malloc = self.free = self.madvise = lambda *_: 0


class Unwilling(OtherLibrary):
    """One that refuses to be set."""

    def mallopt(self, *_: int) -> int:
        return 0


class Exhausted(OtherLibrary):
    """One that has nothing to give."""

    def mallopt(self, *_: int) -> int:
        return 1


@pytest.mark.parametrize("library", [OtherLibrary, Unwilling, Exhausted])
def test_where_it_is_not_possible_it_says_so(library: type[OtherLibrary], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(memory_module.ctypes, "CDLL", lambda _: library())
    assert hold_memory() is False
