"""What a variational autoencoder pays for, and the verdict: is the code in use, and if not, why not.

The words are computed from the numbers. This module knows nothing of runs or pages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from aecore.data.image_dataset import to_unit
from aecore.losses import RECONSTRUCTION_LOSSES
from aecore.metrics import ACTIVE_VARIANCE, active_units
from aecore.models.bottlenecks import Posterior
from aecore.models.config import ModelConfig
from aecore.training.config import TrainConfig
from aecore.training.loop import mean_image

SURELY_UNUSED = ACTIVE_VARIANCE / 2
"""Nats of KL of a unit up to which it cannot be active: its KL is at least half the variance of its mean."""
WIDE = 1.5  # times the prior's variance, from which codes no longer lie where the prior draws
CLASSES = 10  # what a code should tell at the very least, for the reader to compare with
CLOSE = 0.02  # relative: near enough to be meant

Kind = Literal["astray", "untrained", "free", "collapsed", "warming", "partly", "used"]


@dataclass(frozen=True, kw_only=True)
class Account:
    """What a variational model pays for an image, on average over test images.

    Attributes:
        reconstruction: Negative log-likelihood of the image given its code, nats per image.
        kl: KL divergence from the prior, nats per image, before beta.
        units: Each unit's part of it.
        beta: What a nat of KL costs in the loss.
        pixels: Values of an image.
        constant: Part of `reconstruction` that is no part of the loss, nats per image.
        share: How much of beta counts at this step; less than 1 while it warms up.
        active: Which units are active, see `aecore.metrics.active_units`; None if that is not measured.
        spread: Variance of each unit's codes over all images; None if that is not measured. The prior's is 1.
        blank: What `reconstruction` would be if the mean picture were drawn for every image; None if not measured.
        step: Steps of training done; None if that is not known.
    """

    reconstruction: float
    kl: float
    units: tuple[float, ...]
    beta: float
    pixels: int
    constant: float = 0.0
    share: float = 1.0
    active: tuple[bool, ...] | None = None
    spread: tuple[float, ...] | None = None
    blank: float | None = None
    step: int | None = None

    @property
    def negative_elbo(self) -> float:
        """Reconstruction + KL: an upper bound of -log p(image), in nats; lower is better."""
        return self.reconstruction + self.kl

    @property
    def weight(self) -> float:
        """What a nat of KL costs at this step."""
        return self.share * self.beta

    @property
    def loss(self) -> float:
        """What training minimises at this step."""
        return self.reconstruction - self.constant + self.weight * self.kl

    @property
    def bits(self) -> float:
        """The KL in bits: about what a code says of its image."""
        return self.kl / math.log(2)

    @property
    def in_use(self) -> tuple[bool, ...]:
        """Which units are active; where that is not measured, which ones may be."""
        return self.active if self.active is not None else tuple(kl > SURELY_UNUSED for kl in self.units)

    @property
    def saved(self) -> float | None:
        """How many nats the code saves, compared with drawing the mean picture."""
        return None if self.blank is None else self.blank - self.reconstruction


@dataclass(frozen=True)
class Verdict:
    """What the numbers say of the code.

    Attributes:
        kind: In one word.
        title: In one sentence.
        reasons: Why, each a sentence or two, with the numbers.
    """

    kind: Kind
    title: str
    reasons: tuple[str, ...] = ()

    @property
    def trouble(self) -> bool:
        """Whether something should be changed."""
        return self.kind in ("astray", "free", "collapsed")


def account_of_terms(
    terms: Mapping[str, float], units: Sequence[float], model: ModelConfig, loss: str, *, share: float, step: int | None
) -> Account:
    """The account of a look at the test set, of which the terms of the loss are known.

    Args:
        terms: `reconstruction` and `kl`, as `aecore.training.evaluate` gives them.
        units: KL of each unit.
        model: Which network.
        loss: A name in `RECONSTRUCTION_LOSSES`.
        share: How much of beta counted.
        step: Steps done, if that is known.
    """
    pixels = math.prod(model.image_shape)
    constant = pixels * RECONSTRUCTION_LOSSES[loss].constant
    return Account(
        reconstruction=terms["reconstruction"] + constant,
        kl=terms["kl"],
        units=tuple(units),
        beta=model.beta,
        pixels=pixels,
        constant=constant,
        share=share,
        step=step,
    )


def measured_on(account: Account, posterior: Posterior, blank: float) -> Account:
    """The account with what only the posteriors of many images tell: KL, activity and spread of each unit.

    Args:
        account: What is known already; its KL in all is kept.
        posterior: Of at least two images, (N, Z).
        blank: See `cost_of_the_mean`.
    """
    mean, variance = posterior.mean.double(), posterior.log_variance.double().exp()
    kl = Posterior(mean, posterior.log_variance.double()).kl().mean(0)
    return replace(
        account,
        units=tuple(kl.tolist()),
        active=tuple(active_units(posterior.mean).tolist()),
        spread=tuple((mean.var(0) + variance.mean(0)).tolist()),
        blank=blank,
    )


def cost_of_the_mean(train: UInt8[Tensor, "m c h w"], test: UInt8[Tensor, "n c h w"], loss: str) -> float:
    """What a decoder without any code pays: nats for a test image when the mean training image is drawn for all.

    Args:
        train: Stored images whose mean is drawn.
        test: Stored images it is measured on.
        loss: A name in `RECONSTRUCTION_LOSSES`.

    Example:
        >>> images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
        >>> round(cost_of_the_mean(images, images, "bce") / math.log(2), 3)
        1.0
    """
    about = RECONSTRUCTION_LOSSES[loss]
    mean = mean_image(train)
    pre_image = mean.logit(eps=1e-4) if about.needs_bounded_output else mean
    target = to_unit(test)
    cost = about.per_sample(pre_image.expand_as(target), target, torch.nn.Identity())
    return float(cost.double().mean()) + mean.numel() * about.constant


def kl_by_class(posterior: Posterior, labels: Int64[Tensor, " n"], classes: int) -> Float64[Tensor, "k z"]:
    """Each unit's mean KL over the images of each class, (K, Z); 0 for a class without images."""
    kl = Posterior(posterior.mean.double(), posterior.log_variance.double()).kl()
    sums = torch.zeros(classes, kl.shape[1], dtype=torch.float64).index_add(0, labels, kl)
    return sums / torch.bincount(labels, minlength=classes).clamp(min=1).unsqueeze(1)


