"""Flat views of codes: what each keeps, the same every time, and made where nobody has to wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from aecore.analysis.views import NICENESS, VIEWS, Points, ViewJob, check_view, main, start_view, view
from aecore.errors import AecoreError, ConfigError

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 300  # seconds: UMAP is compiled when it is first used on a machine, and others may be busy on it


def clusters(each: int = 40, units: int = 8) -> tuple[Points, NDArray[np.int64]]:
    """Three groups of codes that lie far apart, and which each belongs to."""
    draw = np.random.default_rng(0)
    which = np.repeat(np.arange(3), each)
    centres = 20 * np.eye(3, units)
    return (centres[which] + draw.normal(size=(3 * each, units))).astype(np.float32), which


def finished(job: ViewJob) -> Points:
    deadline = time.monotonic() + PATIENCE
    while (points := job.result()) is None:
        assert time.monotonic() < deadline, "still not there"
        time.sleep(0.02)
    return points


def nearest_is_of_the_same(points: Points, which: NDArray[np.int64]) -> float:
    distances = np.linalg.norm(points[:, None] - points, axis=2) + np.diag(np.full(len(points), np.inf))
    return float((which[distances.argmin(1)] == which).mean())


# -- what they are -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_says_what_it_is(name: str) -> None:
    about = VIEWS[name]
    assert about.title
    assert about.help.endswith(".")
    assert any(character.isdigit() for character in about.source), "with its year"


# A process of its own, because importing and compiling UMAP is most of the time: all that is asked of it, once.
AGAIN = """
import sys, numpy as np
from aecore.analysis.views import VIEWS, view
codes, name = np.load("codes.npy"), sys.argv[1]
few, one_unit = codes[: VIEWS[name].fewest], codes[:20, :1]
again, other = view(name, codes, 3), view(name, codes, 4)
np.savez("views.npz", again=again, other=other, few=view(name, few), one=view(name, one_unit))
"""


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_keeps_groups_apart_and_is_the_same_every_time(name: str, tmp_path: Path) -> None:
    codes, which = clusters()
    job = start_view(name, codes, 3)
    np.save(tmp_path / "codes.npy", codes)
    (tmp_path / "tensorflow.py").write_text("raise AssertionError('nobody here needs it')")
    one_thread = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    paths = {**os.environ, **one_thread, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", AGAIN, name], cwd=tmp_path, env=paths, check=True)
    found = np.load(tmp_path / "views.npz")
    points = finished(job)
    assert points.shape == (120, 2)
    assert points.dtype == np.float32
    assert all(np.isfinite(found[view]).all() for view in found)
    assert nearest_is_of_the_same(points, which) == 1.0
    assert np.array_equal(found["again"], points)
    assert np.array_equal(found["other"], points) == (name != "umap"), "the others begin from PCA, whatever the seed"
    assert found["few"].shape == (VIEWS[name].fewest, 2)
    assert found["one"].shape == (20, 2), "a code of one unit has a view too"
    assert job.result() is points, "asked again, it has it"


def test_pca_is_that_of_scikit_learn_and_its_signs_are_settled() -> None:
    codes, _ = clusters()
    points, theirs = view("pca", codes), PCA(2)
    expected = theirs.fit_transform(codes)
    signs = np.sign((points * expected).sum(0))
    np.testing.assert_allclose(points, expected * signs, atol=1e-3)
    turned = theirs.components_ * signs[:, None]
    assert (turned[np.arange(2), np.abs(turned).argmax(1)] > 0).all()
    assert np.array_equal(view("pca", codes, 1), points), "no chance in it"


def test_pca_never_lengthens_a_distance() -> None:
    codes, _ = clusters()
    points = view("pca", codes)
    shown = np.linalg.norm(points[:, None] - points, axis=2)
    real = np.linalg.norm(codes[:, None] - codes, axis=2)
    assert (shown <= real + 1e-3).all()


def test_a_code_of_one_unit_is_laid_out_along_the_first_axis() -> None:
    one_unit = np.linspace(0, 9, 20, dtype=np.float32)[:, None]
    np.testing.assert_allclose(view("pca", one_unit), np.stack([one_unit[:, 0] - 4.5, np.zeros(20)], 1), atol=1e-5)


BAD: dict[str, tuple[str, Points, str]] = {
    "unknown": ("mds", np.ones((9, 3), np.float32), "pca, tsne, umap"),
    "too few": ("tsne", np.ones((4, 3), np.float32), "t-SNE needs 5 codes at least, not 4"),
    "too few for umap": ("umap", np.ones((2, 3), np.float32), "UMAP needs 5 codes"),
    "one": ("pca", np.ones((1, 3), np.float32), "PCA needs 2 codes"),
    "not finite": ("pca", np.array([[1, 2], [np.nan, 0]], np.float32), "not finite"),
    "all the same": ("umap", np.ones((9, 3), np.float32), "All codes are the same"),
    "no codes": ("pca", np.ones(9, np.float32), r"floats \(N, Z\)"),
    "no units": ("pca", np.ones((9, 0), np.float32), r"floats \(N, Z\)"),
}


@pytest.mark.parametrize(("name", "codes", "words"), BAD.values(), ids=BAD)
def test_what_cannot_be_laid_out_is_refused_at_once(name: str, codes: Points, words: str) -> None:
    for ask in (check_view, view, start_view):
        with pytest.raises(ConfigError, match=words):
            ask(name, codes)


# -- in a process of its own -------------------------------------------------------------------------------------


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = {"torch", "umap", "numba", "sklearn", "scipy"}
    program = f"import sys, aecore.analysis.views; sys.exit(str({heavy} & set(sys.modules) or ''))"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert not result.stderr.strip()


def test_a_child_gives_what_would_be_made_here() -> None:
    codes, _ = clusters()
    np.testing.assert_allclose(finished(start_view("pca", codes)), view("pca", codes), atol=1e-4)


def test_starting_does_not_wait_even_for_many_codes() -> None:
    codes = np.random.default_rng(0).normal(size=(20_000, 64)).astype(np.float32)  # far more than a pipe holds
    before = time.monotonic()
    job = start_view("tsne", codes)
    assert job.result() is None
    assert time.monotonic() - before < 1
    job.stop()


def test_it_works_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert finished(start_view("pca", clusters()[0])).shape == (120, 2)


def test_a_stopped_view_ends_and_says_so() -> None:
    job = start_view("umap", clusters(2000)[0])
    job.stop()
    job.stop()
    assert job._process.returncode is not None, "it has ended"
    with pytest.raises(AecoreError, match="UMAP was stopped"):
        job.result()


def test_stopping_what_is_finished_takes_nothing_away() -> None:
    job = start_view("pca", clusters()[0])
    points = finished(job)
    job.stop()
    assert job.result() is points


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="this system knows no niceness")
def test_it_gives_way_to_all_others() -> None:
    job = start_view("tsne", clusters(1000)[0])
    deadline = time.monotonic() + PATIENCE
    while os.getpriority(os.PRIO_PROCESS, job._process.pid) != NICENESS:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    job.stop()


def test_a_child_that_was_killed_is_an_error_in_words() -> None:
    job = start_view("umap", clusters(2000)[0])
    os.kill(job._process.pid, signal.SIGKILL)
    with pytest.raises(AecoreError, match="UMAP was ended by signal 9, perhaps for want of memory"):
        finished(job)


def test_a_child_that_failed_hands_on_its_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = tmp_path / "failing"
    failing.write_text("#!/bin/sh\necho Trouble ahead >&2\necho ImportError: no umap here >&2\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(failing))
    with pytest.raises(AecoreError, match="UMAP could not be made: ImportError: no umap here"):
        finished(start_view("umap", clusters()[0]))


def alive(pid: int) -> bool:
    """Whether a process still runs; one that has ended and that nobody has asked about does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_child_whose_parent_is_gone_ends_after_its_own_work() -> None:
    program = (
        "import os, numpy as np; from aecore.analysis.views import start_view\n"
        "job = start_view('tsne', np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32))\n"
        "print(job._process.pid, flush=True); os._exit(0)"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    pid, deadline = int(result.stdout), time.monotonic() + PATIENCE
    while alive(pid):
        assert time.monotonic() < deadline, "an orphan"
        time.sleep(0.05)


# -- the command -------------------------------------------------------------------------------------------------


def command(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "aecore.analysis.views", *arguments],
        cwd=ROOT,
        input=given,
        capture_output=True,
        check=False,
    )


