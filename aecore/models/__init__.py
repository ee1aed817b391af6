"""From a `ModelConfig` to an `Autoencoder`, and the registries of the parts it is built from."""

from aecore.models.autoencoder import Autoencoder, LossTerms, build_model
from aecore.models.bodies import BODIES
from aecore.models.bottlenecks import BOTTLENECKS
from aecore.models.config import ModelConfig
from aecore.models.layers import Layer, describe
from aecore.models.resampling import DOWNSAMPLERS, UPSAMPLERS

__all__ = [
    "BODIES",
    "BOTTLENECKS",
    "DOWNSAMPLERS",
    "UPSAMPLERS",
    "Autoencoder",
    "Layer",
    "LossTerms",
    "ModelConfig",
    "build_model",
    "describe",
]
