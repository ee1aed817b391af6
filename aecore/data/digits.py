"""The handwritten digits that come with scikit-learn: real images, nothing to download.

1,797 digits written by 13 people, as an 8x8 grid that counts ink from 0 to 16 (the test part of the UCI set
"Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, 1998). Offered at their own size and
enlarged to look like MNIST. All arithmetic is in whole numbers, so every machine makes the same bytes.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from aecore.data.progress import Progress
from aecore.data.spec import Split

TEST_SIZE = 360
SPLIT_SEED = 0
_GRID, _INK = 8, 16
_FRAME, _MARGIN = 28, 4


def read_digits(progress: Progress) -> tuple[Split, Split]:
    """Make the digits at 28x28, in the manner of MNIST: 20x20 of ink with a margin of 4.

    Each 8x8 grid, lying on empty paper, is enlarged 2.5 times by Catmull-Rom interpolation (Keys' cubic
    convolution, a = -1/2); then the contrast is stretched so that a fifth of full ink becomes paper and four
    fifths become full ink, which gives strokes the crisp edges that counting in blocks took away.
    """
    progress("Enlarging the bundled digits", None)
    ink, labels = _bundled()
    weights = _catmull_rom()
    full = _INK * _UNIT**2
    enlarged = weights @ ink @ weights.T  # (1797, 8, 8) -> (1797, 28, 28), in 1/full of full ink
    pixels = _rounded(255 * (5 * enlarged - full), 3 * full).clip(0, 255)
    return _split(pixels, labels)


def read_digits8(progress: Progress) -> tuple[Split, Split]:
    """Make the digits at their own size, 8x8, with ink 0..16 spread over 0..255."""
    progress("Reading the bundled digits", None)
    ink, labels = _bundled()
    return _split(_rounded(255 * ink, _INK), labels)


def _bundled() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ink (1797, 8, 8) in 0..16 and labels (1797,), in the order of scikit-learn's `load_digits`."""
    # `load_digits` reads this very file, but importing it takes over a second and 90 MB in every worker.
    package = importlib.util.find_spec("sklearn")
    assert package is not None, "scikit-learn stands in requirements.txt"
    assert package.origin is not None
    table = np.loadtxt(
        Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", dtype=np.int64, delimiter=","
    )
    return table[:, :-1].reshape(-1, _GRID, _GRID), table[:, -1]


_PHASES = 10  # pixel centres of the frame fall on tenths of a grid cell
_UNIT = 2 * _PHASES**3  # the weights' common denominator


def _catmull_rom() -> NDArray[np.int64]:
    """Weights (28, 8) in 1/2000 that carry one line of the grid to one line of the frame."""
    pixel = np.arange(_FRAME)[:, None] - _MARGIN
    cell = np.arange(_GRID)[None, :]
    t = np.abs(4 * pixel - 3 - _PHASES * cell)  # |(pixel + 1/2) / 2.5 - 1/2 - cell|, in tenths
    near = 3 * t**3 - 5 * _PHASES * t**2 + 2 * _PHASES**3
    far = -(t**3) + 5 * _PHASES * t**2 - 8 * _PHASES**2 * t + 4 * _PHASES**3
    return np.where(t < _PHASES, near, np.where(t < 2 * _PHASES, far, 0)).astype(np.int64)


def _rounded(numerator: NDArray[np.int64], denominator: int) -> NDArray[np.int64]:
    return (2 * numerator + denominator) // (2 * denominator)


def _split(pixels: NDArray[np.int64], labels: NDArray[np.int64]) -> tuple[Split, Split]:
    """Draw 360 test digits, each class by its share; both halves keep the order of the file.

    A class of n digits gives the whole part of 360 n / 1797, and the classes with the largest remainders give one
    more. Which digits: those with the smallest tickets, numbers from PCG64, whose raw output NumPy promises never
    to change.
    """
    tickets = np.random.PCG64(SPLIT_SEED).random_raw(len(labels))
    shares, remainders = np.divmod(np.bincount(labels) * TEST_SIZE, len(labels))
    shares[np.argsort(-remainders, kind="stable")[: TEST_SIZE - shares.sum()]] += 1
    in_test = np.zeros(len(labels), dtype=bool)
    for label, share in enumerate(shares):
        members = np.flatnonzero(labels == label)
        in_test[members[np.argsort(tickets[members], kind="stable")[:share]]] = True
    images = pixels.astype(np.uint8)[:, None]
    train, test = (
        Split(torch.from_numpy(images[half]), torch.from_numpy(labels[half])) for half in (~in_test, in_test)
    )
    return train, test
