"""What a process that does nothing but train sets up before it begins.

This module knows nothing of what it will train.
"""

from __future__ import annotations

import torch

from aecore.training.memory import hold_memory


def prepare_process() -> None:
    """Keep memory that is freed, and flush denormals: for the whole process, so not for one that others share."""
    hold_memory()
    torch.set_flush_denormal(True)
