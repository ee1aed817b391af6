"""What to compare: images, rivals and what they share.

This module knows nothing of runs that exist.
"""

from __future__ import annotations

import streamlit as st

from aecore.compare import FEWEST_RIVALS, rival_configs
from aecore.data import DATASETS
from aecore.errors import ConfigError
from aecore.models import UPSAMPLERS, ModelConfig
from aecore.training import TrainConfig, check_lockstep
from pages.ui import forms
from pages.ui.side_by_side import MOST_RIVALS
from pages.ui.train_form import DATASET, Settings, choose_dataset, enough_epochs

RIVALS = "rivals"
USUAL_RIVALS = ("transpose3", "transpose4", "nearest")
USUAL_DATASET = "shapes"
IMAGES_ENOUGH, MOST_EPOCHS = 40_000, 50  # two epochs of the shapes
SHARED = ("downsample", "latent_dim")
SHARED_ADVANCED = ("channels", "stages", "activation")
TRAINING_ADVANCED = ("loss", "learning_rate", "batch_size", "optimiser", "schedule", "seed")


def comparison_form() -> Settings | None:
    """Draw the form; give what it says, or None after showing what does not go together."""
    dataset = choose_dataset(
        USUAL_DATASET, "On a grey ground a checkerboard shows; on black what would be below zero is cut off."
    )
    st.multiselect(
        f"Rivals ({FEWEST_RIVALS} to {MOST_RIVALS})",
        list(UPSAMPLERS),
        default=list(USUAL_RIVALS),
        max_selections=MOST_RIVALS,
        format_func=lambda name: UPSAMPLERS[name].title,
        key=RIVALS,
        bind="query-params",
        help="Decoders that differ in how they double the resolution, and in nothing else.",
    )
    forms.dial_widgets(ModelConfig, SHARED)
    forms.dial_widgets(TrainConfig, ["budget"], usual={"budget": enough_epochs(dataset, IMAGES_ENOUGH, MOST_EPOCHS)})
    st.caption("The budget is in epochs: every rival sees the same batches in the same order.")
    with st.expander("More dials", icon=":material/tune:"):
        forms.dial_widgets(ModelConfig, SHARED_ADVANCED)
        forms.dial_widgets(TrainConfig, TRAINING_ADVANCED)
    try:
        return read_comparison()
    except ConfigError as error:
        st.error(str(error), icon=":material/error:")
        return None


def read_comparison() -> Settings:
    """What the form says at this moment; also right in a button's callback.

    Raises:
        ConfigError: If the settings do not go together.
    """
    dataset: str = st.session_state[DATASET]
    rivals = tuple(name for name in UPSAMPLERS if name in st.session_state[RIVALS])
    if len(rivals) > MOST_RIVALS:
        raise ConfigError(f"{len(rivals)} rivals are chosen, and up to {MOST_RIVALS} fit side by side. Leave some out.")
    chosen = {**forms.read(ModelConfig), "body": "conv", "upsample": "nearest"}
    model = ModelConfig(image_shape=DATASETS[dataset].image_shape, **chosen)
    training = TrainConfig(**{**forms.read(TrainConfig), "budget_unit": "epochs"})
    rival_configs(model, rivals)
    check_lockstep(len(rivals), training)
    return Settings(dataset, model, training, rivals)
