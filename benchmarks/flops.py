"""The floating-point operations of a training step, counted exactly from the list of layers.

This module knows nothing of how long they take.
"""

from __future__ import annotations

from collections.abc import Iterable

from aecore.models.layers import Layer

PLAIN_TO_FOLDED = 36 / 16  # multiplications of a resize-convolution as tutorials write it, and folded


def training_flops_per_image(layers: Iterable[Layer]) -> int:
    """Operations of one image's part in a training step; a multiply-add counts two.

    Forward, the gradient of a layer's weights and the gradient of its input are three products of the same size, so a
    layer counts three times; but nobody asks how the loss changes with the image, so the first layer with weights
    counts twice. Activations, the loss and the optimiser are not counted, as in `torch.utils.flop_counter`, with which
    a test compares. A resize-convolution counts as the lab computes it, folded to a transposed convolution.

    Source: Kaplan et al., Scaling laws for neural language models (2020), arXiv:2001.08361, section 2.1, for "the
    backwards pass has approximately twice the compute of the forwards pass"; here exactly, layer by layer.
    """
    weighted = [layer.flops for layer in layers if layer.flops]
    return 3 * sum(weighted) - weighted[0]


def plain_training_flops_per_image(layers: Iterable[Layer]) -> int:
    """The same for resize-convolutions that are not folded: doubled first, then nine taps for every output pixel."""
    weighted = [
        round(layer.flops * (PLAIN_TO_FOLDED if layer.op == "nearest_conv2d" else 1)) for layer in layers if layer.flops
    ]
    return 3 * sum(weighted) - weighted[0]
