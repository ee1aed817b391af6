"""The proof that the arithmetic shown is torch's: the line of PyTorch on the page is run, forward and backward.

The only module of this package that needs torch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from aecore.ops.setting import Case
from aecore.ops.trace import Array


class Differences(NamedTuple):
    """Largest differences from torch in double precision; rounding leaves about 1e-15 of the values' size.

    Attributes:
        output: Of the result.
        input_gradient: Of the gradient with respect to the input.
        kernel_gradient: Of the gradient with respect to the kernel, None where there is no kernel.
    """

    output: float
    input_gradient: float
    kernel_gradient: float | None

    @property
    def largest(self) -> float:
        """The largest of them."""
        return max(value for value in self if value is not None)


def differences(case: Case) -> Differences:
    """Run the setting's own line of PyTorch and compare the output and both gradients.

    Raises:
        OperationError: If the sizes do not go together.
    """
    x = torch.tensor(case.x[None], dtype=torch.float64, requires_grad=True)  # (C, H, W) -> (1, C, H, W)
    w = None if case.kernel is None else torch.tensor(case.kernel, dtype=torch.float64, requires_grad=True)
    y = run_line(case.setting.about.torch(case.setting), x=x, w=w)
    y.backward(torch.tensor(case.gradient[None], dtype=torch.float64))
    ours = case.trace
    kernel_gradient = ours.kernel_gradient(case.gradient)
    return Differences(
        _difference(ours.result, y[0]),
        _difference(ours.backward(case.gradient).result, x.grad[0] if x.grad is not None else torch.zeros(x.shape[1:])),
        None if kernel_gradient is None or w is None or w.grad is None else _difference(kernel_gradient, w.grad),
    )


def run_line(code: str, **names: Tensor | None) -> Tensor:
    """What `y` is after the code, which is ours (`Operation.torch`), never a visitor's."""
    scope: dict[str, Any] = {"F": functional, **names}
    exec(code, scope)
    result: Tensor = scope["y"]
    return result


def _difference(ours: Array, torchs: Tensor) -> float:
    assert ours.shape == tuple(torchs.shape), (ours.shape, torchs.shape)
    return float(np.abs(ours - torchs.detach().numpy()).max())
