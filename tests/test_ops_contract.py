"""Every registered operation keeps the contract, whoever adds it: it runs, is torch's, and what is said of it is so."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aecore.errors import OperationError
from aecore.ops.operations import OPERATIONS
from aecore.ops.overlap import evenness, stamps_per_phase
from aecore.ops.presets import INPUTS, KERNELS
from aecore.ops.quiz import questions
from aecore.ops.setting import (
    Case,
    Setting,
    gradient_preset,
    input_preset,
    kernel_preset,
    overlap_period,
    receptive_side,
)
from aecore.ops.torch_check import differences, run_line

pytestmark = pytest.mark.usefixtures("one_thread")

CLOSE = 1e-6
NAMES = list(OPERATIONS)


@st.composite
def cases(draw: st.DrawFn, operation: str) -> Case:
    """Any setting of the page's dials, numbers from a seed; those whose sizes do not go together are passed over."""
    sizes: dict[str, Any] = {}
    for name, dial in Setting.dials().items():
        if name in OPERATIONS[operation].dials:
            assert dial.low is not None or dial.choices
            values = st.sampled_from(list(dial.choices)) if dial.choices else st.integers(int(dial.low), int(dial.high))  # type: ignore[arg-type]
            sizes[name] = draw(values)
    setting = Setting(operation=operation, **sizes)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = random.normal(scale=draw(st.sampled_from([1, 300])), size=(1, setting.size, setting.size))
    kernel = None if setting.kernel_shape is None else random.normal(size=setting.kernel_shape)
    try:
        shape = setting.about.run(setting, x, kernel).result.shape
    except OperationError:
        assume(False)
    return Case(setting=setting, x=x, kernel=kernel, gradient=random.normal(size=shape))


def ordinary(operation: str) -> Case:
    return Case.from_presets(Setting(operation=operation).usual())


@pytest.mark.parametrize("operation", NAMES)
def test_the_line_of_torch_gives_the_same_forward_and_backward(operation: str) -> None:
    @settings(max_examples=200, deadline=None)
    @given(cases(operation))
    def holds(case: Case) -> None:
        found = differences(case)
        assert found.largest < CLOSE
        assert (found.kernel_gradient is None) == (case.kernel is None)

    holds()


