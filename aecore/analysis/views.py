"""Flat views of codes of more than two units, and a way to make one in a process of its own.

    python -m aecore.analysis.views NAME SEED < codes.npy > view.npy

t-SNE and UMAP take seconds to minutes, and UMAP's import alone compiles for seconds; a server must not wait for either.
So `start_view` starts that command, politely, and hands back a `ViewJob` to look at now and then. Everything goes
through unnamed files: nobody waits for a pipe, and a child whose parent is gone finds its input whole, ends after its
own work and leaves nothing behind. This module knows nothing of models, and does not import torch.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from aecore.errors import AecoreError, ConfigError

Points = NDArray[np.float32]
PERPLEXITY, NEIGHBOURS = 30, 15  # the libraries' own; fewer where there are too few codes
NICENESS = 19  # as the workers: the pages come first


@dataclass(frozen=True, kw_only=True)
class View:
    """One way to lay codes out in a plane.

    Attributes:
        title: Short name for people.
        help: What it keeps and what it does not, in a sentence or two.
        source: Where it comes from.
        fewest: How many codes it needs.
        build: (codes (N, Z) in float32, seed) -> points (N, 2) in float32; see `view`, which checks first.
    """

    title: str
    help: str
    source: str
    fewest: int
    build: Callable[[Points, int], Points]


def _pca(codes: Points, _: int) -> Points:
    exact = codes.astype(np.float64)
    left, lengths, axes = np.linalg.svd(exact - exact.mean(0), full_matrices=False)
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])  # the largest number of each axis is positive
    points: Points = (left * lengths * signs)[:, :2].astype(np.float32)
    return points


# The imports below are late: they take seconds, and only who asks for the view should wait.


def _tsne(codes: Points, seed: int) -> Points:
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(codes) - 1) / 3)  # there are three neighbours for each unit of perplexity
    maker = TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1)
    return np.asarray(maker.fit_transform(codes), dtype=np.float32)


@contextlib.contextmanager
def _hidden(module: str) -> Iterator[None]:
    """As if a module that is not loaded yet could not be imported."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment] # what Python itself takes for "not there"
    try:
        yield
    finally:
        del sys.modules[module]


def _umap(codes: Points, seed: int) -> Points:
    with _hidden("tensorflow"):  # UMAP would load it for a part not used here, and the two do not bear each other
        import umap  # type: ignore[import-untyped] # ships no type information

    neighbours = min(NEIGHBOURS, len(codes) - 1)
    maker = umap.UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1)  # with a seed it uses one thread anyway
    return np.asarray(maker.fit_transform(codes), dtype=np.float32)


VIEWS: dict[str, View] = {
    "pca": View(
        title="PCA",
        help="A straight projection onto the two directions of most variance: distances are true or too small, never "
        "too large. At once.",
        source="Pearson (1901), On lines and planes of closest fit to systems of points in space",
        fewest=2,
        build=_pca,
    ),
    "tsne": View(
        title="t-SNE",
        help="Keeps near neighbours near. Sizes of clusters and distances between them mean nothing.",
        source="van der Maaten & Hinton (2008), Visualizing data using t-SNE, JMLR 9",
        fewest=5,
        build=_tsne,
    ),
    "umap": View(
        title="UMAP",
        help="Keeps near neighbours near, and more of what lies between clusters than t-SNE does; distances between "
        "them are still not to be measured.",
        source="McInnes, Healy & Melville (2018), UMAP: uniform manifold approximation, arXiv:1802.03426",
        fewest=5,
        build=_umap,
    ),
}


def view(name: str, codes: Points, seed: int = 0) -> Points:
    """Lay codes out in a plane: (N, Z) -> (N, 2) in float32, in arbitrary units; here and now.

    The same codes and seed give the same points on one machine. A code of one unit is laid out along the first axis.

    Raises:
        ConfigError: For an unknown view, too few codes, or codes that are not numbers or all the same.

    Example:
        >>> view("pca", np.array([[0, 0, 0], [3, 4, 0]], dtype=np.float32))[:, 0].tolist()
        [-2.5, 2.5]
    """
    check_view(name, codes)
    at_least_two = np.pad(codes, ((0, 0), (0, max(0, 2 - codes.shape[1]))))
    return VIEWS[name].build(np.ascontiguousarray(at_least_two, dtype=np.float32), seed)


