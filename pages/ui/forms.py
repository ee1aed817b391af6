"""Widgets derived from the dials of a configuration: nobody writes a form by hand.

Widgets are bound to the address of the page, so that a link reopens exactly these settings. This module knows nothing
of what is configured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import streamlit as st

from aecore.dials import Config, Dial

LONGEST_SEGMENTS = 22  # letters of all choices together; more go into a list that opens
WIDEST_SLIDER = 16  # longer ranges are typed
_BY_NAME = "choices_linked_by_name"


def dial_widgets(
    config: type[Config], names: Iterable[str], *, usual: Mapping[str, Any] | None = None, bind: bool = True
) -> None:
    """Draw a widget for each named dial that matters at present, in order.

    Args:
        config: What is configured.
        names: Its dials to draw.
        usual: Values to begin with instead of the dials' defaults. The address leaves out what is as usual.
        bind: Whether the address follows. Without it, the page has filled the session and writes its own link.
    """
    dials = config.dials()
    for name in names:
        if _matters(config, dials[name]):
            _widget(name, dials[name], (usual or {}).get(name, config.default(name)), bind=bind)


def read(config: type[Config]) -> dict[str, Any]:
    """What the widgets say now, by name; in a button's callback too, where a value may just have been typed."""
    return {
        name: st.session_state.get(name, config.default(name)) if _matters(config, dial) else config.default(name)
        for name, dial in config.dials().items()
    }


def _matters(config: type[Config], dial: Dial) -> bool:
    return all(st.session_state.get(other, config.default(other)) in allowed for other, allowed in dial.when.items())


def seed(name: str, choices: Mapping[str, str]) -> None:
    """Let a link name a choice as the command line does, not only by its title."""
    if name not in st.session_state and st.query_params.get(name) in choices:
        st.session_state[name] = st.query_params[name]
        st.session_state.setdefault(_BY_NAME, set()).add(name)
    elif name in st.session_state.get(_BY_NAME, ()):
        # Streamlit takes a name it does not know out of the address; set once more, the choice comes in by its title
        st.session_state[_BY_NAME].remove(name)
        st.session_state[name] = st.session_state[name]


def fill(config: type[Config], values: dict[str, Any]) -> None:
    """Set every dial to the value given, or to its default; for a button's callback."""
    for name in config.dials():
        st.session_state[name] = values.get(name, config.default(name))


def _widget(name: str, dial: Dial, default: Any, *, bind: bool) -> None:
    seed(name, dial.choices)
    about: dict[str, Any] = {"key": name, "help": dial.help, "bind": "query-params" if bind else None}
    label = f"{dial.label} ({dial.unit})" if dial.unit else dial.label
    if isinstance(default, bool):
        st.toggle(label, value=default, **about)
    elif dial.choices:
        about["format_func"] = dial.choices.__getitem__
        if sum(map(len, dial.choices.values())) <= LONGEST_SEGMENTS:
            st.segmented_control(label, list(dial.choices), default=default, required=True, width="stretch", **about)
        else:
            st.selectbox(label, list(dial.choices), index=list(dial.choices).index(default), **about)
    elif isinstance(default, int):
        low, high = int(dial.low or 0), int(dial.high or 2**31 - 1)
        if high - low <= WIDEST_SLIDER:
            st.slider(label, low, high, value=default, **about)
        else:
            st.number_input(label, low, high, value=default, step=1, **about)
    else:
        low_float, high_float = float(dial.low or 0), float(dial.high or 1e9)
        st.number_input(label, low_float, high_float, value=default, step=default / 2 or 0.001, format="%g", **about)
