"""The Operations page's logic: what a link says, what a link keeps, what the bench is sent and tells."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from aecore.ops.operations import OPERATIONS
from aecore.ops.setting import Case, Setting
from pages.ui import warmup
from pages.ui.operations import state
from pages.ui.operations.examples import EXAMPLES, next_after

PAGE = "pages/2_Operations.py"
ENTRY = str(Path(__file__).parents[1] / "app.py")


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is loaded in the background."""
    monkeypatch.setattr(warmup, "start", lambda: None)


def open_page(**parameters: str) -> AppTest:
    at = AppTest.from_file(ENTRY, default_timeout=60).run()
    for name, value in parameters.items():
        at.query_params[name] = value
    at = at.switch_page(PAGE).run()
    assert not at.exception
    return at


def sent(at: AppTest) -> dict[str, Any]:
    """What the bench got."""
    for component in at.get("bidi_component"):
        data = json.loads(component.proto.json)
        if isinstance(data, list) and "stages" in data[0]:
            return data[0]  # type: ignore[no-any-return]
    raise AssertionError("there is no bench on the page")


def link(at: AppTest) -> dict[str, str]:
    return {name: values[0] if isinstance(values, list) else values for name, values in at.query_params.items()}


def words(at: AppTest) -> str:
    return "\n".join(str(element.value) for element in [*at.markdown, *at.caption, *at.subheader, *at.code, *at.latex])


def metric(at: AppTest, label: str) -> str:
    return next(str(element.value) for element in at.metric if element.label == label)


def test_the_page_opens_with_a_same_size_convolution() -> None:
    at = open_page()
    data = sent(at)
    assert (data["stages"][0]["in"], data["stages"][0]["out"]) == ([1, 4, 4], [1, 4, 4])
    assert data["x"] == [float(n) for n in range(1, 17)]
    assert metric(at, "Output") == "4×4"
    assert metric(at, "Multiplications") == "144"
    assert metric(at, "Difference to torch") == "0"
    assert "y = F.conv2d(x, w, padding=1)" in words(at)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_is_shown_with_its_words_and_its_link(operation: str) -> None:
    at = open_page(operation=operation)
    about = OPERATIONS[operation]
    usual = Setting(operation=operation).usual()
    assert about.help in words(at)
    assert about.torch(usual) in words(at)
    assert len(at.radio) == 3
    assert float(metric(at, "Difference to torch").replace("−", "-")) < 1e-12
    assert link(at)["operation"] == operation
    assert {name: link(at)[name] for name in about.dials} == {name: str(getattr(usual, name)) for name in about.dials}
    assert len(sent(at)["letters"]) == len(sent(at)["stages"]) + 1


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_every_example_is_a_link_that_fits(example: Any) -> None:
    at = open_page(**example.link)
    assert not at.warning
    assert not at.error
    shown = link(at)
    assert {name: shown[name] for name in example.link} == example.link


def test_what_comes_next_goes_round_all_examples() -> None:
    at = open_page(**EXAMPLES[0].link)
    seen = []
    for _ in EXAMPLES:
        following = next_after(link(at))[0]
        seen.append(following.title)
        at.button(key="next_0").click().run()
        assert not at.exception
        shown = link(at)
        assert {name: shown[name] for name in following.link} == following.link
    assert set(seen) == {example.title for example in EXAMPLES}


def test_a_link_carries_numbers_exactly() -> None:
    at = open_page(operation="conv2d", size="2", kernel="2", padding="0", x="1_-0.5_0.1_1000", w="0_1_2_3")
    assert sent(at)["x"] == [1, -0.5, 0.1, 1000]
    assert sent(at)["w"] == [0, 1, 2, 3]
    assert link(at)["x"] == "1_-0.5_0.1_1000"


def test_choosing_an_operation_brings_its_usual_setting() -> None:
    at = open_page(operation="conv2d", size="7", kernel="5", x="1_2_3")
    at.selectbox(key="operation").set_value("max_pool2d").run()
    usual = OPERATIONS["max_pool2d"].usual
    assert {name: link(at)[name] for name in usual} == {name: str(value) for name, value in usual.items()}
    assert "w" not in link(at), "a pooling has no kernel"


