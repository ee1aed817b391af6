"""What takes longer than a page may: worked out beside it, once for everybody, and looked up again and again.

A job is named by what it is about. The first page that asks starts it; whoever asks later gets the result, or None
while there is none. This module knows nothing of what the jobs are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

import streamlit as st

from aecore.analysis.views import ViewJob, start_view

KEPT = 64  # results
AT_ONCE = 1  # processes for views; each takes a core and some hundred MB


class Jobs:
    """All jobs of this server."""

    def __init__(self) -> None:
        self._lock = Lock()
        # apart: somebody who has just pinned a point should not wait for the measures of a whole set
        self._threads = {soon: ThreadPoolExecutor(1, thread_name_prefix="measure") for soon in (True, False)}
        self._futures: OrderedDict[Hashable, Future[Any]] = OrderedDict()
        self._views: OrderedDict[Hashable, ViewJob] = OrderedDict()

    def ask(self, name: Hashable, work: Callable[[], Any], *, soon: bool = False) -> Any | None:
        """What `work()` gives; None while it is not done.

        Args:
            name: What it is about.
            work: Does it, in a thread.
            soon: Whether it is short and somebody waits for it.

        Raises:
            Exception: What `work` raised.
        """
        with self._lock:
            if name not in self._futures:
                self._futures[name] = self._threads[soon].submit(work)
            future = _touched(self._futures, name)
        return future.result() if future.done() else None

    def view(self, name: str, digest: str, codes: Any) -> Any | None:
        """The points (N, 2) of a view of codes; None while they are worked out in a process of their own.

        Raises:
            AecoreError: If it failed; says why.
        """
        key = (digest, name)
        with self._lock:
            if key not in self._views:
                if sum(job.running for job in self._views.values()) >= AT_ONCE:
                    return None  # asked again soon
                self._views[key] = start_view(name, codes)
            return _touched(self._views, key).result()


def _touched(known: OrderedDict[Hashable, Any], key: Hashable) -> Any:
    """The entry of this key; the ones not asked for longest are forgotten."""
    known.move_to_end(key)
    while len(known) > KEPT:
        known.popitem(last=False)
    return known[key]


@st.cache_resource(show_spinner=False)
def jobs() -> Jobs:
    """The one queue of this server."""
    return Jobs()
