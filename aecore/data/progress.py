"""How long work tells whoever waits how far it is. It knows nothing of bars, pages or terminals."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float | None], None]
"""`progress(message, fraction)`: one line for people, and the share done in [0, 1], or None where it is unknown.

Within one piece of work the fraction never falls. It is called from the thread that does the work; an exception
raised in it ends the work and leaves nothing half-written behind.
"""


def silent(message: str, fraction: float | None) -> None:
    """Tell nobody."""
