"""The checkerboard in numbers: in the weights of a layer, in the images a decoder gives, and in the gradient.

A layer of stride s does different sums for different *phases*, the places (i mod s, j mod s) of an output pixel.
Whatever the phases do differently repeats every s pixels and shows as a checkerboard. Source of the idea: Odena,
Dumoulin & Olah, Deconvolution and checkerboard artifacts, Distill (2016). This module knows nothing of how
models are trained, or of pictures.

Three scores, all 0 where there is no checkerboard, and lower is better:

- *layer*: how unequal the gains of the phases are, relative to their mean; from the weights alone.
- *image*: energy of the repeating pattern that the reconstructions have and their targets do not explain, relative to
  the energy of that pattern in the targets themselves. 1 means: as strong as all real detail at that frequency.
- *gradient*: the largest over the smallest mean squared gradient of the loss by phase of the input; 1 is even.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import groupby

import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor, nn

from aecore.data.image_dataset import to_unit
from aecore.models.activations import ACTIVATIONS
from aecore.models.autoencoder import Autoencoder
from aecore.models.bodies import Crop
from aecore.models.unpooling import MaxUnpool2d
from aecore.training.evaluation import BATCH, evaluating, reconstruct_unrounded

STRIDE = 2
MARGIN = 4  # pixels at the border where zero padding leaves marks of its own, in images large enough to spare them


@dataclass(frozen=True)
class Checkerboard:
    """All scores of one model.

    Attributes:
        layer_score: Of the last doubling, whose phases are pixels of the image; None where the network has none or, as
            with max-unpooling, the phases depend on the image.
        image_score: Of period 2, relative to the targets' own energy there; infinite if they have none.
        image_score_4: Of period 4, where the doubling before the last one shows.
        spectral_score: As `image_score`, but only what stands out above the neighbouring frequencies; below 0 where
            the decoder gives less than they predict.
        gradient_score: Largest over smallest mean squared gradient by phase of the input.
        field_amplitude: Root mean square of the pattern of period 2 on flat and shaded grey fields, in grey levels
            of 255.
    """

    layer_score: float | None
    image_score: float
    image_score_4: float
    spectral_score: float
    gradient_score: float
    field_amplitude: float

    def to_dict(self) -> dict[str, float | None]:
        """The scores by name."""
        return asdict(self)


def checkerboard(
    model: Autoencoder,
    images: UInt8[Tensor, "n c h w"],
    loss: str = "mse",
    *,
    reconstructions: Float[Tensor, "n c h w"] | None = None,
) -> Checkerboard:
    """Measure everything about `model` on stored images; trained or not.

    Args:
        model: It is left as it was.
        images: Test images (N, C, H, W).
        loss: The loss whose gradient is looked at.
        reconstructions: What `reconstruct_unrounded` makes of the images, if that is known already.
    """
    targets = to_unit(images)
    if reconstructions is None:
        reconstructions = reconstruct_unrounded(model, images)
    return Checkerboard(
        layer_score=layer_score(model),
        image_score=image_score(reconstructions, targets, STRIDE),
        image_score_4=image_score(reconstructions, targets, STRIDE**2),
        spectral_score=spectral_score(reconstructions, targets),
        gradient_score=gradient_score(model, targets[:BATCH], loss),
        field_amplitude=255 * amplitude(reconstruct_unrounded(model, fields(model.config.image_shape)), STRIDE),
    )


# ---- in the weights ----------------------------------------------------------------------------------------------


def phase_gains(doubling: nn.Module, channels: int) -> Float64[Tensor, "c d 4"]:
    """How strongly each phase of a doubling's output answers to an even input, per pair of channels.

    g_p(c, d) is the sum of the kernel taps that land on phase p = (row mod 2, column mod 2), by which a constant 1 in
    channel c is multiplied on its way to channel d, away from the borders. Measured by sending just that through a
    copy in double precision, so that it holds for whatever linear layers a doubling is made of, and sums of equal
    taps are equal to the last bit.

    Args:
        doubling: (N, C, H, W) -> (N, D, 2H, 2W), linear but for biases.
        channels: C.

    Example:
        >>> from aecore.models import UPSAMPLERS
        >>> layers = nn.Sequential(*UPSAMPLERS["transpose3"].build(1, 1))
        >>> _ = nn.init.ones_(layers[0].weight)
        >>> phase_gains(layers, 1).tolist()
        [[[1.0, 2.0, 2.0, 4.0]]]
    """
    exact = copy.deepcopy(doubling).double()
    side = 8  # no kernel reaches from the border to the middle
    with torch.no_grad():
        constant = torch.eye(channels, dtype=torch.float64)[:, :, None, None].expand(-1, -1, side, side)
        answers = exact(constant) - exact(torch.zeros(1, channels, side, side, dtype=torch.float64))
    middle: Tensor = answers[:, :, side : side + STRIDE, side : side + STRIDE]
    return middle.flatten(2)


def gain_score(gains: Float64[Tensor, "c d p"]) -> float:
    """RMS over pairs of channels of the standard deviation of the gains, over the RMS of their mean.

    The all-ones 3x3 kernel at stride 2 has gains 1, 2, 2, 4 and the score sqrt(19) / 9 = 0.484; kernels drawn at
    random about 0 have sqrt(3) = 1.73 on average, whatever their size; equal gains have exactly 0.
    """
    spread = gains.var(2, unbiased=False).mean().sqrt()
    size = gains.mean(2).square().mean().sqrt()
    if spread == 0:
        return 0.0
    return float(spread / size) if size > 0 else math.inf


def layer_scores(model: Autoencoder) -> list[float | None]:
    """The score of each doubling of a decoder, the first one first; None where it has no fixed phases."""
    scores: list[float | None] = []
    for doubling in doublings(model):
        if any(isinstance(layer, MaxUnpool2d) for layer in doubling):
            scores.append(None)
        else:
            scores.append(gain_score(phase_gains(doubling, _channels_into(doubling))))
    return scores


def layer_score(model: Autoencoder) -> float | None:
    """The score of the last doubling, whose phases are pixels of the image; None where it has none."""
    scores = layer_scores(model)
    return scores[-1] if scores else None


def doublings(model: Autoencoder) -> list[nn.Sequential]:
    """The layers of each doubling of a decoder: what stands between two activations once the code is a picture."""
    layers = list(model.decoder)
    start = next(index for index, layer in enumerate(layers) if isinstance(layer, nn.Unflatten)) + 1
    between = (*ACTIVATIONS.values(), Crop)
    groups = groupby(layers[start:], key=lambda layer: isinstance(layer, between))
    return [nn.Sequential(*group) for is_between, group in groups if not is_between]


def _channels_into(doubling: Iterable[nn.Module]) -> int:
    weighted = next(layer for layer in doubling if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d))
    return weighted.in_channels


# ---- in the images -----------------------------------------------------------------------------------------------


def pattern(images: Float[Tensor, "n c h w"], period: int) -> Float64[Tensor, "n c p"]:
    """What repeats every `period` pixels: the mean of each phase less the mean of all, (N, C, period^2).

    Rows and columns beyond a multiple of the period are left out.
    """
    height, width = (side // period * period for side in images.shape[2:])
    means = phases(images[:, :, :height, :width].double(), period).mean((2, 4)).flatten(2)
    return means - means.mean(2, keepdim=True)


def phases(images: Float[Tensor, "n c h w"], period: int) -> Float[Tensor, "n c y p x q"]:
    """Pixels by their phase: (N, C, H, W) -> (N, C, H/period, period, W/period, period)."""
    count, channels, height, width = images.shape
    return images.reshape(count, channels, height // period, period, width // period, period)


def amplitude(images: Float[Tensor, "n c h w"], period: int) -> float:
    """Root mean square of the pattern over images, channels and phases, in the images' own unit."""
    return float(pattern(images, period).square().mean().sqrt())


