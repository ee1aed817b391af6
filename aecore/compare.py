"""A comparison from start to end: networks that differ in their upsampler only, trained in lockstep and measured.

It knows nothing of progress bars, processes or pages.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from aecore.analysis.checkerboard import checkerboard, fields
from aecore.checkpoint import Checkpoint
from aecore.data.image_dataset import ImageDataset, to_unit
from aecore.errors import ConfigError, DivergenceError
from aecore.fit import measure
from aecore.metrics import ssim
from aecore.models.autoencoder import Autoencoder, build_model
from aecore.models.config import ModelConfig
from aecore.training.choosing import choose_alike
from aecore.training.config import TrainConfig
from aecore.training.evaluation import reconstruct_unrounded
from aecore.training.events import Finished
from aecore.training.lockstep import Turn, check_lockstep, train_together
from aecore.training.loop import TrainState
from aecore.training.objective import loss_of

FEWEST_RIVALS = 2
LOOKED_AT = 6  # test images a comparison is watched on, beside a flat and a shaded field
REPORTED = (
    "image_score", "layer_score", "gradient_score", "test_mse", "test_psnr", "test_ssim", "image_score_4",
    "spectral_score", "field_amplitude", "parameters", "flops_per_image", "images_per_second",
)  # fmt: skip


def rival_configs(base: ModelConfig, upsamplers: Sequence[str]) -> dict[str, ModelConfig]:
    """The configurations of networks that differ from `base` in their upsampler only, by its name.

    Raises:
        ConfigError: If there are none, one twice, or one that does not go with the rest of the network.
    """
    if base.body != "conv":
        raise ConfigError(f"Only the conv body has upsamplers to compare, and this one is {base.body}.")
    twice = [name for index, name in enumerate(upsamplers) if name in upsamplers[:index]]
    if twice:
        raise ConfigError(f"{twice[0]} is named twice. Name each rival once.")
    if len(upsamplers) < FEWEST_RIVALS:
        raise ConfigError(f"A comparison needs at least {FEWEST_RIVALS} upsamplers, but {len(upsamplers)} was named.")
    return {name: dataclasses.replace(base, upsample=name) for name in upsamplers}


def watched_images(dataset: ImageDataset) -> UInt8[Tensor, "n c h w"]:
    """The images a comparison is watched on: the first `LOOKED_AT` test images, a flat field, a shaded one."""
    _, flat, *_, shaded = fields(dataset.image_shape)
    return torch.cat([dataset.test[:LOOKED_AT], torch.stack([flat, shaded])])


def measure_rival(model: Autoencoder, dataset: ImageDataset, config: TrainConfig, state: TrainState) -> dict[str, Any]:
    """What `aecore.fit.measure` gives, and what `scores` adds."""
    return {**measure(model, dataset, config, state), **scores(model, dataset, config)}


def scores(model: Autoencoder, dataset: ImageDataset, config: TrainConfig) -> dict[str, float | None]:
    """What `scores_on` gives on the whole test set, SSIM as `test_ssim`."""
    found = scores_on(model, dataset.test, config)
    return {"test_ssim": found.pop("ssim"), **found}


def scores_on(model: Autoencoder, images: UInt8[Tensor, "n c h w"], config: TrainConfig) -> dict[str, float | None]:
    """`ssim` and all scores of `aecore.analysis.checkerboard` on stored images, with the loss and noise of `config`.

    A score that is infinite, because the targets have no energy to compare with, is None like one that does not apply.
    """
    reconstructions = reconstruct_unrounded(model, images, config.noise)
    found = checkerboard(model, images, loss_of(model.config, config), reconstructions=reconstructions).to_dict()
    return {
        "ssim": ssim(reconstructions, to_unit(images)),
        **{name: value if value is not None and math.isfinite(value) else None for name, value in found.items()},
    }


def compare(
    configs: Mapping[str, ModelConfig],
    training: TrainConfig,
    dataset: ImageDataset,
    *,
    on_turn: Callable[[Turn], None] = lambda _: None,
    command: str = "",
) -> dict[str, Checkpoint]:
    """Train the configured networks in lockstep and measure each on the whole test set.

    Args:
        configs: By name, as `rival_configs` gives them.
        training: How, for all of them; the seed is that of the weights too.
        dataset: What to learn from.
        on_turn: Told what each model does, as it happens.
        command: For the cards.

    Raises:
        ConfigError: If configurations and data do not go together.
        DivergenceError: If one exploded; names which.
    """
    check_lockstep(len(configs), training)
    models = {name: build_model(config, seed=training.seed) for name, config in configs.items()}
    choices = choose_alike(models, dataset.train, training)
    states = {name: TrainState(model, training, choices[name].execution) for name, model in models.items()}
    for turn in train_together(models, dataset, training, states):
        on_turn(turn)
        if isinstance(turn.event, Finished) and turn.event.reason == "diverged":
            raise DivergenceError(f"{turn.name}: {turn.event.message}")
    return {
        name: Checkpoint.of(
            model,
            train_config=training,
            dataset=dataset.name,
            dataset_checksum=dataset.checksum,
            metrics=measure_rival(model, dataset, training, states[name]),
            command=command,
        )
        for name, model in models.items()
    }


def summary(measured: Iterable[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, dict[str, float | None]]]:
    """Mean and standard deviation over seeds: rival -> number -> `mean`, `std`; None for what was not measured.

    Args:
        measured: For each seed the metrics of each rival, by name.

    Example:
        >>> numbers = summary([{"nearest": {"test_mse": 0.1}}, {"nearest": {"test_mse": 0.3}}])
        >>> numbers["nearest"]["test_mse"]
        {'mean': 0.2, 'std': 0.1414213562373095}
    """
    seeds = list(measured)
    return {
        rival: {name: _spread([seed[rival].get(name) for seed in seeds]) for name in REPORTED} for rival in seeds[0]
    }


def _spread(values: list[float | None]) -> dict[str, float | None]:
    """Mean and sample standard deviation; that of a single value is 0."""
    known = [float(value) for value in values if value is not None]
    if len(known) < len(values):
        return {"mean": None, "std": None}
    return {"mean": statistics.fmean(known), "std": statistics.stdev(known) if len(known) > 1 else 0.0}
