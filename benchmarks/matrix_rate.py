"""How fast this machine multiplies matrices, the only thing training cannot outrun.

It knows nothing of networks.
"""

from __future__ import annotations

from time import perf_counter

import torch

SIDE = 2048
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def matrix_rate(dtype: torch.dtype, side: int = SIDE, repeats: int = 3) -> float:
    """FLOP/s of one square product with torch's present number of threads: the best of a few, for it is a limit.

    Args:
        dtype: Of both factors and the product.
        side: Rows and columns.
        repeats: Products that are timed, after one that is not.
    """
    left, right = (torch.randn(side, side).to(dtype) for _ in range(2))
    out = left @ right
    best = float("inf")
    for _ in range(repeats):
        begun = perf_counter()
        torch.mm(left, right, out=out)
        best = min(best, perf_counter() - begun)
    return 2 * side**3 / best
