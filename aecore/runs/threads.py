"""How many torch threads a run should use, found by measurement while it trains.

A second thread nearly doubles the speed on an idle machine and can cost nine tenths of it on a busy one, because
the faster thread waits for the slower at every operation. So both are tried now and then. This module knows nothing
of models; it only looks at the clock.
"""

from __future__ import annotations

import torch

from aecore.runs.machine import cores

TRIAL = 0.3  # seconds of steps that give a fair speed
TRY_AGAIN = 5.0  # seconds of steps until the next trial; twice as long after each trial in vain
TRY_AT_LEAST_EVERY = 60.0
WORTH_IT = 1.05  # a change must be this much faster, or the number of threads would flutter


def share_of_cores(running: int) -> int:
    """Threads for each of `running` runs on this machine: an equal share of the cores, at least one."""
    return max(1, cores() // max(1, running))


class ThreadChooser:
    """Sets torch's threads to all of a run's share or to one, whichever trains faster at present.

    Example:
        >>> chooser = ThreadChooser()
        >>> chooser.allow(2)
        >>> chooser.note(images=1280, seconds=0.5)  # after every step, both counted from the start
    """

    def __init__(self) -> None:
        self._share = 0
        self._chosen = self._current = 1
        self._speeds: dict[int, float] = {}
        self._patience = TRY_AGAIN
        self._since: tuple[int, float] | None = None

    def allow(self, share: int) -> None:
        """Let the run have `share` threads from now on; a changed share starts the comparison anew."""
        if share != self._share:
            self._share = self._chosen = share
            self._speeds = {}
            self._since = None
            self._patience = TRY_AGAIN
            self._use(share)

    def note(self, images: int, seconds: float) -> None:
        """Take note of how far the run is; may change the number of threads.

        Args:
            images: Images trained on since the run began.
            seconds: Seconds spent in steps since the run began.
        """
        if self._since is None:  # what went before was at another number of threads, or another day
            self._since = (images, seconds)
        since_images, since_seconds = self._since
        spent = seconds - since_seconds
        trying = self._current not in self._speeds or self._current != self._chosen
        if self._share <= 1 or spent < (TRIAL if trying else self._patience):
            return
        self._speeds[self._current] = (images - since_images) / spent
        self._since = (images, seconds)
        other = 1 if self._current == self._share else self._share
        if not trying or other not in self._speeds:
            self._use(other)  # time to see how the other one does
            return
        if self._speeds[self._current] > WORTH_IT * self._speeds[self._chosen]:
            self._chosen = self._current
            self._patience = TRY_AGAIN
        else:
            self._patience = min(2 * self._patience, TRY_AT_LEAST_EVERY)
        self._use(self._chosen)

    def _use(self, threads: int) -> None:
        self._current = threads
        torch.set_num_threads(threads)
