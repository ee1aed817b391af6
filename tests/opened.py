"""Pages run by AppTest over a store of their own that nobody works on. For the tests of pages that train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import streamlit as st
from little_runs import Nobody, open_store
from streamlit.testing.v1 import AppTest

from aecore.runs.settings import RunSettings
from aecore.runs.store import RunStore
from pages.ui import lab

ENTRY = str(Path(__file__).parents[1] / "app.py")


@contextmanager
def store_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunStore]:
    """The store pages use meanwhile; two runs are allowed to a visitor."""
    runs, nobody = open_store(folder), Nobody()
    monkeypatch.setattr(lab, "store", lambda: runs)
    monkeypatch.setattr(lab, "executor", lambda: nobody)
    monkeypatch.setattr(lab, "settings", lambda: RunSettings(most_running=1, most_per_visitor=2))
    yield runs
    st.cache_data.clear()
    runs.close()


def open_page(page: str, **parameters: str | list[str]) -> AppTest:
    """The page as a link with these parameters opens it."""
    at = AppTest.from_file(ENTRY, default_timeout=60).run()
    for name, value in parameters.items():
        at.query_params[name] = value
    return at.switch_page(page).run()


def everything_said(at: AppTest) -> str:
    """All words on the page, element by element."""
    return "\n".join(element.value for element in (*at.markdown, *at.caption, *at.warning, *at.error, *at.info))