def averaged_over_pixels(model: ModelConfig) -> ModelConfig:
    """The model whose loss is that of `model` with the reconstruction averaged over the pixels, up to a factor.

    rec / D + beta KL = (rec + D beta KL) / D: to divide the first term by D is to multiply beta by D, and the factor
    1/D of the whole means nothing to an optimiser that scales its steps, such as Adam.

    Raises:
        ConfigError: If beta becomes larger than a configuration allows.
    """
    return replace(model, beta=model.beta * math.prod(model.image_shape))


def averaging_is_a_beta(training: TrainConfig) -> bool:
    """Whether a training does not mind the size of the whole loss, so that averaging is no more than another beta.

    Adam divides each gradient by its own running size; a decay that is added to the gradient, as torch's Adam does,
    would count D times as much beside gradients D times as small. AdamW's does not pass through that division.
    Sources: Kingma & Ba, Adam (2015), section 2.1; Loshchilov & Hutter, Decoupled weight decay (2019).
    """
    return training.optimiser == "adamw" or (training.optimiser == "adam" and not training.weight_decay)


def verdict(account: Account) -> Verdict:
    """Whether the code is in use, and why not, from the numbers.

    Example:
        >>> verdict(Account(reconstruction=163.0, kl=0.0, units=(0.0, 0.0), beta=784, pixels=784)).kind
        'collapsed'
    """
    if not all(map(math.isfinite, (account.reconstruction, account.kl))):
        return Verdict("astray", "The loss is no number any more.", ("Train again with a smaller learning rate.",))
    if account.step == 0:
        return Verdict("untrained", "Not trained yet: the encoder says next to nothing about its image.")
    if account.beta == 0:
        return _free(account)
    if account.share < 1:
        return _warming(account)
    return _use(account) if any(account.in_use) else _collapsed(account)


