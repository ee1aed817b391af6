"""What a benchmark gives back, and how it is written down: JSON for programs, Markdown for people.

It knows nothing of what was measured.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch

from aecore.training.choosing import processor

Cell = str | float | int | None


@dataclass(frozen=True)
class Table:
    """Rows of numbers under one title.

    Attributes:
        title: What the rows have in common, with units.
        columns: One heading for each column, with its unit.
        rows: Cells; None where something was not measured, and then a note says why.
        notes: Sentences below the table.
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), f"{self.title}: a row does not fit the columns"


@dataclass(frozen=True)
class Section:
    """What one benchmark found.

    Attributes:
        name: Its key on the command line.
        title: The question it answers.
        tables: For people.
        data: Every single measurement, JSON-ready.
    """

    name: str
    title: str
    tables: list[Table]
    data: dict[str, Any] = field(default_factory=dict)


def machine() -> dict[str, Any]:
    """Where the numbers come from: processor, cores, what its matrix units can do, and versions."""
    capabilities = torch.backends.cpu.get_cpu_capability()
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "vector_instructions": capabilities,
        "bfloat16_matrix_units": bool(torch.cpu._is_amx_tile_supported()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.system(),
    }


def middle(values: Iterable[float]) -> tuple[float, float, float]:
    """Median, lowest and highest of some measurements."""
    sorted_values = sorted(values)
    return median(sorted_values), sorted_values[0], sorted_values[-1]


def with_range(values: Sequence[float]) -> Cell:
    """Median, lowest and highest in one cell; None if nothing was measured."""
    if not values:
        return None
    return "{} ({}–{})".format(*map(_cell, middle(values)))


def markdown(sections: Sequence[Section], where: dict[str, Any]) -> str:
    """The report for people."""
    lines = ["# Benchmark", "", ", ".join(f"{key.replace('_', ' ')}: {value}" for key, value in where.items()), ""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        for table in section.tables:
            lines += [f"**{table.title}**", "", _row(table.columns), _row(["---"] * len(table.columns))]
            lines += [_row([_cell(cell) for cell in row]) for row in table.rows]
            lines += ["", *(f"{note}\n" for note in table.notes)]
    return "\n".join(lines).rstrip() + "\n"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def write(folder: Path, sections: Sequence[Section]) -> tuple[Path, Path]:
    """Write `benchmark.json` and `benchmark.md` into `folder`; give back their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    where = machine()
    numbers, text = folder / "benchmark.json", folder / "benchmark.md"
    numbers.write_text(json.dumps({"machine": where, "sections": [asdict(section) for section in sections]}, indent=1))
    text.write_text(markdown(sections, where))
    return numbers, text
