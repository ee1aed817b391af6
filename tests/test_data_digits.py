"""The bundled digits are scikit-learn's, enlarged in whole numbers, and split the same way on every machine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from aecore.data.digits import _catmull_rom, read_digits, read_digits8
from aecore.data.progress import silent
from aecore.data.spec import Split

Splits = tuple[Split, Split]


@pytest.fixture(scope="module")
def digits() -> Splits:
    return read_digits(silent)


@pytest.fixture(scope="module")
def digits8() -> Splits:
    return read_digits8(silent)


def rows(images: np.ndarray, labels: np.ndarray) -> list[bytes]:
    return sorted(bytes([label]) + image.tobytes() for image, label in zip(images, labels, strict=True))


def test_both_halves_together_are_scikit_learns_digits(digits8: Splits) -> None:
    bundle = load_digits()
    pixels = torch.cat([split.images for split in digits8])[:, 0].numpy()
    labels = torch.cat([split.labels for split in digits8]).numpy()
    ink = np.rint(pixels / 255 * 16).astype(np.uint8)
    assert rows(ink, labels) == rows(bundle.images.astype(np.uint8), bundle.target)
    assert np.array_equal(np.unique(pixels), np.floor(np.arange(17) * 255 / 16 + 0.5))


def test_the_split_gives_each_class_its_share(digits: Splits) -> None:
    train, test = digits
    assert (len(train.images), len(test.images)) == (1437, 360)
    of_class = torch.bincount(train.labels) + torch.bincount(test.labels)
    share = of_class * 360 / 1797
    assert torch.all((torch.bincount(test.labels) - share).abs() < 1)


def test_both_sizes_hold_the_same_digits_in_the_same_order(digits: Splits, digits8: Splits) -> None:
    for large, small in zip(digits, digits8, strict=True):
        assert torch.equal(large.labels, small.labels)
        seen = torch.nn.functional.interpolate(large.images[:, :, 4:24, 4:24].float(), size=(8, 8), mode="area")
        pair = torch.stack([seen.flatten(1), small.images.float().flatten(1)])  # (2, N, 64)
        pair = (pair - pair.mean(dim=2, keepdim=True)) / pair.std(dim=2, keepdim=True, correction=0)
        assert (pair[0] * pair[1]).mean(dim=1).min() > 0.9, "correlation of each digit with its original"


def test_the_digits_stand_in_a_margin_as_in_mnist(digits: Splits) -> None:
    images = torch.cat([split.images for split in digits])
    border = torch.ones(28, 28, dtype=torch.bool)
    border[3:25, 3:25] = False
    assert images[:, :, border].max() == 0
    assert images[:, :, 4:24, 4:24].amax(dim=(2, 3)).min() == 255, "each digit has full ink somewhere"


def test_they_have_about_mnists_ink_and_crispness(digits: Splits) -> None:
    images = torch.cat([split.images for split in digits]).float() / 255
    assert 0.13 < images.mean() < 0.17  # MNIST: 0.13
    assert ((images > 0.1) & (images < 0.9)).float().mean() < 0.15  # MNIST: 0.09, plain interpolation: 0.24


def test_the_weights_of_the_enlargement_add_up_to_one_where_the_grid_reaches() -> None:
    weights = _catmull_rom()
    assert weights.shape == (28, 8)
    inside = slice(4 + 5, 24 - 5)  # two cells from the grid's edge, all four neighbours exist
    assert (weights[inside].sum(axis=1) == 2000).all()
    assert np.array_equal(weights, weights[::-1, ::-1]), "the margin is the same on both sides"


def test_enlarging_an_even_slope_gives_an_even_slope() -> None:
    weights = _catmull_rom()
    line = weights @ np.arange(8)
    assert (np.diff(line[9:19]) == 2000 * 2 // 5).all()  # 0.4 of a cell for each pixel
