"""The benchmarks count right, compare like with like, and do not need any peer. Nothing is timed here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch.utils.flop_counter import FlopCounterMode

from aecore.models.autoencoder import build_model
from aecore.models.layers import describe, parameter_count
from aecore.training.objective import loss_of
from benchmarks import contest as contests
from benchmarks import images as benchmark_images
from benchmarks import quality, throughput
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.cases import CASES, Case, judged_loss, task_of, training_of
from benchmarks.contest import CONTESTANTS, Contest, Contestant, contest, notes_on_missing
from benchmarks.flops import plain_training_flops_per_image, training_flops_per_image
from benchmarks.images import as_dataset, blocks, load_images, resized
from benchmarks.lab import LabSession
from benchmarks.many_runs import overtaken
from benchmarks.matrix_rate import matrix_rate
from benchmarks.memory import descendants, peak_with_children
from benchmarks.peers.plain_torch import Network, PlainSession
from benchmarks.peers.plain_torch import loss_of as plain_loss_of
from benchmarks.process import ContestantProcess
from benchmarks.report import Section, Table, markdown, middle, with_range, write
from benchmarks.settings import Settings
from benchmarks.task import Ran, Task

NEAREST = [name for name, case in CASES.items() if case.model.upsample == "nearest" and case.model.body == "conv"]
IMAGES = as_dataset(blocks(512, (1, 28, 28)), blocks(32, (1, 28, 28), seed=1))

pytestmark = pytest.mark.usefixtures("one_thread")
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what processes hold")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """A session sets how its process treats denormals; here it is one of many in the same process."""
    yield
    torch.set_flush_denormal(False)


def task_for(case: Case, folder: Path, **more: Any) -> Task:
    return task_of(case.model, replace(training_of(case), batch_size=64), IMAGES, folder, **more)


def ran(rate: float) -> Ran:
    return Ran(seconds=1.0, steps=1, images=round(rate))


# -- counting ----------------------------------------------------------------------------------------------------


@every_case
def test_flops_of_a_training_step_are_those_torch_counts(case: Case) -> None:
    model = build_model(case.model, seed=0)
    x, loss = torch.rand(3, *case.model.image_shape), loss_of(case.model, training_of(case))
    with FlopCounterMode(display=False) as counted:
        model.loss_terms(x, x, loss).total().backward()
    assert counted.get_total_flops() == 3 * training_flops_per_image(describe(case.model))


@pytest.mark.parametrize("name", NEAREST)
def test_flops_of_an_unfolded_step_are_those_of_the_plain_network(name: str, tmp_path: Path) -> None:
    task = task_for(CASES[name], tmp_path)
    with FlopCounterMode(display=False) as counted:
        plain_loss_of(task, Network(task), torch.rand(2, 1, 28, 28)).backward()
    assert counted.get_total_flops() == 2 * plain_training_flops_per_image(describe(CASES[name].model))


def test_a_network_without_resize_convolutions_has_nothing_to_fold() -> None:
    layers = describe(CASES["conv_transpose3"].model)
    assert plain_training_flops_per_image(layers) == training_flops_per_image(layers)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_matrix_rate_is_a_rate(dtype: torch.dtype) -> None:
    assert matrix_rate(dtype, side=64, repeats=1) > 0


# -- like with like ----------------------------------------------------------------------------------------------


@every_case
def test_plain_torch_is_the_same_network_with_the_same_first_loss(case: Case, tmp_path: Path) -> None:
    task = task_for(case, tmp_path)
    lab, plain = LabSession(task), PlainSession(task)
    assert plain.parameters == lab.parameters == parameter_count(describe(case.model))
    assert plain.loss() == pytest.approx(lab.loss(), rel=1e-5)


@every_case
def test_after_the_same_steps_plain_torch_is_where_the_lab_is(case: Case, tmp_path: Path) -> None:
    task = task_for(case, tmp_path)
    losses = []
    for session in (LabSession(task), PlainSession(task)):
        started = judged_loss(case, session.weights(), IMAGES, 64)
        assert session.run(3).steps == 3
        losses.append(judged_loss(case, session.weights(), IMAGES, 64))
        assert losses[-1] < started, "it learns"
    assert losses[1] == pytest.approx(losses[0], rel=0.05), "the batches differ, nothing else does"


def test_weights_go_in_and_come_out_the_same(tmp_path: Path) -> None:
    task = task_for(CASES["conv_nearest"], tmp_path)
    for session in (LabSession(task), PlainSession(task)):
        weights = session.weights()
        for name, values in task.load_weights().items():
            np.testing.assert_array_equal(weights[name], values)


def test_without_given_weights_a_peer_draws_its_own(tmp_path: Path) -> None:
    case = CASES["linear"]
    task = task_for(case, tmp_path, same_start=False, mean_loss=True)
    assert task.load_weights() == {}
    assert PlainSession(task).loss() != pytest.approx(LabSession(task).loss(), rel=1e-3)


def test_a_task_survives_its_file(tmp_path: Path) -> None:
    task = task_for(CASES["mlp_vae"], tmp_path, options={"workers": 2})
    again = Task.from_json(task.to_json())
    assert again.variational
    assert again.options == {"workers": 2}
    assert again.load_images().shape == (512, 1, 28, 28)


def test_the_lab_stops_where_its_budget_ends_and_goes_on_where_it_left(tmp_path: Path) -> None:
    case = CASES["linear"]
    training = replace(training_of(case), budget=5, batch_size=100)
    session = LabSession(task_of(case.model, training, IMAGES, tmp_path))
    assert [session.run(2).images, session.run(2).images] == [200, 200]
    assert session.run(10).steps == 1
    assert session.run(10).steps == 0


@pytest.mark.parametrize("name", ["linear", "mlp_vae", "conv_transpose3", "conv_nearest"])
def test_keras_is_the_same_network(name: str, tmp_path: Path) -> None:
    pytest.importorskip("keras")
    pytest.importorskip("tensorflow")
    assert_same(CASES[name], CONTESTANTS["keras"], tmp_path)


@pytest.mark.parametrize("name", ["mlp_vae", "conv_nearest"])
def test_lightning_is_the_same_network(name: str, tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    assert_same(CASES[name], CONTESTANTS["lightning"], tmp_path)


def assert_same(case: Case, peer: Contestant, folder: Path) -> None:
    task = task_for(case, folder)
    lab = LabSession(task)
    with peer.start(task) as process:
        assert process.parameters == lab.parameters
        assert process.first_loss == pytest.approx(lab.loss(), rel=1e-4)
        for name, values in process.weights().items():
            np.testing.assert_array_equal(values, task.load_weights()[name])
        assert process.run(3).steps == lab.run(3).steps == 3
        found = judged_loss(case, process.weights(), IMAGES, 64)
    assert found == pytest.approx(judged_loss(case, lab.weights(), IMAGES, 64), rel=0.05)


# -- turns and processes -----------------------------------------------------------------------------------------


class Pretender:
    """A contestant's process that only notes whose turn it was."""

    def __init__(self, name: str, turns: list[str]) -> None:
        self.name, self.turns, self.closed = name, turns, False

    def run(self, steps: int) -> Ran:
        self.turns.append(self.name)
        return ran(10.0 * steps)

    def close(self) -> None:
        self.closed = True


