"""Memory for a process that trains.

Every step takes and frees the same large tensors. glibc gives such memory back to the system each time, and the system
hands it out again page by page, each one cleared: up to a third of a step went there. This module knows nothing of
what the memory is for.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

HELD = 256 << 20  # bytes; the tensors of one step of the largest usual network
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # glibc, malloc.h
_NEVER = (1 << 31) - 1
_HUGE_PAGES = 14  # MADV_HUGEPAGE of Linux
_HUGE = 2 << 20


def hold_memory() -> bool:
    """Let this process keep the memory it frees, and ask for huge pages for it; say whether that was possible.

    For processes that do nothing but train: what they once had they give back only when they end. Nothing is taken
    before it is used. Elsewhere than on Linux with glibc nothing happens.

    Source: mallopt(3) and madvise(2) of the Linux manual.
    """
    if not sys.platform.startswith("linux"):
        return False
    with suppress(OSError, AttributeError):  # another C library
        libc = ctypes.CDLL(None)
        libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
        libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        if not (libc.mallopt(_MMAP_THRESHOLD, 1 << 30) and libc.mallopt(_TRIM_THRESHOLD, _NEVER)):
            return False
        block = libc.malloc(HELD)
        if not block:
            return False
        begin = -(-block // _HUGE) * _HUGE
        advised = bool(libc.madvise(begin, (block + HELD - begin) // _HUGE * _HUGE, _HUGE_PAGES) == 0)
        libc.free(block)  # stays ours, at the end of the heap, where the next tensors come from
        return advised
    return False
