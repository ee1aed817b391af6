"""Optimisers and schedules are torch's, or what their papers say."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from aecore.training.optimisers import (
    OPTIMISERS,
    SCHEDULES,
    learning_rate,
)

STEPS = 200
PEAK = 0.03


def rates_of(scheduler_of: type[LRScheduler], **settings: float) -> list[float]:
    """The rates torch's own scheduler gives for each of its steps."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = scheduler_of(optimiser, **settings)
    rates = []
    for _ in range(STEPS):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return rates


def test_cosine_is_torchs() -> None:
    ours = [PEAK * SCHEDULES["cosine"].build(step / STEPS) for step in range(STEPS)]
    assert ours == pytest.approx(rates_of(CosineAnnealingLR, T_max=STEPS))


def test_one_cycle_is_torchs() -> None:
    # torch counts its turning points from 1, so that its cycle ends with the last of STEPS + 1 steps
    turn = (0.3 * STEPS + 1) / (STEPS + 1)
    theirs = rates_of(OneCycleLR, max_lr=PEAK, total_steps=STEPS + 1, pct_start=turn)
    ours = [PEAK * SCHEDULES["one_cycle"].build(step / STEPS) for step in range(STEPS)]
    assert ours == pytest.approx(theirs)


def test_one_cycle_warms_up_and_cools_down() -> None:
    one_cycle = SCHEDULES["one_cycle"].build
    assert one_cycle(0) == pytest.approx(1 / 25)
    assert one_cycle(0.3) == 1
    assert one_cycle(1) == pytest.approx(1 / 25 / 1e4)


def test_constant_is_constant() -> None:
    assert {SCHEDULES["constant"].build(share) for share in (0, 0.3, 1)} == {1.0}


@pytest.mark.parametrize("schedule", SCHEDULES)
@given(progress=st.floats(0, 1))
def test_no_schedule_leaves_its_range(schedule: str, progress: float) -> None:
    assert 0 <= SCHEDULES[schedule].build(progress) <= 1


def walk(name: str, decay: float, steps: int = 5) -> list[float]:
    """Where an optimiser takes one weight that starts at 1 and meets the gradients 1, 2, 3, ..."""
    weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimiser = OPTIMISERS[name].build([weight], 0.1, decay)
    path = []
    for gradient in range(1, steps + 1):
        weight.grad = torch.full((1,), float(gradient), dtype=torch.float64)
        optimiser.step()
        path.append(weight.item())
    return path


def by_hand(name: str, decay: float, steps: int = 5) -> list[float]:
    """The same walk by the formulas of the papers."""
    weight, first, second, path = 1.0, 0.0, 0.0, []
    for step in range(1, steps + 1):
        gradient = float(step)
        if name == "adamw":
            weight -= 0.1 * decay * weight
        else:
            gradient += decay * weight
        if name == "sgd":
            first = 0.9 * first + gradient
            weight -= 0.1 * first
        else:
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            weight -= 0.1 * (first / (1 - 0.9**step)) / (math.sqrt(second / (1 - 0.999**step)) + 1e-8)
        path.append(weight)
    return path


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_each_optimiser_walks_as_its_paper_says(name: str, decay: float) -> None:
    assert walk(name, decay) == pytest.approx(by_hand(name, decay), rel=1e-9)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_rate_that_is_asked_for_is_taken(name: str) -> None:
    assert learning_rate(0.5, 1e-3, name) == 0.5


def test_without_one_the_networks_safe_rate_is_taken() -> None:
    assert learning_rate(0, 1e-3, "adam") == learning_rate(0, 1e-3, "adamw") == 1e-3
    assert learning_rate(0, 1e-3, "sgd") < 1e-3, "a gradient of a whole image's loss is large"
