"""The map of codes on the page: what the browser is sent, what it asks, and what it is told.

The decoder runs in the browser; here are the codes, the pictures, and what needs the training images or takes long.
This module knows nothing of where networks come from.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray

from aecore.analysis.latent import decode_all
from aecore.analysis.neighbours import nearest_images
from aecore.analysis.views import VIEWS
from aecore.data import DATASETS, load_dataset
from aecore.errors import AecoreError
from aecore.export import gif
from aecore.runs.records import Snapshot, Stage
from pages.ui.browser import source
from pages.ui.chooser import Network
from pages.ui.engine import floats_to_json, images_to_json
from pages.ui.latent.codes import Codes, box, codes_of, pictures
from pages.ui.latent.jobs import jobs
from pages.ui.palette import DARK, LIGHT

MOST_PINS, MOST_FRAMES = 8, 24
FARTHEST = 1e4  # of a code's numbers; a decoder shows nothing new beyond
UNITS = "units"  # two units of the code as they are: what needs no view
USUAL_VIEW = "pca"
_ASKED = "latent_pins_asked"

_COMPONENT = st.components.v2.component(
    "latent_plane",
    html=source("latent.html"),
    css=source("meaning.css", "buttons.css", "framed.css", "latent.css"),
    js=source(
        *("engine.js", "pictures.js", "signed.js", "kept.js", "slices.js", "random.js", "latent_geometry.js"),
        *("latent_map.js", "latent_units.js", "latent_replay.js", "latent.js"),
    ),
)


@dataclass(frozen=True)
class Live:
    """A training that goes on: where its codes are now.

    Attributes:
        stage: The images it is watched on.
        snapshot: What it made of them last.
    """

    stage: Stage
    snapshot: Snapshot


def plane(
    choice: Network | None,
    dataset: str,
    *,
    key: str,
    revision: str,
    live: Live | None = None,
    replay: str = "",
    compact: bool = False,
) -> bool:
    """Draw the map of a network's codes; say whether something is being worked out for it.

    Args:
        choice: The network; None while a run that goes on has none to fetch yet.
        dataset: Where its test images are from.
        key: Streamlit's; also that under which questions are kept.
        revision: What the map is of: when it changes, pins, zoom and questions are those of another map.
        live: The training it is in the middle of.
        replay: Digest of the training it can replay, among what `keep` sent.
        compact: Leave out all but the map and what is under the pointer.
    """
    question = st.session_state.get(f"{key}_question", {})
    if question.get("revision") != revision:  # asked on another map
        question = {}
    payload = _of_run(choice, live) if live is not None else _of_model(choice, question)
    payload |= {
        "revision": revision,
        "pictures": pictures(dataset)["digest"],
        "names": list(DATASETS[dataset].label_names),
        "shape": list(DATASETS[dataset].image_shape),
        "classes": {"light": LIGHT.classes, "dark": DARK.classes},
        "replay": replay,
        "compact": compact,
        "start": {
            "view": question.get("view", USUAL_VIEW),
            "pointer": [0.0, 0.0],
            "pins": [] if compact else _linked(),
        },
        **_answers(choice, question),
    }

    def note() -> None:
        _note(key)

    _COMPONENT(key=key, data=(payload,), on_asked_change=note)
    return payload["waiting_for_pins"] or any(view["state"] == "pending" for view in payload["views"].values())


# ---- what it is sent ----------------------------------------------------------------------------------------------


def _of_model(choice: Network | None, question: dict[str, Any]) -> dict[str, Any]:
    assert choice is not None
    codes = codes_of(choice)
    dims = codes.values.shape[1]
    name, amounts = codes.amounts
    said = "posteriors' means" if codes.deviations is not None else "codes"
    return {
        "digest": choice.digest,
        "latent_dim": dims,
        "codes": floats_to_json(codes.values),
        "deviations": None if codes.deviations is None else floats_to_json(codes.deviations),
        "labels": codes.labels.tolist(),
        "mean": codes.mean.tolist(),
        "order": codes.order,
        "ranges": codes.ranges.tolist(),
        "amounts": {"name": name, "values": [round(float(value), 4) for value in amounts]},
        "box": box(codes.values) if dims == 2 else None,
        "views": _views(choice, codes, question) if dims > 2 else {},
        "prior": codes.deviations is not None,
        "caption": f"The {said} of {len(codes.labels):,} test pictures.",
    }


def _of_run(choice: Network | None, live: Live) -> dict[str, Any]:
    codes = live.snapshot.codes
    dims = codes.shape[1]
    assert dims == 2
    return {
        "digest": "" if choice is None else choice.digest,
        "waiting": "The decoder comes with the first checkpoint, within ten seconds.",
        "latent_dim": dims,
        "codes": floats_to_json(codes),
        "deviations": None,
        "labels": live.stage.labels.tolist(),
        "mean": codes.mean(0).tolist(),
        "order": [0, 1],
        "ranges": [[-3.0, 3.0]] * dims,
        "amounts": None,
        "box": box(codes),
        "views": {},
        "prior": choice is not None and choice.checkpoint.model_config.bottleneck == "variational",
        "caption": f"In training: the codes of {len(codes):,} test pictures after {live.snapshot.step:,} steps.",
    }


def _views(choice: Network, codes: Codes, question: dict[str, Any]) -> dict[str, Any]:
    """The ways to see a larger code in a plane; those that take long only once they are wanted."""
    found: dict[str, Any] = {}
    for name, about in VIEWS.items():
        view: dict[str, Any] = {"title": about.title, "axes": [f"{about.title} 1", f"{about.title} 2"], "state": ""}
        if name == "pca":
            view["plane"] = codes.plane
        elif name == question.get("view"):
            try:
                points = jobs().view(name, choice.digest, codes.values)
                view |= {"state": "pending"} if points is None else {"state": "done", "points": floats_to_json(points)}
            except AecoreError as error:
                view |= {"state": "failed", "trouble": str(error)}
        found[name] = view
    return found


# ---- what it asks, and is told ------------------------------------------------------------------------------------


def _note(key: str) -> None:
    """Take over what the browser asks, if it makes sense."""
    said = st.session_state[key].asked
    question: dict[str, Any] = dict(st.session_state.get(f"{key}_question", {}))
    try:
        kind, number, revision = said["kind"], str(said["id"]), str(said["revision"])
        if question.get("revision") != revision:
            question = {"revision": revision}
        if kind == "view" and said["name"] in {UNITS, *VIEWS}:
            question["view"] = said["name"]
        elif kind in ("pins", "gif"):
            most = MOST_PINS if kind == "pins" else MOST_FRAMES
            codes = [[float(value) for value in code] for code in said["codes"][:most]]
            if all(abs(value) < FARTHEST for code in codes for value in code):  # no comparison holds for a NaN
                question[kind] = {"id": number, "codes": codes}
    except (KeyError, TypeError, ValueError, OverflowError):
        return  # not from our script; the map stays as it is
    st.session_state[f"{key}_question"] = question


def _answers(choice: Network | None, question: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"nearest": None, "gif": None, "waiting_for_pins": False}
    if choice is None:
        return told
    dims = choice.checkpoint.model_config.latent_dim
    pins, path = (_codes_of_size(question.get(kind), dims) for kind in ("pins", "gif"))
    if pins is not None:
        name = (choice.digest, "nearest", pins.tobytes())
        before = st.session_state.get(_ASKED)
        if before != name:
            jobs().forget(before)  # nobody wants to know any more what lay under a pin on its way
            st.session_state[_ASKED] = name
        found = jobs().ask(name, lambda: _nearest(choice, pins), soon=True)
        told["nearest"] = None if found is None else {"id": question["pins"]["id"], "found": found}
        told["waiting_for_pins"] = found is None
    if path is not None:
        data = _gif(choice.digest, path.tobytes(), dims, choice)
        told["gif"] = {"id": question["gif"]["id"], "name": "path.gif", "data": data}
    return told


def _codes_of_size(question: dict[str, Any] | None, dims: int) -> NDArray[np.float32] | None:
    """The codes asked about, (N, Z); None if there are none, or they belong to another network."""
    if question is None or not question["codes"] or any(len(code) != dims for code in question["codes"]):
        return None
    return np.asarray(question["codes"], dtype=np.float32)


def _nearest(choice: Network, codes: NDArray[np.float32]) -> list[dict[str, Any]]:
    """The training image nearest to what each code decodes to."""
    stored = load_dataset(choice.dataset).train
    distances, who = nearest_images(decode_all(choice.model, torch.from_numpy(codes)), stored)
    return [
        {"mse": float(distance), "picture": images_to_json(stored[index : index + 1].numpy())["data"]}
        for distance, index in zip(distances[:, 0], who[:, 0], strict=True)
    ]


@st.cache_data(show_spinner=False, max_entries=32)
def _gif(digest: str, codes: bytes, dims: int, _choice: Network) -> str:  # noqa: ARG001 - the digest is the cache's key
    made = decode_all(_choice.model, torch.from_numpy(np.frombuffer(codes, np.float32).reshape(-1, dims).copy()))
    return base64.b64encode(gif(made)).decode("ascii")


def _linked() -> list[list[float]]:
    """The pins a link brings: `pins=x,y;x,y`."""
    found = []
    for part in st.query_params.get("pins", "").split(";")[:MOST_PINS]:
        try:
            at = [float(number) for number in part.split(",")]
        except ValueError:
            continue
        if len(at) == 2 and all(math.isfinite(number) and abs(number) < FARTHEST for number in at):
            found.append(at)
    return found
