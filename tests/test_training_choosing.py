"""The way steps are computed: the fastest one tried that gives the same loss, found out once.

How long a step takes is made up in these tests, so that nothing depends on the machine they run on.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from aecore.models import BODIES, BOTTLENECKS, UPSAMPLERS, ModelConfig, build_model
from aecore.models.autoencoder import Autoencoder
from aecore.training import TrainConfig
from aecore.training import choosing as choosing_module
from aecore.training.choosing import (
    FASTER,
    FEW,
    LONGEST,
    MOST_REMEMBERED,
    REMEMBERED,
    SAME_LOSS,
    WORTH_IT,
    Choice,
    Trial,
    candidates,
    choose,
    choose_alike,
    memory_folder,
)
from aecore.training.config import AUTO, PRECISIONS
from aecore.training.execution import PLAIN, Execution

pytestmark = pytest.mark.usefixtures("one_thread")

CONV = ModelConfig(image_shape=(1, 8, 8), channels=4, latent_dim=3)
IMAGES = torch.randint(256, (40, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
LONG = TrainConfig(budget=WORTH_IT, budget_unit="steps", batch_size=16)
PHASES, LAST = Execution(by_phases=True), Execution(channels_last=True)
BOTH, HALF = Execution(channels_last=True, by_phases=True), Execution("bfloat16", True, True)


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty memory of what was found out; the folder is not there yet."""
    monkeypatch.setenv("AECORE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "choices"


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that multiplies bfloat16."""
    monkeypatch.setattr(choosing_module, "has_bfloat16_units", lambda: True)


@pytest.fixture
def no_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that does not."""
    monkeypatch.setattr(choosing_module, "has_bfloat16_units", lambda: False)


Tried = list[Execution]
Machine = Callable[..., Tried]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, units: None) -> Machine:  # noqa: ARG001
    """Makes up what trying gives: milliseconds and loss of each way, 10 and 50 where nothing is said."""

    def make(took: dict[Execution, float] | None = None, losses: dict[Execution, float] | None = None) -> Tried:
        tried: Tried = []

        def look(_: Autoencoder, __: Tensor, ___: TrainConfig, way: Execution) -> tuple[float, float]:
            tried.append(way)
            return (took or {}).get(way, 10.0), (losses or {}).get(way, 50.0)

        monkeypatch.setattr(choosing_module, "_try", look)
        return tried

    return make


def model(**choices: object) -> Autoencoder:
    return build_model(replace(CONV, **choices), seed=0)


def ask(config: TrainConfig = LONG, **choices: object) -> Choice:
    return choose(model(**choices), IMAGES, config)


# -- what can be tried -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_units")
@pytest.mark.parametrize("body", [body for body in BODIES if body != "conv"])
def test_without_maps_there_is_no_layout_to_choose(body: str) -> None:
    assert candidates(model(body=body), AUTO) == [PLAIN]


@pytest.mark.usefixtures("no_units")
@pytest.mark.parametrize("upsample", UPSAMPLERS)
def test_doubling_by_phases_is_for_those_that_double_by_transposed_convolution(upsample: str) -> None:
    downsample = "maxpool" if upsample == "max_unpool" else "stride"
    ways = candidates(model(upsample=upsample, downsample=downsample), AUTO)
    doubling = upsample == "nearest" or upsample.startswith("transpose")
    assert set(ways) == ({PLAIN, PHASES, LAST, BOTH} if doubling else {PLAIN, LAST})


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("precision", [AUTO, *PRECISIONS])
@pytest.mark.usefixtures("units")
def test_none_is_named_twice_and_the_plainest_comes_first(body: str, precision: str) -> None:
    ways = candidates(model(body=body), precision)
    assert len(set(ways)) == len(ways)
    assert ways[0] == Execution("float32" if precision == AUTO else precision)
    assert {way.precision for way in ways} == (set(PRECISIONS) if precision == AUTO else {precision})


@pytest.mark.usefixtures("no_units")
def test_a_precision_that_is_asked_for_is_kept_even_where_it_is_slow() -> None:
    assert {way.precision for way in candidates(model(), "bfloat16")} == {"bfloat16"}
    assert {way.precision for way in candidates(model(), AUTO)} == {"float32"}


@pytest.mark.usefixtures("units")
@pytest.mark.parametrize("bottleneck", BOTTLENECKS)
def test_where_derivatives_are_charged_bfloat16_has_to_be_asked_for(bottleneck: str) -> None:
    offered = {way.precision for way in candidates(model(bottleneck=bottleneck), AUTO)}
    assert offered == ({"float32"} if bottleneck == "contractive" else {"float32", "bfloat16"})
    assert {way.precision for way in candidates(model(bottleneck=bottleneck), "bfloat16")} == {"bfloat16"}


