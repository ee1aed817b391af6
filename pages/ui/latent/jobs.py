"""What takes longer than a page may: worked out beside it, once for everybody, and looked up again and again.

A job is named by what it is about. The first page that asks starts it; whoever asks later gets the result, or None
while there is none. This module knows nothing of what the jobs are.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

import streamlit as st

from aecore.analysis.views import ViewJob, start_view
from aecore.errors import AecoreError

KEPT = 64  # results
MOST_WAITING = 16  # jobs of one kind; who asks beyond that is told to wait, and asks again
AT_ONCE = 1  # processes for views; each takes a core and some hundred MB
ALONE = 15.0  # seconds after which a view that nobody asks for any more is given up
TROUBLE_KEPT = 30.0  # seconds before what failed is tried again


class Jobs:
    """All jobs of this server."""

    def __init__(self) -> None:
        self._lock = Lock()
        # apart: somebody who has just pinned a point should not wait for the measures of a whole set
        self._threads = {soon: ThreadPoolExecutor(1, thread_name_prefix="measure") for soon in (True, False)}
        self._futures: OrderedDict[Hashable, Future[Any]] = OrderedDict()
        self._views: OrderedDict[Hashable, ViewJob] = OrderedDict()
        self._asked: dict[Hashable, float] = {}  # when a view was asked for last
        self._failed: dict[Hashable, float] = {}  # when it was first seen that a job had failed

    def ask(self, name: Hashable, work: Callable[[], Any], *, soon: bool = False) -> Any | None:
        """What `work()` gives; None while it is not done.

        Args:
            name: What it is about.
            work: Does it, in a thread.
            soon: Whether it is short and somebody waits for it.

        Raises:
            Exception: What `work` raised. It is tried again when asked for after `TROUBLE_KEPT` seconds.
        """
        with self._lock:
            self._forgive(name, self._futures)
            if name not in self._futures:
                if sum(not future.done() for future in self._futures.values()) >= MOST_WAITING:
                    return None
                self._futures[name] = self._threads[soon].submit(work)
            future = self._futures[name]
            self._futures.move_to_end(name)
            _thin(self._futures, lambda old: old.done())
            if not future.done():
                return None
            if future.exception() is not None:
                self._failed.setdefault(name, time.monotonic())
        return future.result()

    def forget(self, name: Hashable) -> None:
        """Take back a question that nobody has any more, if its job has not begun."""
        with self._lock:
            future = self._futures.get(name)
            if future is not None and future.cancel():
                del self._futures[name]

    def view(self, name: str, digest: str, codes: Any) -> Any | None:
        """The points (N, 2) of a view of codes; None while they are worked out in a process of their own.

        Raises:
            AecoreError: If it failed; says why. It is tried again when asked for after `TROUBLE_KEPT` seconds.
        """
        key, now = (digest, name), time.monotonic()
        with self._lock:
            self._forgive(key, self._views)
            self._asked[key] = now
            for other, job in list(self._views.items()):
                if job.running and now - self._asked.get(other, 0.0) > ALONE:
                    job.stop()
                    del self._views[other]
            if key not in self._views:
                if sum(job.running for job in self._views.values()) >= AT_ONCE:
                    return None  # asked again soon
                self._views[key] = start_view(name, codes)
            self._views.move_to_end(key)
            _thin(self._views, lambda old: not old.running)
            try:
                return self._views[key].result()
            except AecoreError:
                self._failed.setdefault(key, now)
                raise

    def _forgive(self, name: Hashable, known: OrderedDict[Hashable, Any]) -> None:
        """Let what failed some time ago be tried again."""
        if name in self._failed and time.monotonic() - self._failed[name] > TROUBLE_KEPT:
            del self._failed[name]
            known.pop(name, None)


def _thin(known: OrderedDict[Hashable, Any], done: Callable[[Any], bool]) -> None:
    """Forget what was not asked for longest, of what is done."""
    for key in list(known)[: max(0, len(known) - KEPT)]:
        if done(known[key]):
            del known[key]


@st.cache_resource(show_spinner=False)
def jobs() -> Jobs:
    """The one queue of this server."""
    return Jobs()
