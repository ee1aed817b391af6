"""The Decoders page's logic: never empty, rivals from the form, one run, a verdict from its numbers."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import opened
import pytest
from little_runs import claim
from opened import everything_said, store_of_its_own

from aecore.checkpoint import Checkpoint
from aecore.models import UPSAMPLERS, ModelConfig
from aecore.pretrained import COMPARISON, load
from aecore.runs.store import RunStore
from aecore.runs.worker import work
from aecore.training import TrainConfig
from pages.ui import run_stage
from pages.ui.decoders.rivals import colours, layer_score_at_start
from pages.ui.decoders.stage import look_every, zipped

LITTLE = ModelConfig(image_shape=(1, 8, 8), channels=4, latent_dim=2)
SHORT = TrainConfig(budget=6, budget_unit="steps", batch_size=32, evaluation_images=64, evaluate_every=3)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunStore]:
    with store_of_its_own(tmp_path, monkeypatch) as runs:
        yield runs


open_page = partial(opened.open_page, "pages/3_Decoders.py")


def test_it_is_never_empty() -> None:
    at = open_page()
    assert not at.exception
    text = everything_said(at)
    assert "Trained beforehand on Shapes, colour on grey" in text
    assert "leaves the strongest pattern of its own" in text
    for name in COMPARISON:
        assert f"{load(name).metrics['test_psnr']:.2f} dB" in text, "the numbers are those of the shipped models"


def test_train_puts_one_comparison_into_the_queue(store: RunStore) -> None:
    at = open_page()
    at.selectbox(key="dataset").set_value("digits").run()
    at.multiselect(key="rivals").set_value(["bilinear", "transpose3"]).run()
    at.button(key="train").click().run()
    (run,) = store.runs()
    assert (run.kind, run.rivals, run.dataset) == ("comparison", ("transpose3", "bilinear"), "digits")
    assert run.training.budget_unit == "epochs"
    assert run.owner == at.session_state["visitor"]
    assert run.id in at.query_params["comparison"]
    assert at.button(key="train").disabled
    assert not at.button(key="pause").disabled
    at.button(key="pause").click().run()
    assert store.get(run.id).wanted == "pause"


@pytest.mark.parametrize(
    ("rivals", "words"),
    [
        (["nearest"], "needs at least 2"),
        ([], "needs at least 2"),
        (["nearest", "max_unpool"], "needs downsample to be maxpool"),
    ],
)
def test_what_cannot_be_compared_is_said_and_cannot_be_started(rivals: list[str], words: str) -> None:
    at = open_page()
    at.multiselect(key="rivals").set_value(rivals).run()
    assert words in everything_said(at)
    assert at.button(key="train").disabled
    assert not at.exception


def test_max_unpooling_goes_with_max_pooling() -> None:
    at = open_page()
    at.multiselect(key="rivals").set_value(["nearest", "max_unpool"]).run()
    at.selectbox(key="downsample").set_value("maxpool").run()
    assert not at.error
    assert not at.button(key="train").disabled


def test_a_finished_comparison_has_pictures_numbers_and_a_verdict(store: RunStore, tmp_path: Path) -> None:
    run_id = store.create(
        model=LITTLE, training=SHORT, dataset="digits8", rivals=("transpose3", "nearest"), owner="somebody"
    )
    assert claim(store) == run_id
    work(store, run_id)
    at = open_page(comparison=run_id)
    assert not at.exception
    text = everything_said(at)
    final = store.get(run_id).metrics["rivals"]
    for name in ("transpose3", "nearest"):
        assert f"| {UPSAMPLERS[name].title} |" in text
        assert f"{final[name]['test_psnr']:.2f} dB" in text
    assert "What these numbers say" in text
    assert "On all 360 test images" in text
    for name, why in store.get(run_id).computing.items():
        assert f"- {UPSAMPLERS[name].title}: {why}" in text, "how each was computed"
    assert at.button(key="new")
    saved = store.checkpoint(run_id)
    assert saved is not None
    with zipfile.ZipFile(io.BytesIO(zipped(saved))) as archive:
        archive.extractall(tmp_path / "models")
    for name in ("transpose3", "nearest"):
        assert Checkpoint.load(tmp_path / "models" / name).metrics["test_mse"] == final[name]["test_mse"]


def test_a_comparison_that_trains_is_looked_at_every_second(store: RunStore) -> None:
    run_id = store.create(model=LITTLE, training=SHORT, dataset="digits8", rivals=("transpose3", "nearest"), owner="me")
    running = replace(store.get(run_id), state="running")
    assert look_every(None) is None
    assert look_every(replace(running, state="finished")) is None
    assert look_every(running) == look_every(replace(running, has_checkpoint=True)) == run_stage.FIRST_FILMS
    assert look_every(replace(running, wanted="stop")) == run_stage.WAIT


def test_a_link_to_a_run_that_is_gone_is_told_kindly() -> None:
    at = open_page(comparison="nosuchrun")
    assert "There is no run 'nosuchrun' here" in everything_said(at)
    assert not at.exception


def test_the_untrained_view_follows_the_kernel() -> None:
    at = open_page()
    for kernel in (2, 3, 4, 5):
        at.slider(key="kernel").set_value(kernel).run()
        said = next(caption.value for caption in at.caption if "Contrast stretched" in caption.value)
        assert f"kernel {kernel} **" in said
        assert "nearest **0**" in said
        assert "ICNR **0**" in said


def test_each_upsampler_has_a_colour_of_its_own() -> None:
    assert len({colours(name) for name in UPSAMPLERS}) == len(UPSAMPLERS)


def test_layer_scores_at_the_start() -> None:
    assert layer_score_at_start(LITTLE, 0) == 0
    assert (layer_score_at_start(ModelConfig(upsample="transpose3"), 0) or 0) > 0.3
    assert layer_score_at_start(ModelConfig(upsample="max_unpool", downsample="maxpool"), 0) is None
