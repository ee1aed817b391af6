"""What a registry of model parts holds: a builder with its title and one sentence of help."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Build = TypeVar("Build", bound=Callable[..., object])


@dataclass(frozen=True)
class Part(Generic[Build]):
    """One registered part.

    Attributes:
        title: Short name for people.
        help: One sentence: what it is.
        build: Makes the part; its signature is the registry's contract.
        needs: Fields of the configuration that must have one of the named values for this part to work.
    """

    title: str
    help: str
    build: Build
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def titles(registry: Mapping[str, Part[Build]]) -> dict[str, str]:
    """The registry as choices for a dial: name to title, in the registry's order."""
    return {name: part.title for name, part in registry.items()}
