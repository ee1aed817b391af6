"""An `ImageDataset` holds together or says what does not; its checksum knows equal data from different."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from aecore.data.image_dataset import ImageDataset, to_unit
from aecore.errors import DataError


def make(**changes: Any) -> ImageDataset:
    parts: dict[str, Any] = {
        "name": "tiny",
        "title": "Tiny",
        "train": torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).reshape(2, 3, 4, 5),
        "test": torch.zeros(1, 3, 4, 5, dtype=torch.uint8),
        "train_labels": torch.tensor([0, 1]),
        "test_labels": torch.tensor([1]),
        "label_names": ("a", "b"),
        "source": "made up",
        "licence": "MIT",
    }
    return ImageDataset(**(parts | changes))


def test_it_knows_its_shape_and_cannot_be_changed() -> None:
    dataset = make()
    assert dataset.image_shape == (3, 4, 5)
    assert dataset.train_factors == dataset.test_factors == {}
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset.name = "other"  # type: ignore[misc]


def test_two_datasets_are_the_same_only_if_they_are_one_object() -> None:
    dataset = make()
    assert dataset == dataset  # noqa: PLR0124 - equality is identity, and needs no comparison of tensors
    assert dataset != make()
    assert len({dataset, make()}) == 2


def test_it_survives_the_way_to_another_process() -> None:
    dataset = make(train_factors={"x": torch.ones(2)}, test_factors={"x": torch.ones(1)})
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.checksum == dataset.checksum
    assert torch.equal(copy.train_factors["x"], torch.ones(2))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"train": torch.zeros(2, 3, 4, 5)}, "train images are torch.float32 (2, 3, 4, 5), expected torch.uint8"),
        ({"test": torch.zeros(1, 4, 5, dtype=torch.uint8)}, "test images are torch.uint8 (1, 4, 5), expected"),
        ({"train": torch.zeros(0, 3, 4, 5, dtype=torch.uint8)}, "with at least one image"),
        ({"test": torch.zeros(1, 1, 4, 5, dtype=torch.uint8)}, "training images (3, 4, 5) but test images (1, 4, 5)"),
        ({"train_labels": torch.tensor([0])}, "train labels are torch.int64 (1,), expected torch.int64 (2,)"),
        ({"test_labels": torch.tensor([1.0])}, "test labels are torch.float32 (1,), expected torch.int64 (1,)"),
        ({"train_labels": torch.tensor([0, 2])}, "train labels run from 0 to 2, but there are names for 0 to 1"),
        ({"train_labels": torch.tensor([-1, 0])}, "train labels run from -1 to 0"),
        ({"train_factors": {"x": torch.zeros(2)}}, "training factors ['x'] but test factors []"),
        (
            {"train_factors": {"x": torch.zeros(3)}, "test_factors": {"x": torch.zeros(1)}},
            "train factor 'x' has shape (3,), expected one number per image (2,)",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused_with_the_reason(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataError) as raised:
        make(**changes)
    assert str(raised.value).startswith("The dataset 'tiny' does not fit together: ")
    assert problem in str(raised.value)


def test_the_checksum_is_the_same_for_the_same_data_however_it_lies_in_memory() -> None:
    dataset = make()
    scattered = dataset.train.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert not scattered.is_contiguous()
    assert make(train=scattered).checksum == dataset.checksum
    # A fixed value: any machine, today and later, must find the same.
    assert dataset.checksum == "2c8d2bfbbd914c2bcbec089cce822fdc24c62cbee89416bc8c03800cbf77d167"


@pytest.mark.parametrize(
    "changes",
    [
        {"train": torch.zeros(2, 3, 4, 5, dtype=torch.uint8)},
        {"test": torch.ones(1, 3, 4, 5, dtype=torch.uint8)},
        {"train_labels": torch.tensor([1, 0])},
        {"test_labels": torch.tensor([0])},
        {
            "train": torch.arange(120, dtype=torch.uint8).reshape(2, 3, 5, 4),
            "test": torch.zeros(1, 3, 5, 4, dtype=torch.uint8),
        },
    ],
    ids=["train", "test", "train labels", "test labels", "shape"],
)
def test_any_change_of_the_data_changes_the_checksum(changes: dict[str, Any]) -> None:
    assert make(**changes).checksum != make().checksum


def test_the_checksum_does_not_depend_on_names() -> None:
    assert make(name="other", title="Other", source="elsewhere").checksum == make().checksum


def test_to_unit_divides_exactly_and_leaves_the_pixels_alone() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    unit = to_unit(pixels)
    assert unit.dtype == torch.float32
    assert unit.shape == pixels.shape
    exact = (np.arange(256, dtype=np.float64) / 255).astype(np.float32)
    assert np.array_equal(unit.numpy().ravel(), exact)
    assert torch.equal(pixels.ravel(), torch.arange(256, dtype=torch.uint8))
