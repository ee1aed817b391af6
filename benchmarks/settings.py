"""How large a benchmark is to be. It knows nothing of what is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every benchmark is told.

    Attributes:
        data: Name of the dataset.
        quick: Whether to take a look only: few steps, few images, numbers that mean nothing.
        rounds: How often every contestant has its turn.
        seeds: How often a training that is measured as a whole is repeated.
    """

    data: str = "mnist"
    quick: bool = False
    rounds: int = 7
    seeds: int = 3

    @classmethod
    def for_a_look(cls, data: str = "mnist") -> Settings:
        """As small as it gets: to see that everything works, not how fast."""
        return cls(data=data, quick=True, rounds=2, seeds=1)

    def scaled(self, usual: int, quick: int) -> int:
        """A number of steps, images or runs: the usual one, or that of a look."""
        return quick if self.quick else usual
