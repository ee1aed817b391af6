"""What was found out about how quickly the lab answers, and the tables that say it.

It knows nothing of how it was measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from benchmarks.background import Speed
from benchmarks.lab_processes import Held
from benchmarks.report import Cell, Section, Table, middle

NAME, TITLE = "answering", "How quickly does the lab answer?"
IDLE, TRAINING = "idle", "training"
UNWATCHED, WATCHED = "unwatched", "watched"
PARTS = ("", ", lowest", ", highest")

START_NOTE = (
    "From the call of `streamlit run app.py`: another server beside the one at rest or at work, a browser without a "
    "cache; the files are in the system's."
)
PAGE_NOTE = (
    "Milliseconds from the click, in a session that has seen all pages. A stage stands when what the page is about has "
    "been painted; a page is at rest when its script has run to the end."
)
HAND_NOTE = (
    "Milliseconds from the browser's own time of the event to the end of the first frame that shows something else. A "
    "screen of 60 Hz has a frame every 16.7 ms, so what is computed at once waits half of that on average."
)
MEMORY_NOTE = (
    "After all pages were seen. Resident memory counts what forked processes share in each of them; private memory is "
    "what the machine gets back if only that process ends."
)
WATCH_NOTE = (
    "Who watches is a browser on this machine: drawing the page takes its share of the cores, and workers give way to "
    "it. From another machine, only the server's share is left."
)

Samples = dict[str, dict[str, list[float]]]
"""What was done -> in which state -> milliseconds, or cores."""


def keep(samples: Samples, what: str, state: str, values: Iterable[float]) -> None:
    """Put measurements with those of the same thing in the same state."""
    samples.setdefault(what, {}).setdefault(state, []).extend(values)


@dataclass
class Found:
    """Every single measurement.

    Attributes:
        starts, stages, rests, hands: Milliseconds from the start of a server, from the click in the navigation until a
            stage stands and until the page is at rest, from the hand to the picture.
        first_visits: Page -> milliseconds until its stage stood when this server was asked for it the first time.
        memory: State -> what the lab's processes held in it.
        speeds: Training by turns unwatched and watched.
        cores: Meanwhile, whose processes kept how many cores busy; empty where the system does not tell.
        trained_on: The dataset.
    """

    starts: Samples = field(default_factory=dict)
    stages: Samples = field(default_factory=dict)
    rests: Samples = field(default_factory=dict)
    hands: Samples = field(default_factory=dict)
    first_visits: dict[str, float] = field(default_factory=dict)
    memory: dict[str, Held] = field(default_factory=dict)
    speeds: dict[str, list[Speed]] = field(default_factory=lambda: {UNWATCHED: [], WATCHED: []})
    cores: Samples = field(default_factory=dict)
    trained_on: str = ""


def section(found: Found) -> Section:
    """Tables for people, and everything for programs."""
    first = ", ".join(f"{page} {milliseconds:,.0f}" for page, milliseconds in found.first_visits.items())
    tables = [
        _compared("Start, s", found.starts, START_NOTE, unit=1000),
        _compared(
            "Page to page: its stage stands, ms", found.stages, PAGE_NOTE, f"The first time in a server: {first}."
        ),
        _compared("Page to page: at rest, ms", found.rests),
        _compared("Hand to picture, ms", found.hands, HAND_NOTE),
        _memory(found),
        _watched(found),
    ]
    return Section(NAME, TITLE, tables, asdict(found))


def unmeasured(why: str) -> Section:
    """The section where nothing could be measured."""
    return Section(NAME, TITLE, [Table("Start, pages and hands", ("",), [], (f"Not measured: {why}.",))])


def _compared(title: str, samples: Samples, *notes: str, unit: float = 1) -> Table:
    rows = [(what, *_both(by_state[IDLE], by_state[TRAINING], unit)) for what, by_state in samples.items()]
    return Table(title, _columns(IDLE, TRAINING), rows, (_counted(samples.values()), *notes))


def _memory(found: Found) -> Table:
    idle, training = found.memory[IDLE], found.memory[TRAINING]
    columns = ("", *(f"{kind}, {state}" for kind in ("resident", "private") for state in (IDLE, TRAINING)))
    rows: list[tuple[Cell, ...]] = [
        (role, *(state.get(role, {}).get(kind) for kind in ("resident", "private") for state in (idle, training)))
        for role in {**idle, **training}  # a dictionary keeps their order, a set would not
    ]
    note = MEMORY_NOTE if rows else "Not measured: this system does not tell as Linux does."
    return Table("Memory, MiB", columns, rows, (note,))


def _watched(found: Found) -> Table:
    alone, seen = found.speeds[UNWATCHED], found.speeds[WATCHED]
    rows = [
        (
            "images/s in steps, as the run counts",
            *_both([speed.in_steps for speed in alone], [speed.in_steps for speed in seen]),
        ),
        (
            "images/s by the clock",
            *_both([speed.by_the_clock for speed in alone], [speed.by_the_clock for speed in seen]),
        ),
    ]
    rows += [(f"cores busy: {whose}", *_both(by[UNWATCHED], by[WATCHED])) for whose, by in found.cores.items()]
    notes = (_counted([found.speeds]), f"By turns, on {found.trained_on}. {WATCH_NOTE}")
    return Table("Training while a page shows it", _columns(UNWATCHED, WATCHED), rows, notes)


def _columns(one: str, other: str) -> tuple[str, ...]:
    return ("", *(f"{state}{part}" for state in (one, other) for part in PARTS), f"{other} / {one}")


def _both(one: list[float], other: list[float], unit: float = 1) -> tuple[Cell, ...]:
    """Median, lowest and highest of both, and the ratio of the medians."""
    before, after = middle(one), middle(other)
    return (*(value / unit for value in (*before, *after)), after[0] / before[0] if before[0] else None)


def _counted(groups: Iterable[dict[str, list[float]] | dict[str, list[Speed]]]) -> str:
    counts = sorted({len(values) for group in groups for values in group.values()})
    return f"Median, lowest and highest of {' or '.join(map(str, counts))}."
