"""The denoising bench: noise and autoencoder run in the browser, classical filters here.

The browser gets the network, the test pictures and the random draws, and follows the slider by itself. When a picture
stands still it asks, and is told what each classical filter makes of it at every place of the slider. This module knows
nothing of where networks come from.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray
from torch import Tensor

from aecore.analysis.denoising import DENOISERS, MEASURES, psnr_per_image
from aecore.data import DATASETS, load_dataset
from aecore.data.image_dataset import to_stored, to_unit
from aecore.noise import CORRUPTIONS, Corruption, corrupt, draw
from aecore.pretrained import EXAMPLES, examples
from pages.ui.browser import source
from pages.ui.denoising.choices import Choice, curves_of, filter_curves
from pages.ui.engine import floats_to_json, images_to_json, keep
from pages.ui.palette import DARK, LIGHT
from pages.ui.toy import pen_width

BENCH = "denoising_bench"
QUESTION = "denoising_question"
_ASKED = "denoising_asked"
HIGHEST_SEED = 9999
MOST_TEXT = 120_000  # letters of a picture: four channels of 64x64 values, four bytes each, in base64
OWN_ANSWER = "denoising_own_answer"
FINER = 5  # steps of the slider for one of a corruption's
APART = (1, 9, 4, 2, 0, 5)  # those of the class colours that are furthest apart as thin lines

_COMPONENT = st.components.v2.component(
    "denoising_bench",
    html=source("denoise.html"),
    css=source("meaning.css", "buttons.css", "framed.css", "denoise.css", "pen.css"),
    js=source(
        "engine.js", "kept.js", "pictures.js", "signed.js", "pen.js", "noise.js", "upload.js", "curves.js", "denoise.js"
    ),
)


def bench(choice: Choice) -> None:
    """Draw the bench with a network on it."""
    question = asked(choice)
    keep(BENCH, choice.packed)
    _COMPONENT(key=BENCH, data=(payload(choice, question),), on_asked_change=_note)


def _note() -> None:
    """Take over what the browser says is on the bench, if it makes sense. The browser also puts it into the address."""
    said = st.session_state[BENCH].asked
    try:
        about = CORRUPTIONS[said["corruption"]]
        picture = said["picture"]
        if "own" in picture:
            picture = {"own": int(picture["own"]), "pixels": str(picture["pixels"])[:MOST_TEXT]}
        else:
            picture = {"example": min(EXAMPLES - 1, max(0, int(picture["example"])))}
        st.session_state[QUESTION] = {
            "corruption": said["corruption"],
            "strength": min(about.high, max(about.low, float(said["strength"]))),
            "seed": min(HIGHEST_SEED, max(0, int(said["seed"]))),
            "clip": bool(said["clip"]),
            "picture": picture,
        }
        st.session_state[_ASKED] = True
    except (KeyError, TypeError, ValueError, OverflowError):
        return  # not from our script; the bench stays as it is


def was_asked() -> bool:
    """Whether this run of the page is about a question from the browser."""
    return bool(st.session_state.pop(_ASKED, False))


def asked(choice: Choice) -> dict[str, Any]:
    """What is on the bench: as the browser said, else as the link says, else what the network was trained for.

    Its keys are `corruption`, `strength`, `seed`, `clip` and `picture`: an `example` by number, or a picture of the
    visitor's `own` with its `pixels`.
    """
    known = st.session_state.get(QUESTION)
    if known is None:
        known = _linked(choice)
    picture = known["picture"]
    values = int(np.prod(choice.checkpoint.model_config.image_shape))
    if "own" in picture and _own_pixels(picture, values) is None:  # of another network's size
        known = {**known, "picture": {"example": 0}}
    st.session_state[QUESTION] = known
    return known


def _linked(choice: Choice) -> dict[str, Any]:
    given = st.query_params
    noise = choice.checkpoint.train_config.noise
    corruption = given.get("noise", noise.corruption)
    if corruption not in CORRUPTIONS:
        corruption = "gaussian"
    about = CORRUPTIONS[corruption]
    level = _number(given.get("level"), about.low, about.high, about.usual)
    return {
        "corruption": corruption,
        "strength": round(about.low + round((level - about.low) * FINER / about.step) * about.step / FINER, 6),
        "seed": int(_number(given.get("draw"), 0, HIGHEST_SEED, 0)),
        "clip": given.get("cut") != "no",
        "picture": {"example": int(_number(given.get("picture"), 1, EXAMPLES, 1)) - 1},
    }


def _number(text: str | None, low: float, high: float, usual: float) -> float:
    try:
        number = float(text or "")
    except ValueError:
        return usual
    return usual if math.isnan(number) else min(high, max(low, number))


def payload(choice: Choice, question: dict[str, Any]) -> dict[str, Any]:
    """What the browser needs."""
    shape = choice.checkpoint.model_config.image_shape
    pictures = example_images(choice.dataset)
    measured = {name: known for name in CORRUPTIONS if (known := _curves(choice, name, question)) is not None}
    return {
        "denoiser": _about(choice),
        "dataset": DATASETS[choice.dataset].title,
        "highest_seed": HIGHEST_SEED,
        "shape": shape,
        "examples": images_to_json(pictures),
        "pen_width": pen_width(pictures),
        "corruptions": [_corruption(name, about) for name, about in CORRUPTIONS.items()],
        "draws": draws_for(shape, question["seed"]),
        "drawn": question["seed"],
        "measured": measured or None,
        "measures": MEASURES,
        "titles": _titles(choice),
        "lines": _lines(choice),
        "answer": answer(choice, question),
        "start": question,
        "palette": {name: {"diverging": tones.diverging} for name, tones in (("light", LIGHT), ("dark", DARK))},
    }


def _curves(choice: Choice, corruption: str, question: dict[str, Any]) -> dict[str, Any] | None:
    """The curves of one corruption; those that have to be measured first only once they are wanted."""
    if corruption in choice.known or corruption == question["corruption"]:
        return curves_of(choice, corruption)
    return None


def _about(choice: Choice) -> dict[str, Any]:
    noise = choice.checkpoint.train_config.noise
    low, high = noise.range()
    words = noise.describe() + ("" if noise.clip else ", not clipped")
    trained_on = {"corruption": noise.corruption, "low": low, "high": high, "clip": noise.clip, "words": words}
    return {
        "key": choice.key,
        "digest": choice.digest,
        "twin": choice.twin,
        "trained": trained_on if noise.on else None,
        "typical": choice.typical,
    }


def _titles(choice: Choice) -> dict[str, str]:
    filters = {name: denoiser.title for name, denoiser in DENOISERS.items()}
    twin = {choice.twin: "Trained without noise"} if choice.twin else {}
    return {choice.key: "Autoencoder", **twin, **filters}


def _lines(choice: Choice) -> dict[str, dict[str, Any]]:
    """The colour of each curve in both themes: green what was learned, grey doing nothing, the rest as classes."""
    lines: dict[str, dict[str, Any]] = {}
    for name, dash in ((choice.key, ""), (choice.twin, "6 4")):
        if name:
            lines[name] = {"colour": {"light": LIGHT.decoder.fill, "dark": DARK.decoder.fill}, "dash": dash}
    grey = {"light": LIGHT.target.fill, "dark": DARK.target.fill}
    lines["identity"] = {"colour": grey, "dash": "2 3"}
    filters = [name for name in DENOISERS if name != "identity"]
    for number, name in enumerate(filters):
        colour = APART[number % len(APART)]
        lines[name] = {"colour": {"light": LIGHT.classes[colour], "dark": DARK.classes[colour]}, "dash": ""}
    return lines


def _corruption(name: str, about: Corruption) -> dict[str, Any]:
    keys = ("title", "measure", "unit", "low", "high", "usual")
    return {"name": name, **{key: getattr(about, key) for key in keys}, "step": about.step / FINER}


@st.cache_data(show_spinner=False)
def example_images(dataset: str) -> NDArray[np.uint8]:
    """Test pictures to choose from (N, C, H, W)."""
    images: NDArray[np.uint8] = examples(load_dataset(dataset)).numpy()
    return images


@st.cache_data(show_spinner=False, max_entries=256)
def draws_for(shape: tuple[int, int, int], seed: int) -> dict[str, dict[str, Any]]:
    """The random fields of every corruption for one picture: with this seed, `corrupt` draws the same."""
    return {
        name: {
            field: floats_to_json(values.numpy())
            for field, values in draw(name, (1, *shape), torch.Generator().manual_seed(seed)).items()
        }
        for name in CORRUPTIONS
    }


def answer(choice: Choice, question: dict[str, Any]) -> dict[str, Any] | None:
    """What each classical filter makes of the picture at every place of the slider; None while that is not known.

    Returns:
        `question`; `places`: strengths all over the range, and the one asked about; `best`: the best filter at each;
        `images`: what it makes there, base64 of (P, C, H, W) bytes; `psnr`: filter -> dB at each place.
    """
    curves = filter_curves(choice.dataset, question["corruption"])
    if curves is None:
        return None
    shape = choice.checkpoint.model_config.image_shape
    picture = question["picture"]
    if "own" in picture:
        pixels = picture["pixels"]
    else:
        pixels = base64.b64encode(
            to_unit(torch.from_numpy(example_images(choice.dataset)[[picture["example"]]])).numpy().tobytes()
        ).decode()
    strengths, none = curves["strengths"], [0.0] * len(curves["strengths"])
    settings = {name: curves["settings"].get(name, none) for name in curves["rows"] if name != "identity"}
    about = CORRUPTIONS[question["corruption"]]
    steps = round((about.high - about.low) / about.step)
    grid = tuple(min(about.high, about.low + step * about.step) for step in range(steps + 1))
    same = (pixels, shape, question["corruption"], question["seed"], question["clip"], strengths, settings)
    filtered = _filtered_own if "own" in picture else _filtered
    parts = [filtered(grid, *same), filtered((question["strength"],), *same)]
    told = {key: question[key] for key in ("corruption", "seed", "clip")}
    return {
        "question": {**told, "picture": {k: v for k, v in picture.items() if k != "pixels"}},
        "places": [*grid, question["strength"]],
        "best": [name for part in parts for name in part["best"]],
        "images": base64.b64encode(b"".join(part["images"] for part in parts)).decode("ascii"),
        "psnr": {name: [value for part in parts for value in part["psnr"][name]] for name in settings},
    }


def _filtered_own(*asked_for: Any) -> dict[str, Any]:
    """As `_filtered`, of a picture that is the visitor's: kept by the session alone, and only the latest."""
    place = f"{OWN_ANSWER}_{len(asked_for[0])}"
    known_for, known = st.session_state.get(place, (None, None))
    if known_for != asked_for:
        known = _filter(*asked_for)
        st.session_state[place] = (asked_for, known)
    return known  # type: ignore[no-any-return]


