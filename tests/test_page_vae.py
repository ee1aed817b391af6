"""The VAE page: never empty, its numbers are torch's, the switch shows the collapse, the form trains VAEs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import opened
import pytest
import torch
from little_runs import claim
from opened import everything_said, store_of_its_own
from streamlit.testing.v1 import AppTest

from aecore import pretrained
from aecore.analysis.collapse import averaged_over_pixels
from aecore.data import load_dataset
from aecore.data.image_dataset import to_unit
from aecore.models import ModelConfig
from aecore.runs.store import RunStore
from aecore.runs.worker import work
from aecore.training import TrainConfig
from pages.ui.chooser import YOURS
from pages.ui.vae import bench, choices, notes, stage

LITTLE = ModelConfig(image_shape=(1, 8, 8), body="mlp", hidden_units=16, latent_dim=4, bottleneck="variational")
SHORT = TrainConfig(budget=6, budget_unit="steps", batch_size=32, evaluation_images=64, evaluate_every=2)
SHIPPED = "digits-vae-10"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunStore]:
    with store_of_its_own(tmp_path, monkeypatch) as runs:
        yield runs


open_page = partial(opened.open_page, "pages/6_VAE.py")


def finished(store: RunStore, model: ModelConfig = LITTLE, training: TrainConfig = SHORT, owner: str = "me") -> str:
    run_id = store.create(model=model, training=training, dataset="digits8", owner=owner)
    assert claim(store) == run_id
    work(store, run_id)
    assert store.get(run_id).state == "finished"
    return run_id


def equation(at: AppTest) -> str:
    return " ".join(str(part.proto.body) for part in at.get("html"))


def test_it_opens_with_a_shipped_model_and_its_numbers() -> None:
    at = open_page(vae=SHIPPED)
    assert not at.exception
    metrics = pretrained.load(SHIPPED).metrics
    for name in ("test_neg_elbo", "test_reconstruction_nats", "test_kl_nats"):
        assert f"{metrics[name]:.2f}" in equation(at), name
    assert f"All {metrics['active_units']} units are in use" in everything_said(at)
    assert "comes with the lab has no history" in everything_said(at)


def test_the_switch_shows_the_collapse_and_says_why() -> None:
    at = open_page(vae=SHIPPED)
    at.toggle(key="averaged").set_value(True).run()
    assert not at.exception
    metrics = pretrained.load(pretrained.AVERAGED[SHIPPED]).metrics
    assert f"{metrics['test_reconstruction_nats']:.2f}" in equation(at)
    (warning,) = at.warning
    assert "The code has collapsed" in warning.value
    assert "Beta is 784, the number of pixels" in warning.value
    at.toggle(key="averaged").set_value(False).run()
    assert not at.warning


def test_a_model_without_an_averaged_twin_cannot_be_switched() -> None:
    at = open_page(vae="digits-vae")
    assert at.toggle(key="averaged").disabled
    assert "has no averaged twin" in everything_said(at)


def test_without_shipped_models_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "shipped_names", lambda *_: [])
    at = open_page()
    assert not at.exception
    assert "There is no trained VAE in this copy of the lab" in everything_said(at)
    assert at.button(key="train")


def test_without_the_averaged_models_there_is_nothing_to_switch_to(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for name in pretrained.shipped_names() if not name.endswith("-averaged")]
    monkeypatch.setattr(pretrained, "shipped_names", lambda *_: names)
    at = open_page(vae=SHIPPED, averaged="true")
    assert not at.exception
    assert at.toggle(key="averaged").disabled
    assert not at.warning


def test_links_that_do_not_fit_open_what_is_usual() -> None:
    at = open_page(vae="nosuch", averaged="perhaps", run="nosuch")
    assert not at.exception
    assert at.selectbox(key="vae").value in choices.shipped()


def test_the_form_trains_a_vae(store: RunStore) -> None:
    at = open_page()
    at.selectbox(key="dataset").set_value("digits").run()
    at.button(key="train").click().run()
    (run,) = store.runs()
    assert (run.model.bottleneck, run.model.body, run.model.latent_dim) == ("variational", "mlp", 10)
    at.selectbox(key="bottleneck").set_value("plain").run()
    at.button(key="defaults").click().run()
    assert at.selectbox(key="bottleneck").value == "variational", "what this page begins with"


@pytest.mark.parametrize("name", notes.TRIALS)
def test_what_to_try_next_sets_the_form_up(name: str, store: RunStore) -> None:
    at = open_page(vae=SHIPPED)
    at.selectbox(key="dataset").set_value("digits").run()
    at.button(key=f"vae_try_{name}").click().run()
    assert not at.exception
    assert "The form below is set up" in everything_said(at)
    at.button(key="train").click().run()
    (run,) = store.runs()
    wanted = {"beta_4": (4.0, 0.0), "beta_tenth": (0.1, 0.0), "warmup_half": (1.0, 0.5), "averaged": (784.0, 0.0)}
    assert (run.model.beta, run.training.warmup) == wanted[name]
    assert run.model.bottleneck == "variational"


def test_a_run_that_has_ended_stands_on_the_stage(store: RunStore) -> None:
    run_id = finished(store)
    at = open_page(run=run_id)
    assert not at.exception
    assert at.selectbox(key="vae").value == YOURS
    assert "Your run: " in at.selectbox(key="vae").options[0]
    assert f"{store.get(run_id).metrics['test_neg_elbo']:.2f}" in equation(at)
    at.selectbox(key="vae").set_value(SHIPPED).run()
    assert not at.exception
    assert at.selectbox(key="vae").value == SHIPPED, "the choice is not taken back"


def test_the_history_of_a_run_is_that_of_its_looks(store: RunStore) -> None:
    training = replace(SHORT, warmup=0.5)
    run = store.get(finished(store, replace(LITTLE, beta=2.0), training))
    points = store.points(run.id)
    history = stage.history_of(run, points)
    looks = [point for point in points if point.kind == "test"]
    assert [now.step for now in history] == [point.step for point in looks] == [0, 2, 4, 6]
    assert [now.share for now in history] == pytest.approx([0, 2 / 3, 1, 1])
    for now, point in zip(history, looks, strict=True):
        assert now.loss == pytest.approx(point.values["loss"], rel=1e-5)
        assert sum(now.units) == pytest.approx(now.kl, abs=1e-6)


def test_a_plain_run_has_nothing_to_show_and_a_way_out(store: RunStore) -> None:
    at = open_page(run=finished(store, replace(LITTLE, bottleneck="plain")))
    assert not at.exception
    assert "no variational autoencoder" in everything_said(at)
    at.button(key="vae_set_up").click().run()
    assert not at.exception
    assert at.selectbox(key="bottleneck").value == "variational"


def test_the_same_run_can_be_trained_averaged_and_both_are_shown(store: RunStore) -> None:
    run_id = finished(store)
    at = open_page(run=run_id)
    at.button(key="vae_train_averaged").click().run()
    assert not at.exception
    (twin, _) = store.runs()
    assert twin.model == averaged_over_pixels(store.get(run_id).model)
    assert twin.training == store.get(run_id).training
    assert at.toggle(key="averaged").disabled, "not while it is trained"
    claim(store)
    work(store, twin.id)
    at.run()
    assert not at.exception
    assert "| 64 |" in everything_said(at)
    at.toggle(key="averaged").set_value(True).run()
    assert not at.exception
    assert f"{store.get(twin.id).metrics['test_reconstruction_nats']:.2f}" in equation(at)


def test_a_beta_too_large_to_be_averaged_is_told_kindly(store: RunStore) -> None:
    at = open_page(run=finished(store, replace(LITTLE, beta=50_000.0)))
    assert not at.exception
    at.button(key="vae_train_averaged").click().run()
    assert not at.exception
    assert len(store.runs()) == 1
    assert "beta" in " ".join(warning.value for warning in at.warning)


def test_a_squared_error_is_told_with_its_constant(store: RunStore) -> None:
    at = open_page(run=finished(store, training=replace(SHORT, loss="mse")))
    assert not at.exception
    assert "squared error" in equation(at)
    assert "a Gaussian's constant" in everything_said(at)


def test_a_training_that_went_astray_is_no_traceback(store: RunStore) -> None:
    run_id = store.create(
        model=replace(LITTLE, beta=100_000.0),
        training=replace(SHORT, learning_rate=10.0, optimiser="sgd", budget=40, evaluate_every=1),
        dataset="digits8",
        owner="me",
    )
    claim(store)
    work(store, run_id)
    at = open_page(run=run_id)
    assert not at.exception
    assert store.get(run_id).state != "running"


def test_every_shipped_model_can_be_chosen() -> None:
    at = open_page()
    for name in choices.shipped():
        at.selectbox(key="vae").set_value(name).run()
        assert not at.exception, name


def test_what_the_browser_gets_is_json_and_what_torch_says() -> None:
    choice = choices.choose(SHIPPED, None)
    sent = bench.payload(choice)
    json.dumps(sent)
    images = to_unit(pretrained.examples(load_dataset("digits")))
    with torch.inference_mode():
        posterior = choice.model.posterior(images)
    assert posterior is not None
    assert np.allclose(choice.means, posterior.mean.numpy(), atol=1e-6)
    assert np.allclose(choice.log_variances, posterior.log_variance.numpy(), atol=1e-6)
    assert sorted(sent["order"]) == list(range(10))
    kl = choice.account.units
    assert [kl[unit] for unit in sent["order"]] == sorted(kl, reverse=True)


def test_it_measures_what_the_card_says() -> None:
    for name in choices.shipped():
        metrics, account = pretrained.load(name).metrics, choices.choose(name, None).account
        assert account.negative_elbo == pytest.approx(metrics["test_neg_elbo"], rel=1e-4)
        assert sum(account.in_use) == metrics["active_units"]
        assert account.blank is not None
        assert account.blank > account.reconstruction