# -- whether anything is tried -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("precision", "way"), [(AUTO, PLAIN), *((name, Execution(name)) for name in PRECISIONS)])
def test_a_short_training_is_computed_plainly_at_once(
    machine: Machine, memory: Path, precision: str, way: Execution
) -> None:
    tried = machine({HALF: 1.0, BOTH: 1.0})
    shown = WORTH_IT - 1
    choice = ask(TrainConfig(budget=shown, budget_unit="steps", batch_size=1, precision=precision))
    assert choice == Choice(way)
    assert tried == []
    assert not memory.exists()


def test_a_short_training_does_not_ask_what_was_found_out_for_a_long_one(machine: Machine) -> None:
    machine({BOTH: 1.0})
    assert ask().execution == BOTH
    assert ask(replace(LONG, budget=1)) == Choice(PLAIN)


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(budget=WORTH_IT, budget_unit="steps", batch_size=1),
        TrainConfig(budget=-(-WORTH_IT // 40), budget_unit="epochs", batch_size=40),
        TrainConfig(budget=1, budget_unit="seconds"),
    ],
    ids=["steps", "epochs", "seconds"],
)
def test_a_training_that_shows_many_images_or_has_no_count_is_worth_it(machine: Machine, config: TrainConfig) -> None:
    tried = machine()
    assert ask(config).trials
    assert tried


@pytest.mark.usefixtures("no_units")
def test_where_there_is_one_way_only_nothing_is_measured(machine: Machine, memory: Path) -> None:
    tried = machine()
    assert ask(replace(LONG, precision="float32"), body="mlp") == Choice(PLAIN)
    assert tried == []
    assert not memory.exists()


# -- which one is taken ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("best", [BOTH, LAST, PHASES, HALF, Execution("bfloat16", True)], ids=str)
def test_the_fastest_is_taken(machine: Machine, best: Execution) -> None:
    tried = machine({best: 4.0})
    choice = ask()
    assert choice.execution == best
    assert [trial.execution for trial in choice.trials] == tried
    assert tried[0] == PLAIN
    assert {trial.milliseconds for trial in choice.trials} == {4.0, 10.0}
    assert not choice.remembered


def test_where_bfloat16_has_won_no_layout_of_float32_is_tried(machine: Machine) -> None:
    tried = machine({HALF: 4.0, BOTH: 1.0})
    assert ask().execution == HALF
    assert [way for way in tried if way.precision == "float32"] == [PLAIN]


def test_of_two_that_are_faster_the_fastest_is_taken(machine: Machine) -> None:
    machine({BOTH: 6.0, PHASES: 4.0})
    assert ask(replace(LONG, precision="float32")).execution == PHASES
    machine({BOTH: 4.0, PHASES: 6.0})
    assert ask(replace(LONG, precision="float32", batch_size=17)).execution == BOTH


def test_what_chance_may_have_made_faster_is_not_taken(machine: Machine) -> None:
    machine({BOTH: 10.0 / FASTER * 1.001})
    assert ask().execution == PLAIN
    machine({BOTH: 10.0 / FASTER * 0.999})
    assert ask(replace(LONG, batch_size=17)).execution == BOTH


@pytest.mark.parametrize("loss", [50.0 * (1 + 1.01 * SAME_LOSS), 50.0 * (1 - 1.01 * SAME_LOSS), math.nan, math.inf])
def test_a_faster_one_with_another_loss_is_refused_and_named(machine: Machine, loss: float) -> None:
    machine({HALF: 1.0, BOTH: 5.0}, {HALF: loss})
    choice = ask()
    assert choice.execution == BOTH
    assert [trial.execution for trial in choice.trials if not trial.same] == [HALF]
    assert choice.why().endswith(f"Not the same loss came from {HALF}.")


@pytest.mark.parametrize("loss", [50.0 * (1 + 0.99 * SAME_LOSS), 50.0 * (1 - 0.99 * SAME_LOSS)])
def test_a_loss_that_differs_by_rounding_is_the_same(machine: Machine, loss: float) -> None:
    machine({HALF: 1.0}, {HALF: loss})
    assert ask().execution == HALF