def check_view(name: str, codes: Points) -> None:
    """Raise `ConfigError` if there is no such view or it cannot be made of these codes; says what would do."""
    if name not in VIEWS:
        raise ConfigError(f"There is no view {name!r}; there are {', '.join(VIEWS)}.")
    about = VIEWS[name]
    if codes.ndim != 2 or codes.shape[1] == 0 or codes.dtype.kind != "f":
        raise ConfigError(f"Codes are floats (N, Z), but these are {codes.dtype} of shape {codes.shape}.")
    if len(codes) < about.fewest:
        raise ConfigError(f"{about.title} needs {about.fewest} codes at least, not {len(codes)}. Take more images.")
    if not np.isfinite(codes).all():
        raise ConfigError("Some codes are not finite numbers, so they have no place. The training may have diverged.")
    if (codes == codes[0]).all():
        raise ConfigError("All codes are the same, so there is nothing to lay out. The code is not in use.")


class ViewJob:
    """A view being made in a process of its own; start one with `start_view`."""

    def __init__(self, name: str, codes: Points, seed: int) -> None:
        check_view(name, codes)
        self._title = VIEWS[name].title
        self._stopped = False
        self._points: Points | None = None
        # files without a name, not pipes: writing never blocks, and they are gone when the last who holds them is
        self._out: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - held while the child runs
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        with tempfile.TemporaryFile() as given:
            np.save(given, codes.astype(np.float32, copy=False))
            given.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "aecore.analysis.views", name, str(seed)],
                stdin=given,
                stdout=self._out,
                stderr=self._said,
                # wherever the server was started: the child has to find this package
                env={**os.environ, "PYTHONPATH": _package_path(), "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
            )

    @property
    def running(self) -> bool:
        """Whether its process is still at work."""
        return self._points is None and not self._stopped and self._process.poll() is None

    def result(self) -> Points | None:
        """The points (N, 2) in float32; None while it is still running. Never waits.

        Raises:
            AecoreError: If it failed or was stopped; says what it said last.
        """
        if self._points is not None:
            return self._points
        if self._stopped:
            raise AecoreError(f"The view {self._title} was stopped.")
        status = self._process.poll()
        if status is None:
            return None
        if status != 0:
            raise AecoreError(self._trouble(status))
        self._out.seek(0)
        self._points = np.load(io.BytesIO(self._out.read()), allow_pickle=False)
        return self._points

    def stop(self) -> None:
        """End the process if it still runs; a result that is there already stays. May be called again."""
        if self._points is None and self._process.poll() is None:
            self._stopped = True
            self._process.kill()  # it holds nothing that needs tidying
            self._process.wait()

    def _trouble(self, status: int) -> str:
        if status < 0:
            return (
                f"The view {self._title} was ended by signal {-status}, perhaps for want of memory. Try fewer codes, "
                "or another view."
            )
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        return f"The view {self._title} could not be made: {lines[-1] if lines else f'exit status {status}'}"


def _package_path() -> str:
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))


def start_view(name: str, codes: Points, seed: int = 0) -> ViewJob:
    """Begin to make a view in a process of its own, which gives way to all others; returns at once.

    Args:
        name: A name in `VIEWS`.
        codes: (N, Z) floats.
        seed: See `view`.

    Raises:
        ConfigError: As `view`, at once.
    """
    return ViewJob(name, codes, seed)


def main(arguments: list[str]) -> int:
    """NAME SEED; codes as .npy from standard input, points as .npy to standard output. Gives the exit status."""
    if len(arguments) != 2 or not arguments[1].isdecimal():
        sys.stderr.write("usage: python -m aecore.analysis.views NAME SEED < codes.npy > view.npy\n")
        return 2
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    name, seed = arguments
    try:
        codes = np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        sys.stderr.write(f"Standard input holds no array of codes in .npy format: {error}\n")
        return 2
    try:
        with contextlib.redirect_stdout(sys.stderr):  # whatever a library prints, results come alone
            points = view(name, codes, int(seed))
    except AecoreError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    np.save(sys.stdout.buffer, points)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
