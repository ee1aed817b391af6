"""How much memory processes hold. Linux tells; elsewhere the answer is None.

It knows nothing of what the processes do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROCESSES = Path("/proc")
MIB = 2**20


@dataclass(frozen=True)
class Process:
    """One process at one moment.

    Attributes:
        id: Its number.
        parent: Its parent's number.
        command: Its command line, words separated by spaces; a forked process has its parent's.
        resident: Bytes of memory it has in use, shared ones included.
        private: Bytes that nobody else uses: what the machine gets back if only this process ends.
    """

    id: int
    parent: int
    command: str
    resident: int
    private: int


def peak_with_children() -> float | None:
    """Most memory this process ever had in use, and what its children now hold for themselves, in MiB.

    The peak is `VmHWM`, which begins anew with the program; `getrusage` would count what stood there before `exec`.
    Source: proc_pid_status(5) and proc_pid_smaps(5), Linux manual pages.
    """
    own = _fields(PROCESSES / "self" / "status").get("VmHWM")
    if own is None:
        return None
    children = sum(process.private for process in descendants((PROCESSES / "self").resolve().name))
    return (own + children) / MIB


def descendants(of: int | str) -> list[Process]:
    """All living processes below process number `of`, parents before their children."""
    everybody: dict[int, list[int]] = {}
    for folder in PROCESSES.glob("[0-9]*"):
        with suppress(OSError, IndexError):  # it has just ended
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            everybody.setdefault(parent, []).append(int(folder.name))
    return list(_below(int(of), everybody))


def _below(parent: int, everybody: dict[int, list[int]]) -> Iterator[Process]:
    for number in everybody.get(parent, []):
        folder = PROCESSES / str(number)
        with suppress(OSError):
            held = _fields(folder / "smaps_rollup")
            yield Process(
                number,
                parent,
                (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip(),
                held.get("Rss", 0),
                held.get("Private_Clean", 0) + held.get("Private_Dirty", 0),
            )
        yield from _below(number, everybody)


def _fields(path: Path) -> dict[str, int]:
    """The lines `Name:  123 kB` of a file, in bytes; nothing where there is no such file."""
    if not path.exists():
        return {}
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows if len(row) == 3 and row[2] == "kB"}