def test_losses_are_measured_by_the_plain_way_and_not_by_the_one_before(machine: Machine) -> None:
    drifting = {way: 50.0 * (1 + 0.9 * SAME_LOSS * number) for number, way in enumerate(candidates(model(), "float32"))}
    machine({}, drifting)
    assert [trial.same for trial in ask(replace(LONG, precision="float32")).trials] == [True, True, False, False]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_only_the_precision_asked_for_is_tried(machine: Machine, precision: str) -> None:
    tried = machine({Execution("bfloat16", True): 2.0, LAST: 2.0})
    choice = ask(replace(LONG, precision=precision))
    assert choice.execution == Execution(precision, channels_last=True)
    assert {way.precision for way in tried} == {precision}


def test_no_further_way_is_tried_when_it_takes_too_long(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = machine()
    monkeypatch.setattr(choosing_module, "perf_counter", lambda: len(tried) * LONGEST / 2.5)
    choice = ask()
    assert len(tried) == 3 < len(candidates(model(), AUTO))
    assert choice.seconds == pytest.approx(3 * LONGEST / 2.5)
    monkeypatch.setattr(choosing_module, "perf_counter", lambda: len(tried) * LONGEST * 2)
    tried.clear()
    assert ask(replace(LONG, batch_size=17)).execution == PLAIN
    assert tried == candidates(model(), AUTO)[:FEW], "the most promising one is tried all the same"
    assert not ask(replace(LONG, batch_size=17)).remembered, "a busy machine says nothing about a calm one"
    assert ask().remembered


# -- trying does no harm -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bottleneck", BOTTLENECKS)
def test_model_data_and_global_chance_are_left_as_they_were(bottleneck: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing_module, "LONGEST", 1000.0)
    ours, images = model(bottleneck=bottleneck), IMAGES.clone()
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    chance = torch.get_rng_state()
    choice = choose(ours, images, replace(LONG, precision="float32"))
    assert {trial.execution for trial in choice.trials} == {PLAIN, PHASES, LAST, BOTH}
    assert all(trial.same for trial in choice.trials)
    assert all(trial.milliseconds > 0 for trial in choice.trials)
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, before[name]), name
        assert tensor.is_contiguous()
    assert all(parameter.grad is None for parameter in ours.parameters())
    assert torch.equal(images, IMAGES)
    assert torch.equal(torch.get_rng_state(), chance)


def test_it_says_that_it_is_measuring_and_only_then(machine: Machine) -> None:
    machine()
    said: list[tuple[str, float | None]] = []
    for config in (replace(LONG, budget=1), LONG, LONG):
        choose(model(), IMAGES, config, lambda *words: said.append(words))
    assert said == [("Finding the fastest way to compute this …", None)]


# -- what was found out is remembered ----------------------------------------------------------------------------


def test_a_choice_is_remembered(machine: Machine, memory: Path) -> None:
    tried = machine({BOTH: 4.0})
    first = ask()
    assert memory_folder() == memory
    assert [file.suffix for file in memory.iterdir()] == [".json"], "no drafts are left"
    tried.clear()
    again = ask()
    assert tried == []
    assert again == replace(first, remembered=True)
    assert "measured here earlier" in again.why()


@pytest.mark.parametrize(
    ("config", "choices"),
    [
        (replace(LONG, batch_size=17), {}),
        (replace(LONG, precision="float32"), {}),
        (replace(LONG, loss="bce"), {}),
        (replace(LONG, optimiser="sgd"), {}),
        (LONG, {"channels": 5}),
        (LONG, {"upsample": "transpose4"}),
    ],
    ids=str,
)
def test_another_question_is_asked_anew(machine: Machine, config: TrainConfig, choices: dict[str, object]) -> None:
    tried = machine()
    ask()
    tried.clear()
    assert not ask(config, **choices).remembered
    assert tried


@pytest.mark.parametrize("change", [{"seed": 5}, {"learning_rate": 1e-4}, {"budget": 2 * WORTH_IT}], ids=str)
def test_what_makes_no_step_slower_is_not_part_of_the_question(machine: Machine, change: dict[str, float]) -> None:
    machine()
    ask()
    assert ask(replace(LONG, **change)).remembered


def test_with_another_number_of_threads_it_is_measured_again(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine()
    ask()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert not ask().remembered


@pytest.mark.parametrize(("age", "known"), [(0.99 * REMEMBERED, True), (1.01 * REMEMBERED, False)])
def test_it_is_forgotten_in_time(machine: Machine, memory: Path, age: float, known: bool) -> None:
    tried = machine()
    ask()
    (file,) = memory.iterdir()
    then = time.time() - age
    os.utime(file, (then, then))
    tried.clear()
    assert ask().remembered is known
    assert bool(tried) is not known
    assert ask().remembered, "and what was measured again is as good as new"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"null", b"[1, 2]", b"{}", b'{"execution": {"speed": 1}, "trials": []}', b'"a"']
)
def test_a_damaged_memory_is_no_trouble(machine: Machine, memory: Path, content: bytes) -> None:
    tried = machine({BOTH: 4.0})
    first = ask()
    (file,) = memory.iterdir()
    file.write_bytes(content)
    tried.clear()
    assert replace(ask(), seconds=first.seconds) == first
    assert tried
    assert Choice.from_dict(json.loads(file.read_text())).execution == BOTH, "it is mended"