@st.cache_data(show_spinner=False, max_entries=512)
def _filtered(*asked_for: Any) -> dict[str, Any]:
    """What `_filter` finds on a picture that everybody may choose."""
    return _filter(*asked_for)


def _filter(
    places: tuple[float, ...],
    pixels: str,
    shape: tuple[int, int, int],
    corruption: str,
    seed: int,
    clip: bool,
    strengths: list[float],
    settings: dict[str, list[float]],
) -> dict[str, Any]:
    clean = torch.frombuffer(bytearray(base64.b64decode(pixels)), dtype=torch.float32).view(1, *shape)
    noisy = torch.cat(
        [
            corrupt(clean, corruption, place, generator=torch.Generator().manual_seed(seed), clip=clip)
            for place in places
        ]
    )
    nearest = [int(np.abs(np.asarray(strengths) - place).argmin()) for place in places]
    names = list(settings)
    estimates = torch.stack([_at_best(name, noisy, nearest, settings[name]) for name in names])  # (D, P, C, H, W)
    scores = torch.stack([psnr_per_image(estimate, clean.expand_as(estimate)) for estimate in estimates])
    best = scores.argmax(0)
    return {
        "best": [names[index] for index in best.tolist()],
        "images": to_stored(estimates[best, torch.arange(len(places))]).numpy().tobytes(),
        "psnr": {name: [round(value, 3) for value in row] for name, row in zip(names, scores.tolist(), strict=True)},
    }


def _at_best(name: str, noisy: Tensor, nearest: list[int], settings: list[float]) -> Tensor:
    """One filter on all noisy pictures, each with the best setting of the nearest strength that was measured."""
    chosen = [settings[index] for index in nearest]
    estimates = torch.empty_like(noisy)
    for setting in set(chosen):
        of_these = [place for place, value in enumerate(chosen) if value == setting]
        estimates[of_these] = DENOISERS[name](noisy[of_these], setting)
    return estimates


def _own_pixels(picture: dict[str, Any], values: int) -> bytes | None:
    """The picture a visitor made, if it is one of this many values."""
    try:
        data = base64.b64decode(picture.get("pixels", ""), validate=True)
    except (binascii.Error, TypeError, ValueError):
        return None
    if len(data) != 4 * values:
        return None
    numbers = np.frombuffer(data, "<f4")
    return data if np.isfinite(numbers).all() and numbers.min() >= 0 and numbers.max() <= 1 else None
