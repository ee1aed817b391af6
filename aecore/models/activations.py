"""The activations a network may use, by name; each adds no parameters."""

from __future__ import annotations

from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh}
ACTIVATION_TITLES = {"relu": "ReLU", "silu": "SiLU", "tanh": "tanh"}