def test_a_change_of_size_keeps_the_numbers_typed() -> None:
    at = open_page(operation="conv2d", size="2", kernel="1", padding="0", x="1_2_3_4", w="ones")
    at.slider(key="size").set_value(3).run()
    assert sent(at)["x"] == [1, 2, 0, 3, 4, 0, 0, 0, 0]
    at.slider(key="size").set_value(2).run()
    assert sent(at)["x"] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"operation": "nosuch"}, "There is no operation 'nosuch'"),
        ({"operation": "conv2d", "kernel": "9"}, "kernel is 9, expected a number from 1 to 5"),
        ({"operation": "conv2d", "stride": "x"}, "stride is 'x'"),
        ({"operation": "conv2d", "x": "1_2_nan"}, "x is neither a preset nor numbers"),
        ({"operation": "conv2d", "w": "99999_1"}, "w is neither a preset nor numbers"),
        ({"operation": "resize_conv2d", "mode": "cubic"}, "expected one of nearest, bilinear"),
        ({"operation": "conv2d", "size": "--3"}, "size is '--3'"),
        ({"operation": "conv2d", "size": "9" * 5000}, "size is"),
        ({"operation": "conv2d", "x": "1_2_3"}, "x has 3 numbers, expected 16"),
        ({"operation": "conv2d", "view": "none"}, "view is 'none', expected products or matrix or overlap"),
    ],
    ids=lambda value: "&".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_what_a_link_says_wrongly_is_told_and_replaced(wrong: dict[str, str], said: str) -> None:
    at = open_page(**wrong)
    assert said in at.warning[0].value
    assert sent(at)["stages"]
    at.run()
    assert not at.warning, "once is enough"


def test_sizes_that_do_not_go_together_leave_the_form() -> None:
    at = open_page(operation="conv2d", size="2", kernel="5", padding="0")
    assert "What fits: a kernel from 1 to 2" in at.error[0].value
    at.slider(key="kernel").set_value(2).run()
    assert not at.error
    assert metric(at, "Output") == "1×1"


def test_identities_are_shown_with_their_numbers() -> None:
    gradient = words(open_page(operation="conv2d"))
    assert "Its gradient is a transposed convolution" in gradient
    assert "Largest difference over all 16 values: **0**" in gradient
    assert "It is the gradient of a convolution" in words(open_page(operation="conv_transpose2d"))
    folded = words(open_page(operation="resize_conv2d", size="3", w="ones"))
    assert r"\begin{bmatrix} 1 & 2 & 2 & 1 \\ 2 & 4 & 4 & 2 \\ 2 & 4 & 4 & 2 \\ 1 & 2 & 2 & 1 \end{bmatrix}" in folded
    assert "these sums are all alike: 9, 9, 9, 9" in folded


def test_an_identity_that_does_not_hold_says_so() -> None:
    at = open_page(operation="resize_conv2d", size="3", kernel="1", padding="2")
    assert "With padding up to 0 the two are the same." in words(at)
    stretched = open_page(operation="conv_transpose2d", stride="1", dilation="3", output_padding="2")
    assert "no convolution's gradient" in words(stretched)


def test_answers_are_told_why() -> None:
    at = open_page(operation="conv_transpose2d")
    even = next(radio for radio in at.radio if "how many times as often" in radio.label)
    even.set_value("2").run()
    assert "rows and columns multiply" in at.info[0].value
    right = next(radio for radio in at.radio if "how many times as often" in radio.label)
    right.set_value("4").run()
    assert "The largest over the smallest: 4" in at.success[0].value
    at.button(key="ask_others").click().run()
    assert all(radio.value is None for radio in at.radio), "other questions begin unanswered"


