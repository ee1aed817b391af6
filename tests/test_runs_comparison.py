"""A comparison is one run: several models in lockstep, watched, paused, resumed and measured as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from little_runs import add_run, claim, open_store

from aecore.checkpoint import Checkpoint
from aecore.compare import REPORTED, compare, rival_configs
from aecore.data import load_dataset
from aecore.models.config import ModelConfig
from aecore.runs import worker
from aecore.runs.records import Run, pack, unpack
from aecore.runs.store import RunStore
from aecore.runs.worker import work
from aecore.training.choosing import Choice
from aecore.training.config import TrainConfig
from aecore.training.execution import PLAIN

MODEL = ModelConfig(image_shape=(1, 8, 8), channels=4, stages=2, latent_dim=2)
SHORT = TrainConfig(budget=12, budget_unit="steps", batch_size=32, evaluation_images=64, evaluate_every=6, seed=3)
RIVALS = ("transpose3", "nearest", "pixel_shuffle_icnr")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    made = open_store(tmp_path)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def exactly(one_thread: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    monkeypatch.setattr(worker, "share_of_cores", lambda _: 1)
    monkeypatch.setattr(worker, "LISTEN_EVERY", 0.0)
    monkeypatch.setattr(worker, "REPORT_EVERY", 0.0)


def carry_out(store: RunStore, run_id: str, hook: Callable[[], Any] = lambda: False) -> Run:
    assert claim(store) == run_id
    work(store, run_id, abandoned=lambda: bool(hook()))
    return store.get(run_id)


def weights(store: RunStore, run_id: str) -> dict[str, dict[str, torch.Tensor]]:
    saved = store.checkpoint(run_id)
    assert saved is not None
    return {name: Checkpoint.from_bytes(data).weights for name, data in unpack(saved).items()}


def test_it_ends_with_the_numbers_of_every_rival(store: RunStore) -> None:
    run = carry_out(store, add_run(store, SHORT, model=MODEL, rivals=RIVALS))
    assert (run.state, run.kind, run.rivals, run.step) == ("finished", "comparison", RIVALS, 12)
    assert list(run.metrics["rivals"]) == list(RIVALS)
    expected = compare(rival_configs(MODEL, RIVALS), SHORT, load_dataset("digits8"))
    for name, numbers in run.metrics["rivals"].items():
        assert set(REPORTED) <= set(numbers)
        for key in ("test_mse", "image_score", "layer_score", "parameters"):
            assert numbers[key] == expected[name].metrics[key], (name, key)


def test_how_each_is_computed_is_said_and_kept(store: RunStore) -> None:
    run_id = add_run(store, SHORT, model=MODEL, rivals=RIVALS)
    said = dict.fromkeys(RIVALS, Choice(PLAIN).why())
    run = carry_out(store, run_id, lambda: store.get(run_id).step >= 5)
    assert (run.state, run.computing) == ("interrupted", said)
    store.ask_run(run_id)
    run = carry_out(store, run_id)
    assert (run.state, run.computing) == ("finished", said)
    assert {numbers["execution"] for numbers in run.metrics["rivals"].values()} == {str(PLAIN)}


def test_its_curves_and_pictures_are_told_apart(store: RunStore) -> None:
    run = carry_out(store, add_run(store, SHORT, model=MODEL, rivals=RIVALS))
    points = store.points(run.id)
    for name in RIVALS:
        mine = [point for point in points if point.rival == name]
        assert [p.step for p in mine if p.kind == "train"] == list(range(1, 13))
        looks = [p for p in mine if p.kind == "test"]
        assert [p.step for p in looks] == [0, 6, 12]
        assert {"mse", "ssim", "image_score", "gradient_score", "layer_score"} <= set(looks[0].values)
    stage, snapshot = store.stage(run.id), store.snapshot(run.id)
    assert stage is not None
    assert snapshot is not None
    assert stage.targets.shape == (8, 1, 8, 8)
    assert len(np.unique(stage.targets[6])) == 1, "a flat field is among them"
    assert snapshot.reconstructions.shape == (3, 8, 1, 8, 8)
    assert not np.array_equal(snapshot.reconstructions[0], snapshot.reconstructions[1])


def test_being_disturbed_changes_nothing_to_the_last_bit(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    calm = carry_out(store, add_run(store, SHORT, model=MODEL, rivals=RIVALS))
    monkeypatch.setattr(worker, "PARK_AFTER", 0.0)
    run_id = add_run(store, SHORT, model=MODEL, rivals=RIVALS)
    store.ask_step(run_id)
    paused = carry_out(store, run_id)
    assert (paused.state, paused.step) == ("paused", 1)
    assert {int(p.step) for p in store.points(run_id) if p.kind == "train"} == {1}, "all took the one step"
    store.ask_run(run_id)
    assert carry_out(store, run_id, lambda: store.get(run_id).step >= 7).state == "interrupted"
    store.ask_run(run_id)
    assert carry_out(store, run_id).state == "finished"
    expected = weights(store, calm.id)
    for name, tensors in weights(store, run_id).items():
        assert all(torch.equal(tensor, expected[name][key]) for key, tensor in tensors.items())


def test_it_can_be_stopped_and_keeps_what_was_learned(store: RunStore) -> None:
    run_id = add_run(store, SHORT, model=MODEL, rivals=RIVALS)

    def stop() -> bool:
        if store.get(run_id).step == 4:
            store.ask_stop(run_id)
        return False

    run = carry_out(store, run_id, stop)
    assert run.state == "stopped"
    assert set(run.metrics["rivals"]) == set(weights(store, run_id)) == set(RIVALS)


def test_one_that_explodes_does_not_take_the_others_down(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = worker.build_model

    def build(config: ModelConfig, seed: int) -> Any:
        model = real(config, seed=seed)
        if config.upsample == "transpose3":
            with torch.no_grad():
                next(iter(model.parameters())).fill_(float("nan"))
        return model

    monkeypatch.setattr(worker, "build_model", build)
    run = carry_out(store, add_run(store, SHORT, model=MODEL, rivals=RIVALS))
    assert run.state == "finished"
    assert run.message.startswith("transpose3: The loss was no longer a number")
    assert set(run.metrics["rivals"]) == {"nearest", "pixel_shuffle_icnr"}


def test_comparisons_and_trainings_are_listed_apart(store: RunStore) -> None:
    one = add_run(store, SHORT, owner="me")
    several = add_run(store, SHORT, model=MODEL, rivals=RIVALS, owner="me")
    assert [run.id for run in store.runs(owner="me", kind="comparison")] == [several]
    assert [run.id for run in store.runs(owner="me", kind="training")] == [one]
    assert store.get(several).models == rival_configs(MODEL, RIVALS)
    assert store.get(one).models == {"": store.get(one).model}


def test_packing_keeps_every_byte() -> None:
    assert unpack(pack({"a": b"\x00\x01", "b.c": b""})) == {"a": b"\x00\x01", "b.c": b""}
