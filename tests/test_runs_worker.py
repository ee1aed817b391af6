"""The worker: it obeys what is wanted, reports what happens, and always says how the run ended.

Most tests steer a worker from within: it asks `abandoned` every time it looks up what is wanted, and here it looks
after every event, so that a hook in its place acts at exact moments and nothing has to be waited for.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from little_runs import ENDLESS, MODEL, SHORT, add_run, claim, open_store, until
from sqlalchemy import delete, update

from aecore.checkpoint import Checkpoint
from aecore.data import load_dataset
from aecore.errors import DataError
from aecore.fit import fit
from aecore.models.autoencoder import Autoencoder
from aecore.models.config import ModelConfig
from aecore.runs import schema, worker
from aecore.runs.queue import RunQueue
from aecore.runs.records import Run
from aecore.runs.store import RunStore
from aecore.runs.worker import work
from aecore.training.choosing import Choice, Trial
from aecore.training.config import TrainConfig
from aecore.training.execution import PLAIN, Execution

DIVERGING = TrainConfig(budget=300, budget_unit="steps", batch_size=32, optimiser="sgd", learning_rate=10.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    made = open_store(tmp_path)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def always_one_thread(one_thread: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """Sums come out the same to the last bit only with the same number of threads."""
    monkeypatch.setattr(worker, "share_of_cores", lambda _: 1)


@pytest.fixture(autouse=True)
def every_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look, and report, after every event instead of a few times a second."""
    monkeypatch.setattr(worker, "LISTEN_EVERY", 0.0)
    monkeypatch.setattr(worker, "REPORT_EVERY", 0.0)


def carry_out(store: RunStore, run_id: str, hook: Callable[[], Any] = lambda: False) -> Run:
    """Claim the run, work until it is given back, and show how it stands then; `hook` true means abandoned."""
    assert claim(store) == run_id
    work(store, run_id, abandoned=lambda: bool(hook()))
    run = store.get(run_id)
    assert run.executor == ""
    return run


@contextmanager
def at_work(store: RunStore, run_id: str) -> Iterator[None]:
    """A worker in a thread of its own; it is stopped in the end."""
    assert claim(store) == run_id
    thread = threading.Thread(target=work, args=(store, run_id))
    thread.start()
    try:
        yield
    finally:
        store.ask_stop(run_id)
        thread.join(30)
        assert not thread.is_alive()


def weights(store: RunStore, run_id: str) -> dict[str, torch.Tensor]:
    data = store.checkpoint(run_id)
    assert data is not None
    return Checkpoint.from_bytes(data).weights


def train_losses(store: RunStore, run_id: str) -> list[tuple[int, float]]:
    return [(point.step, point.values["loss"]) for point in store.points(run_id) if point.kind == "train"]


def reaches(store: RunStore, run_id: str, step: int) -> Callable[[], bool]:
    return lambda: store.get(run_id).step >= step


# -- the good end -------------------------------------------------------------------------------------------------


def test_a_run_is_carried_out_and_measured(store: RunStore) -> None:
    run_id = add_run(store)
    run = carry_out(store, run_id)
    assert (run.state, run.message) == ("finished", "The budget of 20 steps is used up.")
    assert (run.step, run.total_steps, run.progress) == (20, 20, 1.0)
    reference = fit(MODEL, SHORT, load_dataset("digits8"))
    for name in ("test_mse", "test_psnr", "test_loss"):
        assert run.metrics[name] == reference.metrics[name]
    assert run.metrics["images_per_second"] > 0
    checkpoint = Checkpoint.from_bytes(store.checkpoint(run_id) or b"")
    assert (checkpoint.model_config, checkpoint.train_config, checkpoint.dataset) == (MODEL, SHORT, "digits8")
    assert checkpoint.dataset_checksum == load_dataset("digits8").checksum
    assert checkpoint.metrics["test_mse"] == run.metrics["test_mse"]
    for name, tensor in reference.weights.items():
        assert torch.equal(checkpoint.weights[name], tensor), name


