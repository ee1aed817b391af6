"""Corruptions: what a denoiser has to undo, each with a strength in a unit of its own.

A corruption is a function of images, strength and *draws*, the random fields it needs. The draws do not depend on the
strength, so with the same seed a stronger corruption is more of the same: the same pixels, only further off. That is
what lets a slider move smoothly, and what lets the browser compute the same pictures from the same draws. This module
knows nothing of models or training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from aecore.dials import Config, dial, nearest
from aecore.errors import ConfigError

Draws = Mapping[str, Tensor]
Apply = Callable[[Tensor, Tensor, Draws], Tensor]

NO_NOISE = "none"


@dataclass(frozen=True)
class Field:
    """One random field a corruption needs.

    Attributes:
        kind: "normal" for mean 0 and variance 1, "uniform" for [0, 1).
        per: One number for each "value" (N, C, H, W), for each "pixel" whatever its channels (N, 1, H, W), or for each
            "image" (N, 1, 1, 1).
    """

    kind: Literal["normal", "uniform"]
    per: Literal["value", "pixel", "image"]

    def draw(self, shape: tuple[int, int, int, int], generator: torch.Generator) -> Tensor:
        """Draw it for images of this shape (N, C, H, W)."""
        n, _, h, w = shape
        size = {"value": shape, "pixel": (n, 1, h, w), "image": (n, 1, 1, 1)}[self.per]
        return (torch.randn if self.kind == "normal" else torch.rand)(size, generator=generator)


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """One registered corruption.

    Attributes:
        title: Short name for people.
        help: What it does, in one sentence.
        measure: What its strength is, in words.
        unit: Unit of the strength.
        low: Weakest strength; 0 leaves images as they are.
        high: Strongest.
        step: Distance of two strengths one would tell apart.
        usual: A strength at which there is something to do.
        levels: A weak, a middle and a strong one, for tables.
        near: Further ones where a little more changes much, for curves.
        fields: The random fields it needs, by name.
        apply: (images (N, C, H, W), strengths (N, 1, 1, 1) in float64, draws) -> images, not clipped.
    """

    title: str
    help: str
    measure: str
    unit: str
    low: float
    high: float
    step: float
    usual: float
    levels: tuple[float, float, float]
    near: tuple[float, ...]
    fields: Mapping[str, Field] = field(default_factory=dict)
    apply: Apply


def gaussian(x: Tensor, strength: Tensor, draws: Draws) -> Tensor:
    """Add a normal number to each value: y = x + s n, n from N(0, 1); s is the standard deviation.

    Source: Vincent et al., Stacked denoising autoencoders, JMLR 11 (2010), section 3.3.
    """
    return x + strength.to(x.dtype) * draws["normal"]


def uniform(x: Tensor, strength: Tensor, draws: Draws) -> Tensor:
    """Add an evenly distributed number: y = x + s (2 u - 1), u from U[0, 1).

    The interval is 2 s wide, its standard deviation s / sqrt(3).
    """
    return x + strength.to(x.dtype) * (2 * draws["uniform"] - 1)


def salt_and_pepper(x: Tensor, strength: Tensor, draws: Draws) -> Tensor:
    """A share s of the pixels becomes 0 or 1, in all channels, each with probability one half.

    Source: Vincent et al. (2010), section 3.3.
    """
    hit, value = draws["hit"] < strength, (draws["salt"] < 0.5).to(x.dtype)
    return torch.where(hit, value, x)


def masking(x: Tensor, strength: Tensor, draws: Draws) -> Tensor:
    """A share s of the pixels becomes 0, in all channels.

    Source: Vincent et al. (2010), section 3.3.
    """
    return torch.where(draws["hit"] < strength, torch.zeros((), dtype=x.dtype), x)


def occlusion(x: Tensor, strength: Tensor, draws: Draws) -> Tensor:
    """A square patch becomes 0: s times the shorter side wide, rounded to whole pixels, anywhere inside the image.

    Source: DeVries & Taylor, Improved regularization of convolutional neural networks with Cutout,
    arXiv:1708.04552 (2017).
    """
    height, width = x.shape[2:]
    side = (strength * min(height, width) + 0.5).floor()  # (N, 1, 1, 1)
    top = (draws["top"] * (height - side + 1)).floor()
    left = (draws["left"] * (width - side + 1)).floor()
    rows, columns = torch.arange(height).view(-1, 1), torch.arange(width)
    inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
    return torch.where(inside, torch.zeros((), dtype=x.dtype), x)


def speckle(x: Tensor, strength: Tensor, draws: Draws) -> Tensor:
    """Multiply each value: y = x (1 + s n), n from N(0, 1); the brighter, the noisier, and black stays black.

    Source: Jain, Fundamentals of Digital Image Processing (1989), section 8.12, in the usual simple form.
    """
    return x + strength.to(x.dtype) * x * draws["normal"]


def poisson(x: Tensor, strength: Tensor, draws: Draws) -> Tensor:
    """Count photons, 1 / s^2 of them on average where the image is white: y = s^2 k, k from P(x / s^2).

    The standard deviation is s sqrt(x). Counts are found from uniform numbers by sequential search of the distribution
    function. Source: Devroye, Non-Uniform Random Variate Generation (1986), section X.3.3.
    """
    square = strength.square()
    rate = (x.double().clamp(min=0) / square).flatten()
    left = draws["uniform"].double().flatten()  # what remains of u after the probabilities of 0, 1, ... k photons
    share = torch.exp(-rate)
    left = left - share
    counts = torch.zeros_like(rate)
    going = (left > 0).nonzero().squeeze(1)
    rate, share, left = rate[going], share[going], left[going]
    photons = 0
    while len(going):
        photons += 1
        share = share * rate / photons
        left = left - share
        counts[going] = photons
        more = left > 0
        if not more.all():
            going, rate, share, left = going[more], rate[more], share[more], left[more]
    return (counts.view_as(x) * square).to(x.dtype)


def gaussian_blur(x: Tensor, strength: Tensor, draws: Draws) -> Tensor:  # noqa: ARG001 - nothing is drawn
    """Convolution with a Gaussian of standard deviation s pixels, cut off at 4 s; the border is repeated outwards.

    Source: the definition; `scipy.ndimage.gaussian_filter(mode="nearest")` is the same (a test holds them equal).
    """
    down, across = (_blur_matrices(strength.flatten(), side).to(x.dtype).unsqueeze(1) for side in x.shape[2:])
    blurred: Tensor = down @ x @ across.mT
    return blurred


def _blur_matrices(sigmas: Float[Tensor, " n"], side: int) -> Float[Tensor, "n side side"]:
    """What one blurred line of `side` pixels takes from which pixel, for each standard deviation."""
    reach = int(4 * float(sigmas.max()) + 0.5)
    offsets = torch.arange(-reach, reach + 1)
    weights = torch.exp(-offsets.square() / (2 * sigmas.clamp(min=1e-3).square().unsqueeze(1)))
    weights = weights * (offsets.abs() <= (4 * sigmas + 0.5).floor().unsqueeze(1))
    weights = weights / weights.sum(1, keepdim=True)
    taken = (torch.arange(side).unsqueeze(1) + offsets).clamp(0, side - 1)  # (side, 2 reach + 1)
    count = len(sigmas)
    matrices = torch.zeros(count, side, side, dtype=weights.dtype)
    return matrices.scatter_add_(2, taken.expand(count, -1, -1), weights.unsqueeze(1).expand(count, side, -1))


_WHITE = "of white"
CORRUPTIONS: dict[str, Corruption] = {
    "gaussian": Corruption(
        title="Gaussian",
        help="A normal number is added to each value: the noise of a sensor.",
        measure="standard deviation",
        unit=_WHITE,
        low=0.0,
        high=1.0,
        step=0.025,
        usual=0.3,
        levels=(0.1, 0.3, 0.5),
        near=(0.0125, 0.025, 0.05),
        fields={"normal": Field("normal", "value")},
        apply=gaussian,
    ),
    "uniform": Corruption(
        title="Uniform",
        help="A number from an even interval around 0 is added to each value: the noise of coarse rounding.",
        measure="half of the interval",
        unit=_WHITE,
        low=0.0,
        high=1.0,
        step=0.025,
        usual=0.5,
        levels=(0.25, 0.5, 0.75),
        near=(0.0125, 0.025, 0.05),
        fields={"uniform": Field("uniform", "value")},
        apply=uniform,
    ),
    "salt_and_pepper": Corruption(
        title="Salt and pepper",
        help="Some pixels become black or white: broken sensor cells, lost bits.",
        measure="share",
        unit="of the pixels",
        low=0.0,
        high=0.8,
        step=0.02,
        usual=0.2,
        levels=(0.1, 0.2, 0.4),
        near=(0.005, 0.01, 0.02, 0.04),
        fields={"hit": Field("uniform", "pixel"), "salt": Field("uniform", "pixel")},
        apply=salt_and_pepper,
    ),
    "masking": Corruption(
        title="Masking",
        help="Some pixels become black: what is missing has to be guessed from the rest.",
        measure="share",
        unit="of the pixels",
        low=0.0,
        high=0.95,
        step=0.025,
        usual=0.5,
        levels=(0.25, 0.5, 0.75),
        near=(0.00625, 0.0125, 0.025, 0.05),
        fields={"hit": Field("uniform", "pixel")},
        apply=masking,
    ),
    "occlusion": Corruption(
        title="Occlusion",
        help="A square patch becomes black: something stands in front.",
        measure="side of the patch",
        unit="of the image's side",
        low=0.0,
        high=0.8,
        step=0.025,
        usual=0.4,
        levels=(0.25, 0.4, 0.55),
        near=(0.025, 0.05, 0.1, 0.2),
        fields={"top": Field("uniform", "image"), "left": Field("uniform", "image")},
        apply=occlusion,
    ),
    "speckle": Corruption(
        title="Speckle",
        help="Each value is multiplied by a number around 1: radar, ultrasound, laser light.",
        measure="standard deviation of the factor",
        unit="",
        low=0.0,
        high=2.0,
        step=0.05,
        usual=0.5,
        levels=(0.25, 0.5, 1.0),
        near=(0.0125, 0.025, 0.05, 0.1),
        fields={"normal": Field("normal", "value")},
        apply=speckle,
    ),
    "poisson": Corruption(
        title="Poisson (shot)",
        help="Light is counted photon by photon: the noise of every dark photograph.",
        measure="standard deviation where the image is white, 1 / √photons",
        unit=_WHITE,
        low=0.05,
        high=1.0,
        step=0.025,
        usual=0.5,
        levels=(0.25, 0.5, 1.0),
        near=(0.075, 0.1),
        fields={"uniform": Field("uniform", "value")},
        apply=poisson,
    ),
    "gaussian_blur": Corruption(
        title="Gaussian blur",
        help="Each pixel is mixed with its neighbours: out of focus. Nothing is random.",
        measure="standard deviation of the blur",
        unit="pixels",
        low=0.0,
        high=3.0,
        step=0.1,
        usual=1.5,
        levels=(1.0, 1.5, 2.0),
        near=(0.35, 0.4, 0.45, 0.5, 0.75),
        apply=gaussian_blur,
    ),
}


def draw(corruption: str, shape: tuple[int, int, int, int], generator: torch.Generator) -> dict[str, Tensor]:
    """The random fields of a corruption for images of this shape (N, C, H, W), float32."""
    return {name: needed.draw(shape, generator) for name, needed in CORRUPTIONS[corruption].fields.items()}


def corrupt(
    images: Float[Tensor, "n c h w"],
    corruption: str,
    strength: float | Float[Tensor, " n"],
    *,
    generator: torch.Generator,
    clip: bool,
) -> Float[Tensor, "n c h w"]:
    """Corrupt images (N, C, H, W) in [0, 1]; the generator's state alone decides what is drawn.

    Args:
        images: What to corrupt; not changed.
        corruption: A name in `CORRUPTIONS`.
        strength: In the corruption's unit and range: one for all images, or one for each.
        generator: A `torch.Generator` on the CPU; with the same seed, the same result.
        clip: Whether values are cut off at 0 and 1, as a camera or a file would. It changes the noise: of Gaussian
            noise on a black pixel only the positive half remains.

    Raises:
        ConfigError: For an unknown name, or a strength out of range.

    Example:
        >>> white = torch.ones(1, 1, 2, 4)
        >>> corrupt(white, "masking", 0.5, generator=torch.Generator().manual_seed(0), clip=True).tolist()
        [[[[0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 1.0]]]]
    """
    strengths = torch.as_tensor(strength, dtype=torch.float64).expand(len(images)).view(-1, 1, 1, 1)
    check_strength(corruption, float(strengths.min()))
    check_strength(corruption, float(strengths.max()))
    n, c, h, w = images.shape
    noisy = CORRUPTIONS[corruption].apply(images, strengths, draw(corruption, (n, c, h, w), generator))
    return noisy.clamp(0, 1) if clip else noisy


def check_strength(corruption: str, strength: float) -> None:
    """Raise `ConfigError` unless the corruption exists and this strength is in its range; says what would fit."""
    if corruption not in CORRUPTIONS:
        raise ConfigError(
            f"There is no corruption {corruption!r}, only {', '.join(CORRUPTIONS)}.{nearest(corruption, CORRUPTIONS)}"
        )
    about = CORRUPTIONS[corruption]
    if not about.low <= strength <= about.high:
        unit = f" {about.unit}" if about.unit else ""
        raise ConfigError(
            f"{about.title} noise has strength {strength:g}, expected {about.low:g} to {about.high:g}{unit} "
            f"({about.measure})."
        )


@dataclass(frozen=True, kw_only=True)
class NoiseConfig(Config):
    """Which corruption a network is trained to undo; its target stays the clean image.

    Raises:
        ConfigError: For an unknown name, or a strength out of the corruption's range.

    Example:
        >>> NoiseConfig(corruption="gaussian", strength=0.5, weakest=0.2).range()
        (0.1, 0.5)
    """

    corruption: str = dial(
        NO_NOISE,
        label="Noise",
        choices={NO_NOISE: "None", **{name: about.title for name, about in CORRUPTIONS.items()}},
        help="What is done to each image before the network sees it. The target stays the clean image.",
    )
    strength: float = dial(
        0.0,
        low=0,
        high=max(about.high for about in CORRUPTIONS.values()),
        when={"corruption": tuple(CORRUPTIONS)},
        help="How strong, in the unit of the corruption; 0 takes its usual strength.",
    )
    weakest: float = dial(
        1.0,
        low=0,
        high=1,
        unit="of the strength",
        when={"corruption": tuple(CORRUPTIONS)},
        help="1 trains at this strength alone. Less gives each image a strength of its own, evenly drawn from this "
        "share of it to all of it: blind denoising, for noise of unknown strength.",
    )
    clip: bool = dial(
        True,
        label="Clip to [0, 1]",
        when={"corruption": tuple(CORRUPTIONS)},
        help="Cut noisy values off at black and white, as a file or a camera does.",
    )

    def __post_init__(self) -> None:
        """Check the dials, and the strength against the corruption's own range."""
        super().__post_init__()
        if self.strength and self.on:
            check_strength(self.corruption, self.strength)

    @property
    def on(self) -> bool:
        """Whether anything is done to the images."""
        return self.corruption != NO_NOISE

    def range(self) -> tuple[float, float]:
        """Weakest and strongest strength images get; (0, 0) without noise."""
        if not self.on:
            return 0.0, 0.0
        about = CORRUPTIONS[self.corruption]
        strongest = self.strength or about.usual
        return max(about.low, self.weakest * strongest), strongest

    def describe(self) -> str:
        """In words: 'Gaussian 0.1 to 0.5 of white', or an empty string without noise."""
        if not self.on:
            return ""
        about, (weakest, strongest) = CORRUPTIONS[self.corruption], self.range()
        span = f"{strongest:g}" if weakest == strongest else f"{weakest:g} to {strongest:g}"
        return f"{about.title} {span} {about.unit}".strip()

    def corrupt(self, images: Float[Tensor, "n c h w"], generator: torch.Generator) -> Float[Tensor, "n c h w"]:
        """Images (N, C, H, W) in [0, 1] as the network sees them; without noise the images themselves."""
        if not self.on:
            return images
        weakest, strongest = self.range()
        strengths = torch.full((len(images),), strongest, dtype=torch.float64)
        if weakest < strongest:
            strengths = weakest + (strongest - weakest) * torch.rand(
                len(images), generator=generator, dtype=torch.float64
            )
        return corrupt(images, self.corruption, strengths, generator=generator, clip=self.clip)


NONE = NoiseConfig()
