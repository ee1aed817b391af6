"""Loads torch and the parts of `aecore` that need it in the background, once per server process.

The first page is painted without them; by the time somebody presses a button they are there. This module knows
nothing of pages: who imports one of the modules earlier simply waits for Python's import lock.
"""

from __future__ import annotations

import gc
import importlib
import logging
import threading
import time

HEAVY_MODULES = ("aecore.data", "aecore.models", "aecore.training", "aecore.checkpoint", "aecore.runs")
HEAD_START = 1.0  # seconds the first page gets to itself: its text, its pictures and the browser's requests for scripts

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_thread: threading.Thread | None = None


def start() -> None:
    """Begin loading, unless this process has begun already. Returns at once."""
    global _thread  # noqa: PLW0603 - one per process is the point
    with _lock:
        if _thread is None:
            # Not a daemon: when the server stops, Python must not be taken down in the middle of importing torch.
            _thread = threading.Thread(target=_load, name="warm-up", daemon=False)
            _thread.start()


def _load() -> None:
    time.sleep(HEAD_START)
    if not threading.main_thread().is_alive():
        return  # the server has stopped meanwhile
    import torch

    # Training has the cores, in processes of its own; small forward passes are no quicker with two threads.
    torch.set_num_threads(1)
    for name in HEAVY_MODULES:
        try:
            importlib.import_module(name)
        except ImportError:
            # The page that needs it will fail and say so; here it must not cost the other pages their head start.
            _log.exception("Cannot load %s in the background", name)
    # The collector need not look again and again at torch's hundreds of thousands of objects, which never go away.
    gc.collect()
    gc.freeze()
