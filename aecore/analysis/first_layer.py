"""What the first layer of an encoder looks for: its filters as small images.

This module knows nothing of pages.
"""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor, nn

from aecore.models.autoencoder import Autoencoder
from aecore.models.initialisation import weighted_layers


def first_filters(model: Autoencoder, most: int = 16) -> Float[Tensor, "f c h w"]:
    """The filters of the first layer with weights, strongest first, at most `most` of them: (F, C, h, w).

    Those of a convolution have its kernel's size; those of a fully connected layer are as large as the image, one for
    each unit. Strong means a large sum of squares. Signed; not scaled.
    Source: Vincent et al., Stacked denoising autoencoders, JMLR 11 (2010), section 5, looks at them in this way.
    """
    weight = weighted_layers(nn.Sequential(model.encoder, model.bottleneck))[0].weight.detach()
    if weight.ndim == 2:
        weight = weight.view(-1, *model.config.image_shape)
    order = weight.flatten(1).square().sum(1).argsort(descending=True, stable=True)
    return weight[order[:most]]


def roughness(filters: Float[Tensor, "f c h w"]) -> float:
    """How much neighbouring values of filters differ: mean squared difference over twice their mean square.

    0 for flat filters, about 1 for independent values, more where signs take turns. It is 1 less the correlation of
    neighbours, if the mean is 0: von Neumann's ratio halved.
    Source: von Neumann, Distribution of the ratio of the mean square successive difference to the variance, Annals of
    Mathematical Statistics 12 (1941).
    """
    steps = [filters.diff(dim=dim).double().square() for dim in (2, 3)]
    differences = sum(float(step.sum()) for step in steps) / sum(step.numel() for step in steps)
    power = float(filters.double().square().mean())
    return differences / (2 * power) if power else math.nan