def test_turns_alternate_and_everybody_has_as_many() -> None:
    turns: list[str] = []
    with contest() as competing:
        pretenders: dict[str, Any] = {name: Pretender(name, turns) for name in ("lab", "plain_torch")}
        competing.running.update(pretenders)
        runs = competing.rounds(3, steps=2)
    assert turns == ["lab", "plain_torch", "plain_torch", "lab", "lab", "plain_torch"]
    assert {name: [run.rate for run in found] for name, found in runs.items()} == dict.fromkeys(pretenders, [20.0] * 3)
    assert all(pretender.closed for pretender in pretenders.values())


def test_a_contestant_that_fails_is_noted_and_stays_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(contests.CONTESTANTS, "lab", Contestant("lab", "benchmarks.nobody"))
    competing = Contest()
    competing.enter({"lab": task_for(CASES["linear"], tmp_path)})
    assert competing.running == {}
    assert competing.run("lab", 1) is None
    assert "No module named 'benchmarks.nobody'" in competing.notes[0]


def test_who_is_not_installed_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(contests.CONTESTANTS, "keras", Contestant("Keras", "nowhere", needs=("no_such_package",)))
    (note,) = notes_on_missing(["lab", "keras"])
    assert "no_such_package not installed" in note
    assert "requirements-bench.txt" in note


@linux
def test_memory_of_a_child_is_seen_while_it_lives() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        found = {process.id: process for process in descendants(os.getpid())}
        assert "input()" in found[child.pid].command
        assert found[child.pid].parent == os.getpid()
    finally:
        child.communicate(b"\n")
    assert child.pid not in {process.id for process in descendants(os.getpid())}
    peak = peak_with_children()
    assert peak is not None
    assert peak > 50, "this process holds torch"