@pytest.mark.parametrize("operation", NAMES)
def test_the_check_against_torch_can_fail(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = ordinary(operation)
    monkeypatch.setitem(OPERATIONS, operation, _with_line(operation, "y = y + 0.5"))
    assert differences(case).output == pytest.approx(0.5)
    monkeypatch.undo()
    monkeypatch.setitem(OPERATIONS, operation, _with_line(operation, "y = y * 2 - y.detach()"))
    assert differences(case).output == 0
    assert differences(case).input_gradient > 0.1


def _with_line(operation: str, line: str) -> Any:
    about = OPERATIONS[operation]
    return dataclasses.replace(about, torch=lambda setting: f"{about.torch(setting)}\n{line}")


@pytest.mark.parametrize("operation", NAMES)
def test_what_is_said_away_from_the_edges_can_be_said_of_every_setting(operation: str) -> None:
    @settings(max_examples=100, deadline=None)
    @given(cases(operation))
    def holds(case: Case) -> None:
        assert receptive_side(case.setting) >= 1
        for backward in (False, True):
            period = overlap_period(case.setting, backward=backward)
            assert period.shape == (case.setting.about.repeats(case.setting),) * 2
            assert period.max() == period[0, 0] > 0
            assert case.overlaps(backward=backward).max() > 0

    holds()


def test_the_field_of_a_maximum_is_its_window() -> None:
    for operation in ("max_pool2d", "max_unpool2d"):
        assert receptive_side(Setting(operation=operation, kernel=3, stride=3, padding=0)) == 3


@pytest.mark.parametrize("operation", NAMES)
def test_the_size_formula_with_its_numbers_is_the_size(operation: str) -> None:
    @settings(max_examples=200, deadline=None)
    @given(cases(operation))
    def holds(case: Case) -> None:
        letters, filled = case.setting.size_formula()
        assert evaluated(filled) == case.trace.result.shape[1] == case.trace.result.shape[2]
        assert re.search("[nkspdqf](?![a-z])", letters)

    holds()


def evaluated(latex: str) -> int:
    """The value of a formula of numbers, worked out from its LaTeX."""
    text = re.sub(r"\\frac\{(.*)\}\{(\d+)\}", r"(\1)/(\2)", latex)
    for name, code in ((r"\left\lfloor", "floor("), (r"\right\rfloor", ")"), (r"\cdot", "*")):
        text = text.replace(name, code)
    return int(eval(text, {"floor": math.floor}))


@pytest.mark.parametrize("operation", NAMES)
def test_the_usual_setting_fits_and_is_within_the_dials(operation: str) -> None:
    about = OPERATIONS[operation]
    case = ordinary(operation)
    assert set(about.dials) <= set(Setting.dials())
    assert set(about.usual) - {"x", "w"} <= set(about.dials)
    assert about.has_kernel == (case.kernel is not None) == ("w" in about.usual)
    assert (about.between is not None) == (len(case.trace.stages) > 1)
    assert about.half in ("encoder", "decoder")
    for words in (about.help, about.notice, about.source, about.title):
        assert words.strip()
    assert "deconv" not in (about.title + about.help).lower(), "it is a misnomer"


@pytest.mark.parametrize("operation", NAMES)
def test_a_dial_that_is_listed_matters_and_others_do_not(operation: str) -> None:
    case = ordinary(operation)
    for name, dial in Setting.dials().items():
        if name in ("operation", "size"):
            continue
        values = list(dial.choices) or list(range(int(dial.low or 0), int(dial.high or 0) + 1))
        outcomes = set()
        for value in values:
            setting = Setting.from_dict({**case.setting.to_dict(), name: value})
            try:
                outcomes.add(Case.from_presets(setting).trace.result.tobytes())
            except OperationError:
                outcomes.add(b"does not fit")
        assert (len(outcomes) > 1) == (name in OPERATIONS[operation].dials), name


@pytest.mark.parametrize("operation", NAMES)
def test_every_preset_fits_every_size(operation: str) -> None:
    for size in (1, 2, 5, 8):
        setting = Setting.from_dict({**Setting(operation=operation).usual().to_dict(), "size": size})
        for name in INPUTS:
            values = input_preset(setting, name)
            assert values.shape == (1, size, size)
            assert np.isfinite(values).all()
    for kernel in range(1, 6):
        setting = Setting.from_dict({**Setting(operation=operation).usual().to_dict(), "kernel": kernel})
        for name in KERNELS:
            weights = kernel_preset(setting, name)
            assert (weights is None) == (setting.kernel_shape is None)
            assert weights is None or (weights.shape == setting.kernel_shape and np.isfinite(weights).all())


@pytest.mark.parametrize("operation", NAMES)
def test_questions_have_one_right_answer_which_is_true(operation: str) -> None:
    @settings(max_examples=60, deadline=None)
    @given(cases(operation), st.integers(0, 9))
    def holds(case: Case, number: int) -> None:
        asked = questions(case, number)
        assert len(asked) == 3
        for question in asked:
            assert sum(answer.right for answer in question.answers) == 1
            texts = [answer.text for answer in question.answers]
            assert len(set(texts)) == len(texts) == 4
            assert all(answer.reason for answer in question.answers)
        size, _, value = (next(a.text for a in question.answers if a.right) for question in asked)
        n = int(re.findall(r"(\d+) × \d+", asked[0].text)[0])
        assert int(size) == torchs_side(case.setting, n)
        true = torchs_value(case, asked[2].text)  # from numbers as the question rounds them
        offered = [answer.text for answer in asked[2].answers]
        assert min(offered, key=lambda text: abs(as_number(text) - true)) == value

    holds()


def as_number(text: str) -> float:
    return float(text.replace("−", "-"))


def torchs_side(setting: Setting, n: int) -> int:
    x = torch.arange(float(n * n), dtype=torch.float64).reshape(1, 1, n, n)
    w = None if setting.kernel_shape is None else torch.ones(setting.kernel_shape, dtype=torch.float64)
    return int(run_line(setting.about.torch(setting), x=x, w=w).shape[2])


def torchs_value(case: Case, text: str) -> float:
    """What torch says to a question like: If `x[1, 2]` were 3 instead of 1, what would `y[0, 0]` be?"""
    (_, r, c), (_, i, j) = re.findall(r"`(\w)\[(\d+), (\d+)\]`", text)
    new = as_number(re.findall(r"were (\S+) instead", text)[0])
    x = torch.tensor(case.x[None])
    x[0, 0, int(r), int(c)] = new
    w = None if case.kernel is None else torch.tensor(case.kernel)
    return float(run_line(case.setting.about.torch(case.setting), x=x, w=w)[0, 0, int(i), int(j)])


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_the_measured_period_is_the_counted_one(kernel: int, stride: int, dilation: int) -> None:
    """Read off a trace, and counted from the sizes: forward for the transposed convolution, backward for the other."""
    counted = sorted(stamps_per_phase(kernel, stride, dilation).ravel())
    for operation, backward in (("conv_transpose2d", False), ("conv2d", True)):
        setting = Setting(operation=operation, kernel=kernel, stride=stride, dilation=dilation, padding=0)
        assert sorted(overlap_period(setting, backward=backward).ravel()) == counted
        assert evenness(overlap_period(setting, backward=not backward)) == 1


@pytest.mark.parametrize("operation", ["upsample_nearest", "upsample_bilinear", "resize_conv2d"])
@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
def test_resizing_overlaps_evenly_whatever_the_kernel(operation: str, factor: int, kernel: int) -> None:
    for mode in ("nearest", "bilinear"):
        setting = Setting(operation=operation, factor=factor, kernel=kernel, mode=mode, padding=0)
        assert evenness(overlap_period(setting)) == pytest.approx(1)


@pytest.mark.parametrize("operation", [name for name in NAMES if "max" not in name])
def test_the_field_of_an_output_cell_is_what_torchs_gradient_reaches(operation: str) -> None:
    """The largest extent of the gradient of one output cell, over all cells well inside a large input.

    Not for maxima: their gradient reaches the winner alone, while every cell of the window might have won.
    """
    setting = Setting(operation=operation).usual()
    x = torch.ones(1, 1, 15, 15, dtype=torch.float64, requires_grad=True)
    w = None if setting.kernel_shape is None else torch.ones(setting.kernel_shape, dtype=torch.float64)
    y = run_line(setting.about.torch(setting), x=x, w=w)[0, 0]
    middle, most = y.shape[0] // 2, 0
    for row in range(middle - 2, middle + 2):
        for column in range(middle - 2, middle + 2):
            if not y[row, column].requires_grad:
                continue
            (gradient,) = torch.autograd.grad(y[row, column], x, retain_graph=True)
            rows = torch.nonzero(gradient[0, 0].any(dim=1)).flatten()
            if len(rows):
                most = max(most, int(rows[-1] - rows[0]) + 1)
    assert receptive_side(setting) == most


def test_the_cases_start_from_are_those_asked_for() -> None:
    case = Case.from_presets(Setting(operation="conv2d", size=3), x="dot", kernel="edge")
    assert case.x[0].tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert case.kernel is not None
    assert case.kernel[0, 0].tolist() == [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], "Sobel's kernel"
    assert (case.gradient == 1).all()
    assert gradient_preset((1, 2, 3), "ramp").tolist() == [[[0, 1, 2], [0, 1, 2]]]


def test_unknown_presets_are_refused_with_those_there_are() -> None:
    setting = Setting()
    for call in (input_preset, kernel_preset):
        with pytest.raises(OperationError, match="ones"):
            call(setting, "nonsense")
