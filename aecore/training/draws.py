"""What is drawn at random while training: each a function of the seed and of where the training is, and nothing else.

That is what makes resuming exact: nothing about the past has to be remembered to know what comes next. This module
knows nothing of what is made of it.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor


def epoch_order(seed: int, epoch: int, images: int) -> Int64[Tensor, " n"]:
    """The order in which epoch number `epoch` shows the images."""
    return torch.randperm(images, generator=_generator(seed, epoch))


class BatchOrder:
    """Which images make which batch; the last batch of an epoch may be smaller.

    Example:
        >>> [BatchOrder(0, images=5, batch_size=2).batch(step).numel() for step in range(4)]
        [2, 2, 1, 2]
    """

    def __init__(self, seed: int, images: int, batch_size: int) -> None:
        self._seed, self._images, self._size = seed, images, batch_size
        self._per_epoch = -(-images // batch_size)
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def batch(self, step: int) -> Int64[Tensor, " b"]:
        """The images of step number `step`."""
        epoch, number = divmod(step, self._per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, epoch_order(self._seed, epoch, self._images)
        return self._order[number * self._size : (number + 1) * self._size]


def noise_of_step(seed: int, step: int) -> torch.Generator:
    """What the noise of step number `step` is drawn from."""
    return _generator(seed, step, 1)  # the third number keeps this stream apart from that of the orders


def codes_of_step(seed: int, step: int, generator: torch.Generator | None = None) -> torch.Generator:
    """What a bottleneck draws from in step number `step`, where it draws: a new generator, or the given one anew."""
    return _generator(seed, step, 2, generator=generator)


def _generator(*numbers: int, generator: torch.Generator | None = None) -> torch.Generator:
    """A generator for these numbers; neighbouring ones give unrelated streams."""
    mixed = int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return (generator or torch.Generator()).manual_seed(mixed)
