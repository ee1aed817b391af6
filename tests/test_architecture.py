"""The rules every file keeps, whoever writes it: layers, no networks in pages, no swallowed errors.

Rules that import-linter can state are contracts in `pyproject.toml`; those here need the syntax tree or the
list of files. Each finder is also shown code that breaks its rule, so that one that sees nothing cannot pass.
"""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = sorted((ROOT / "aecore").rglob("*.py"))
PAGES = [path for path in [ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py"))] if path.exists()]

TRAINING_PARTS = ("torch.nn", "torch.optim")
CATCH_ALL = {"Exception", "BaseException"}

# A home or working folder of one machine, at the start of a path: written so that it does not find itself.
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|root)/")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=name(path))


def dotted(node: ast.expr) -> str:
    """`torch.nn.Linear` as written; nothing for anything but a plain dotted name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def is_under(module: str, parents: tuple[str, ...]) -> bool:
    return any(module == parent or module.startswith(f"{parent}.") for parent in parents)


def uses_of(tree: ast.AST, modules: tuple[str, ...]) -> Iterator[str]:
    """Every import or dotted use of `modules` and what lies in them, late ones too: `line 3: torch.nn`."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), names=names, level=0):
                found = [module, *(f"{module}.{alias.name}" for alias in names)]
            case ast.Attribute():
                found = [dotted(node)]
            case _:
                continue
        yield from (f"line {node.lineno}: {module}" for module in found if is_under(module, modules))


def is_catch_all(kind: ast.expr | None) -> bool:
    return kind is None or dotted(kind).split(".")[-1] in CATCH_ALL


def catch_alls(tree: ast.AST) -> Iterator[str]:
    """Every `except` or `suppress` that would hide any error at all."""
    for node in ast.walk(tree):
        match node:
            case ast.ExceptHandler(type=ast.Tuple(elts=kinds)):
                hides = any(map(is_catch_all, kinds))
            case ast.ExceptHandler(type=kind):
                hides = is_catch_all(kind)
            case ast.Call(func=function, args=kinds) if dotted(function).split(".")[-1] == "suppress":
                hides = any(map(is_catch_all, kinds))
            case _:
                continue
        if hides:
            yield f"line {node.lineno}: {ast.unparse(node).splitlines()[0]}"


def repository_files() -> list[Path]:
    """What git has or would take: tracked files, and new ones it does not ignore."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a clone: it asks git which files belong to the repository")
    listing = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return [path for line in listing.split("\0") if line and (path := ROOT / line).is_file()]


def test_import_contracts_are_kept() -> None:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    result = subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_pages_build_no_networks(path: Path) -> None:
    assert not list(uses_of(tree_of(path), TRAINING_PARTS)), "a page asks aecore for models and training"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_pages_catch_only_what_they_know(path: Path) -> None:
    assert not list(catch_alls(tree_of(path))), "catch AecoreError or the one error meant; the rest is our bug"


@pytest.mark.parametrize("path", PACKAGE, ids=name)
def test_the_package_knows_nothing_of_the_browser(path: Path) -> None:
    assert not list(uses_of(tree_of(path), ("streamlit", "pages")))


@pytest.mark.parametrize("path", PACKAGE + PAGES, ids=name)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree_of(path)), "a module begins with what it is and what it does not know"


@pytest.mark.parametrize(
    "source",
    [
        "import torch.nn",
        "import torch.optim as optim",
        "from torch import nn",
        "from torch.nn import functional",
        "from torch.optim.lr_scheduler import OneCycleLR",
        "def late():\n    from torch import optim",
        "import torch\nlayer = torch.nn.Linear(2, 2)",
    ],
)
def test_a_network_in_a_page_would_be_seen(source: str) -> None:
    assert list(uses_of(ast.parse(source), TRAINING_PARTS))


@pytest.mark.parametrize("source", ["import torch", "from torch import Tensor", "import torch.nnx", "net.optim.x"])
def test_plain_tensors_in_a_page_are_no_network(source: str) -> None:
    assert not list(uses_of(ast.parse(source), TRAINING_PARTS))


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    f()\nexcept:\n    pass",
        "try:\n    f()\nexcept Exception:\n    pass",
        "try:\n    f()\nexcept (ValueError, BaseException) as error:\n    pass",
        "try:\n    f()\nexcept builtins.Exception:\n    pass",
        "try:\n    f()\nexcept* Exception:\n    pass",
        "with contextlib.suppress(Exception):\n    f()",
    ],
)
def test_a_catch_all_would_be_seen(source: str) -> None:
    assert list(catch_alls(ast.parse(source)))


@pytest.mark.parametrize("source", ["try:\n    f()\nexcept (ValueError, AecoreError):\n    pass", "suppress(OSError)"])
def test_a_named_error_is_no_catch_all(source: str) -> None:
    assert not list(catch_alls(ast.parse(source)))


def test_no_file_is_a_drawer_for_odds_and_ends() -> None:
    assert not [name(path) for path in repository_files() if path.name == "utils.py"], "name it after its idea"


def test_no_file_names_one_machine() -> None:
    found = []
    for path in repository_files():
        content = path.read_bytes()
        if b"\0" in content:
            continue
        lines = content.decode("utf-8").splitlines()
        found += [f"{name(path)}:{number}" for number, line in enumerate(lines, 1) if MACHINE_PATH.search(line)]
    assert not found, "these lines hold a path of one machine: " + ", ".join(found)


@pytest.mark.parametrize(("line", "hit"), [("cd {}work/lab", True), ("'{}root/.cache'", True), ("docs{}work/", False)])
def test_a_machine_path_would_be_seen(line: str, hit: bool) -> None:
    assert bool(MACHINE_PATH.search(line.format("/"))) is hit