def test_how_its_steps_are_computed_is_said(store: RunStore) -> None:
    run_id = add_run(store)
    assert store.get(run_id).computing == {}, "not before it is known"
    run = carry_out(store, run_id)
    assert run.computing == {"": Choice(PLAIN).why()}
    assert (run.metrics["precision"], run.metrics["execution"]) == ("float32", str(PLAIN))
    asked = carry_out(store, add_run(store, replace(SHORT, precision="bfloat16")))
    assert asked.computing == {"": Choice(Execution("bfloat16")).why()}
    assert (asked.metrics["precision"], asked.metrics["execution"]) == ("bfloat16", "bfloat16, channels first")


def test_it_is_chosen_once_and_kept_when_the_run_goes_on(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    way = Execution(channels_last=True, by_phases=True)
    choice = Choice(way, (Trial(PLAIN, 3.0, 5.0, same=True), Trial(way, 2.0, 5.0, same=True)), 1.5)
    asked: list[str] = []

    def choose(models: Mapping[str, Autoencoder], *_: object) -> dict[str, Choice]:
        asked.extend(models)
        return dict.fromkeys(models, choice)

    monkeypatch.setattr(worker, "choose_alike", choose)
    conv = ModelConfig(image_shape=(1, 8, 8), channels=4, latent_dim=2)
    calm, run_id = (add_run(store, model=conv) for _ in range(2))
    carry_out(store, calm)
    assert carry_out(store, run_id, hook=reaches(store, run_id, 7)).computing == {"": choice.why()}
    store.ask_run(run_id)
    run = carry_out(store, run_id)
    assert asked == ["", ""], "once for each run"
    assert (run.state, run.computing) == ("finished", {"": choice.why()})
    assert run.metrics["execution"] == "float32, channels last, doubling by phases"
    expected = weights(store, calm)
    for name, tensor in weights(store, run_id).items():
        assert torch.equal(tensor, expected[name]), name


def test_the_curves_of_a_run(store: RunStore) -> None:
    run_id = add_run(store, TrainConfig(budget=20, budget_unit="steps", batch_size=32, evaluate_every=10))
    carry_out(store, run_id)
    points = store.points(run_id)
    train = [point for point in points if point.kind == "train"]
    assert [point.step for point in train] == list(range(1, 21))
    assert set(train[0].values) == {"loss", "learning_rate", "epoch", "images_per_second", "seconds"}
    seconds = [0.0, *(point.values["seconds"] for point in train)]
    for point, before, after in zip(train, seconds, seconds[1:], strict=False):
        assert point.values["images_per_second"] == pytest.approx(32 / (after - before))
    assert train[-1].values["epoch"] == pytest.approx(20 / -(-len(load_dataset("digits8").train) // 32))
    test = [point for point in points if point.kind == "test"]
    assert [point.step for point in test] == [0, 10, 20]
    assert set(test[0].values) == {"epoch", "loss", "mse", "images", "term reconstruction"}
    assert test[0].terms == {"reconstruction": pytest.approx(test[0].values["loss"])}
    assert test[0].units == []
    assert test[-1].values["loss"] < test[0].values["loss"]


def test_a_point_is_the_mean_since_the_one_before(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    every = add_run(store)
    carry_out(store, every)
    monkeypatch.setattr(worker, "REPORT_EVERY", 1000.0)
    rarely = add_run(store)
    carry_out(store, rarely)
    each = [loss for _, loss in train_losses(store, every)]
    assert train_losses(store, rarely) == [(1, each[0]), (20, pytest.approx(sum(each[1:]) / 19))]


def test_the_first_loss_does_not_wait(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "REPORT_EVERY", 1000.0)
    run_id = add_run(store, TrainConfig(budget=500, budget_unit="steps"))
    carry_out(store, run_id, hook=lambda: train_losses(store, run_id))
    assert [step for step, _ in train_losses(store, run_id)] == [1]


@pytest.mark.parametrize(("latent_dim", "codes"), [(2, 600), (3, 0)])
def test_the_stage_and_its_snapshots(store: RunStore, latent_dim: int, codes: int) -> None:
    run_id = add_run(store, model=ModelConfig(image_shape=(1, 8, 8), body="linear", latent_dim=latent_dim))
    carry_out(store, run_id)
    dataset = load_dataset("digits8")
    codes = min(codes, len(dataset.test))
    stage = store.stage(run_id)
    assert stage is not None
    np.testing.assert_array_equal(stage.targets, dataset.test[:8].numpy(), strict=True)
    np.testing.assert_array_equal(stage.labels, dataset.test_labels[:codes].numpy(), strict=True)
    assert store.snapshot_steps(run_id) == list(range(21))
    for step in (0, 20):
        snapshot = store.snapshot(run_id, at=step)
        assert snapshot is not None
        assert (snapshot.reconstructions.shape, snapshot.reconstructions.dtype) == ((8, 1, 8, 8), np.uint8)
        assert (snapshot.codes.shape[0], snapshot.codes.dtype) == (codes, np.float32)
    if codes:
        assert snapshot.codes.shape[1] == 2


def test_the_last_snapshot_is_what_the_kept_model_makes_of_the_stage(store: RunStore) -> None:
    run_id = add_run(store)
    carry_out(store, run_id)
    model = Checkpoint.from_bytes(store.checkpoint(run_id) or b"").build()
    stage, snapshot = store.stage(run_id), store.snapshot(run_id)
    assert stage is not None
    assert snapshot is not None
    with torch.inference_mode():
        made = model(torch.from_numpy(stage.targets) / 255).clamp(0, 1).mul(255).round().to(torch.uint8)
    np.testing.assert_array_equal(snapshot.reconstructions, made.numpy())


def test_a_budget_in_seconds_has_no_number_of_steps(store: RunStore) -> None:
    run_id = add_run(store, TrainConfig(budget=1, budget_unit="seconds", batch_size=32))
    run = carry_out(store, run_id, hook=reaches(store, run_id, 3))
    assert run.total_steps is None
    assert 0 < run.progress < 1


# -- pause, step, resume, stop ------------------------------------------------------------------------------------


def test_pause_step_resume_and_stop_from_another_thread(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the pace a page sees, and two threads on one store."""
    monkeypatch.setattr(worker, "LISTEN_EVERY", 0.02)
    monkeypatch.setattr(worker, "REPORT_EVERY", 0.05)
    run_id = add_run(store, ENDLESS)

    def paused_at() -> int | None:
        run = store.get(run_id)
        return run.step if run.state == "paused" and not run.step_requests else None

    with at_work(store, run_id):
        until(lambda: store.get(run_id).step > 10, "the run takes steps")
        store.ask_pause(run_id)
        step = until(paused_at, "the run pauses")
        assert store.get(run_id).has_checkpoint, "what is paused can be saved"
        for number in range(1, 4):
            store.ask_step(run_id)
            until(lambda: paused_at() == step + number, "one step is taken")  # noqa: B023 - called at once
        for _ in range(5):
            store.ask_step(run_id)
        until(lambda: paused_at() == step + 8, "steps that were asked for together are all taken")
        store.ask_run(run_id)
        until(lambda: store.get(run_id).state == "running" and store.get(run_id).step > step + 20, "it goes on")
    run = store.get(run_id)
    assert (run.state, run.executor) == ("stopped", "")
    assert run.metrics["test_mse"] > 0
    assert run.has_checkpoint


def test_a_run_that_was_paused_in_the_queue_pauses_before_its_first_step(store: RunStore) -> None:
    run_id = add_run(store, ENDLESS)
    store.ask_pause(run_id)
    steps: list[int] = []

    def hook() -> bool:
        steps.append(store.get(run_id).step)
        if store.get(run_id).state == "paused":
            store.ask_stop(run_id)
        return False

    run = carry_out(store, run_id, hook)
    assert (run.state, run.step) == ("stopped", 0)
    assert [point.kind for point in store.points(run_id)] == ["test"], "there is a first look to show"


def test_exactly_the_steps_asked_for_are_taken(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PARK_AFTER", 0.0)
    run_id = add_run(store, TrainConfig(budget=100, budget_unit="steps", batch_size=32, evaluate_every=2))
    taken = 0
    for asked in (1, 1, 3, 2):
        for _ in range(asked):
            store.ask_step(run_id)
        taken += asked
        run = carry_out(store, run_id)
        assert (run.state, run.step, run.step_requests) == ("paused", taken, 0)
    assert [step for step, _ in train_losses(store, run_id)] == list(range(1, taken + 1))


def test_a_run_paused_while_it_waited_to_be_resumed_takes_no_step(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PARK_AFTER", 0.0)
    run_id = add_run(store, ENDLESS)
    assert carry_out(store, run_id, hook=reaches(store, run_id, 5)).state == "interrupted"
    step = store.get(run_id).step
    store.ask_run(run_id)
    store.ask_pause(run_id)
    run = carry_out(store, run_id)
    assert (run.state, run.step) == ("paused", step)


def test_a_stop_during_a_pause_keeps_and_measures_the_model(store: RunStore) -> None:
    run_id = add_run(store, ENDLESS)
    for _ in range(4):
        store.ask_step(run_id)

    def stop_when_paused() -> bool:
        if store.get(run_id).state == "paused":
            store.ask_stop(run_id)
        return False

    run = carry_out(store, run_id, stop_when_paused)
    assert (run.state, run.step, run.message) == ("stopped", 4, "Stopped. What was learned so far is kept.")
    assert run.metrics["test_mse"] > 0
    assert run.has_checkpoint


@pytest.mark.parametrize("ask", ["ask_stop", "ask_pause"])
def test_a_wish_while_data_is_being_fetched(store: RunStore, monkeypatch: pytest.MonkeyPatch, ask: str) -> None:
    """Stopping does not wait for the download; a pause does, for there is nothing to show yet."""
    monkeypatch.setattr(worker, "PARK_AFTER", 0.0)
    run_id = add_run(store, ENDLESS)
    messages: list[str] = []

    def fetch(name: str, progress: Callable[[str, float | None], None]) -> Any:
        getattr(store, ask)(run_id)
        progress("Downloading, half of it is here", 0.5)
        messages.append(store.get(run_id).message)
        return load_dataset(name)

    monkeypatch.setattr(worker, "load_dataset", fetch)
    run = carry_out(store, run_id)
    if ask == "ask_stop":
        assert (run.state, run.message, run.step) == ("stopped", "Left before training began.", 0)
        assert (store.stage(run_id), run.has_checkpoint, messages) == (None, False, [])
    else:
        assert (run.state, run.step) == ("paused", 0)
        assert messages == ["Downloading, half of it is here"]


# -- leaving and coming back --------------------------------------------------------------------------------------


def test_a_paused_run_gives_its_worker_to_others_and_comes_back(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = add_run(store, ENDLESS)
    store.ask_pause(run_id)
    monkeypatch.setattr(worker, "PARK_AFTER", 0.0)
    run = carry_out(store, run_id)
    assert (run.state, run.wanted, run.message, run.has_checkpoint) == ("paused", "pause", "", True)
    assert run.unfinished
    store.ask_run(run_id)
    run = carry_out(store, run_id, hook=reaches(store, run_id, 3))
    assert (run.state, run.step) == ("interrupted", 3)


def test_an_abandoned_run_is_saved_and_goes_on_from_there(store: RunStore) -> None:
    run_id = add_run(store)
    run = carry_out(store, run_id, hook=reaches(store, run_id, 7))
    assert (run.state, run.step, run.has_checkpoint) == ("interrupted", 7, True)
    assert "stopped while this run was going" in run.message
    store.ask_run(run_id)
    run = carry_out(store, run_id)
    assert (run.state, run.step, run.progress) == ("finished", 20, 1.0)
    assert [step for step, _ in train_losses(store, run_id)] == list(range(1, 21))


def test_being_disturbed_changes_nothing_to_the_last_bit(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps, pauses, a lost worker, a restarted lab: the same losses and the same weights in the end."""
    training = TrainConfig(budget=60, budget_unit="steps", batch_size=32, evaluate_every=7, seed=5)
    calm = add_run(store, training)
    carry_out(store, calm)

    monkeypatch.setattr(worker, "PARK_AFTER", 0.0)
    run_id = add_run(store, training)
    for _ in range(3):
        store.ask_step(run_id)
    assert carry_out(store, run_id).step == 3
    store.ask_run(run_id)
    assert carry_out(store, run_id, hook=reaches(store, run_id, 20)).state == "interrupted"
    store.ask_run(run_id)
    assert claim(store) == run_id
    with pytest.raises(KeyboardInterrupt):  # dies without a word at step 33; the checkpoint is of step 20
        work(store, run_id, abandoned=lambda: _die() if store.get(run_id).step >= 33 else False)
    assert store.get(run_id).step == 33
    RunQueue(store.database).declare_dead(run_id, "tester", "It died.")
    store.ask_run(run_id)
    pauses: list[int] = []

    def pause_a_while() -> bool:
        run = store.get(run_id)
        if run.step == 40 and run.wanted == "run" and not pauses:
            pauses.append(run.step)
            store.ask_pause(run_id)
        elif run.state == "paused":
            store.ask_run(run_id)
        return False

    monkeypatch.setattr(worker, "PARK_AFTER", 1000.0)
    assert carry_out(store, run_id, pause_a_while).state == "finished"
    assert pauses
    assert train_losses(store, run_id) == train_losses(store, calm)
    looks = [[(p.step, p.values) for p in store.points(run) if p.kind == "test"] for run in (run_id, calm)]
    assert looks[0] == looks[1]
    expected = weights(store, calm)
    for name, tensor in weights(store, run_id).items():
        assert torch.equal(tensor, expected[name]), name
    assert store.get(run_id).metrics["test_mse"] == store.get(calm).metrics["test_mse"]


def _die() -> bool:
    raise KeyboardInterrupt


def test_checkpoints_are_made_along_the_way(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "CHECKPOINT_EVERY", 0.0)
    run_id = add_run(store, ENDLESS)
    assert claim(store) == run_id
    with pytest.raises(KeyboardInterrupt):
        work(store, run_id, abandoned=lambda: _die() if store.get(run_id).step >= 5 else False)
    saved = Checkpoint.from_bytes(store.checkpoint(run_id) or b"")
    assert saved.resume(saved.build()).step == 5


# -- what goes wrong ----------------------------------------------------------------------------------------------


def test_a_diverging_run_fails_with_advice_and_keeps_its_last_checkpoint(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "CHECKPOINT_EVERY", 0.0)
    run_id = add_run(store, DIVERGING, model=ModelConfig(image_shape=(1, 8, 8), body="linear", latent_dim=2))
    run = carry_out(store, run_id)
    assert run.state == "failed"
    assert "learning rate 10 is probably too high here: try 1" in run.message
    assert run.step < 300
    assert run.metrics == {}
    saved = Checkpoint.from_bytes(store.checkpoint(run_id) or b"")
    assert saved.resume(saved.build()).step <= run.step


def test_unknown_data_fails_the_run_in_plain_words(store: RunStore) -> None:
    run_id = add_run(store, dataset="nosuchdata")
    run = carry_out(store, run_id)
    assert run.state == "failed"
    assert "There is no dataset 'nosuchdata'" in run.message


def test_what_does_not_go_together_fails_the_run_in_plain_words(store: RunStore) -> None:
    run_id = add_run(store, model=ModelConfig(image_shape=(3, 16, 16), body="linear", latent_dim=2))
    run = carry_out(store, run_id)
    assert run.state == "failed"
    assert "(3, 16, 16)" in run.message


def test_a_damaged_checkpoint_fails_the_run_in_plain_words(store: RunStore) -> None:
    run_id = add_run(store)
    store.save_checkpoint(run_id, 5, b"damaged")
    run = carry_out(store, run_id)
    assert (run.state, run.message) == ("failed", "This is not a checkpoint of the lab, or it is damaged.")


def test_a_run_of_another_version_fails_in_plain_words(store: RunStore) -> None:
    run_id = add_run(store)
    set_row(store, run_id, training={"dial_of_tomorrow": 1})
    assert claim(store) == run_id
    work(store, run_id)
    set_row(store, run_id, training=SHORT.to_dict())
    run = store.get(run_id)
    assert (run.state, run.executor) == ("failed", "")
    assert "another version" in run.message


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (DataError("The data is gone. Fetch it again."), "The data is gone. Fetch it again."),
        (MemoryError(), "The machine ran out of memory. Try a smaller model or smaller batches."),
        (ZeroDivisionError("division by zero"), "A mistake in the lab ended this run (ZeroDivisionError)"),
        (RuntimeError("secret innards"), "A mistake in the lab ended this run (RuntimeError)"),
    ],
    ids=["lab", "memory", "arithmetic", "torch"],
)
@pytest.mark.parametrize("where", ["aecore.runs.worker.load_dataset", "aecore.training.step.to_unit"])
def test_whatever_goes_wrong_is_told_and_not_raised(
    store: RunStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    told: str,
    where: str,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(where, fail)
    run_id = add_run(store)
    with caplog.at_level(logging.CRITICAL):
        run = carry_out(store, run_id)
    assert run.state == "failed"
    assert run.message.startswith(told)
    assert "innards" not in run.message


# -- somebody else has the run ------------------------------------------------------------------------------------


def set_row(store: RunStore, run_id: str, **values: object) -> None:
    with store.database.writing() as connection:
        connection.execute(update(schema.runs).where(schema.runs.c.id == run_id).values(**values))


@pytest.mark.parametrize(("executor", "state"), [("other", "preparing"), ("other", "running"), ("", "interrupted")])
@pytest.mark.parametrize("wanted", ["run", "pause", "stop"])
def test_a_lost_run_is_left_alone(store: RunStore, executor: str, state: str, wanted: str) -> None:
    run_id = add_run(store, ENDLESS)
    after: list[Any] = []

    def lose() -> bool:
        if not after and store.get(run_id).step >= 5:
            set_row(store, run_id, executor=executor, state=state, wanted=wanted, message="theirs")
            after.append((store.get(run_id), store.points(run_id), store.snapshot_steps(run_id)))
        return False

    assert claim(store) == run_id
    work(store, run_id, abandoned=lose)
    assert after == [(store.get(run_id), store.points(run_id), store.snapshot_steps(run_id))]


def test_a_run_deleted_meanwhile_is_left_in_silence(store: RunStore, caplog: pytest.LogCaptureFixture) -> None:
    run_id = add_run(store, ENDLESS)

    def forget() -> bool:
        if run_id in {run.id for run in store.runs()} and store.get(run_id).step >= 5:
            with store.database.writing() as connection:
                connection.execute(delete(schema.runs).where(schema.runs.c.id == run_id))
        return False

    assert claim(store) == run_id
    with caplog.at_level(logging.ERROR):
        work(store, run_id, abandoned=forget)
    assert store.runs() == []
    assert caplog.records == []


def test_a_run_deleted_before_it_began_is_left_in_silence(store: RunStore) -> None:
    work(store, "nosuchrun")
    assert store.runs() == []


def test_a_worker_gets_its_share_of_the_cores(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of the same executor that compute share the machine; paused ones need none of it."""
    asked: list[int] = []
    monkeypatch.setattr(worker, "share_of_cores", lambda running: asked.append(running) or 1)
    for state, executor in (("running", "tester"), ("paused", "tester"), ("running", "other")):
        set_row(store, add_run(store), state=state, executor=executor)
    run_id = add_run(store)
    carry_out(store, run_id)
    assert set(asked) == {2}
