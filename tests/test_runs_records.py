"""Records: arrays go through the store unchanged, and a run knows whether it still goes on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from little_runs import add_run, open_store
from safetensors.numpy import save

from aecore.runs.records import Run, Snapshot, Stage
from aecore.runs.states import RESUMABLE_STATES, UNFINISHED_STATES, State


@pytest.fixture
def run(tmp_path: Path) -> Run:
    store = open_store(tmp_path)
    made = store.get(add_run(store))
    store.close()
    return made


@pytest.mark.parametrize("points", [0, 5])
def test_a_snapshot_comes_back_as_it_was(points: int) -> None:
    images = np.arange(3 * 2 * 4 * 4, dtype=np.uint8).reshape(3, 2, 4, 4)
    codes = np.linspace(-1, 1, 2 * points, dtype=np.float32).reshape(points, 2)
    back = Snapshot.from_bytes(7, Snapshot(7, images, codes).to_bytes())
    assert back.step == 7
    np.testing.assert_array_equal(back.reconstructions, images, strict=True)
    np.testing.assert_array_equal(back.codes, codes, strict=True)


def test_a_stage_comes_back_as_it_was() -> None:
    targets, labels = np.full((2, 1, 8, 8), 200, dtype=np.uint8), np.array([9, 0], dtype=np.int64)
    back = Stage.from_bytes(Stage(targets, labels).to_bytes())
    np.testing.assert_array_equal(back.targets, targets, strict=True)
    np.testing.assert_array_equal(back.labels, labels, strict=True)
    assert back.noisy is None, "what the network is shown are the targets themselves"


def test_a_stage_with_noise_comes_back_as_it_was() -> None:
    targets, labels = np.full((2, 1, 8, 8), 200, dtype=np.uint8), np.array([9, 0], dtype=np.int64)
    noisy = np.arange(2 * 64, dtype=np.uint8).reshape(2, 1, 8, 8)
    back = Stage.from_bytes(Stage(targets, labels, noisy).to_bytes())
    assert back.noisy is not None
    np.testing.assert_array_equal(back.noisy, noisy, strict=True)
    np.testing.assert_array_equal(back.targets, targets, strict=True)
    np.testing.assert_array_equal(back.labels, labels, strict=True)


def test_a_stage_kept_before_there_was_noise_can_be_read() -> None:
    targets, labels = np.full((2, 1, 8, 8), 200, dtype=np.uint8), np.array([9, 0], dtype=np.int64)
    back = Stage.from_bytes(save({"targets": targets, "labels": labels}))
    np.testing.assert_array_equal(back.targets, targets, strict=True)
    assert back.noisy is None


@pytest.mark.parametrize("state", get_args(State))
def test_a_run_is_unfinished_while_it_waits_or_has_a_worker(run: Run, state: State) -> None:
    going = state in ("queued", "preparing", "running", "paused")
    assert dataclasses.replace(run, state=state).unfinished is going


def test_every_state_but_the_good_end_leads_on() -> None:
    assert set(get_args(State)) == {*UNFINISHED_STATES, *RESUMABLE_STATES, "finished"}
