"""The benchmarks' command line: `python -m benchmarks`.

Standard output carries the report, standard error how far it is. It knows nothing of what is measured.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from pathlib import Path

import click

from aecore.data import DATASETS
from benchmarks import growth, limit, quality, throughput
from benchmarks.report import Section, Table, machine, markdown, write
from benchmarks.settings import Settings

RESULTS = Path(__file__).resolve().parent / "results"


def answering(settings: Settings) -> Section:
    """The browser's part; imported only when asked for, because it needs what the tests need, and Chromium."""
    title = "How soon does it answer?"
    try:
        section: Section = importlib.import_module("benchmarks.answering").measure(settings)
    except ModuleNotFoundError as error:
        note = f"Not measured: {error.name} is not installed (see `requirements-dev.txt`)."
    except RuntimeError as error:  # no browser, or no server: the other benchmarks need neither
        note = f"Not measured: {error}"
    else:
        return section
    return Section("answering", title, [Table(title, ("what",), [], (note,))])


BENCHMARKS: dict[str, Callable[[Settings], Section]] = {
    "throughput": throughput.measure,
    "limit": limit.measure,
    "quality": quality.measure,
    "answering": answering,
    "growth": growth.measure,
}


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--only", multiple=True, type=click.Choice(list(BENCHMARKS)), help="Just this one. May be repeated.")
@click.option("--quick", is_flag=True, help="A few steps each: to see that everything works. The numbers mean nothing.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=RESULTS,
    help="Folder for benchmark.json and benchmark.md; benchmarks/results if not said.",
)
@click.option(
    "--data",
    type=click.Choice(list(DATASETS)),
    default="mnist",
    show_default=True,
    help="What to train on; made-up images of the same shape if it is not on this machine.",
)
def main(only: tuple[str, ...], quick: bool, out: Path, data: str) -> None:
    """Measure the lab against what else a user would pick, side by side in one run."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # to standard error
    settings = Settings.for_a_look(data) if quick else Settings(data=data)
    sections = []
    for name in only or BENCHMARKS:
        sections.append(BENCHMARKS[name](settings))
        write(out, sections)  # after each one: a run of an hour that is interrupted keeps what it has
    click.echo(markdown(sections, machine()), nl=False)


if __name__ == "__main__":
    main()
