"""The rivals: their colours, and what is known of each.

This module knows nothing of forms or runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from aecore.analysis.checkerboard import layer_score
from aecore.analysis.verdict import Measured
from aecore.metrics import psnr_of_mse
from aecore.models import UPSAMPLERS, ModelConfig, build_model, describe
from pages.ui.palette import DARK, LIGHT


def colours(upsampler: str) -> tuple[str, str]:
    """The colour an upsampler has on all pages, on light ones and on dark ones."""
    place = list(UPSAMPLERS).index(upsampler)
    return LIGHT.classes[place % len(LIGHT.classes)], DARK.classes[place % len(DARK.classes)]


def measured(
    models: Mapping[str, ModelConfig], seed: int, numbers: Mapping[str, Mapping[str, Any]]
) -> dict[str, Measured]:
    """What the verdict is made from.

    Args:
        models: The rivals.
        seed: Of their first weights.
        numbers: For each of them what is known now, by the names of a look or of the final measurement.
    """
    return {
        name: Measured(
            title=UPSAMPLERS[name].title,
            image_score=now.get("image_score"),
            layer_score=now.get("layer_score"),
            layer_score_at_start=layer_score_at_start(models[name], seed),
            psnr=psnr(now),
            has_switches=any(layer.op == "max_unpool2d" for layer in describe(models[name])),
        )
        for name, now in numbers.items()
    }


def psnr(now: Mapping[str, Any]) -> float:
    """PSNR of the mean test MSE in dB, from the final numbers or from those of a look."""
    return float(now["test_psnr"]) if "test_psnr" in now else psnr_of_mse(now["mse"])


@lru_cache(maxsize=256)
def layer_score_at_start(model: ModelConfig, seed: int) -> float | None:
    """The layer score of the last doubling before training."""
    return layer_score(build_model(model, seed=seed))