def test_where_nothing_can_be_written_it_is_measured_each_time(machine: Machine, memory: Path) -> None:
    memory.parent.write_text("a file where the folder should be")
    tried = machine({BOTH: 4.0})
    assert [ask().execution, ask().execution] == [BOTH, BOTH]
    assert tried == 2 * tried[: len(tried) // 2]


def test_the_memory_does_not_grow_without_end(machine: Machine, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_REMEMBERED > 3
    monkeypatch.setattr(choosing_module, "MOST_REMEMBERED", 3)
    machine()
    for number in range(5):
        ask(replace(LONG, batch_size=16 + number))
        newest = max(memory.iterdir(), key=lambda file: file.stat().st_mtime_ns)
        os.utime(newest, (time.time() - 100 + number,) * 2)
    assert [ask(replace(LONG, batch_size=16 + number)).remembered for number in (2, 3, 4)] == [True] * 3
    assert len(list(memory.iterdir())) == 3
    assert not ask(replace(LONG, batch_size=16)).remembered


# -- several to be compared --------------------------------------------------------------------------------------


def test_what_is_compared_is_computed_in_float32(machine: Machine) -> None:
    tried = machine({HALF: 1.0, BOTH: 4.0})
    choices = choose_alike({"one": model(), "two": model(upsample="transpose4")}, IMAGES, LONG)
    assert {name: choice.execution for name, choice in choices.items()} == {"one": BOTH, "two": BOTH}
    assert {way.precision for way in tried} == {"float32"}


def test_one_alone_is_computed_as_if_nobody_compared(machine: Machine) -> None:
    machine({HALF: 1.0, BOTH: 4.0})
    assert choose_alike({"": model()}, IMAGES, LONG) == {"": replace(ask(), remembered=False)}
    assert ask().execution == HALF


def test_a_precision_asked_for_holds_for_all(machine: Machine) -> None:
    machine({HALF: 1.0, BOTH: 4.0})
    models = {"one": model(), "two": model(upsample="transpose4")}
    choices = choose_alike(models, IMAGES, replace(LONG, precision="bfloat16"))
    assert {choice.execution for choice in choices.values()} == {HALF}


# -- what it says ------------------------------------------------------------------------------------------------

TRIALS = (Trial(PLAIN, 10.0, 50.0, True), Trial(BOTH, 4.0, 50.0, True), Trial(HALF, 2.0, 60.0, False))


@pytest.mark.parametrize("choice", [Choice(HALF), Choice(BOTH, TRIALS, 1.5, True)], ids=["bare", "measured"])
def test_it_can_be_kept_as_json(choice: Choice) -> None:
    assert Choice.from_dict(json.loads(json.dumps(choice.to_dict()))) == choice


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (
            Choice(HALF),
            "bfloat16, channels last, doubling by phases: not measured: there is no other way, or the training is too "
            "short for it to pay.",
        ),
        (
            Choice(PLAIN, TRIALS[:2], 1.25),
            "float32, channels first: no other way was faster (10.0 ms a step, measured here in 1.2 s).",
        ),
        (
            Choice(BOTH, TRIALS, 1.25, remembered=True),
            "float32, channels last, doubling by phases: 4.0 ms a step, where float32, channels first takes 10.0 "
            "(measured here earlier). Not the same loss came from bfloat16, channels last, doubling by phases.",
        ),
    ],
    ids=["bare", "plain", "other"],
)
def test_it_says_why(choice: Choice, said: str) -> None:
    assert choice.why() == said


@pytest.mark.parametrize("faster", [True, False])
@pytest.mark.parametrize("precision", [AUTO, *PRECISIONS])
def test_it_says_why_whatever_precision_was_asked_for(machine: Machine, precision: str, faster: bool) -> None:
    plainest = Execution("float32" if precision == AUTO else precision)
    best = replace(plainest, channels_last=True)
    machine({best: 4.0} if faster else {})
    said = ask(replace(LONG, precision=precision)).why()
    if faster:
        assert said.startswith(f"{best}: 4.0 ms a step, where {plainest} takes 10.0 (measured here in ")
    else:
        assert said.startswith(f"{plainest}: no other way was faster (10.0 ms a step, measured here in ")