def test_runs_that_overtook_others_are_counted() -> None:
    assert overtaken([{"began": at} for at in (0.0, 1.0, 2.0)]) == 0
    assert overtaken([{"began": at} for at in (0.0, 2.0, 1.0)]) == 1


# -- images ------------------------------------------------------------------------------------------------------


def test_images_that_are_not_here_are_made_up_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark_images, "is_available", lambda _: False)
    found = load_images(Settings.for_a_look("digits"))
    assert found.synthetic
    assert found.dataset.image_shape == (1, 28, 28)
    assert "made-up images" in found.notes[0]
    assert torch.equal(found.dataset.train, load_images(Settings.for_a_look("digits")).dataset.train), "always the same"


def test_made_up_images_are_sparse_and_resized_ones_alike() -> None:
    images = blocks(200, (1, 28, 28))
    assert 0.1 < float(images.double().mean()) / 255 < 0.3
    assert resized(images, 64).shape == (200, 1, 64, 64)


def test_quality_is_not_measured_on_anything_but_mnist() -> None:
    (table,) = quality.measure(Settings.for_a_look("digits")).tables
    assert table.rows == []
    assert "MNIST only" in table.notes[0]


# -- the report --------------------------------------------------------------------------------------------------


def test_the_report_is_written_for_people_and_for_programs(tmp_path: Path) -> None:
    table = Table("Speed in images/s", ("who", "speed", "runs"), [("lab", 12345.6, 3), ("peer", None, 1)], ("A note.",))
    numbers, text = write(tmp_path / "results", [Section("speed", "How fast?", [table], {"lab": [1.0]})])
    assert json.loads(numbers.read_text())["sections"][0]["data"] == {"lab": [1.0]}
    written = text.read_text()
    for line in ("## How fast?", "| who | speed | runs |", "| lab | 12,346 | 3 |", "| peer | – | 1 |", "A note."):
        assert line in written.splitlines()


def test_a_section_without_rows_still_says_why() -> None:
    assert "Nobody came." in markdown([Section("a", "A", [Table("T", ("x",), [], ("Nobody came.",))])], {})


def test_the_middle_has_its_ends_beside_it() -> None:
    assert middle([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)
    assert with_range([3.0, 1.0, 2.0]) == "2 (1–3)"
    assert with_range([]) is None


def found_with(**losses: float) -> dict[str, Any]:
    contestants = {
        name: {"rates": [100.0 * (place + 1)] * 2, "loss": loss, "memory": None, "about": {}}
        for place, (name, loss) in enumerate(losses.items())
    }
    return {"linear": {"contestants": contestants, "steps": 5, "notes": []}}


def test_a_loss_far_from_that_of_plain_torch_is_told() -> None:
    (note,) = throughput.disagreements(found_with(lab=10.4, plain_torch=10.0, keras=10.1))
    assert "the loss of lab is 4.0 %" in note


def test_a_ratio_with_somebody_who_is_missing_is_an_empty_cell() -> None:
    contestants = found_with(plain_torch=1.0, lab=1.0)["linear"]["contestants"]
    assert throughput.ratios(contestants, "lab", "plain_torch") == [2.0, 2.0]
    assert throughput.ratios(contestants, "lab", "keras") == []


# -- from end to end ---------------------------------------------------------------------------------------------


def test_everything_the_issue_asks_for_is_registered() -> None:
    assert list(BENCHMARKS) == ["throughput", "limit", "quality", "answering", "growth"]


def test_a_quick_look_at_throughput_works_without_the_peers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(throughput, "CASES", {"linear": CASES["linear"]})
    monkeypatch.setattr(Contestant, "missing", property(lambda self: list(self.needs)))
    arguments = ["--quick", "--only", "throughput", "--data", "digits", "--out", str(tmp_path)]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "keras and tensorflow not installed" in result.stdout
    found = json.loads((tmp_path / "benchmark.json").read_text())["sections"][0]["data"]["linear"]["contestants"]
    assert set(found) == {"lab", "lab_float32", "plain_torch"}
    assert all(len(of["rates"]) == 2 and min(of["rates"]) > 0 for of in found.values())
    assert (tmp_path / "benchmark.md").read_text() == result.stdout


def test_a_process_that_dies_says_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(contests.ContestantError, match=r"benchmarks\.settings ended: .*no attribute 'build'"):
        ContestantProcess("benchmarks.settings", task_for(CASES["linear"], tmp_path))
