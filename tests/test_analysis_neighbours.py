"""Neighbours among codes and images, against searches written out and decoders built by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aecore.analysis import neighbours
from aecore.analysis.latent import Box, plane_of_units
from aecore.analysis.neighbours import covered_share, knn_accuracy, nearest_images, nothing_share
from aecore.data.image_dataset import to_unit
from aecore.errors import ConfigError
from aecore.models import Autoencoder, ModelConfig, build_model


def images(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 2, 5, 4), generator=generator, dtype=torch.uint8)


# -- nearest images ----------------------------------------------------------------------------------------------


def test_nearest_images_are_those_of_a_full_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "STORED_AT_A_TIME", 7)  # many batches, the last ones smaller
    monkeypatch.setattr(neighbours, "PICTURES_AT_A_TIME", 3)
    pictures, stored = torch.rand(10, 2, 5, 4, generator=torch.Generator().manual_seed(1)), images(45)
    distances, indices = nearest_images(pictures, stored, 9)
    others = stored.numpy().astype(np.float64) / 255
    errors = ((pictures.numpy()[:, None].astype(np.float64) - others) ** 2).mean((2, 3, 4))
    assert np.array_equal(indices, errors.argsort(axis=1)[:, :9])
    np.testing.assert_allclose(distances, np.sort(errors, axis=1)[:, :9], atol=1e-7)


def test_a_stored_image_finds_itself_at_exactly_nothing() -> None:
    stored = images(30)
    stored[:, :, 0] = 255  # bright, so that a difference of large squares would not be 0
    distances, indices = nearest_images(to_unit(stored), stored)
    assert torch.equal(indices[:, 0], torch.arange(30))
    assert torch.equal(distances, torch.zeros(30, 1, dtype=torch.float64))


def test_distances_are_mean_squared_errors_of_a_value() -> None:
    stored = torch.tensor([0, 51], dtype=torch.uint8)[:, None, None, None].expand(2, 3, 4, 4)
    distances, indices = nearest_images(torch.full((1, 3, 4, 4), 0.3), stored, 2)
    assert indices.tolist() == [[1, 0]]
    assert distances[0].tolist() == pytest.approx([0.01, 0.09], rel=1e-6)


@pytest.mark.parametrize("count", [0, 31])
def test_no_more_images_are_found_than_there_are(count: int) -> None:
    with pytest.raises(ConfigError, match="1 to 30"):
        nearest_images(torch.rand(1, 2, 5, 4), images(30), count)


def test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"\(2, 5, 5\)"):
        nearest_images(torch.rand(1, 2, 5, 5), images(30))


# -- k nearest codes ---------------------------------------------------------------------------------------------


def test_accuracy_of_votes_counted_by_hand() -> None:
    codes = torch.tensor([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]])
    labels = torch.tensor([0, 1, 0, 1, 1, 0])
    test_codes, test_labels = torch.tensor([[0.1], [1.2], [11.1], [12.1]]), torch.tensor([0, 0, 1, 1])
    # nearest one: 0, 1, 1, 0; of three: 0 (0, 1, 2), 0, 1 (11, 12, 10), 1
    assert knn_accuracy(codes, labels, test_codes, test_labels, 1) == 0.5
    assert knn_accuracy(codes, labels, test_codes, test_labels, 3) == 1.0


@pytest.mark.parametrize("k", [1, 3, 5])
def test_accuracy_is_that_of_a_full_search(k: int) -> None:
    generator = torch.Generator().manual_seed(0)
    labels, test_labels = (torch.randint(3, (count,), generator=generator) for count in (200, 100))
    codes, test_codes = (
        torch.randn(len(which), 4, generator=generator) + 0.7 * which[:, None] for which in (labels, test_labels)
    )
    nearest = torch.cdist(test_codes.double(), codes.double()).argsort(1)[:, :k]
    votes = nn.functional.one_hot(labels[nearest], 3).sum(1)
    expected = (votes.argmax(1) == test_labels).double().mean().item()  # argmax: the lower class of a tie
    assert 0.4 < expected < 0.9, "neither all nor none"
    assert knn_accuracy(codes, labels, test_codes, test_labels, k) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("k", [0, 11])
def test_more_neighbours_than_codes_cannot_vote(k: int) -> None:
    codes, labels = torch.zeros(10, 2), torch.zeros(10, dtype=torch.int64)
    with pytest.raises(ConfigError, match="1 to 10"):
        knn_accuracy(codes, labels, codes, labels, k)


# -- a plane of codes --------------------------------------------------------------------------------------------


def halves(units: int = 2) -> Autoencoder:
    """A model whose first two units are the brightness of the upper and of the lower half, both ways."""
    model = build_model(ModelConfig(image_shape=(1, 8, 8), body="linear", latent_dim=units), seed=0)
    decoder, head = model.decoder[0], model.bottleneck.head
    assert isinstance(decoder, nn.Linear)
    assert isinstance(head, nn.Linear)
    upper = (torch.arange(64) < 32).float()
    with torch.no_grad():
        decoder.weight.zero_()[:, :2] = torch.stack([upper, 1 - upper], 1)
        head.weight.zero_()[:2] = torch.stack([upper, 1 - upper]) / 32
        decoder.bias.zero_()
        head.bias.zero_()
    return model


def pictured(codes: Tensor) -> Tensor:
    return (codes[:, :, None].expand(-1, -1, 32).reshape(-1, 1, 8, 8) * 255).round().to(torch.uint8)


def test_what_lies_beyond_all_images_decodes_to_nothing() -> None:
    """Training images at every tenth of [0, 1]^2, test images between them, and a box twice as wide.

    The error of a picture is half the squared distance of its code from the nearest training code. Of points at x = 0,
    0.1, ..., 2 those beyond 1 are 0.1 away or more, which makes 0.005; no reconstruction of a test image has more than
    0.0025, and those up to 1 have half of that at most.
    """
    tenths = torch.arange(11) / 10
    train = pictured(torch.cartesian_prod(tenths, tenths))
    test = pictured(torch.rand(2000, 2, generator=torch.Generator().manual_seed(0)))
    wide = Box(torch.tensor([0.0, 0.0]).double(), torch.tensor([2.0, 1.0]).double())
    assert nothing_share(halves(), wide, train, test, side=21) == pytest.approx(10 / 21, abs=1e-12)
    inside = Box(torch.tensor([0.0, 0.0]).double(), torch.tensor([1.0, 1.0]).double())
    assert nothing_share(halves(), inside, train, test, side=21) == pytest.approx(100 / 441, abs=1e-12), (
        "the middles between four images, at 0.0025: as far as only 1 of 20 reconstructions is"
    )


def test_in_a_larger_code_one_says_in_which_plane() -> None:
    tenths = torch.arange(11) / 10
    train = pictured(torch.cartesian_prod(tenths, tenths))
    test = pictured(torch.rand(500, 2, generator=torch.Generator().manual_seed(0)))
    box = Box(torch.tensor([0.0, 0.0]).double(), torch.tensor([2.0, 1.0]).double())
    found = nothing_share(halves(3), box, train, test, 21, plane=plane_of_units(torch.zeros(3), 0, 1))
    assert found == nothing_share(halves(), box, train, test, 21)
    with pytest.raises(ConfigError, match="3 units"):
        nothing_share(halves(3), box, train, test)


def test_images_beyond_the_cap_do_not_count() -> None:
    far = pictured(torch.ones(10, 2))
    near = pictured(torch.zeros(10, 2))
    box = Box(torch.tensor([0.9, 0.9]).double(), torch.tensor([1.0, 1.0]).double())
    both = torch.cat([near, far])
    assert nothing_share(halves(), box, both, near, 2, most_train=10) == 1.0
    grown = torch.cat([near, pictured(torch.full((10, 2), 0.8))])
    assert nothing_share(halves(), box, both, grown, 2, most_test=10) == 0.75, "all but (1, 1) are off, and none is far"
    assert nothing_share(halves(), box, both, grown, 2, most_test=20) == 0.0


def test_cells_that_hold_a_code_are_counted_once() -> None:
    box = Box(torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    codes = torch.tensor([[0.1, 0.1], [0.2, 0.1], [0.9, 0.1], [1.0, 1.0], [5.0, 0.5], [0.5, -0.1]])
    assert covered_share(codes, box, 2) == 0.75
    assert covered_share(codes, box, 1) == 1.0
    assert covered_share(codes[4:], box, 4) == 0.0


def test_even_codes_cover_what_chance_covers() -> None:
    box = Box(torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    codes = torch.rand(800, 2, generator=torch.Generator().manual_seed(0))
    assert covered_share(codes, box, 20) == pytest.approx(1 - math.exp(-800 / 400), abs=0.03)