def image_score(
    reconstructions: Float[Tensor, "n c h w"], targets: Float[Tensor, "n c h w"], period: int = STRIDE
) -> float:
    """Energy of the pattern of which the targets know nothing, relative to the energy of theirs.

    With r and t the patterns of reconstruction and target of each image, and a = <r, t> / <t, t> the share of the
    targets' real detail that comes back, the score is sum (r - a t)^2 / sum t^2, over images, channels and phases: the
    phase means of the residual, without what is only detail lost. Detail kept or lost does not count; a pattern of
    the decoder's own does, in proportion to its energy. Each image has its own pattern, for a checkerboard changes its
    sign with what is drawn. A shift of the images renames the phases and leaves the score, but for the border.
    """
    own, theirs = pattern(reconstructions, period), pattern(targets, period)
    left, energy = (own - _share(own, theirs) * theirs).square().sum(), theirs.square().sum()
    if left == 0:
        return 0.0
    return float(left / energy) if energy > 0 else math.inf


def _share(own: Tensor, theirs: Tensor) -> Tensor:
    """<own, theirs> / <theirs, theirs>; 0 where there is nothing of theirs."""
    energy = theirs.square().sum()
    return (own * theirs).sum() / energy if energy > 0 else energy


def spectrum(images: Float[Tensor, "n c h w"]) -> Float64[Tensor, "h w"]:
    """Mean power of the images at each frequency, zero frequency at (H // 2, W // 2).

    |F(u, v)|^2 / (HW)^2 for images of H x W, averaged over images and channels. Over all frequencies it sums to the
    mean square (Parseval).
    At the frequencies of period 2, where u is 0 or H/2 and v is 0 or W/2, all but zero, it sums to the mean variance of
    the phase means: the phase means and the spectrum are two views of one thing.
    Source: Oppenheim & Schafer, Discrete-time signal processing (1989), section 8.6.
    """
    power: Tensor = torch.fft.fft2(images.double(), norm="forward").abs().square().mean((0, 1))
    centred: Tensor = torch.fft.fftshift(power)
    return centred


