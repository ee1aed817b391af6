"""The verdict says what the numbers say: every sentence appears for the numbers it is for, and for no others."""

from __future__ import annotations

import dataclasses

import pytest

from aecore.analysis.verdict import Measured, verdict

UNEVEN = Measured(title="Uneven", image_score=0.6, layer_score=1.6, layer_score_at_start=1.65, psnr=31.0)
EVEN = Measured(title="Even", image_score=0.03, layer_score=0.0, layer_score_at_start=0.0, psnr=30.0)


def said(*rivals: Measured) -> str:
    return "\n".join(verdict({rival.title: rival for rival in rivals}))


def but(rival: Measured, **changes: object) -> Measured:
    return dataclasses.replace(rival, **changes)  # type: ignore[arg-type]


def test_the_strongest_and_the_weakest_pattern_are_named_with_their_ratio() -> None:
    text = said(EVEN, UNEVEN, but(UNEVEN, title="Between", image_score=0.2))
    assert "**Uneven** leaves the strongest pattern of its own, image score 0.6 (plain to see" in text
    assert "20 times the energy that **Even** leaves, 0.03, the weakest." in text


@pytest.mark.parametrize(("score", "words"), [(0.7, "plain to see"), (0.3, "faint"), (0.05, "hardly visible")])
def test_how_much_can_be_seen(score: float, words: str) -> None:
    assert words in said(but(EVEN, image_score=0.001), but(UNEVEN, image_score=score))


def test_the_order_may_be_the_other_way_round() -> None:
    assert "**Even** leaves the strongest" in said(but(EVEN, image_score=0.9), but(UNEVEN, image_score=0.1))


def test_no_difference_is_called_none() -> None:
    text = said(but(EVEN, image_score=0.1), but(UNEVEN, image_score=0.14))
    assert "No clear difference in the checkerboard: image scores from 0.1 to 0.14." in text
    assert "strongest" not in text
    assert "No clear difference" in said(but(EVEN, image_score=0.0), but(UNEVEN, image_score=0.0))
    assert "**Even** leaves none" in said(but(EVEN, image_score=0.0), UNEVEN)


def test_compensation_is_said_where_it_was_learned_and_only_there() -> None:
    assert "compensate" not in said(EVEN, UNEVEN)
    learned = said(EVEN, but(UNEVEN, layer_score=0.4))
    assert "**Uneven** has learned to compensate" in learned
    assert "layer score 1.6 → 0.4. Not wholly" in learned
    assert "Its images show no more of it." in said(EVEN, but(UNEVEN, layer_score=0.4, image_score=0.03))


def test_what_began_even_may_be_pulled_apart() -> None:
    assert "pulled its phases apart: layer score 0 → 0.07" in said(but(EVEN, layer_score=0.07), UNEVEN)
    assert "pulled" not in said(EVEN, UNEVEN)
    assert "less even: layer score 0.2 → 0.5" in said(EVEN, but(UNEVEN, layer_score_at_start=0.2, layer_score=0.5))


def test_exactness_is_told_apart_from_the_pattern() -> None:
    text = said(EVEN, UNEVEN)
    assert "Most exact is **Uneven**: PSNR 31.0 dB, 1.0 dB above the next." in text
    assert "The one with the weakest pattern, Even, has 30.0 dB." in text
    assert "weakest pattern, " not in said(but(EVEN, psnr=33.0), UNEVEN)
    assert "are level: PSNR 31.0 dB" in said(but(EVEN, psnr=30.95), UNEVEN)


def test_what_has_no_fixed_phases_or_knows_more_is_said_so() -> None:
    unpooled = but(UNEVEN, title="Unpooled", layer_score=None, layer_score_at_start=None, has_switches=True)
    text = said(EVEN, unpooled)
    assert "**Unpooled** is told besides the code where the encoder found its maxima" in text
    assert "compensate" not in text
    assert "told besides" not in said(EVEN, UNEVEN)


def test_a_score_that_is_missing_takes_nobody_down() -> None:
    text = said(but(EVEN, image_score=None), UNEVEN)
    assert "strongest" not in text
    assert "Most exact" in text
