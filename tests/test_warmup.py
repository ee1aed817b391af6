"""Loading torch in the background: once, with one thread, and out of the garbage collector's way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import gc, sys, threading
from pages.ui import warmup
assert "torch" not in sys.modules
warmup.HEAD_START = 0
warmup.start()
thread = warmup._thread
warmup.start()
assert warmup._thread is thread
thread.join()
import torch
counts = [torch.get_num_threads()]
other = threading.Thread(target=lambda: counts.append(torch.get_num_threads()))
other.start()
other.join()
assert counts == [1, 1], counts
assert gc.get_freeze_count() > 100_000
assert "aecore.models" in sys.modules
"""


def test_torch_is_loaded_once_for_the_whole_process() -> None:
    root = Path(__file__).parents[1]
    result = subprocess.run([sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