def spectral_score(reconstructions: Float[Tensor, "n c h w"], targets: Float[Tensor, "n c h w"]) -> float:
    """As `image_score` of period 2, seen in the spectrum: only what stands out above the neighbouring frequencies.

    The energy of r - a t (see `image_score`) at the three sampling frequencies (0, 1/2), (1/2, 0) and (1/2, 1/2) of a
    cycle per pixel, each less the mean of the frequencies around it, relative to the targets' own energy at the three.
    Below 0 where the decoder gives less than the neighbours predict: a smoothing one.
    """
    height, width = (side // 2 * 2 for side in targets.shape[2:])
    own, theirs = reconstructions[:, :, :height, :width].double(), targets[:, :, :height, :width].double()
    r, t = pattern(own, STRIDE), pattern(theirs, STRIDE)
    power, reference = spectrum(own - _share(r, t) * theirs), spectrum(theirs)
    lines = [(0, width // 2), (height // 2, 0), (0, 0)]  # with zero frequency in the middle, 1/2 is at index 0
    above = sum(float(power[line]) - _around(power, line) for line in lines)
    if t.any():
        return above / sum(float(reference[line]) for line in lines)
    # the pattern says exactly whether there is any; rounding in the transform does not
    return math.copysign(math.inf, above) if bool(r.any()) else 0.0


def _around(power: Float64[Tensor, "h w"], line: tuple[int, int], reach: int = 2) -> float:
    """Mean power of the frequencies around one, up to `reach` steps away, without it and without zero frequency."""
    height, width = power.shape
    centre = (height // 2, width // 2)
    steps = range(-reach, reach + 1)
    places = {((line[0] + dy) % height, (line[1] + dx) % width) for dy in steps for dx in steps}
    return float(torch.stack([power[place] for place in sorted(places - {line, centre})]).mean())


# ---- in the gradient ---------------------------------------------------------------------------------------------


def gradient_energies(
    model: Autoencoder, images: Float[Tensor, "n c h w"], loss: str = "mse", stride: int = STRIDE
) -> Float64[Tensor, " p"]:
    """Mean squared gradient of the loss with respect to the input, by phase of the input pixel, (stride^2,).

    The target is held fixed, so that only the way through the encoder counts. A strided convolution reads some pixels
    more often than others, and its gradient is a transposed convolution, with the same checkerboard.
    Source: Odena, Dumoulin & Olah, Distill (2016), "Checkerboard artifacts in gradients".
    """
    parts = []
    with evaluating(model):
        for batch in images.split(BATCH):
            x = batch.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(model.loss_terms(x, batch, loss).reconstruction.sum(), x)
            parts.append(inner(gradient).double().square())
    squared = torch.cat(parts)
    height, width = (side // stride * stride for side in squared.shape[2:])
    return phases(squared[:, :, :height, :width], stride).mean((0, 1, 2, 4)).flatten()


def gradient_score(model: Autoencoder, images: Float[Tensor, "n c h w"], loss: str = "mse") -> float:
    """The largest of `gradient_energies` over the smallest; 1 where there is no gradient at all."""
    energies = gradient_energies(model, images, loss)
    smallest, largest = float(energies.min()), float(energies.max())
    if largest == 0:
        return 1.0
    return largest / smallest if smallest > 0 else math.inf


def inner(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
    """The images without their border, where they are large enough to spare it."""
    if min(images.shape[2:]) < 4 * MARGIN:
        return images
    return images[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN]


# ---- what to look at ---------------------------------------------------------------------------------------------


def fields(image_shape: tuple[int, int, int]) -> UInt8[Tensor, "6 c h w"]:
    """Three flat fields, dark, middle and bright grey, and three that grow brighter across, down and both.

    On them the target has no detail of its own, and no black ground hides what would be below zero.
    """
    channels, height, width = image_shape
    across = torch.linspace(64, 192, width).expand(height, width)
    down = torch.linspace(64, 192, height)[:, None].expand(height, width)
    flat = [torch.full((height, width), level) for level in (64.0, 128.0, 192.0)]
    return (
        torch.stack([*flat, across, down, (across + down) / 2])
        .round()
        .to(torch.uint8)[:, None]
        .repeat(1, channels, 1, 1)
    )
