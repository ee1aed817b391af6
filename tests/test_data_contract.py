"""What every registered dataset keeps to; the last section holds MNIST against its published numbers."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from aecore.data import DATASETS, ImageDataset, is_available, load_dataset
from aecore.data.image_dataset import to_unit
from aecore.data.progress import silent

BUILT_IN = [name for name, spec in DATASETS.items() if spec.download_bytes is None]

# The bytes that every machine must make. A change here means that shipped weights were trained on other data.
CHECKSUMS = {
    "digits": "8141e0ca9ce5b334a0447bffa6e2b09640db7c5b09a5eb6e00582ad2c455eb90",
    "digits8": "1e01489662e28d8e0e833340548a2ce87c5d2c8b31bf32a612aee1146a2a30c0",
    "shapes": "9e437956db6d4030925bb9e8b7d98b3226e281a757710f1f91e30f0e695a2a63",
    "shapes_grey": "ed12392f98a3394cddbae626c76c8024f281613bdf9eb309267a8b31c6107d7c",
    "shapes_gradient": "ff7864a1fc98bec0e09fb827c02a913bce9f80acc1dc27c40476b2f12083fdc3",
    "shapes_black": "36ea5fb093ea71ba9ddc1b03852dae0ba8938dfc6cb537757e103d8c8277389e",
}


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.mnist if name == "mnist" else ()) for name in DATASETS])
def dataset(request: pytest.FixtureRequest) -> ImageDataset:
    """Every dataset that needs no network here."""
    name: str = request.param
    if not is_available(name):
        pytest.skip(f"the files of {name} are not here: set AECORE_DATA to a folder that holds them")
    return load_dataset(name)


def test_it_is_what_the_registry_says(dataset: ImageDataset) -> None:
    spec = DATASETS[dataset.name]
    assert isinstance(dataset.train, UInt8[Tensor, "n c h w"])
    assert isinstance(dataset.test, UInt8[Tensor, "n c h w"])
    assert isinstance(dataset.train_labels, Int64[Tensor, " n"])
    assert isinstance(dataset.test_labels, Int64[Tensor, " n"])
    assert dataset.image_shape == spec.image_shape
    assert (len(dataset.train), len(dataset.test)) == (spec.train_size, spec.test_size)
    assert (dataset.title, dataset.source, dataset.licence) == (spec.title, spec.source, spec.licence)
    assert dataset.label_names == spec.label_names


def test_its_tensors_are_ready_for_the_hot_loop(dataset: ImageDataset) -> None:
    for images in (dataset.train, dataset.test):
        assert images.is_contiguous()
        assert images.device.type == "cpu"
        assert not images.requires_grad


def test_its_images_have_contrast_and_become_floats_between_0_and_1(dataset: ImageDataset) -> None:
    for images in (dataset.train, dataset.test):
        unit = to_unit(images[:500])
        assert unit.min() >= 0
        assert unit.max() <= 1
        assert unit.flatten(1).std(dim=1).min() > 0.01, "no image is empty"
        assert images.max() - images.min() > 180


def test_every_class_is_in_both_splits_in_like_measure(dataset: ImageDataset) -> None:
    for labels in (dataset.train_labels, dataset.test_labels):
        shares = torch.bincount(labels, minlength=len(dataset.label_names)) / len(labels)
        even = 1 / len(dataset.label_names)
        assert shares.min() > 0.8 * even
        assert shares.max() < 1.2 * even


def test_the_test_images_were_not_trained_on(dataset: ImageDataset) -> None:
    seen = {image.tobytes() for image in dataset.train.numpy()}
    repeated = sum(image.tobytes() in seen for image in dataset.test.numpy())
    assert repeated < 0.01 * len(dataset.test)


def test_known_factors_are_numbers_one_for_each_image(dataset: ImageDataset) -> None:
    assert dataset.train_factors.keys() == dataset.test_factors.keys()
    for factors, images in ((dataset.train_factors, dataset.train), (dataset.test_factors, dataset.test)):
        for values in factors.values():
            assert values.shape == (len(images),)
            assert values.double().isfinite().all()
            assert values.double().std() > 0


def test_loading_it_again_gives_the_same_object(dataset: ImageDataset) -> None:
    assert load_dataset(dataset.name) is dataset


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_comes_with_the_lab_is_made_the_same_again_byte_for_byte(name: str) -> None:
    assert DATASETS[name].load(silent).checksum == load_dataset(name).checksum == CHECKSUMS[name]


@pytest.mark.parametrize("name", DATASETS)
def test_its_entry_is_fit_to_be_shown(name: str) -> None:
    spec = DATASETS[name]
    assert spec.name == name
    assert name == name.lower()
    assert spec.help.endswith(".")
    assert ". " not in spec.help, "one sentence"
    assert spec.title
    assert spec.source
    assert spec.licence
    assert len(set(spec.label_names)) == len(spec.label_names)
    if spec.redistributable:
        assert spec.download_bytes is None
    else:
        assert spec.download_bytes is not None
        assert spec.download_bytes > 1e7


def test_using_the_digits_imports_neither_torchvision_nor_scikit_learn() -> None:
    """Each would cost a new worker more than a second."""
    code = (
        "import sys; from aecore.data import load_dataset; load_dataset('digits'); "
        "print([name for name in ('torchvision', 'sklearn', 'scipy') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


@pytest.fixture
def mnist() -> ImageDataset:
    if not is_available("mnist"):
        pytest.skip("the files of MNIST are not here: set AECORE_DATA to a folder that holds MNIST/raw")
    return load_dataset("mnist")


@pytest.mark.mnist
def test_mnist_has_its_published_numbers(mnist: ImageDataset) -> None:
    assert (mnist.train.shape, mnist.test.shape) == ((60_000, 1, 28, 28), (10_000, 1, 28, 28))
    of_class = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert torch.bincount(mnist.test_labels).tolist() == of_class
    pixels = mnist.train.double() / 255
    assert float(pixels.mean()) == pytest.approx(0.1307, abs=5e-5)
    assert float(pixels.std()) == pytest.approx(0.3081, abs=5e-5)
    assert mnist.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


@pytest.mark.mnist
def test_mnist_is_bit_for_bit_the_real_one(mnist: ImageDataset) -> None:
    assert mnist.checksum == "04f0c475b60656f0b55465245e7c6d461f6c8b776e58fb9519da72cf8e64c691"


@pytest.mark.mnist
def test_mnist_in_the_data_folder_is_read_without_the_network(
    mnist: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aecore.data.download.urlopen", None)
    told: list[str] = []
    fresh = DATASETS["mnist"].load(lambda message, _: told.append(message))
    assert told == ["Reading MNIST"]
    assert fresh.checksum == mnist.checksum
