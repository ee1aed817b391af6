"""What can be said of a code in numbers, below its map. They are worked out beside the page, once for everybody.

This module knows nothing of the map.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from aecore.analysis.disentangling import factor_correlations
from aecore.analysis.latent import Box, box_of
from aecore.analysis.neighbours import covered_share, knn_accuracy, nothing_share
from aecore.analysis.subspace import principal_angles
from aecore.data import load_dataset
from aecore.errors import ConfigError
from aecore.metrics import active_units
from aecore.training import encode
from pages.ui.chooser import Network
from pages.ui.latent.jobs import jobs

MOST_TRAINING = 5000  # codes that vote, and images compared with
MOST_TEST = 2000
MOST_UNITS = 16  # rows of the table of factors
KINDS = {
    "monotone": "Spearman's rank correlation, without its sign.",
    "circular": "It comes round again: the correlation with its sine and cosine.",
    "class": "The correlation ratio: how much of the unit's ranks the classes explain.",
}
SIDE = 20  # cells on each side of the plane


def measures(choice: Network) -> bool:
    """Draw the numbers; say whether they are still being worked out.

    Raises:
        AecoreError: If they cannot be; says why.
    """
    found = measured(choice)
    if found is None:
        st.caption("Measuring the code …")
        return True
    shown(found)
    return False


def measured(choice: Network) -> dict[str, Any] | None:
    """All there is to say of a code, by name; None while it is worked out."""
    return jobs().ask((choice.digest, "measures"), lambda: _measure(choice))


def _measure(choice: Network) -> dict[str, Any]:
    model, dataset = choice.model, load_dataset(choice.dataset)
    train, test = dataset.train[:MOST_TRAINING], dataset.test[:MOST_TEST]
    codes, test_codes = encode(model, train), encode(model, test)
    if not codes.isfinite().all() or not test_codes.isfinite().all():
        raise ConfigError("Some codes are no finite numbers, so nothing can be measured. The training went astray.")
    found: dict[str, Any] = {
        "training": len(train),
        "test": len(test),
        "knn": knn_accuracy(codes, dataset.train_labels[:MOST_TRAINING], test_codes, dataset.test_labels[:MOST_TEST]),
        "units": model.config.latent_dim,
    }
    if model.config.bottleneck == "variational":
        found |= {"active": int(active_units(test_codes).sum()), "kl": choice.checkpoint.metrics.get("test_kl_nats")}
    if model.config.latent_dim == 2:
        where: Box = box_of(test_codes)
        found |= {
            "covered": covered_share(test_codes, where, SIDE),
            "nothing": nothing_share(model, where, train, test[:500], SIDE),
        }
    if model.config.body == "linear":
        found["angle"] = float(principal_angles(model, dataset.train)[-1])
    if dataset.test_factors:
        factors = {name: values[:MOST_TEST] for name, values in dataset.test_factors.items()}
        found["factors"] = factor_correlations(test_codes, factors).to_dict()
    return found


def shown(found: dict[str, Any]) -> None:
    """Draw numbers that were measured."""
    with st.grid(4, gap="small", min_column_width=130):
        st.metric(
            "5 neighbours agree ↑",
            f"{100 * found['knn']:.3g} %",
            help=f"Share of {found['test']:,} test pictures whose class is that of most of the 5 nearest codes among "
            f"{found['training']:,} training pictures. The network never saw a class.",
        )
        if "covered" in found:
            st.metric(
                "Plane covered ↑",
                f"{100 * found['covered']:.3g} %",
                help=f"Share of {SIDE} x {SIDE} cells that hold a test picture's code, of the rectangle with 98 % "
                "of them along each axis. The rest are holes.",
            )
            st.metric(
                "Decodes to nothing ↓",
                f"{100 * found['nothing']:.3g} %",
                help=f"Share of {SIDE} x {SIDE} places in that rectangle whose decoded picture is farther from every "
                "training picture than 95 % of reconstructions are.",
            )
        if "active" in found:
            st.metric(
                "Active units",
                f"{found['active']} of {found['units']}",
                help="Units whose mean varies over pictures by more than 0.01.",
            )
            if found["kl"] is not None:
                st.metric("KL", f"{found['kl']:.3g} nats", help="What the code may tell of a picture, on average.")
        if "angle" in found:
            st.metric(
                "Largest angle to PCA ↓",
                f"{found['angle']:.3g}°",
                help="Between what the linear decoder can draw and the subspace of the first principal components.",
            )
    if "factors" in found:
        factor_table(found["factors"])


def factor_table(table: dict[str, Any]) -> None:
    """How strongly each unit follows each of the factors that made the pictures, strongest units first."""
    names = list(table["values"])
    values = np.abs(np.array([table["values"][name] for name in names]))
    units = np.argsort(-values.max(axis=0), kind="stable")[:MOST_UNITS]
    st.markdown(
        "**What each unit follows.** These pictures were drawn from known factors; 0 is no relation, 1 a perfect one."
    )
    rows = {f"unit {unit + 1}": dict(zip(names, values[:, unit].round(2).tolist(), strict=True)) for unit in units}
    st.dataframe(
        [{"unit": unit, **row} for unit, row in rows.items()],
        hide_index=True,
        column_config={
            name: st.column_config.ProgressColumn(
                name, min_value=0, max_value=1, format="%.2f", help=KINDS[table["kinds"][name]]
            )
            for name in names
        },
    )
