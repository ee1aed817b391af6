"""What the Operations page shows: operation, sizes, numbers, direction and view; kept in the session and in the link.

The link carries everything by name: sizes as numbers, `x`, `w` and `g` (input, kernel, gradient of the output) as the
name of a preset or as numbers with an underscore between them, row by row. This module knows nothing of how it looks.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from aecore.errors import ConfigError
from aecore.ops.operations import OPERATIONS
from aecore.ops.presets import INPUTS, KERNELS
from aecore.ops.setting import Case, Setting, gradient_preset, input_preset, kernel_preset
from aecore.ops.trace import Array, Shape

OPERATION = "operation"
PRESETS = {"x": INPUTS, "w": KERNELS, "g": INPUTS}
OWN = "own"
LOOKS = {"direction": ("forward", "backward"), "view": ("products", "matrix", "overlap")}
MOST = 1000  # the largest number that can be typed into a cell
BENCH = "bench"
HEARD = 0.7  # seconds after which the browser has heard of a change, and before which nobody chooses a preset
_TYPED = "operations_typed"  # letter -> when its numbers were last typed
_LINK, _KNOWN, _ORIGIN, _TROUBLE = "operations_link", "operations_known", "operations_origin", "operations_trouble"


def open_link() -> None:
    """Take over what the address says, when the page is opened; coming back from another page, what was there.

    What a link says wrongly is replaced by what is usual, and told by `trouble`.
    """
    if OPERATION not in st.session_state:
        link = st.query_params.to_dict()
        take(link if OPERATION in link else st.session_state.get(_LINK, link))
    for letter, when in st.session_state[_TYPED].items():
        # The browser may send another setting before it hears that the preset has become "your own", and would undo it.
        if time.monotonic() - when < HEARD:
            st.session_state[letter] = OWN


def take(link: Mapping[str, str]) -> None:
    """Show what a link or an example says; also for a button's callback."""
    trouble: list[str] = []
    name = link.get(OPERATION, Setting.default(OPERATION))
    if name not in OPERATIONS:
        trouble.append(f"There is no operation {name!r}.")
        name = Setting.default(OPERATION)
    st.session_state[OPERATION] = name
    reset_to_usual()
    for dial_name, dial in Setting.dials().items():
        if dial_name != OPERATION and dial_name in link:
            text = link[dial_name]
            value = int(text) if not dial.choices and re.fullmatch(r"-?[0-9]{1,6}", text) else text
            try:
                dial.check(dial_name, value, str if dial.choices else int)
                st.session_state[dial_name] = value
            except ConfigError as error:
                trouble.append(str(error))
    kernel_shape = setting().kernel_shape
    wanted = {"x": setting().size ** 2, "w": None if kernel_shape is None else math.prod(kernel_shape)}
    for letter, presets in PRESETS.items():
        text = link.get(letter, "")
        if text in presets:
            st.session_state[letter] = text
        elif text:
            numbers = read_numbers(text)
            if numbers is None:
                trouble.append(f"{letter} is neither a preset nor numbers from −{MOST} to {MOST}.")
            else:
                if (count := wanted.get(letter)) is not None and numbers.size != count:
                    trouble.append(f"{letter} has {numbers.size} numbers, expected {count}; those there are fill rows.")
                st.session_state[letter] = OWN
                st.session_state[f"own_{letter}"] = numbers
    for key, values in LOOKS.items():
        st.session_state[key] = link[key] if link.get(key) in values else values[0]
        if key in link and link[key] not in values:
            trouble.append(f"{key} is {link[key]!r}, expected {' or '.join(values)}.")
    st.session_state[_TROUBLE] = trouble


def trouble() -> list[str]:
    """What the link said wrongly, once."""
    return st.session_state.pop(_TROUBLE, [])  # type: ignore[no-any-return]


def reset_to_usual() -> None:
    """Set sizes and numbers to what is usual for the operation chosen; for a widget's callback."""
    st.session_state[_TYPED] = {}
    operation = OPERATIONS[st.session_state[OPERATION]]
    usual = Setting(operation=st.session_state[OPERATION]).usual()
    for name in operation.dials:
        st.session_state[name] = getattr(usual, name)
    st.session_state["x"] = operation.usual["x"]
    st.session_state["w"] = operation.usual.get("w", "ones")
    st.session_state["g"] = "ones"


def setting() -> Setting:
    """What the widgets say.

    Raises:
        ConfigError: If a value is out of range.
    """
    name = st.session_state[OPERATION]
    return Setting(operation=name, **{dial: st.session_state[dial] for dial in OPERATIONS[name].dials})


