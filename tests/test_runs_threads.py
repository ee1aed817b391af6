"""Threads by measurement, on a machine made up for the test: a clock that runs as fast as we say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch

from aecore.runs import threads
from aecore.runs.threads import TRIAL, TRY_AT_LEAST_EVERY, WORTH_IT, ThreadChooser, share_of_cores

BATCH = 32
Speed = Callable[[int], float]


@dataclass
class Machine:
    """A run on a machine that trains `speed(threads)` images a second."""

    speed: Speed
    chooser: ThreadChooser = field(default_factory=ThreadChooser)
    threads: int = 1
    images: int = 0
    seconds: float = 0.0
    time_at: dict[int, float] = field(default_factory=dict)
    changes: int = 0

    def set_threads(self, number: int) -> None:
        """What `torch.set_num_threads` does here."""
        assert number >= 1
        self.changes += number != self.threads
        self.threads = number

    def train(self, seconds: float) -> None:
        """Take steps for so long."""
        end = self.seconds + seconds
        while self.seconds < end:
            taken = BATCH / self.speed(self.threads)
            self.images += BATCH
            self.seconds += taken
            self.time_at[self.threads] = self.time_at.get(self.threads, 0.0) + taken
            self.chooser.note(self.images, self.seconds)

    def share_at(self, number: int) -> float:
        """Share of the time spent with so many threads, since the last call."""
        share = self.time_at.get(number, 0.0) / sum(self.time_at.values())
        self.time_at.clear()
        return share


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[[Speed], Machine]:
    def machine(speed: Speed) -> Machine:
        made = Machine(speed)
        monkeypatch.setattr(torch, "set_num_threads", made.set_threads)
        return made

    return machine


def idle(number: int) -> float:
    """Two threads nearly double the speed."""
    return {1: 5_000.0, 2: 9_000.0}[number]


def busy(number: int) -> float:
    """The second thread costs nine tenths."""
    return {1: 5_000.0, 2: 500.0}[number]


@pytest.mark.parametrize(("speed", "best"), [(idle, 2), (busy, 1)])
def test_it_settles_on_the_faster_number(make: Callable[[Speed], Machine], speed: Speed, best: int) -> None:
    run = make(speed)
    run.chooser.allow(2)
    run.train(10)
    run.time_at.clear()
    run.train(110)
    assert run.share_at(best) > 0.95


def test_a_ruinous_second_thread_is_left_within_half_a_second_of_steps(make: Callable[[Speed], Machine]) -> None:
    run = make(busy)
    run.chooser.allow(2)
    run.train(5)
    step = BATCH / busy(2)
    assert run.time_at[2] < TRIAL + 2.5 * step < 0.5, "one trial, with the steps in which it begins and ends"


def test_trials_in_vain_become_rare(make: Callable[[Speed], Machine]) -> None:
    run = make(busy)
    run.chooser.allow(2)
    run.train(600)
    run.time_at.clear()
    run.train(1000)
    step = BATCH / busy(2)
    assert 0 < run.share_at(2) <= 1.1 * (TRIAL + step) / TRY_AT_LEAST_EVERY


def test_it_follows_when_the_machine_becomes_busy_or_idle(make: Callable[[Speed], Machine]) -> None:
    run = make(idle)
    run.chooser.allow(2)
    run.train(200)
    run.speed = busy
    run.train(2 * TRY_AT_LEAST_EVERY)
    run.time_at.clear()
    run.train(100)
    assert run.share_at(1) > 0.9
    run.speed = idle
    run.train(2 * TRY_AT_LEAST_EVERY)
    run.time_at.clear()
    run.train(100)
    assert run.share_at(2) > 0.9


def test_equal_speeds_do_not_make_it_flutter(make: Callable[[Speed], Machine]) -> None:
    run = make(lambda number: 5_000.0 * (WORTH_IT - 0.01 if number == 1 else 1.0))
    run.chooser.allow(2)
    run.train(600)
    run.time_at.clear()
    run.changes = 0
    run.train(600)
    assert run.share_at(2) > 0.95, "what is not worth a change stays as it is"
    assert run.changes <= 2 * 600 / TRY_AT_LEAST_EVERY + 2


def test_a_share_of_one_is_set_and_left_alone(make: Callable[[Speed], Machine]) -> None:
    run = make(idle)
    run.threads = 2
    run.chooser.allow(1)
    run.train(100)
    assert run.changes == 1
    assert run.threads == 1


def test_a_changed_share_starts_anew(make: Callable[[Speed], Machine]) -> None:
    run = make(lambda number: {1: 5_000.0, 2: 500.0, 4: 18_000.0}[number])
    run.chooser.allow(2)
    run.train(30)
    assert run.threads == 1
    run.chooser.allow(4)
    assert run.threads == 4
    run.time_at.clear()
    run.train(60)
    assert run.share_at(4) > 0.9
    run.chooser.allow(1)
    assert run.threads == 1


def test_the_past_of_a_resumed_run_says_nothing_about_today(make: Callable[[Speed], Machine]) -> None:
    run = make(busy)
    run.images, run.seconds = 10_000_000, 100.0  # it was fast where it was trained before
    run.chooser.allow(2)
    run.train(2)
    assert run.threads == 1, "two threads must not be credited with what others did"


def test_it_says_nothing_before_it_knows_the_share(make: Callable[[Speed], Machine]) -> None:
    run = make(idle)
    run.train(10)
    assert run.changes == 0


@pytest.mark.parametrize(("cores", "running", "share"), [(8, 0, 8), (8, 1, 8), (8, 3, 2), (2, 2, 1), (2, 5, 1)])
def test_the_share_of_cores(cores: int, running: int, share: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores", lambda: cores)
    assert share_of_cores(running) == share
