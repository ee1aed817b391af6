"""The Train page's logic: the form follows the dials, the buttons write wishes, mistakes are told kindly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import opened
import pytest
from opened import everything_said, store_of_its_own
from streamlit.testing.v1 import AppTest

from aecore.models import ModelConfig
from aecore.runs.records import Snapshot, Stage
from aecore.runs.store import RunStore
from aecore.training import TrainConfig
from pages.ui import lab, run_stage


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunStore]:
    monkeypatch.setenv("AECORE_DATA", str(tmp_path / "no data here"))
    with store_of_its_own(tmp_path, monkeypatch) as runs:
        yield runs


open_page = partial(opened.open_page, "pages/1_Train.py")


def me(at: AppTest) -> str:
    return str(at.session_state["visitor"])


def a_run(store: RunStore, owner: str) -> str:
    return store.create(model=ModelConfig(), training=TrainConfig(), dataset="digits", owner=owner)


def test_it_opens_on_built_in_images_when_nothing_was_downloaded(store: RunStore) -> None:
    at = open_page()
    assert not at.exception
    assert at.selectbox(key="dataset").value == "digits"
    assert not at.button(key="train").disabled
    assert all(at.button(key=name).disabled for name in ("pause", "step", "stop"))
    assert store.runs() == []


def test_every_plain_dial_has_a_widget_with_its_help() -> None:
    at = open_page()
    for config in (ModelConfig, TrainConfig):
        for name, dial in config.dials().items():
            if config().matters(name):
                assert at.get_by_key(name).help == dial.help, name


def test_dials_that_do_not_matter_are_not_shown() -> None:
    at = open_page()
    at.get_by_key("body").set_value("linear").run()
    for name in ("upsample", "downsample", "channels", "activation"):
        with pytest.raises(KeyError):
            at.get_by_key(name)


def test_train_puts_what_the_form_says_into_the_queue(store: RunStore) -> None:
    at = open_page()
    at.get_by_key("body").set_value("mlp").run()
    at.number_input(key="latent_dim").set_value(7)
    at.button(key="train").click().run()
    assert not at.exception
    (run,) = store.runs()
    assert (run.model.body, run.model.latent_dim, run.dataset, run.owner) == ("mlp", 7, "digits", me(at))
    assert run.training == TrainConfig(budget=100)
    assert at.query_params["run"] == [run.id] or at.query_params["run"] == run.id
    assert lab.executor().nudges >= 1
    assert at.button(key="train").disabled
    assert "number 1 in the queue" in everything_said(at)


def test_the_buttons_write_what_is_wanted(store: RunStore) -> None:
    at = open_page()
    at.button(key="train").click().run()
    (run,) = store.runs()
    store.report(run.id, state="running")
    at.button(key="pause").click().run()
    assert store.get(run.id).wanted == "pause"
    store.report(run.id, state="paused")
    at.run()
    at.button(key="step").click().run()
    at.button(key="step").click().run()
    assert (store.get(run.id).wanted, store.get(run.id).step_requests) == ("pause", 2)
    at.button(key="resume").click().run()
    assert (store.get(run.id).wanted, store.get(run.id).step_requests) == ("run", 0)
    at.button(key="stop").click().run()
    assert store.get(run.id).wanted == "stop"


def a_running_run(store: RunStore) -> str:
    run_id = a_run(store, owner="somebody")
    store.set_stage(run_id, Stage(np.zeros((1, 1, 2, 2), np.uint8), np.zeros(1, np.int64)))
    store.report(run_id, state="running", total_steps=100)
    return run_id


def train_until(store: RunStore, run_id: str, *steps: int) -> None:
    """Report as a worker does, at each of these steps."""
    for step in steps:
        values = {"epoch": step / 10, "loss": 1.0, "seconds": 0.1, "images_per_second": 100.0}
        pictures = np.full((1, 1, 2, 2), step, np.uint8)
        snapshot = Snapshot(step, pictures, np.zeros((0, 2), np.float32))
        store.report(run_id, step=step, points=[(step, "train", values)], snapshot=snapshot)


def sent(at: AppTest, component: str) -> Any:
    """What a component of the page was given; None if it is not there."""
    found = [part.proto for part in at.get("bidi_component") if part.proto.component_name == component]
    return json.loads(found[0].json) if found else None


def steps_told(at: AppTest) -> list[str]:
    moments, _ = sent(at, "live_line")
    return [text.split("step **")[1].split("**")[0] for text in moments]


def test_what_was_reported_since_the_last_look_is_shown_moment_by_moment(store: RunStore) -> None:
    run_id = a_running_run(store)
    train_until(store, run_id, 1, 2, 3)
    at = open_page(run=run_id)
    assert not at.exception
    assert "step **3**" in everything_said(at), "nothing of what was before the visitor came"
    assert sent(at, "image_strip")[0]["earlier"] == []
    train_until(store, run_id, 4, 5, 6)
    at.run()
    assert steps_told(at) == ["4", "5", "6"]
    [strip] = sent(at, "image_strip")
    assert [moment["captions"] for moment in strip["earlier"]] == [[f"{(step / 255) ** 2:.3g}"] for step in (4, 5)]
    assert [set(moment["rows"]) for moment in strip["earlier"]] == [{"reconstruction", "difference"}] * 2
    assert strip["captions"] == [f"{(6 / 255) ** 2:.3g}"]
    at.run()
    assert steps_told(at) == ["6"], "seen is seen"
    train_until(store, run_id, *range(7, 50))
    at.run()
    assert steps_told(at) == [str(step) for step in range(50 - run_stage.MOST_MOMENTS, 50)], (
        "no more than can be followed"
    )


def test_a_run_that_holds_still_is_shown_as_it_is(store: RunStore) -> None:
    run_id = a_running_run(store)
    train_until(store, run_id, 1)
    at = open_page(run=run_id)
    train_until(store, run_id, 2, 3)
    at.run()
    assert steps_told(at) == ["2", "3"]
    store.report(run_id, state="paused")
    at.run()
    assert sent(at, "live_line") is None
    assert "step **3**" in everything_said(at)
    assert sent(at, "image_strip")[0]["earlier"] == []


def test_a_run_is_looked_at_more_often_when_something_else_is_expected_of_it(store: RunStore) -> None:
    run_id = a_run(store, owner="somebody")
    queued = store.get(run_id)
    running = replace(queued, state="running", has_checkpoint=True)
    assert run_stage.look_every(None) is None
    assert run_stage.look_every(replace(queued, state="finished")) is None
    assert run_stage.look_every(running) == run_stage.FILM
    assert run_stage.look_every(replace(running, has_checkpoint=False)) == run_stage.FIRST_FILMS < run_stage.FILM
    assert run_stage.look_every(replace(running, progress=0.95)) == run_stage.FIRST_FILMS
    for waiting in (queued, replace(running, wanted="stop"), replace(running, state="paused", wanted="pause")):
        assert run_stage.look_every(waiting) == run_stage.WAIT < run_stage.FIRST_FILMS


def test_a_link_lets_others_watch_but_not_steer(store: RunStore) -> None:
    run_id = a_run(store, owner="somebody else")
    store.report(run_id, state="running")
    at = open_page(run=run_id)
    assert not at.exception
    assert "somebody else's run" in everything_said(at)
    assert all(at.button(key=name).disabled for name in ("train", "pause", "step", "stop"))
    at.button(key="new").click().run()
    assert not at.button(key="train").disabled, "one of my own is a click away"


def test_the_limit_is_told_and_nothing_is_lost(store: RunStore) -> None:
    at = open_page()
    for _ in range(2):
        a_run(store, owner=me(at))
    at.number_input(key="latent_dim").set_value(5)
    at.button(key="train").click().run()
    assert len(store.runs()) == 2
    assert "2 unfinished runs" in everything_said(at)
    assert at.number_input(key="latent_dim").value == 5


def test_an_unknown_run_is_a_fresh_start() -> None:
    at = open_page(run="nosuchrun")
    assert not at.exception
    assert "no run 'nosuchrun'" in everything_said(at)
    assert not at.button(key="train").disabled


def test_a_loss_that_does_not_fit_is_told_before_training() -> None:
    at = open_page()
    at.get_by_key("body").set_value("linear").run()
    at.get_by_key("loss").set_value("bce").run()
    assert not at.exception
    assert "between 0 and 1" in everything_said(at)
    assert at.button(key="train").disabled


def test_a_failed_run_says_why_and_can_be_resumed(store: RunStore) -> None:
    at = open_page()
    at.button(key="train").click().run()
    (run,) = store.runs()
    store.release(run.id, "failed", "The worker process died (signal SIGKILL).")
    at.run()
    assert "SIGKILL" in everything_said(at)
    at.button(key="resume").click().run()
    assert store.get(run.id).state == "queued"


def test_the_form_takes_over_the_settings_of_a_run(store: RunStore) -> None:
    run_id = store.create(
        model=ModelConfig(body="mlp", latent_dim=9, image_shape=(1, 8, 8)),
        training=TrainConfig(budget=77, budget_unit="steps"),
        dataset="digits8",
        owner="somebody else",
    )
    at = open_page(run=run_id)
    at.button(key="copy").click().run()
    assert at.selectbox(key="dataset").value == "digits8"
    assert (at.number_input(key="latent_dim").value, at.number_input(key="budget").value) == (9, 77)


def test_the_budget_follows_the_images() -> None:
    at = open_page()
    at.selectbox(key="dataset").set_value("shapes").run()
    assert at.number_input(key="budget").value == 15  # 300,000 images of 20,000


def test_images_that_are_not_there_say_what_they_will_cost() -> None:
    at = open_page()
    at.selectbox(key="dataset").set_value("cifar10").run()
    assert not at.exception
    assert "170 MB" in everything_said(at)


def test_a_run_is_deleted_from_the_shelf(store: RunStore) -> None:
    at = open_page()
    run_id = a_run(store, owner=me(at))
    store.ask_stop(run_id)
    at.run()
    at.button(key=f"delete_{run_id}").click().run()
    assert store.runs() == []


def test_the_shape_and_the_code_of_the_network_are_shown() -> None:
    at = open_page()
    assert {metric.label for metric in at.metric} >= {"Parameters", "Work for one image", "Code"}
    assert not at.code, "drawn only when it is looked at"
    at.session_state["network_tabs"] = "PyTorch code"
    at.run()
    assert "nn.Sequential" in at.code[0].value


def test_without_a_network_the_lab_goes_on_with_built_in_images(store: RunStore) -> None:
    at = open_page()
    at.selectbox(key="dataset").set_value("mnist").run()
    at.button(key="train").click().run()
    (run,) = store.runs()
    store.release(run.id, "failed", "MNIST could not be downloaded. Ready to use now: digits.")
    at.run()
    assert "could not be downloaded" in everything_said(at)
    at.button(key="built_in").click().run()
    assert at.selectbox(key="dataset").value == "digits"
    assert not at.button(key="train").disabled
