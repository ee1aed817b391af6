"""The codes of a dataset's test images as the map needs them, each made once for everybody.

This module knows nothing of runs or of the browser.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray

from aecore.analysis.bound import kl_per_unit, posteriors
from aecore.analysis.latent import box_of, principal_plane
from aecore.data import load_dataset
from aecore.training import encode
from pages.ui.chooser import Network
from pages.ui.engine import images_to_json

MAP_IMAGES = 1000  # points a browser moves without effort, and enough to see every class


@dataclass(frozen=True)
class Codes:
    """The codes of the first test images.

    Attributes:
        values: (N, Z); means, where the code is a distribution.
        labels: Class of each, (N,).
        deviations: Standard deviations, (N, Z); None where the code is no distribution.
        amounts: How much each unit says, (Z,), and what that is called: its KL divergence in nats, or its variance.
        order: Units, the one that says most first.
        ranges: Of each unit, what holds 98 % of the codes, (Z, 2).
        mean: The mean code, (Z,).
        plane: The plane of most variance, as `Plane`; None for a code of fewer than two units.
    """

    values: NDArray[np.float32]
    labels: NDArray[np.int64]
    deviations: NDArray[np.float32] | None
    amounts: tuple[str, NDArray[np.float64]]
    order: list[int]
    ranges: NDArray[np.float64]
    mean: NDArray[np.float32]
    plane: dict[str, list[float]] | None


def codes_of(choice: Network) -> Codes:
    """The codes a network gives to the first test images of its dataset."""
    return _codes(choice.digest, choice)


@st.cache_resource(show_spinner=False, max_entries=16)
def _codes(digest: str, _choice: Network) -> Codes:  # noqa: ARG001 - the digest is the cache's key
    dataset = load_dataset(_choice.dataset)
    images = dataset.test[:MAP_IMAGES]
    posterior = posteriors(_choice.model, images)
    values = encode(_choice.model, images)
    name, amounts = ("variance", values.double().var(0)) if posterior is None else ("KL", kl_per_unit(posterior))
    ends = torch.quantile(values.double(), torch.tensor([0.01, 0.99], dtype=torch.float64), dim=0)
    ends[1] = torch.where(ends[1] > ends[0], ends[1], ends[0] + 1)
    plane = principal_plane(values) if values.shape[1] > 1 else None
    return Codes(
        values=values.numpy(),
        labels=dataset.test_labels[:MAP_IMAGES].numpy(),
        deviations=None if posterior is None else (posterior.log_variance / 2).exp().numpy(),
        amounts=(name, amounts.numpy()),
        order=amounts.argsort(descending=True).tolist(),
        ranges=ends.T.numpy(),
        mean=values.mean(0).numpy(),
        plane=None if plane is None else {name: getattr(plane, name).tolist() for name in ("origin", "across", "up")},
    )


def box(values: NDArray[np.float32]) -> list[list[float]]:
    """Where a map of two numbers should begin: lower and upper corner, with some room around nearly all codes."""
    found = box_of(torch.from_numpy(values), share=0.99, margin=0.12)
    return [found.low.tolist(), found.high.tolist()]


@st.cache_resource(show_spinner=False, max_entries=4)
def pictures(dataset: str) -> dict[str, Any]:
    """The first test images, packed for the browser under a digest of their own."""
    packed = images_to_json(load_dataset(dataset).test[:MAP_IMAGES].numpy())
    return {"digest": f"pictures-{hashlib.sha256(packed['data'].encode()).hexdigest()[:16]}", **packed}