def _use(account: Account) -> Verdict:
    used, units = sum(account.in_use), len(account.units)
    reasons = (*_price(account), *_spread(account))
    if used < units:
        title = f"{units - used} of {units} units {'is' if units - used == 1 else 'are'} unused."
        normal = "That is normal when a code has more units than it needs: an unused one follows the prior and costs 0."
        return Verdict("partly", title, (normal, *reasons))
    count = "The one unit is" if used == 1 else f"All {used} units are"
    title = f"{count} in use: a code says about {account.kl:.3g} nats ({account.bits:.3g} bits) of its image."
    return Verdict("used", title, reasons)


def _free(account: Account) -> Verdict:
    spread = _used_spread(account)
    wide = "" if spread is None else f" Over all images a unit's codes have {spread:.3g} times the prior's variance."
    return Verdict(
        "free",
        "Beta is 0: the code is no longer held to a distribution.",
        (
            f"The KL has grown to {account.kl:.3g} nats, because nothing is charged for it. It pays to make the noise "
            f"small and to move the means apart, as in a plain autoencoder.{wide}",
            "So draws from the prior fall where the decoder has never been. Take a beta above 0.",
        ),
    )


def _warming(account: Account) -> Verdict:
    return Verdict(
        "warming",
        f"The KL is warming up: a nat of it costs {account.weight:.3g} now, and {account.beta:.3g} in the end.",
        ("Until then the encoder may say more than it will be able to afford.",),
    )


def _collapsed(account: Account) -> Verdict:
    if account.kl < SURELY_UNUSED * len(account.units):
        about = f"The KL is {_small(account.kl)}: the encoder says the same of every image."
    else:  # some KL, but the means do not differ
        about = f"The KL is {account.kl:.3g} nats, but the means hardly differ between images."
    title = f"The code has collapsed. {about}"
    picture = "The decoder hears nothing of its image, and draws the same picture for all."
    return Verdict("collapsed", title, (picture, *_why_collapsed(account)))


def _why_collapsed(account: Account) -> list[str]:
    beta, cost = account.beta, account.reconstruction - account.constant
    if beta <= 1:
        return [
            f"Beta is {beta:.3g}, so it is not the price. The decoder may have learned to do without the code before "
            "the encoder said anything in it. Let the KL warm up, or train longer."
        ]
    times = beta / account.pixels
    said = []
    if abs(times - 1) < CLOSE:
        said.append(
            f"Beta is {beta:,.6g}, the number of pixels. Was the reconstruction averaged over the pixels? That "
            f"multiplies the price of the KL by {account.pixels:,}. Sum over the pixels."
        )
    elif times > 1:
        said.append(
            f"Beta is {beta:,.6g}, {times:.3g} times the number of pixels. Was the reconstruction averaged over the "
            f"pixels? Sum over them, and beta is {times:.3g}."
        )
    affordable = cost / beta
    if 0 < affordable < math.log(CLASSES):
        said.append(
            f"A nat of KL costs {beta:,.6g} of loss, and the whole reconstruction costs {cost:.3g}: what takes more "
            f"than {affordable:.2g} nats to say can never pay. To tell {CLASSES} classes apart takes "
            f"{math.log(CLASSES):.2g}."
        )
    else:
        said.append(
            f"Beta is {beta:,.6g}: a unit is used once it saves more than {beta:.3g} nats of reconstruction for each "
            "nat it says, and none does. Take a smaller beta, or let it warm up."
        )
    return said


def _price(account: Account) -> list[str]:
    saved = account.saved
    if saved is None or saved <= 0 or account.kl <= 0:
        return []
    return [
        f"The code pays {account.kl:.3g} nats and saves {saved:.3g}, compared with drawing the mean picture for all: "
        f"{saved / account.kl:.2g} for one. What saves less than beta, {account.beta:.3g}, for one is left out."
    ]


def _spread(account: Account) -> list[str]:
    spread = _used_spread(account)
    if spread is None or spread < WIDE:
        return []
    return [
        f"Over all images the codes have {spread:.2g} times the prior's variance, so draws from the prior miss many of "
        "them. A larger beta pulls them in."
    ]


def _used_spread(account: Account) -> float | None:
    if account.spread is None or not any(account.in_use):
        return None
    used = [spread for spread, use in zip(account.spread, account.in_use, strict=True) if use]
    return sum(used) / len(used)


def _small(amount: float) -> str:
    return "0" if abs(amount) < 0.0005 else f"{amount:.2g} nats"
