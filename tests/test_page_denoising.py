"""The Denoising page: never empty, the browser is not believed blindly, filters answer, the form trains denoisers."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import opened
import pytest
import streamlit as st
import torch
from little_runs import claim
from opened import everything_said, store_of_its_own

from aecore import pretrained
from aecore.analysis.denoising import DENOISERS, curve_strengths, denoising_curve, psnr_per_image
from aecore.data.image_dataset import to_stored, to_unit
from aecore.models import ModelConfig
from aecore.noise import CORRUPTIONS, NoiseConfig, corrupt
from aecore.runs.store import RunStore
from aecore.runs.worker import work
from aecore.training import TrainConfig
from pages.ui.chooser import YOURS
from pages.ui.denoising import bench, choices

LITTLE = ModelConfig(image_shape=(1, 8, 8), body="mlp", hidden_units=16, latent_dim=4)
NOISY = TrainConfig(
    budget=6,
    budget_unit="steps",
    batch_size=32,
    evaluation_images=64,
    evaluate_every=3,
    noise=NoiseConfig(corruption="masking", strength=0.5),
)
QUESTION: dict[str, Any] = {
    "corruption": "gaussian", "strength": 0.3, "seed": 4, "clip": True, "picture": {"example": 2},
}  # fmt: skip


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunStore]:
    with store_of_its_own(tmp_path, monkeypatch) as runs:
        yield runs


open_page = partial(opened.open_page, "pages/4_Denoising.py")


def test_it_opens_with_a_shipped_denoiser() -> None:
    at = open_page()
    assert not at.exception
    assert at.selectbox(key="denoiser").value in pretrained.TWINS.values()
    assert "with noise **" in everything_said(at)
    assert "without noise **" in everything_said(at)


def test_without_shipped_denoisers_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "shipped_names", lambda *_: [])
    at = open_page()
    assert not at.exception
    assert "There is no trained denoiser in this copy of the lab" in everything_said(at)
    assert at.button(key="train")


def test_the_form_trains_a_denoiser(store: RunStore) -> None:
    at = open_page()
    at.selectbox(key="dataset").set_value("digits").run()
    assert at.selectbox(key="corruption").value == "gaussian"
    at.selectbox(key="corruption").set_value("gaussian_blur").run()
    low, high = at.slider(key="noise_strengths").value
    assert (low, high) == (0, CORRUPTIONS["gaussian_blur"].usual), "another noise has another unit"
    at.slider(key="noise_strengths").set_range(1.0, 2.0).run()
    at.toggle(key="clip").set_value(False).run()
    at.button(key="train").click().run()
    (run,) = store.runs()
    noise = run.training.noise
    assert (noise.corruption, noise.range(), noise.clip) == ("gaussian_blur", (1.0, 2.0), False)


def test_a_run_that_has_ended_stands_on_the_bench(store: RunStore) -> None:
    run_id = store.create(model=LITTLE, training=NOISY, dataset="digits8", owner="somebody")
    assert claim(store) == run_id
    work(store, run_id)
    at = open_page(run=run_id)
    assert not at.exception
    assert at.selectbox(key="denoiser").value == YOURS
    assert "Masking 0.5 of the pixels" in at.selectbox(key="denoiser").options[0]
    at.selectbox(key="denoiser").set_value("digits-denoiser").run()
    assert not at.exception
    assert at.selectbox(key="denoiser").value == "digits-denoiser", "the choice is not taken back"


@pytest.mark.parametrize(
    "said",
    [
        None,
        "gaussian",
        {},
        {**QUESTION, "corruption": "nosuch"},
        {**QUESTION, "strength": "much"},
        {**QUESTION, "picture": None},
        {**QUESTION, "picture": {"own": 1}},
        {**QUESTION, "seed": float("inf")},
    ],
)
def test_nonsense_from_the_browser_changes_nothing(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    state: dict[str, Any] = {bench.QUESTION: QUESTION, bench.BENCH: type("Result", (), {"asked": said})()}
    monkeypatch.setattr(st, "session_state", state)
    bench._note()
    assert state[bench.QUESTION] == QUESTION


def test_what_is_out_of_range_is_brought_back(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {**QUESTION, "strength": 99, "seed": -3, "picture": {"example": 1000}}
    state: dict[str, Any] = {bench.BENCH: type("Result", (), {"asked": said})()}
    monkeypatch.setattr(st, "session_state", state)
    bench._note()
    question = state[bench.QUESTION]
    assert (question["strength"], question["seed"]) == (1.0, 0)
    assert question["picture"] == {"example": bench.EXAMPLES - 1}


@pytest.mark.parametrize("pixels", ["", "?", base64.b64encode(b"short").decode(), "AAAA" * 2000])
def test_a_picture_of_another_size_is_not_taken(pixels: str) -> None:
    assert bench._own_pixels({"own": 1, "pixels": pixels}, 784) is None


def test_a_picture_out_of_range_is_not_taken() -> None:
    for wrong in (np.nan, np.inf, -0.1, 1.1):
        values = np.full(784, 0.5, "<f4")
        values[7] = wrong
        assert bench._own_pixels({"pixels": base64.b64encode(values.tobytes()).decode()}, 784) is None


def test_links_that_do_not_fit_open_what_is_usual() -> None:
    at = open_page(noise="snow", level="loud", draw="nan", picture="99", denoiser="nosuch")
    assert not at.exception
    assert at.session_state[bench.QUESTION] == {
        "corruption": "gaussian",
        "strength": 0.3,
        "seed": 0,
        "clip": True,
        "picture": {"example": 9},
    }
    assert at.selectbox(key="denoiser").value != "nosuch"


@pytest.mark.parametrize("corruption", ["gaussian", "occlusion"])
def test_the_answer_is_the_best_of_the_filters(corruption: str) -> None:
    choice = choices.choose("digits-denoiser", None)
    question = {**QUESTION, "corruption": corruption, "strength": 0.305}
    answer = bench.answer(choice, question)
    assert answer is not None
    about = CORRUPTIONS[corruption]
    places = round((about.high - about.low) / about.step) + 1
    assert len(answer["best"]) == len(answer["places"]) == places + 1
    assert answer["places"][-1] == question["strength"], "the strength asked about, wherever it is"
    curves = choices.filter_curves("digits", corruption)
    assert curves is not None
    clean = to_unit(torch.from_numpy(bench.example_images("digits")[[2]]))
    images = np.frombuffer(base64.b64decode(answer["images"]), np.uint8).reshape(places + 1, 1, 28, 28)
    for place in (0, 9, 18, places):
        strength = answer["places"][place]
        noisy = corrupt(clean, corruption, strength, generator=torch.Generator().manual_seed(4), clip=True)
        nearest = int(np.abs(np.asarray(curves["strengths"]) - strength).argmin())
        estimates = {
            name: denoiser(noisy, curves["settings"].get(name, [0.0] * 99)[nearest])
            for name, denoiser in DENOISERS.items()
            if name != "identity"
        }
        scores = {name: float(psnr_per_image(estimate, clean)) for name, estimate in estimates.items()}
        best = answer["best"][place]
        assert scores[best] == max(scores.values())
        assert {name: values[place] for name, values in answer["psnr"].items()} == pytest.approx(scores, abs=1e-3)
        assert (images[place] == to_stored(estimates[best]).numpy()[0]).all()


def test_filters_are_measured_where_the_lab_ships_no_curves(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: DENOISERS[name] for name in ("identity", "median")}
    monkeypatch.setattr(choices, "DENOISERS", few)
    monkeypatch.setattr(choices, "FEW", 10)
    st.cache_resource.clear()
    run_id = store.create(model=LITTLE, training=NOISY, dataset="digits8", owner="somebody")
    claim(store)
    work(store, run_id)
    at = open_page(run=run_id)
    assert not at.exception
    curves = choices.filter_curves("digits8", "masking")
    assert curves is not None
    assert set(curves["rows"]) == set(few)
    assert curves["images"] == 10
    choice = choices.choose(YOURS, store.get(run_id))
    everything = choices.curves_of(choice, "masking")
    assert everything is not None
    assert set(everything["rows"]) == {YOURS, *few}
    st.cache_resource.clear()


def test_what_the_browser_gets_is_json_and_complete() -> None:
    choice = choices.choose("digits-denoiser", None)
    sent = bench.payload(choice, QUESTION)
    json.dumps(sent)
    assert {corruption["name"] for corruption in sent["corruptions"]} == set(CORRUPTIONS) == set(sent["draws"])
    for corruption, curves in sent["measured"].items():
        wanted = {choice.key, choice.twin, *DENOISERS}
        assert set(curves["rows"]) == wanted, corruption
        assert wanted <= set(sent["titles"]) & set(sent["lines"])
        assert all(
            len(values) == len(curves["strengths"]) for row in curves["rows"].values() for values in row.values()
        )


def test_measuring_goes_on_where_it_was_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    st.cache_resource.clear()
    monkeypatch.setattr(choices, "DENOISERS", {"identity": DENOISERS["identity"]})
    asked: list[float] = []

    def measure(*arguments: Any, **about: Any) -> Any:
        asked.extend(arguments[3])
        if len(asked) == 3:
            raise InterruptedError
        return denoising_curve(*arguments, **about)

    monkeypatch.setattr(choices, "denoising_curve", measure)
    with pytest.raises(InterruptedError):
        choices.measure_filters("digits8", "masking")
    assert choices.filter_curves("digits8", "masking") is None
    choices.measure_filters("digits8", "masking")
    strengths = curve_strengths("masking")
    assert asked == [*strengths[:3], *strengths[2:]], "nothing is measured twice"
    curves = choices.filter_curves("digits8", "masking")
    assert curves is not None
    assert curves["strengths"] == strengths
    st.cache_resource.clear()


def test_a_link_may_name_a_network() -> None:
    at = open_page(denoiser="digits-denoiser-twin")
    assert at.selectbox(key="denoiser").value == "digits-denoiser-twin"
    assert at.query_params["denoiser"] == "digits-denoiser-twin"


def test_strengths_of_nothing_are_refused_with_what_to_do() -> None:
    at = open_page()
    at.slider(key="noise_strengths").set_range(0.0, 0.0).run()
    assert "Strengths from 0 to 0 are no noise at all" in everything_said(at)
    assert at.button(key="train").disabled
    at.button(key="defaults").click().run()
    assert at.selectbox(key="corruption").value == "gaussian", "what this page begins with"
    assert at.slider(key="noise_strengths").value == (0, CORRUPTIONS["gaussian"].usual)
    assert not at.button(key="train").disabled


def test_a_picture_of_ones_own_is_answered_as_any_other_and_kept_by_the_session_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    choice = choices.choose("digits-denoiser", None)
    wanted = bench.answer(choice, QUESTION)
    assert wanted is not None
    pixels = to_unit(torch.from_numpy(bench.example_images("digits")[[2]])).numpy().tobytes()
    state: dict[str, Any] = {}
    monkeypatch.setattr(st, "session_state", state)
    monkeypatch.setattr(bench, "_filtered", None)  # the cache of all visitors
    mine = {**QUESTION, "picture": {"own": 3, "pixels": base64.b64encode(pixels).decode()}}
    answer = bench.answer(choice, mine)
    assert answer is not None
    assert answer["question"]["picture"] == {"own": 3}
    assert {key: answer[key] for key in ("best", "images", "psnr")} == {
        key: wanted[key] for key in ("best", "images", "psnr")
    }
    monkeypatch.setattr(bench, "_filter", None)
    assert bench.answer(choice, mine) == answer, "the latest is not worked out again"
