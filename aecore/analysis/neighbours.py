"""Who lies next to whom, among codes and among images, and how much of a plane of codes decodes to something.

This module knows nothing of how codes came about.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64, Int64, UInt8
from torch import Tensor

from aecore.analysis.latent import Box, Plane, decode_grid
from aecore.data.image_dataset import to_unit
from aecore.errors import ConfigError
from aecore.models.autoencoder import Autoencoder
from aecore.training.evaluation import reconstruct_unrounded

STORED_AT_A_TIME = 2000
PICTURES_AT_A_TIME = 1000
USUAL = 0.95  # of all reconstructions are at least as near to a training image as a picture that shows something


@torch.inference_mode()
def nearest_images(
    pictures: Float[Tensor, "n c h w"], stored: UInt8[Tensor, "m c h w"], count: int = 1
) -> tuple[Float64[Tensor, "n count"], Int64[Tensor, "n count"]]:
    """The stored images nearest to each picture, nearest first, by a search of all.

    Ranked in double precision and then measured difference by difference, so that an image found again is at exactly 0.
    Of equally near ones any may come. Needs memory for `PICTURES_AT_A_TIME` x `STORED_AT_A_TIME` distances and as many
    images, however many there are.

    Args:
        pictures: (N, C, H, W) floats in [0, 1].
        stored: (M, C, H, W).
        count: How many to find, from 1 to M.

    Returns:
        Mean squared errors per value (N, count), and which images they are (N, count).

    Raises:
        ConfigError: If count is out of range or the shapes differ.
    """
    if not 1 <= count <= len(stored):
        raise ConfigError(f"{count} nearest of {len(stored)} images cannot be found: ask for 1 to {len(stored)}.")
    if pictures.shape[1:] != stored.shape[1:]:
        raise ConfigError(
            f"The pictures have shape {tuple(pictures.shape[1:])} and the images {tuple(stored.shape[1:])}."
        )
    found = [_nearest(batch, stored, count) for batch in pictures.split(PICTURES_AT_A_TIME)]
    return torch.cat([distances for distances, _ in found]), torch.cat([indices for _, indices in found])


def _nearest(pictures: Tensor, stored: Tensor, count: int) -> tuple[Tensor, Tensor]:
    flat = pictures.flatten(1).double()
    best, who = torch.empty(len(flat), 0, dtype=torch.float64), torch.empty(len(flat), 0, dtype=torch.int64)
    for start in range(0, len(stored), STORED_AT_A_TIME):
        others = to_unit(stored[start : start + STORED_AT_A_TIME]).flatten(1).double()
        # |a - b|^2 less |a|^2, which is the same for all b
        ranks = torch.addmm(others.square().sum(1), flat, others.T, alpha=-2)
        indices = torch.arange(start, start + len(others)).expand(len(flat), -1)
        ranks, indices = torch.cat([best, ranks], 1), torch.cat([who, indices], 1)
        best, order = ranks.topk(min(count, ranks.shape[1]), largest=False)
        who = indices.gather(1, order)
    errors = [(to_unit(stored[who[:, place]]).flatten(1).double() - flat).square().mean(1) for place in range(count)]
    distances, order = torch.stack(errors, 1).sort(dim=1, stable=True)
    return distances, who.gather(1, order)


def knn_accuracy(
    codes: Float[Tensor, "n z"],
    labels: Int64[Tensor, " n"],
    test_codes: Float[Tensor, "m z"],
    test_labels: Int64[Tensor, " m"],
    neighbours: int = 5,
) -> float:
    """The share of test codes whose class is that of most of their nearest training codes; in [0, 1], higher is better.

    Says how much of the class a code keeps, and keeps near at hand, without training anything. Euclidean distance; a
    tie goes to the lower class.
    Source: Cover & Hart, Nearest neighbor pattern classification, IEEE Transactions on Information Theory 13 (1967).

    Args:
        codes: Of the training images.
        labels: Their classes.
        test_codes: Of the test images.
        test_labels: Their classes.
        neighbours: How many vote, from 1 to N.

    Raises:
        ConfigError: For fewer training codes than neighbours.
    """
    if not 1 <= neighbours <= len(codes):
        raise ConfigError(f"{neighbours} neighbours of {len(codes)} codes cannot vote: ask for 1 to {len(codes)}.")
    from sklearn.neighbors import KNeighborsClassifier  # late: it takes a second, and only who asks should wait

    voters = KNeighborsClassifier(neighbours).fit(codes.cpu().numpy(), labels.cpu().numpy())
    return float(voters.score(test_codes.cpu().numpy(), test_labels.cpu().numpy()))


def nothing_share(
    model: Autoencoder,
    box: Box,
    train_images: UInt8[Tensor, "n c h w"],
    test_images: UInt8[Tensor, "m c h w"],
    side: int = 20,
    *,
    plane: Plane | None = None,
    most_train: int = 10_000,
    most_test: int = 1_000,
) -> float:
    """The share of a plane's grid points that decode to nothing, in [0, 1]; lower is better.

    A point decodes to nothing if the training image nearest to its picture (mean squared error) is farther away than
    for 95 % of the reconstructions of test images. Reconstructions are as blurred as the pictures of the grid, so blur
    alone makes no picture unlike all images. About 5 % of what the encoder really gives counts as nothing too.

    A picture is near to an image also when it is dull: on data with much in common, a mean of many images, which
    shows nothing either, is near to some. So this finds strange pictures, not empty ones.

    Args:
        model: With a code of two units, or any if there is a plane.
        box: Where to look.
        train_images: Of which the first `most_train` are compared with.
        test_images: Of which the first `most_test` are reconstructed.
        side: Points in a row of the grid.
        plane: See `decode_grid`.
        most_train: For speed; fewer make everything farther, on both sides.
        most_test: For speed.

    Raises:
        ConfigError: If the code has other than two units and there is no plane.
    """
    _, pictures = decode_grid(model, side, box=box, plane=plane)
    compared = train_images[:most_train]
    usual, _ = nearest_images(reconstruct_unrounded(model, test_images[:most_test]), compared)
    found, _ = nearest_images(pictures, compared)
    return float((found > torch.quantile(usual, USUAL)).double().mean())


def covered_share(codes: Float[Tensor, "n 2"], box: Box, side: int = 20) -> float:
    """The share of the side x side cells of a box that hold at least one code, in [0, 1]; higher means fewer gaps.

    Compare only with the same number of codes and cells: N codes cover at most N cells, and evenly random ones
    1 - exp(-N / side^2) of them.

    Example:
        >>> covered_share(torch.tensor([[0.1, 0.1], [0.2, 0.2], [0.9, 0.9]]), Box(torch.zeros(2), torch.ones(2)), 2)
        0.5
    """
    cells = box.cells(codes, side)
    inside = cells[((cells >= 0) & (cells < side)).all(1)]
    return len(inside.unique(dim=0)) / side**2
