"""What can go wrong, in words for people.

Every error a user can cause is an `AecoreError`: its message says what came, what was expected and what to do
next, so a page or the command line can show it as it is. Broken invariants are plain `assert`s instead: those
are our mistakes, not the user's. This module knows nothing of the rest of the package.
"""


class AecoreError(ValueError):
    """An error whose message can be shown to a person as it stands."""


class ConfigError(AecoreError):
    """A setting outside its range, or settings that do not go together."""


class DataError(AecoreError):
    """A dataset that is unknown, unreadable or cannot be fetched."""


class CheckpointError(AecoreError):
    """A checkpoint that is missing, damaged or of another make."""


class RunError(AecoreError):
    """A request to a training run that cannot be met: unknown run, full queue, wrong state."""


class DivergenceError(AecoreError):
    """A training whose loss exploded or was no longer a number; the message says what to try."""


class OperationError(AecoreError):
    """An operation whose sizes do not go together; the message says which would."""
