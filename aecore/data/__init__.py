"""The datasets of the lab: the registry, and one copy of each in memory.

A new dataset is one `DatasetSpec` in `DATASETS`; forms, contract tests and the command line follow. This module
knows nothing of how any of them is read.
"""

from __future__ import annotations

from functools import partial
from threading import Lock

from aecore.data.digits import TEST_SIZE as DIGITS_TEST_SIZE
from aecore.data.digits import read_digits, read_digits8
from aecore.data.folder import data_folder
from aecore.data.image_dataset import ImageDataset
from aecore.data.progress import Progress, silent
from aecore.data.shapes import SHAPE_NAMES, SIZE, TRAIN_SIZE, read_shapes
from aecore.data.shapes import TEST_SIZE as SHAPES_TEST_SIZE
from aecore.data.spec import DatasetSpec, Reader
from aecore.data.torchvision_sets import CIFAR10, FASHION_MNIST, KMNIST, MNIST, TorchvisionFiles
from aecore.dials import nearest
from aecore.errors import DataError

__all__ = ["DATASETS", "DatasetSpec", "ImageDataset", "Progress", "data_folder", "is_available", "load_dataset"]

_FASHION = ("T-shirt", "Trousers", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_KUZUSHIJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
_CIFAR = ("Airplane", "Car", "Bird", "Cat", "Deer", "Dog", "Frog", "Horse", "Ship", "Truck")


def _digits(name: str, side: int, title: str, help_text: str, read: Reader) -> DatasetSpec:
    return DatasetSpec(
        name=name,
        title=title,
        help=help_text,
        image_shape=(1, side, side),
        train_size=1797 - DIGITS_TEST_SIZE,
        test_size=DIGITS_TEST_SIZE,
        label_names=tuple("0123456789"),
        source="E. Alpaydin and C. Kaynak, UCI Machine Learning Repository (1998), as bundled with scikit-learn",
        licence="CC BY 4.0",
        redistributable=True,
        read=read,
    )


def _shapes(name: str, channels: int, title: str, help_text: str, read: Reader) -> DatasetSpec:
    return DatasetSpec(
        name=name,
        title=title,
        help=help_text,
        image_shape=(channels, SIZE, SIZE),
        train_size=TRAIN_SIZE,
        test_size=SHAPES_TEST_SIZE,
        label_names=SHAPE_NAMES,
        source="Drawn by this program from known factors",
        licence="MIT",
        redistributable=True,
        read=read,
    )


def _mnist_like(
    name: str, files: TorchvisionFiles, label_names: tuple[str, ...], help_text: str, source: str, licence: str
) -> DatasetSpec:
    return DatasetSpec(
        name=name,
        title=files.title,
        help=help_text,
        image_shape=(1, 28, 28),
        train_size=60_000,
        test_size=10_000,
        label_names=label_names,
        source=source,
        licence=licence,
        redistributable=False,
        read=files.read,
        download_bytes=files.download_bytes,
        is_present=files.are_present,
    )


DATASETS: dict[str, DatasetSpec] = {
    spec.name: spec
    for spec in (
        _digits(
            "digits",
            28,
            "Digits",
            "1,797 real handwritten digits, enlarged to 28x28; they come with the lab and train in seconds.",
            read_digits,
        ),
        _digits(
            "digits8",
            8,
            "Digits, 8x8",
            "The same digits at their own size: small enough to count pixels.",
            read_digits8,
        ),
        _mnist_like(
            "mnist",
            MNIST,
            tuple("0123456789"),
            "70,000 handwritten digits: the yardstick of the field.",
            "Y. LeCun, C. Cortes and C. Burges, The MNIST database (1998)",
            "CC BY-SA 3.0",
        ),
        _mnist_like(
            "fashion_mnist",
            FASHION_MNIST,
            _FASHION,
            "70,000 pieces of clothing in grey: more texture than digits.",
            "H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST, Zalando Research (2017)",
            "MIT",
        ),
        _mnist_like(
            "kmnist",
            KMNIST,
            _KUZUSHIJI,
            "70,000 cursive Japanese characters: each class is written in several ways.",
            "T. Clanuwat et al., Deep learning for classical Japanese literature, CODH (2018)",
            "CC BY-SA 4.0",
        ),
        DatasetSpec(
            name="cifar10",
            title=CIFAR10.title,
            help="60,000 small colour photographs: hard to squeeze through a narrow code.",
            image_shape=(3, 32, 32),
            train_size=50_000,
            test_size=10_000,
            label_names=_CIFAR,
            source="A. Krizhevsky, Learning multiple layers of features from tiny images (2009)",
            licence="No licence stated; free for research and teaching by custom",
            redistributable=False,
            read=CIFAR10.read,
            download_bytes=CIFAR10.download_bytes,
            is_present=CIFAR10.are_present,
        ),
        _shapes(
            "shapes",
            3,
            "Shapes, colour on grey",
            "24,000 coloured shapes with known position, size, turn and hue; grey ground hides no artifact.",
            read_shapes,
        ),
        _shapes(
            "shapes_grey",
            1,
            "Shapes, grey on grey",
            "The same without colour: one channel, a darker or brighter shape on mid-grey.",
            partial(read_shapes, colour=False),
        ),
        _shapes(
            "shapes_gradient",
            3,
            "Shapes, colour on a gradient",
            "Coloured shapes on a ground that grows brighter in a random direction.",
            partial(read_shapes, gradient=True),
        ),
        _shapes(
            "shapes_black",
            3,
            "Shapes, colour on black",
            "Coloured shapes on black, where artifacts of the ground are clipped away.",
            partial(read_shapes, ground=0),
        ),
    )
}

_loaded: dict[str, ImageDataset] = {}
_locks = {name: Lock() for name in DATASETS}


def load_dataset(name: str, progress: Progress | None = None) -> ImageDataset:
    """The dataset `name`: read when first asked for, the same object ever after in this process.

    Safe to call from many threads: one reads, others that want the same dataset wait for it, and different
    datasets do not wait for each other.

    Args:
        name: A name in `DATASETS`.
        progress: Told how far reading or downloading is; not called for what is in memory.

    Raises:
        DataError: If the name is unknown, or the data can be neither read nor fetched; says what can be used.
    """
    spec = _spec(name)
    if name in _loaded:
        return _loaded[name]
    progress = progress or silent
    lock = _locks[name]
    if not lock.acquire(blocking=False):
        progress(f"{spec.title} is being loaded already; waiting for it", None)
        lock.acquire()
    try:
        if name not in _loaded:
            _loaded[name] = spec.load(progress)
        return _loaded[name]
    except DataError as error:
        usable = ", ".join(other for other in DATASETS if other != name and is_available(other))
        raise DataError(f"{error} Ready to use now: {usable}.") from error
    finally:
        lock.release()


def is_available(name: str) -> bool:
    """Whether `load_dataset(name)` needs no network; looks at names and sizes of files at most.

    Raises:
        DataError: If the name is unknown.
    """
    return _spec(name).is_present()


def _spec(name: str) -> DatasetSpec:
    if name not in DATASETS:
        hint = nearest(name.lower().replace("-", "_"), DATASETS)
        raise DataError(f"There is no dataset {name!r}; there are {', '.join(DATASETS)}.{hint}")
    return DATASETS[name]
