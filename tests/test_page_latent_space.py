"""The Latent Space page: never empty, the browser is not believed blindly, runs on the map live and afterwards."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import opened
import pytest
import streamlit as st
import torch
from little_runs import claim, until
from opened import everything_said, store_of_its_own
from PIL import Image
from streamlit.testing.v1 import AppTest

from aecore import pretrained
from aecore.analysis.latent import Box, box_of, decode_all, decode_grid
from aecore.analysis.neighbours import knn_accuracy, nearest_images
from aecore.data import load_dataset
from aecore.data.image_dataset import to_stored
from aecore.errors import AecoreError
from aecore.metrics import active_units
from aecore.models import ModelConfig
from aecore.runs import worker
from aecore.runs.records import GRID_SIDE
from aecore.runs.store import RunStore
from aecore.runs.worker import work
from aecore.training import TrainConfig, encode
from pages.ui.chooser import YOURS
from pages.ui.latent import choices, codes, plane, replay
from pages.ui.latent import jobs as module
from pages.ui.latent.jobs import Jobs
from pages.ui.latent.measures import MOST_TEST, MOST_TRAINING, measured
from pages.ui.latent.pair import compared
from pages.ui.latent.plane import MOST_FRAMES, MOST_PINS

LITTLE = ModelConfig(image_shape=(1, 8, 8), body="mlp", hidden_units=16, latent_dim=2, bottleneck="variational")
SHORT = TrainConfig(budget=6, budget_unit="steps", batch_size=32, evaluation_images=64, evaluate_every=3)
PINS: dict[str, Any] = {"kind": "pins", "id": "3", "revision": "r", "codes": [[0.5, -1.0], [0.0, 2.0]]}


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunStore]:
    with store_of_its_own(tmp_path, monkeypatch) as runs:
        yield runs


open_page = partial(opened.open_page, "pages/5_Latent_Space.py")


def sent(at: AppTest, key: str = "latent_map") -> dict[str, Any]:
    """What the map of that key was sent."""
    found = [part for part in at.get("bidi_component") if key in part.proto.id and "kept" not in part.proto.id]
    [data] = json.loads(found[0].proto.json)
    return dict(data)


def carried_out(store: RunStore, monkeypatch: pytest.MonkeyPatch, model: ModelConfig = LITTLE) -> str:
    """A run that has ended, with a snapshot for each step."""
    monkeypatch.setattr(worker, "REPORT_EVERY", 0.0)
    run_id = store.create(model=model, training=SHORT, dataset="digits8", owner="somebody")
    assert claim(store) == run_id
    work(store, run_id)
    return run_id


def test_it_opens_with_a_shipped_network_on_the_map() -> None:
    at = open_page(map="digits-vae")
    assert not at.exception
    assert at.selectbox(key="map").value == "digits-vae"
    data = sent(at)
    assert data["latent_dim"] == 2
    assert data["codes"]["shape"] == [len(data["labels"]), 2]
    assert data["deviations"]["shape"] == data["codes"]["shape"]
    assert data["prior"]
    assert data["names"] == [str(digit) for digit in range(10)]


def test_every_shipped_network_whose_pictures_are_here_can_be_chosen() -> None:
    titles = choices.titles(None)
    from aecore.data import is_available

    here = {name for name in pretrained.shipped_names() if is_available(pretrained.RECIPES[name].dataset)}
    assert set(titles) == here
    assert len(set(titles.values())) == len(titles), "no two are called alike"
    assert next(iter(titles)).endswith("-vae")


@pytest.mark.parametrize("name", ["digits-conv", "digits-linear", "shapes-nearest", "digits-vae-10"])
def test_networks_of_other_kinds_are_drawn_too(name: str) -> None:
    at = open_page(map=name)
    assert not at.exception
    data = sent(at)
    assert set(data["views"]) == {"pca", "tsne", "umap"}
    assert len(data["views"]["pca"]["plane"]["origin"]) == data["latent_dim"]
    assert sorted(data["order"]) == list(range(data["latent_dim"]))


def test_without_networks_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "shipped_names", lambda *_: [])
    at = open_page()
    assert not at.exception
    assert "There is no trained network in this copy of the lab" in everything_said(at)
    assert at.button(key="train")


def test_the_form_begins_with_a_variational_code_of_two_numbers(store: RunStore) -> None:
    at = open_page()
    at.selectbox(key="dataset").set_value("digits").run()
    at.button(key="train").click().run()
    (run,) = store.runs()
    assert (run.model.body, run.model.latent_dim, run.model.bottleneck) == ("mlp", 2, "variational")


def test_a_run_that_goes_on_moves_the_map(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = carried_out(store, monkeypatch)
    monkeypatch.setattr(RunStore, "get", running(store.get))
    at = open_page(run=run_id)
    assert not at.exception
    data = sent(at)
    assert data["caption"].startswith("In training")
    snapshot = store.snapshot(run_id)
    assert snapshot is not None
    shown = np.frombuffer(base64.b64decode(data["codes"]["data"]), "<f4").reshape(-1, 2)
    assert (shown == snapshot.codes).all()
    assert len(data["labels"]) == len(shown)


def running(get: Any) -> Any:
    """As if what has ended were still going on."""
    return lambda _, run_id: dataclasses.replace(get(run_id), state="running")


def test_a_run_that_has_ended_stands_on_the_map_with_its_replay(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = carried_out(store, monkeypatch)
    at = open_page(run=run_id)
    assert not at.exception
    assert at.selectbox(key="map").value == YOURS
    data = sent(at)
    packed = replay.replay_of(store.get(run_id))
    assert packed is not None
    assert data["replay"] == packed["digest"]
    steps = store.snapshot_steps(run_id)
    assert packed["steps"] == steps == list(range(7))
    at.selectbox(key="map").set_value("digits-vae").run()
    assert at.selectbox(key="map").value == "digits-vae", "the choice is not taken back"


def test_the_replay_is_what_the_snapshots_hold(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = carried_out(store, monkeypatch)
    packed = replay.replay_of(store.get(run_id))
    assert packed is not None
    shots = [store.snapshot(run_id, at=step) for step in packed["steps"]]
    for number, shot in enumerate(shots):
        assert shot is not None
        assert shot.grid is not None
        grids = np.frombuffer(base64.b64decode(packed["grids"]["data"]), np.uint8).reshape(packed["grids"]["shape"])
        assert (grids[number] == shot.grid).all()
        assert packed["boxes"][number] == shot.box.tolist() if shot.box is not None else False
    # the last grid is what the trained decoder makes of the middles of the cells
    choice = choices.of_run(store.get(run_id))
    assert choice is not None
    last = shots[-1]
    assert last is not None
    whole = box_of(torch.from_numpy(last.codes), margin=0.1)
    half = (whole.high - whole.low) / (2 * GRID_SIDE)
    _, pictures = decode_grid(choice.model, GRID_SIDE, box=Box(whole.low + half, whole.high - half))
    assert last.grid is not None
    assert np.abs(to_stored(pictures).numpy().astype(int) - last.grid.astype(int)).max() <= 1


def test_a_replay_is_thinned_to_what_a_browser_takes(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = carried_out(store, monkeypatch)
    monkeypatch.setattr(replay, "MOMENTS", 3)
    packed = replay.replay_of(store.get(run_id))
    assert packed is not None
    assert packed["steps"] == [0, 3, 6]


def test_runs_with_larger_codes_have_no_replay(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = carried_out(store, monkeypatch, dataclasses.replace(LITTLE, latent_dim=4))
    assert replay.replay_of(store.get(run_id)) is None
    at = open_page(run=run_id)
    assert not at.exception
    assert sent(at)["replay"] == ""


def test_a_run_taken_off_the_stage_leaves_the_map_to_a_shipped_network(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = carried_out(store, monkeypatch)
    at = open_page(run=run_id)
    assert at.selectbox(key="map").value == YOURS
    at.button(key="new").click().run()
    assert not at.exception
    assert at.selectbox(key="map").value != YOURS
    assert sent(at)["revision"] == choices.shipped(at.selectbox(key="map").value).digest


def test_a_paused_run_is_not_looked_at_again_and_again(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = carried_out(store, monkeypatch)
    get = store.get
    monkeypatch.setattr(RunStore, "get", lambda _, name: dataclasses.replace(get(name), state="paused"))
    at = open_page(run=run_id)
    assert not at.exception
    assert sent(at)["revision"] == run_id
    assert not at.session_state["map_busy"]


def test_codes_that_are_no_numbers_are_told_once(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = carried_out(store, monkeypatch, dataclasses.replace(LITTLE, latent_dim=4))
    choice = choices.of_run(store.get(run_id))
    assert choice is not None
    for parameter in choice.model.bottleneck.parameters():
        parameter.data.fill_(float("nan"))
    with pytest.raises(AecoreError, match="no finite numbers"):
        until(lambda: measured(choice), "the trouble")


def test_coming_back_to_the_page_finds_the_network_that_was_on_the_map() -> None:
    at = open_page(map="digits-plane")
    at.switch_page("pages/1_Train.py").run()
    at.query_params.clear()
    at.switch_page("pages/5_Latent_Space.py").run()
    assert at.selectbox(key="map").value == "digits-plane"


# ---- what the browser asks ----------------------------------------------------------------------------------------


def note(said: Any, monkeypatch: pytest.MonkeyPatch, known: dict[str, Any] | None = None) -> dict[str, Any]:
    state: dict[str, Any] = {"map": SimpleNamespace(asked=said), "map_question": known or {}}
    monkeypatch.setattr(st, "session_state", state)
    plane._note("map")
    return dict(state["map_question"])


@pytest.mark.parametrize(
    "said",
    [
        None,
        "pins",
        {},
        {**PINS, "kind": "nosuch"},
        {**{key: value for key, value in PINS.items() if key != "revision"}},
        {**PINS, "codes": None},
        {**PINS, "codes": [["a"]]},
        {**PINS, "codes": [[float("nan"), 0.0]]},
        {**PINS, "codes": [[1e30, 0.0]]},
        {"kind": "view", "id": "1", "revision": "r", "name": "nosuch"},
        {"kind": "view", "id": "1", "revision": "r"},
    ],
)
def test_nonsense_from_the_browser_changes_nothing(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"revision": "r", "pins": {"id": "1", "codes": [[0.0, 0.0]]}}
    assert note(said, monkeypatch, known) == known


def test_what_it_asks_is_kept_by_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"kind": "view", "id": "1", "revision": "r", "name": "umap"}
    assert note({**asked, "name": "units"}, monkeypatch)["view"] == "units", (
        "a map built anew begins with what was on show"
    )
    question = note(asked, monkeypatch, note(PINS, monkeypatch))
    assert question == {"revision": "r", "pins": {"id": "3", "codes": PINS["codes"]}, "view": "umap"}
    assert note({**asked, "name": "tsne"}, monkeypatch, question)["view"] == "tsne", "only what is on show is made"
    other = note({**asked, "revision": "another"}, monkeypatch, question)
    assert other == {"revision": "another", "view": "umap"}, "what was asked on another map is forgotten"


def test_no_more_is_taken_than_a_page_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [[0.0, 0.0]] * 99
    assert len(note({**PINS, "codes": many}, monkeypatch)["pins"]["codes"]) == MOST_PINS
    assert len(note({**PINS, "kind": "gif", "codes": many}, monkeypatch)["gif"]["codes"]) == MOST_FRAMES


def test_a_pin_is_told_the_nearest_training_picture() -> None:
    choice = choices.shipped("digits-vae")
    question = {"pins": {"id": "3", "codes": PINS["codes"]}}
    told = until(lambda: plane._answers(choice, question)["nearest"], "the nearest pictures")
    assert told["id"] == "3"
    stored = load_dataset("digits").train
    distances, who = nearest_images(decode_all(choice.model, torch.tensor(PINS["codes"])), stored)
    for found, distance, index in zip(told["found"], distances[:, 0], who[:, 0], strict=True):
        assert found["mse"] == pytest.approx(float(distance))
        assert base64.b64decode(found["picture"]) == stored[index].numpy().tobytes()


def test_a_path_is_answered_with_a_gif() -> None:
    choice = choices.shipped("digits-vae")
    told = plane._answers(choice, {"gif": {"id": 4, "codes": [[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]]}})["gif"]
    assert told["name"] == "path.gif"
    assert Image.open(io.BytesIO(base64.b64decode(told["data"]))).size == (224, 224)


def test_questions_about_another_network_are_not_answered() -> None:
    choice = choices.shipped("digits-vae-10")
    told = plane._answers(choice, {"pins": PINS, "gif": PINS})
    assert told == {"nearest": None, "gif": None, "waiting_for_pins": False}, "and nobody waits for an answer"


@pytest.mark.parametrize(
    ("pins", "wanted"),
    [
        ("1,2", [[1.0, 2.0]]),
        ("1,2;-0.5,3", [[1.0, 2.0], [-0.5, 3.0]]),
        ("", []),
        ("a,b;1", []),
        ("nan,1;inf,2;1e9,0;1,2,3", []),
        (";".join(["0,0"] * 20), [[0.0, 0.0]] * MOST_PINS),
    ],
)
def test_links_bring_pins(pins: str, wanted: list[list[float]]) -> None:
    at = open_page(map="digits-vae", pins=pins)
    assert not at.exception
    assert sent(at)["start"]["pins"] == wanted


def test_a_view_is_worked_out_beside_the_page() -> None:
    st.cache_resource.clear()
    choice = choices.shipped("digits-vae-10")
    found = codes.codes_of(choice)
    wanted = {"view": "tsne"}
    first = plane._views(choice, found, wanted)
    assert first["tsne"]["state"] == "pending"
    assert first["umap"]["state"] == "", "what nobody wants is not made"
    done = until(
        lambda: (v := plane._views(choice, found, wanted)["tsne"])["state"] == "done" and v, "the view", seconds=120
    )
    assert done["points"]["shape"] == [len(found.values), 2]


# ---- codes and measures -------------------------------------------------------------------------------------------


def test_the_codes_are_the_encoders() -> None:
    choice = choices.shipped("digits-vae-10")
    found = codes.codes_of(choice)
    images = load_dataset("digits").test[: codes.MAP_IMAGES]
    assert np.array_equal(found.values, encode(choice.model, images).numpy())
    posterior = choice.model.posterior(images / 255)
    assert posterior is not None
    assert np.allclose(found.deviations, (posterior.log_variance / 2).exp().detach().numpy(), rtol=1e-4)
    kl = posterior.kl().double().mean(0).detach().numpy()
    assert np.allclose(found.amounts[1], kl, rtol=1e-4)
    assert found.order == np.argsort(-kl).tolist()
    inside = (found.values >= found.ranges[:, 0]) & (found.values <= found.ranges[:, 1])
    assert (inside.mean(0) > 0.97).all()


def test_the_measures_are_those_of_the_package() -> None:
    choice = choices.shipped("digits-vae")
    found = until(lambda: measured(choice), "the measures", seconds=120)
    digits = load_dataset("digits")
    train, test = encode(choice.model, digits.train[:MOST_TRAINING]), encode(choice.model, digits.test[:MOST_TEST])
    labels = digits.train_labels[:MOST_TRAINING], digits.test_labels[:MOST_TEST]
    assert found["knn"] == knn_accuracy(train, labels[0], test, labels[1])
    assert found["active"] == int(active_units(test).sum())
    assert 0 < found["covered"] < 1
    assert 0 <= found["nothing"] < 1


def test_the_measures_stand_below_the_map() -> None:
    choice = choices.shipped("digits-vae")
    until(lambda: measured(choice), "the measures", seconds=120)
    at = open_page(map="digits-vae")
    names = [metric.label for metric in at.metric]
    assert {"5 neighbours agree ↑", "Plane covered ↑", "Decodes to nothing ↓", "Active units"} <= set(names)


def test_known_factors_are_set_against_the_units() -> None:
    choice = choices.shipped("shapes-nearest")
    until(lambda: measured(choice), "the measures", seconds=120)
    at = open_page(map="shapes-nearest")
    assert not at.exception
    assert "What each unit follows" in everything_said(at)
    table = at.dataframe[0].value
    assert table.columns[0] == "unit"
    assert {"shape", "x", "y"} <= set(table.columns)


# ---- jobs ---------------------------------------------------------------------------------------------------------


def test_a_job_is_done_once_and_its_trouble_is_told() -> None:
    jobs, calls = Jobs(), []

    def work() -> int:
        calls.append(1)
        return 42

    def trouble() -> int:
        raise AecoreError("no such thing")

    assert until(lambda: jobs.ask("answer", work), "the answer") == 42
    assert jobs.ask("answer", work) == 42
    assert len(calls) == 1
    with pytest.raises(AecoreError, match="no such thing"):
        until(lambda: jobs.ask("trouble", trouble), "the trouble")


def test_what_failed_is_tried_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, answers = Jobs(), iter([AecoreError("out of memory"), 42])

    def work() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(AecoreError):
        until(lambda: jobs.ask("name", work), "the trouble")
    with pytest.raises(AecoreError):
        jobs.ask("name", work)  # at once it is only told again
    monkeypatch.setattr(module, "TROUBLE_KEPT", 0.0)
    assert until(lambda: jobs.ask("name", work), "the answer") == 42


def test_the_queue_takes_no_more_than_it_can_hold_and_forgets_what_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, gate, calls = Jobs(), Event(), []
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    try:
        for name in range(6):
            assert jobs.ask(name, lambda name=name: (gate.wait(30), calls.append(name))) is None
        assert len(jobs._futures) == 3
        jobs.forget(2)  # it has not begun
        jobs.forget(0)  # it has
        assert set(jobs._futures) == {0, 1}
    finally:
        gate.set()
    until(lambda: len(calls) == 2, "what was in the queue")
    assert calls == [0, 1]


def test_results_are_kept_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, calls = Jobs(), []
    monkeypatch.setattr(module, "KEPT", 2)
    for name in "abcab":
        until(lambda name=name: jobs.ask(name, lambda: calls.append(name) or name), "the answer")
    assert calls == list("abcab")
    assert len(jobs._futures) <= 3


def test_a_view_nobody_asks_for_any_more_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = Jobs()
    cloud = np.random.default_rng(0).normal(size=(3000, 5)).astype(np.float32)
    assert jobs.view("tsne", "a", cloud) is None
    first = jobs._views["a", "tsne"]
    monkeypatch.setattr(module, "ALONE", 0.0)
    assert jobs.view("pca", "b", cloud[:50]) is None
    assert not first.running
    assert list(jobs._views) == [("b", "pca")]
    until(lambda: jobs.view("pca", "b", cloud[:50]) is not None, "the other view", seconds=60)


def test_one_view_at_a_time_is_worked_out() -> None:
    jobs = Jobs()
    cloud = np.random.default_rng(0).normal(size=(400, 5)).astype(np.float32)
    assert jobs.view("pca", "a", cloud) is None
    assert jobs.view("pca", "b", cloud) is None
    assert len(jobs._views) == 1, "the second waits for the first"
    until(lambda: jobs.view("pca", "a", cloud) is not None, "the first view", seconds=120)
    assert jobs.view("pca", "b", cloud) is None
    assert len(jobs._views) == 2
    until(lambda: jobs.view("pca", "b", cloud) is not None, "the second view", seconds=120)


def test_the_pair_is_described_by_its_numbers() -> None:
    plain, variational = {"covered": 0.6, "nothing": 0.2}, {"covered": 0.8, "nothing": 0.1}
    assert "fill more than the plain ones (80 % against 60 %)" in compared(plain, variational)
    assert "decode to nothing on less than the plain ones (10 % against 20 %)" in compared(plain, variational)
    assert "fill less than the plain ones (60 % against 80 %)" in compared(variational, plain)
    assert "fill about as much as the plain ones (60 % against 60 %)" in compared(plain, {**plain, "nothing": 0.21})
