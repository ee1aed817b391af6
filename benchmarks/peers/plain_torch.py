"""Plain PyTorch, as tutorials write it: a Dataset with a transform, a DataLoader, a loop with `loss.item()`.

It knows nothing of the lab but its list of layers and its names of weights.

Sources: PyTorch's "Training with PyTorch" tutorial for the loop, `pytorch/examples/vae` for the variational network,
`torchvision.datasets.MNIST.__getitem__` for the way an image becomes a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import ToTensor

from benchmarks.task import FIRST_IMAGES, Ran, Task, Weights


class Pictures(Dataset[Tensor]):
    """Images one by one, each made a picture and then a tensor (C, H, W) of floats in [0, 1]."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self.images = images.transpose(0, 2, 3, 1)  # (N, C, H, W) -> (N, H, W, C), as pictures are
        self.transform = ToTensor()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        picture = self.images[index]
        image: Tensor = self.transform(Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture))
        return image


Made = Callable[[dict[str, Any], list[int], list[int]], list[nn.Module]]

MODULES: dict[str, Made] = {
    "flatten": lambda _, __, ___: [nn.Flatten()],
    "unflatten": lambda args, _, __: [nn.Unflatten(1, args["shape"])],
    "linear": lambda _, came, went: [nn.Linear(came[0], went[0])],
    "conv2d": lambda args, came, went: [
        nn.Conv2d(came[0], went[0], args["kernel"], stride=args["stride"], padding=args["padding"])
    ],
    "conv_transpose2d": lambda args, came, went: [
        nn.ConvTranspose2d(
            came[0],
            went[0],
            args["kernel"],
            stride=args["stride"],
            padding=args["padding"],
            output_padding=args["output_padding"],
        )
    ],
    "nearest_conv2d": lambda _, came, went: [
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv2d(came[0], went[0], 3, padding=1),
    ],
    "silu": lambda _, __, ___: [nn.SiLU()],
    "sigmoid": lambda _, __, ___: [nn.Sigmoid()],
    "first_half": lambda _, __, ___: [],  # where a variational network draws its code
}
"""Each operation of the lab's list as PyTorch's own modules, the one with the weights last: (settings, shape that comes
in, shape that goes out) -> modules."""


class Network(nn.Module):
    """Encoder and decoder; the variational kind draws its code while training and takes the mean otherwise.

    Attributes:
        named: Each weight by the lab's name.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.variational = task.variational
        self.named: dict[str, nn.Parameter] = {}
        halves: dict[str, list[nn.Module]] = {"encoder": [], "decoder": []}
        for layer in task.layers:
            modules = MODULES[layer["op"]](layer["args"], layer["in"], layer["out"])
            halves[layer["part"]] += modules
            self.named |= {name: getattr(modules[-1], role) for role, name in layer["weights"].items()}
        self.encoder, self.decoder = nn.Sequential(*halves["encoder"]), nn.Sequential(*halves["decoder"])
        with torch.no_grad():
            for name, values in task.load_weights().items():
                self.named[name].copy_(torch.from_numpy(values))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, C, H, W) -> reconstructions, means and log-variances; of a plain network the code is the mean."""
        code = self.encoder(x)
        if not self.variational:
            return self.decoder(code), code, torch.zeros_like(code)
        mean, log_variance = code.chunk(2, dim=1)
        z = mean
        if self.training:
            std = torch.exp(0.5 * log_variance)
            z = mean + torch.randn_like(std) * std
        return self.decoder(z), mean, log_variance

    def weights(self) -> Weights:
        """See `Session.weights`."""
        return {name: parameter.detach().numpy().copy() for name, parameter in self.named.items()}


def loss_of(task: Task, network: Network, x: Tensor) -> Tensor:
    """What is minimised for a batch (N, C, H, W)."""
    reconstruction, mean, log_variance = network(x)
    if task.mean_loss:
        return F.mse_loss(reconstruction, x)
    measure = F.binary_cross_entropy if task.training["loss"] == "bce" else F.mse_loss
    loss = measure(reconstruction, x, reduction="sum")
    if network.variational:
        loss = loss - 0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
    return loss / len(x)


@torch.no_grad()
def reconstruction_loss(task: Task, network: Network) -> float:
    """See `Session.loss`."""
    x = torch.from_numpy(task.load_images()[:FIRST_IMAGES]).float() / 255
    network.eval()
    measure = F.binary_cross_entropy if task.training["loss"] == "bce" else F.mse_loss
    loss = measure(network(x)[0], x, reduction="sum") / len(x)
    network.train()
    return float(loss)


def loader_of(task: Task) -> DataLoader[Tensor]:
    """The images in shuffled batches, loaded by as many processes as the task says."""
    return DataLoader(
        Pictures(task.load_images()),
        batch_size=task.training["batch_size"],
        shuffle=True,
        num_workers=task.options.get("workers", 0),
    )


class PlainSession:
    """See `benchmarks.task.Session`."""

    def __init__(self, task: Task) -> None:
        torch.manual_seed(task.training["seed"])
        self._task, self._network = task, Network(task)
        self._optimiser = torch.optim.Adam(self._network.parameters(), lr=task.training["learning_rate"])
        self._batches = self._endless(loader_of(task))
        self.parameters = sum(parameter.numel() for parameter in self._network.parameters())
        self.about = {"loader processes": str(task.options.get("workers", 0))}

    def _endless(self, loader: DataLoader[Tensor]) -> Iterator[Tensor]:
        while True:
            yield from loader

    def run(self, steps: int) -> Ran:
        """See `Session.run`."""
        running_loss, images = 0.0, 0
        begun = perf_counter()
        for _ in range(steps):
            x = next(self._batches)
            self._optimiser.zero_grad()
            loss = loss_of(self._task, self._network, x)
            loss.backward()
            self._optimiser.step()
            running_loss += loss.item()
            images += len(x)
        return Ran(perf_counter() - begun, steps, images)

    def loss(self) -> float:
        """See `Session.loss`."""
        return reconstruction_loss(self._task, self._network)

    def weights(self) -> Weights:
        """See `Session.weights`."""
        return self._network.weights()


def build(task: Task) -> PlainSession:
    """A session for this task."""
    return PlainSession(task)
