"""What the documents promise is so: commands parse, settings and files exist, nothing registered is left out.

Nothing is trained or downloaded here: the commands are parsed by the command line's own parser and not run.
"""

import ast
import importlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from streamlit import config as streamlit_config

from aecore.__main__ import cli

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

# What must have a heading or a table row of its own, and where.
REGISTRIES = [
    ("aecore.data", "DATASETS", "data.md"),
    ("aecore.models", "BODIES", "models.md"),
    ("aecore.models", "BOTTLENECKS", "models.md"),
    ("aecore.analysis.views", "VIEWS", "latent.md"),
    ("aecore.models", "UPSAMPLERS", "models.md"),
    ("aecore.models", "DOWNSAMPLERS", "models.md"),
    ("aecore.noise", "CORRUPTIONS", "denoising.md"),
    ("aecore.analysis.denoising", "DENOISERS", "denoising.md"),
    ("aecore.ops.operations", "OPERATIONS", "operations.md"),
    ("aecore.ops.presets", "INPUTS", "operations.md"),
    ("aecore.ops.presets", "KERNELS", "operations.md"),
]

SETTING = re.compile(r"AECORE_[A-Z_]+")


def code_in(markdown: str) -> Iterator[str]:
    """Each line of the fenced blocks and each inline code span."""
    for position, part in enumerate(re.split(r"^```.*$", markdown, flags=re.MULTILINE)):
        yield from part.splitlines() if position % 2 else re.findall(r"`([^`\n]+)`", part)


def front_matter(markdown: str) -> dict[str, str]:
    """The block between the first two `---` lines, as flat `key: value` pairs, all a Space needs."""
    match = re.match(r"---\n(.*?)\n---\n", markdown, flags=re.DOTALL)
    assert match, "the README begins with a Space's front matter between two --- lines"
    lines = match[1].splitlines()
    assert all(re.fullmatch(r"\w+: \S.*", line) for line in lines), lines
    return dict(line.split(": ", 1) for line in lines)


def shown_commands() -> list[str]:
    return sorted({line.strip() for line in code_in(README) if line.strip().startswith("python -m aecore ")})


def start_command() -> list[str]:
    """The container's start command: the JSON list after CMD at the start of a line."""
    match = re.search(r"^CMD (\[.*?\])$", DOCKERFILE, flags=re.MULTILINE | re.DOTALL)
    assert match, "the Dockerfile's start command is in exec form"
    return [str(word) for word in json.loads(match[1].replace("\\\n", ""))]


def settings_read_in(path: Path) -> set[str]:
    """The AECORE_* names a file looks up: string constants of that form, less those a test only sets."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    only_set = {
        id(argument)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr in ("setenv", "delenv")
        for argument in node.args
    }
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in only_set)
    return {node.value for node in constants if isinstance(node.value, str) and SETTING.fullmatch(node.value)}


def headings_and_rows(markdown: str) -> str:
    return "\n".join(line for line in markdown.splitlines() if line.startswith(("#", "|")))


def test_the_front_matter_is_a_docker_space() -> None:
    space = front_matter(README)
    assert {"title", "emoji", "colorFrom", "colorTo", "pinned"} <= set(space)
    assert (space["sdk"], space["app_port"], space["license"]) == ("docker", "8501", "mit")
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {space["colorFrom"], space["colorTo"]} <= colours


def test_the_container_serves_where_the_space_looks() -> None:
    port = front_matter(README)["app_port"]
    assert f"--server.port={port}" in start_command()
    assert f"EXPOSE {port}\n" in DOCKERFILE
    assert f"http://127.0.0.1:{port}/_stcore/health" in DOCKERFILE


def test_the_container_runs_as_the_user_a_space_gives_it() -> None:
    assert "--uid 1000" in DOCKERFILE
    assert re.findall(r"^USER (.+)$", DOCKERFILE, flags=re.MULTILINE)[-1:] == ["1000"]


def test_the_container_starts_the_lab_with_options_streamlit_knows() -> None:
    words = start_command()
    assert words[:3] == ["streamlit", "run", "app.py"]
    known = streamlit_config.get_config_options()
    given = [word.removeprefix("--").partition("=")[0] for word in words[3:]]
    assert [option for option in given if option not in known] == []


def test_every_make_target_shown_exists() -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):(?!=)", MAKEFILE, flags=re.MULTILINE))
    shown = {match[1] for line in code_in(README) if (match := re.search(r"\bmake ([a-z][\w-]*)", line))}
    assert {"app", "test", "check"} <= shown
    assert shown - targets == set(), "the README names make targets that the Makefile does not have"


@pytest.mark.parametrize("command", shown_commands())
def test_every_command_shown_parses(command: str, tmp_path: Path) -> None:
    words = [str(tmp_path) if word == "DIR" else word for word in shlex.split(command)[3:]]
    with click.Context(cli, info_name="aecore", **cli.context_settings) as context:
        subcommand = cli.get_command(context, words[0])
        assert subcommand is not None, f"python -m aecore has no command {words[0]!r}"
        subcommand.make_context(words[0], words[1:], parent=context)


def test_every_command_is_shown() -> None:
    shown = {shlex.split(command)[3] for command in shown_commands()}
    with click.Context(cli, **cli.context_settings) as context:
        assert set(cli.list_commands(context)) - shown == set(), "commands that the README does not show"


def test_settings_are_documented_and_documented_settings_are_read() -> None:
    documented = set(SETTING.findall(headings_and_rows(README)))
    sources = [
        ROOT / "app.py",
        *(path for part in ("aecore", "pages", "tests") for path in (ROOT / part).rglob("*.py")),
    ]
    read = set().union(*(settings_read_in(path) for path in sources if path.exists()))
    assert documented - read == set(), "the README documents settings that nothing reads"
    assert read - documented == set(), "settings without a row in the README's table"


@pytest.mark.parametrize(("module", "registry", "document"), REGISTRIES, ids=[row[1] for row in REGISTRIES])
def test_everything_registered_is_documented(module: str, registry: str, document: str) -> None:
    registered = getattr(importlib.import_module(module), registry)
    assert registered, f"{module}.{registry} is empty"
    path = ROOT / "docs" / document
    assert path.exists(), f"docs/{document} is to describe {', '.join(registered)}"
    text = headings_and_rows(path.read_text(encoding="utf-8"))
    missing = [key for key in registered if not re.search(rf"(?<!\w){re.escape(key)}(?!\w)", text)]
    assert not missing, f"docs/{document} has no heading or table row for these of {registry}: {', '.join(missing)}"


@pytest.mark.parametrize("requirements", ["requirements.txt", "requirements-dev.txt", "requirements-bench.txt"])
def test_every_dependency_is_pinned_and_has_its_reason(requirements: str) -> None:
    lines = (ROOT / requirements).read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith(("#", "-r "))]
    assert [pin for pin in pins if not re.fullmatch(r"[\w-]+==[\w.]+", pin)] == [], "pin exactly: name==version"
    reasons = headings_and_rows((ROOT / "docs/decisions/0001-dependencies.md").read_text(encoding="utf-8"))
    missing = [name for pin in pins if f"`{(name := pin.partition('==')[0])}`" not in reasons]
    assert not missing, f"no reason in docs/decisions/0001-dependencies.md for: {', '.join(missing)}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|mailto:|#)([^)#\s]+)", document.read_text(encoding="utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []
