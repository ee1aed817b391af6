"""The settings of the next run: data, network, training, budget; derived from the configurations.

This module knows nothing of runs that exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import streamlit as st

from aecore.data import DATASETS, is_available
from aecore.errors import ConfigError
from aecore.models import ModelConfig
from aecore.noise import NO_NOISE, NoiseConfig
from aecore.training import TrainConfig, check_loss
from pages.ui import forms
from pages.ui.noise_form import fill_noise, noise_widgets, read_noise

DATASET = "dataset"
BUILT_IN = "digits"
ENOUGH_IMAGES, MOST_EPOCHS = 300_000, 100  # five epochs of MNIST
BUDGET = ("budget", "budget_unit")
AS_USUAL: Mapping[str, Any] = MappingProxyType({})  # every dial at its default


@dataclass(frozen=True)
class Settings:
    """What to train on what, and how; with `rivals`, upsamplers, a comparison of which `model` is the shared part."""

    dataset: str
    model: ModelConfig
    training: TrainConfig
    rivals: tuple[str, ...] = ()


def settings_form(usual: Mapping[str, Any] = AS_USUAL) -> Settings | None:
    """Draw the form; give what it says, or None after showing what does not go together.

    Args:
        usual: What it begins with where that is not the dials' defaults, by dial; the corruption is one of them.
    """
    dataset = choose_dataset(
        default_dataset(), "What the network learns to copy. It never sees the labels.", on_change=suggest_budget
    )
    plain, advanced = _by_prominence(ModelConfig)
    plain_training, advanced_training = _by_prominence(TrainConfig)
    forms.dial_widgets(ModelConfig, plain, usual=usual)
    noise_widgets(usual.get("corruption", NO_NOISE))
    forms.dial_widgets(TrainConfig, BUDGET, usual={"budget": enough_epochs(dataset)})
    with st.expander("More dials", icon=":material/tune:"):
        forms.dial_widgets(ModelConfig, advanced, usual=usual)
        forms.dial_widgets(TrainConfig, [name for name in plain_training if name not in BUDGET], usual=usual)
        forms.dial_widgets(TrainConfig, advanced_training, usual=usual)
        st.button("Back to the defaults", icon=":material/undo:", on_click=fill, args=(None, usual), key="defaults")
    try:
        return read_settings()
    except ConfigError as error:
        st.error(str(error), icon=":material/error:")
        return None


def choose_dataset(usual: str, help_text: str, on_change: Callable[[], None] | None = None) -> str:
    """Draw the choice of a dataset and what there is to say about it; give its name.

    Args:
        usual: The one to begin with.
        help_text: What to think of when choosing.
        on_change: Called when another one was chosen.
    """
    forms.seed(DATASET, {name: spec.title for name, spec in DATASETS.items()})
    dataset: str = st.selectbox(
        "Images",
        list(DATASETS),
        index=list(DATASETS).index(usual),
        format_func=lambda name: DATASETS[name].title,
        key=DATASET,
        bind="query-params",
        on_change=on_change,
        help=help_text,
    )
    st.caption(about_dataset(dataset))
    return dataset


def read_settings() -> Settings:
    """What the form says at this moment; also right in a button's callback.

    Raises:
        ConfigError: If the settings do not go together.
    """
    dataset: str = st.session_state[DATASET]
    model = ModelConfig(image_shape=DATASETS[dataset].image_shape, **forms.read(ModelConfig))
    training = TrainConfig(**forms.read(TrainConfig), noise=read_noise())
    check_loss(model, training)
    return Settings(dataset, model, training)


def fill(settings: Settings | None, usual: Mapping[str, Any] = AS_USUAL) -> None:
    """Set the form to `settings`, or to what it began with, see `settings_form`; for a button's callback."""
    st.session_state[DATASET] = settings.dataset if settings else default_dataset()
    forms.fill(ModelConfig, settings.model.to_dict() if settings else dict(usual))
    forms.fill(TrainConfig, settings.training.to_dict() if settings else dict(usual))
    corruption = usual.get("corruption", NO_NOISE)
    fill_noise(settings.training.noise if settings else NoiseConfig(corruption=corruption, weakest=0.0))
    if settings is None:
        suggest_budget()


def suggest_budget() -> None:
    """Set the budget to what shows a result on the chosen images, unless it is counted otherwise than in epochs."""
    if st.session_state.get("budget_unit", "epochs") == "epochs":
        st.session_state["budget"] = enough_epochs(st.session_state[DATASET])


def enough_epochs(dataset: str, images: int = ENOUGH_IMAGES, most: int = MOST_EPOCHS) -> int:
    """How many epochs of a dataset show about so many images; by default, as many as it takes to see a result."""
    return max(1, min(most, round(images / DATASETS[dataset].train_size)))


def default_dataset() -> str:
    """MNIST where its files are, else images that come with the lab."""
    return "mnist" if is_available("mnist") else BUILT_IN


def about_dataset(name: str) -> str:
    """Size, shape and origin of a dataset in one line."""
    spec = DATASETS[name]
    channels, height, width = spec.image_shape
    kind = "grey" if channels == 1 else "colour"
    size = f"{spec.train_size:,} images to learn from, {spec.test_size:,} to test on, {height}×{width} {kind}."
    if is_available(name):
        return size
    return f"{size} Downloaded once when you train ({(spec.download_bytes or 0) / 1e6:.0f} MB)."


def _by_prominence(config: type[ModelConfig] | type[TrainConfig]) -> tuple[list[str], list[str]]:
    dials = config.dials()
    plain = [name for name, dial in dials.items() if not dial.advanced]
    return plain, [name for name in dials if name not in plain]