def case() -> Case:
    """The operation on the numbers chosen or typed.

    Numbers typed for another size are kept from the top left; what is missing is 0.

    Raises:
        AecoreError: If the sizes do not go together, with those that would.
    """
    now = setting()
    x = input_preset(now, st.session_state["x"]) if _preset("x") else fitted(_own("x"), (1, now.size, now.size))
    shape = now.kernel_shape
    if shape is None or _preset("w"):
        kernel = kernel_preset(now, st.session_state["w"] if _preset("w") else "ones")
    else:
        kernel = fitted(_own("w"), shape)
    out_shape = now.about.run(now, x, kernel).result.shape
    gradient = gradient_preset(out_shape, st.session_state["g"]) if _preset("g") else fitted(_own("g"), out_shape)
    return Case(setting=now, x=x, kernel=kernel, gradient=gradient)


def _preset(letter: str) -> bool:
    return bool(st.session_state[letter] != OWN)


def _own(letter: str) -> Array:
    return st.session_state[f"own_{letter}"]  # type: ignore[no-any-return]


def fitted(values: NDArray[Any], shape: Shape) -> Array:
    """Typed numbers in another shape: the same places keep their numbers, new ones are 0.

    A flat list, as a link has it, is read row by row; a square of it keeps its rows.

    Example:
        >>> fitted(np.array([1.0, 2.0, 3.0, 4.0]), (1, 3, 3))[0].astype(int).tolist()
        [[1, 2, 0], [3, 4, 0], [0, 0, 0]]
    """
    if values.ndim == 1:
        if values.size == np.prod(shape):
            return values.reshape(shape).astype(np.float64)
        side = max(1, int(np.sqrt(values.size)))
        values = values[: side * side].reshape(*(1,) * (len(shape) - 2), side, side)
    result = np.zeros(shape)
    if values.ndim == len(shape):
        common = tuple(slice(0, min(a, b)) for a, b in zip(values.shape, shape, strict=True))
        result[common] = values[common]
    return result


def link_of(now: Case) -> dict[str, str]:
    """The address that reopens exactly this."""
    link = {OPERATION: now.setting.operation}
    link |= {name: str(getattr(now.setting, name)) for name in now.setting.about.dials}
    arrays = {"x": now.x, "w": now.kernel, "g": now.gradient}
    for letter, values in arrays.items():
        if values is not None:
            link[letter] = st.session_state[letter] if _preset(letter) else write_numbers(values)
    return link | {key: st.session_state[key] for key in LOOKS}


def write_link(now: Case) -> None:
    """Put what is shown into the address."""
    link = link_of(now)
    if st.query_params.to_dict() != link:
        st.query_params.from_dict(link)
    st.session_state[_LINK] = link


def write_numbers(values: Array) -> str:
    """Numbers for a link, exact.

    Example:
        >>> write_numbers(np.array([[1.0, -0.5], [0.1, 1000.0]]))
        '1_-0.5_0.1_1000'
    """
    return "_".join(str(int(value)) if value == int(value) else repr(value) for value in values.ravel().tolist())


def read_numbers(text: str) -> Array | None:
    """Numbers of a link, None if there is anything else in it."""
    try:
        numbers = np.array([float(part) for part in text.split("_")])
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() and np.abs(numbers).max() <= MOST else None


def changed_on_bench() -> None:
    """Take over what was typed or chosen on the bench; the callback of its component.

    It is about the case the browser has, which a setting changed at the same time may have left behind.
    """
    bench = st.session_state.get(BENCH)
    change = bench.change if bench is not None else None
    if not change or change.get("origin") != st.session_state.get(_ORIGIN) or OPERATION not in st.session_state:
        return  # it was about numbers that are no longer shown, or came from a page that was left
    known: Case = st.session_state[_KNOWN][0]
    told = known
    fields = {"x": "x", "w": "kernel", "g": "gradient"}
    for letter, field in fields.items():
        values = getattr(known, field)
        typed = change.get(letter)
        if values is not None and typed is not None and len(typed) == values.size:
            numbers = np.clip(np.nan_to_num(np.array(typed, dtype=np.float64)), -MOST, MOST).reshape(values.shape)
            if not np.array_equal(numbers, values):
                st.session_state[letter] = OWN
                st.session_state[f"own_{letter}"] = numbers
                st.session_state[_TYPED][letter] = time.monotonic()
                told = dataclasses.replace(told, **{field: numbers})  # type: ignore[arg-type]
    for key, allowed in LOOKS.items():
        if change.get(key) in allowed:
            st.session_state[key] = change[key]
    st.session_state[_KNOWN] = (told, fingerprint(told))


def follow(now: Case) -> int:
    """Note that this is what the browser gets; a number that grows whenever it is not what the browser has."""
    shown = fingerprint(now)
    if st.session_state.get(_KNOWN, (None, ""))[1] != shown:
        st.session_state[_KNOWN] = (now, shown)
        st.session_state[_ORIGIN] = st.session_state.get(_ORIGIN, 0) + 1
    return int(st.session_state[_ORIGIN])


def fingerprint(now: Case) -> str:
    """Tells cases and ways to look at them apart."""
    look = [st.session_state[key] for key in LOOKS]
    arrays = [values.tobytes() for values in (now.x, now.kernel, now.gradient) if values is not None]
    return hashlib.sha256(b"".join([repr((now.setting, look)).encode(), *arrays])).hexdigest()