def test_the_command_reads_and_writes_arrays(tmp_path: Path) -> None:
    codes, _ = clusters()
    np.save(tmp_path / "codes.npy", codes)
    result = command("pca", "0", given=(tmp_path / "codes.npy").read_bytes())
    assert (result.returncode, result.stderr) == (0, b"")
    (tmp_path / "view.npy").write_bytes(result.stdout)
    np.testing.assert_allclose(np.load(tmp_path / "view.npy"), view("pca", codes), atol=1e-4)


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    np.save(tmp_path / "codes.npy", np.ones((9, 2), np.float32))
    same = (tmp_path / "codes.npy").read_bytes()
    for arguments, given, words in (
        (("pca", "0"), same, b"All codes are the same"),
        (("mds", "0"), same, b"pca, tsne, umap"),
        (("pca", "0"), b"no array", b"Standard input holds no array"),
        (("pca", "0"), b"", b"Standard input holds no array"),
    ):
        result = command(*arguments, given=given)
        assert (result.returncode, result.stdout) == (2, b"")
        assert words in result.stderr
        assert result.stderr.count(b"\n") == 1


@pytest.mark.parametrize("arguments", [[], ["pca"], ["pca", "one"], ["pca", "0", "0"]])
def test_the_command_says_how_it_is_used(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "NAME SEED" in capsys.readouterr().err
