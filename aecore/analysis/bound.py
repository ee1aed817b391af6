"""What a variational code costs, and how probable the model finds images: posteriors, their KL, a tighter bound.

This module knows nothing of training.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor, nn

from aecore.data.image_dataset import to_unit
from aecore.errors import ConfigError
from aecore.losses import RECONSTRUCTION_LOSSES
from aecore.models.autoencoder import Autoencoder
from aecore.models.bottlenecks import Posterior
from aecore.models.unpooling import MaxUnpool2d
from aecore.training.evaluation import BATCH, CODE_SEED, evaluating

LOG_2PI = math.log(2 * math.pi)


@torch.inference_mode()
def posteriors(model: Autoencoder, images: UInt8[Tensor, "n c h w"]) -> Posterior | None:
    """The distribution over codes of each stored image, in batches: mean and log-variance (N, Z).

    None for a model whose code is a point.
    """
    found = []
    with evaluating(model):
        for batch in images.split(BATCH):
            posterior = model.posterior(to_unit(batch))
            if posterior is None:
                return None
            found.append(posterior)
    return Posterior(
        torch.cat([posterior.mean for posterior in found]), torch.cat([posterior.log_variance for posterior in found])
    )


def kl_per_unit(posterior: Posterior) -> Float64[Tensor, " z"]:
    """How much each unit tells of an image, in nats, (Z,): the mean over images of its KL divergence from N(0, 1).

    At least 0, but for rounding; 0 for a unit that is the same for all images and is not used. It is no less than the
    information that the unit carries about which image it was.
    Sources: Kingma & Welling (2014), arXiv:1312.6114, appendix B; as information: Hoffman & Johnson, ELBO surgery
    (2016).

    Example:
        >>> kl_per_unit(Posterior(torch.tensor([[0.0, 2.0]]), torch.zeros(1, 2))).tolist()
        [0.0, 2.0]
    """
    return Posterior(posterior.mean.double(), posterior.log_variance.double()).kl().mean(0)


@torch.inference_mode()
def importance_weighted_bound(
    model: Autoencoder,
    images: UInt8[Tensor, "n c h w"],
    loss: str,
    samples: int = 50,
    generator: torch.Generator | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> float:
    """An upper bound of the negative log-likelihood of images, in nats for an image; lower is better.

    -log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x) with K codes z_k drawn from the posterior q of each image, averaged over
    the images. With one sample its expectation is the negative ELBO; more samples make it tighter, never looser, in
    expectation; where the posterior is exact it is the negative log-likelihood itself. The likelihood is that of the
    loss, with its constant: Bernoulli variables for `bce` (of pixels between 0 and 1 no true probability), normal ones
    of variance 1/2 for `mse`; nats of the one are not to be compared with nats of the other. Beta does not enter.
    Source: Burda, Grosse & Salakhutdinov, Importance weighted autoencoders (2016), arXiv:1509.00519, equation 8.

    Args:
        model: With a variational code.
        images: Stored images (N, C, H, W), shown without noise. Memory is needed for `BATCH` of them at a time, however
            many samples there are.
        loss: A name in `RECONSTRUCTION_LOSSES`, that of the training.
        samples: K, at least 1.
        generator: Where the codes are drawn from; always the same ones if not given.
        progress: Told how much is done, in [0, 1].

    Raises:
        ConfigError: If the model has no posterior, its decoder is told more than the code, its outputs do not suit the
            loss, or there are no samples.
    """
    if samples < 1:
        raise ConfigError(f"The bound needs at least 1 sample for each image, not {samples}.")
    if model.config.bottleneck != "variational":
        raise ConfigError(
            f"A {model.config.bottleneck} code has no distribution, so there is no bound on how probable an image is. "
            "Take a model with a variational bottleneck."
        )
    if any(isinstance(layer, MaxUnpool2d) for layer in model.decoder):
        raise ConfigError(
            "A decoder with max-unpooling is told more of an image than its code, so its images have no probability by "
            "the code alone. Take another upsampler."
        )
    about = RECONSTRUCTION_LOSSES[loss]
    if about.needs_bounded_output and not isinstance(model.output, nn.Sigmoid):
        raise ConfigError(f"Loss {loss!r} needs outputs between 0 and 1, and this model gives any number. Use 'mse'.")
    generator = torch.Generator().manual_seed(CODE_SEED) if generator is None else generator
    constant = about.constant * images[0].numel()
    total = 0.0
    with evaluating(model):
        for place, batch in enumerate(images.split(BATCH)):
            x = to_unit(batch)
            posterior = model.posterior(x)
            assert posterior is not None
            weight_sum = torch.full((len(x),), -math.inf, dtype=torch.float64)  # its logarithm
            for _ in range(samples):
                code = posterior.sample(generator)
                error = about.per_sample(model.decoder(code), x, model.output).double() + constant
                weight_sum = torch.logaddexp(weight_sum, log_prior_ratio(posterior, code) - error)
            total -= float((weight_sum - math.log(samples)).sum())
            progress(min(1.0, (place + 1) * BATCH / len(images)))
    return total / len(images)


def log_prior_ratio(posterior: Posterior, code: Float[Tensor, "n z"]) -> Float64[Tensor, " n"]:
    """Logarithm of p(z) / q(z|x) of codes drawn from posteriors, in nats, (N,); its mean over draws is -KL."""
    z, mean, log_variance = code.double(), posterior.mean.double(), posterior.log_variance.double()
    log_p = -0.5 * (LOG_2PI + z.square())
    log_q = -0.5 * (LOG_2PI + log_variance + (z - mean).square() / log_variance.exp())
    return (log_p - log_q).sum(1)