class Bench:
    """The session as a callback of the bench finds it, without a browser."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **parameters: str) -> None:
        self.session: dict[str, Any] = {}
        monkeypatch.setattr(st, "session_state", self.session)
        state.take(parameters)
        self.origin = state.follow(state.case())

    def tell(self, **change: Any) -> None:
        self.session[state.BENCH] = SimpleNamespace(change={"origin": self.origin, **change})
        state.changed_on_bench()


def test_what_is_typed_is_taken_over_and_not_sent_back(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, operation="conv2d", size="2", kernel="2", padding="0")
    bench.tell(x=[5, 6, 7, 8], w=[1, 1, 1, 1], g=[1], direction="backward", view="matrix")
    assert state.case().x.tolist() == [[[5, 6], [7, 8]]]
    assert bench.session["w"] == "ones", "what was not changed stays what it was"
    assert (bench.session["direction"], bench.session["view"]) == ("backward", "matrix")
    assert state.follow(state.case()) == bench.origin, "the browser has these numbers"
    bench.session["x"] = "ones"
    assert state.follow(state.case()) == bench.origin + 1, "these it does not have"


@pytest.mark.parametrize(
    "change",
    [
        {"origin": -1, "x": [5, 6, 7, 8]},
        {"x": [5, 6, 7]},
        {"x": None},
        {"direction": "sideways", "view": "none"},
    ],
)
def test_what_does_not_fit_what_is_shown_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    bench = Bench(monkeypatch, operation="conv2d", size="2", kernel="2", padding="0")
    before = state.link_of(state.case())
    bench.tell(**change)
    assert state.link_of(state.case()) == before


def test_numbers_no_cell_takes_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, operation="conv2d", size="2", kernel="2", padding="0")
    bench.tell(x=[1e9, float("nan"), -1e9, 3])
    assert state.case().x.ravel().tolist() == [1000, 0, -1000, 3]


def test_a_link_of_any_numbers_can_be_read_again() -> None:
    numbers = np.random.default_rng(0).normal(scale=100, size=64)
    again = state.read_numbers(state.write_numbers(numbers))
    assert again is not None
    assert (again == numbers).all()
    assert state.read_numbers("") is None
    assert state.read_numbers("1__2") is None


def test_the_case_of_the_page_is_the_case_of_the_package() -> None:
    at = open_page(operation="conv_transpose2d", size="3", kernel="3", stride="2", padding="1", x="step", w="blur")
    setting = Setting(operation="conv_transpose2d", size=3, kernel=3, stride=2, padding=1)
    case = Case.from_presets(setting, x="step", kernel="blur")
    assert sent(at)["x"] == case.x.ravel().tolist()
    assert sent(at)["stages"][0]["out"] == list(case.trace.result.shape)


@pytest.mark.parametrize(
    ("link", "direction", "pattern", "ratio"),
    [
        ({"operation": "conv_transpose2d"}, "forward", "4 2 / 2 1, again and again", "4"),
        ({"operation": "conv2d", "stride": "2"}, "backward", "4 2 / 2 1, again and again", "4"),
        ({"operation": "bed_of_nails"}, "forward", "1 0 / 0 0, again and again", "∞"),
        ({"operation": "max_pool2d"}, "forward", "1 1 / 1 1, again and again", "1"),
        ({"operation": "max_pool2d"}, "backward", "Here cells are written to 0 to 1 times", "∞"),
    ],
)
def test_what_is_said_of_overlaps_is_so(link: dict[str, str], direction: str, pattern: str, ratio: str) -> None:
    said = sent(open_page(**link))["periods"][direction]
    assert said["pattern"].endswith(pattern)
    assert said["ratio"] == ratio


def test_a_word_from_a_page_that_was_left_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, operation="conv2d", size="2", kernel="2", padding="0")
    bench.session.pop(state.BENCH, None)
    state.changed_on_bench()
    bench.session.pop("operation")
    bench.tell(x=[5, 6, 7, 8])


@pytest.mark.parametrize(
    "link",
    [
        {"operation": "conv2d", "size": "8", "kernel": "1", "stride": "5", "padding": "0"},
        {"operation": "avg_pool2d", "size": "8", "kernel": "1", "stride": "5", "padding": "0"},
        {"operation": "upsample_nearest", "size": "8", "factor": "3", "direction": "backward", "g": "digit"},
        {"operation": "max_unpool2d", "size": "8", "kernel": "5", "stride": "5", "direction": "backward"},
    ],
    ids=lambda link: link["operation"],
)
def test_settings_at_the_edge_of_the_dials_are_shown_whole(link: dict[str, str]) -> None:
    at = open_page(**link)
    assert not at.error
    assert len(at.radio) == 3
    assert float(metric(at, "Difference to torch").replace("−", "-")) < 1e-12


def test_the_way_back_of_a_maximum_is_told_for_the_numbers_shown() -> None:
    """Overlapping windows: many cells get nothing, some win several windows."""
    at = open_page(operation="max_pool2d", size="6", kernel="3", stride="1", direction="backward", view="overlap")
    assert metric(at, "Overlap, most : least") == "holes"
    assert sent(at)["periods"]["backward"]["ratio"] == "∞"
    assert sent(at)["periods"]["forward"]["ratio"] == "1"
    even = next(radio for radio in at.radio if "for the numbers shown" in radio.label)
    even.set_value("some cells are never written to").run()
    assert "Each window has one winner" in at.success[0].value
