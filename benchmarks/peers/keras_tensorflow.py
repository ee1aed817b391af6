"""Keras 3 on TensorFlow, as its tutorials write it: float images in memory and `model.fit`.

Convolutions are channels-last and `padding="same"`, as tutorials have them. At stride 2 and even sides TensorFlow then
pads on the far side only, where the lab pads on the near one: the same network seen in a mirror. So the images are
turned by 180 degrees once, before the clock starts, and with them every kernel that goes in or comes out; the two
networks are then the same function, at no cost while training. It knows nothing of torch.

Sources: keras.io, "Convolutional autoencoder for image denoising" and "Variational AutoEncoder"; for the padding,
TensorFlow's `tf.nn.convolution`: pad_before = floor(total / 2), pad_after the rest.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from benchmarks.task import FIRST_IMAGES, Ran, Task, Weights

Array = NDArray[np.float32]
Order = Callable[[NDArray[np.int64], tuple[int, ...]], NDArray[np.int64]]


class Sampling(layers.Layer):  # type: ignore[misc] # Keras ships no types
    """(N, 2Z) -> a code (N, Z) drawn while training, the mean otherwise; adds the KL divergence to the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Draw."""
        mean, log_variance = ops.split(x, 2, axis=1)
        kl = -0.5 * (1 + log_variance - ops.square(mean) - ops.exp(log_variance))
        self.add_loss(ops.mean(ops.sum(kl, axis=1)))
        if not training:
            return mean
        epsilon = keras.random.normal(shape=ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * epsilon


Made = Callable[[dict[str, Any], list[int], list[int]], list[Any]]


def convolution(args: dict[str, Any], came: list[int], went: list[int]) -> list[Any]:
    """A strided convolution, see the module's docstring for its padding."""
    assert args["stride"] == 1 or came[1] % 2 == 0 == came[2] % 2, "the mirror works for even sides only"
    return [layers.Conv2D(went[0], args["kernel"], strides=args["stride"], padding="same")]


LAYERS: dict[str, Made] = {
    "flatten": lambda _, __, ___: [layers.Flatten()],
    "unflatten": lambda _, __, went: [layers.Reshape((*went[1:], went[0]))],
    "linear": lambda _, __, went: [layers.Dense(went[0])],
    "conv2d": convolution,
    "conv_transpose2d": lambda args, _, went: [
        layers.Conv2DTranspose(went[0], args["kernel"], strides=args["stride"], padding="same")
    ],
    "nearest_conv2d": lambda _, __, went: [layers.UpSampling2D(2), layers.Conv2D(went[0], 3, padding="same")],
    "silu": lambda _, __, ___: [layers.Activation("silu")],
    "sigmoid": lambda _, __, ___: [layers.Activation("sigmoid")],
    "first_half": lambda _, __, ___: [Sampling()],
}
"""Each operation of the lab's list as Keras' own layers, the one with the weights last: (settings, shape that comes in,
shape that goes out) -> layers."""


class Translation:
    """How one layer's weights are laid out in the lab and in Keras.

    Args:
        op: The lab's name of the operation.
        weights: Role to the lab's name.
        flat_in: (C, H, W) of what was flattened just before a linear layer; None if nothing was.
        flat_out: (C, H, W) of what its output is unflattened to; None if it is not.
    """

    def __init__(
        self,
        op: str,
        weights: Mapping[str, str],
        flat_in: tuple[int, ...] | None,
        flat_out: tuple[int, ...] | None,
    ) -> None:
        self.op, self.weights, self._in, self._out = op, weights, flat_in, flat_out

    def to_keras(self, weight: Array, bias: Array) -> list[Array]:
        """The lab's kernel and bias as Keras' kernel and bias."""
        if self.op == "linear":  # (out, in) -> (in, out), values of images in Keras' order
            kernel = _reorder(_reorder(weight, self._in, 1, _turned), self._out, 0, _turned).T
            return [kernel, _reorder(bias, self._out, 0, _turned)]
        # torch's Conv2d (out, in, h, w) -> (h, w, in, out), ConvTranspose2d (in, out, h, w) -> (h, w, out, in)
        return [weight.transpose(2, 3, 1, 0)[::-1, ::-1], bias]

    def to_lab(self, kernel: Array, bias: Array) -> tuple[Array, Array]:
        """The way back."""
        if self.op == "linear":
            weight = _reorder(_reorder(kernel.T, self._in, 1, _turned_back), self._out, 0, _turned_back)
            return weight, _reorder(bias, self._out, 0, _turned_back)
        return kernel[::-1, ::-1].transpose(3, 2, 0, 1), bias


def _turned(places: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Places of the values of (C, H, W), in the order in which a turned (H, W, C) lists them."""
    return places.reshape(shape).transpose(1, 2, 0)[::-1, ::-1].ravel()


def _turned_back(places: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    return np.argsort(_turned(places, shape))


def _reorder(values: Array, shape: tuple[int, ...] | None, axis: int, order: Order) -> Array:
    if shape is None:
        return values
    places: NDArray[np.int64] = order(np.arange(math.prod(shape)), shape)
    return np.take(values, places, axis)


def translations(task: Task) -> list[Translation]:
    """One for each layer with weights, in their order."""
    found = []
    for place, layer in enumerate(task.layers):
        if not layer["weights"]:
            continue
        before = task.layers[place - 1] if place else {"op": ""}
        flat_in = tuple(before["in"]) if before["op"] == "flatten" else None
        until_next = itertools.takewhile(lambda near: not near["weights"], task.layers[place + 1 :])
        shapes = [tuple(near["args"]["shape"]) for near in until_next if near["op"] == "unflatten"]
        found.append(Translation(layer["op"], layer["weights"], flat_in, shapes[0] if shapes else None))
    return found


def network_of(task: Task) -> tuple[Any, list[Any]]:
    """The network, and its layers with weights in order."""
    channels, height, width = task.layers[0]["in"]
    inputs = keras.Input((height, width, channels))
    x, weighted = inputs, []
    for layer in task.layers:
        made = LAYERS[layer["op"]](layer["args"], layer["in"], layer["out"])
        for one in made:
            x = one(x)
        if layer["weights"]:
            weighted.append(made[-1])
    return keras.Model(inputs, x), weighted


def squared_error(target: Any, reconstruction: Any) -> Any:
    """Summed over the values of an image, (N, H, W, C) -> (N,)."""
    return ops.sum(ops.square(target - reconstruction), axis=(1, 2, 3))


def binary_cross_entropy(target: Any, reconstruction: Any) -> Any:
    """Summed over the values of an image, (N, H, W, C) -> (N,); Keras' own is a mean over the channels."""
    channels = target.shape[-1]
    return channels * ops.sum(keras.losses.binary_crossentropy(target, reconstruction), axis=(1, 2))


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Times what `fit` does once its pipeline is set up; that is paid once per training, here every round."""

    seconds = 0.0

    def on_train_begin(self, logs: object = None) -> None:  # noqa: ARG002 - Keras' signature
        """The clock starts."""
        self._begun = perf_counter()

    def on_train_end(self, logs: object = None) -> None:  # noqa: ARG002
        """The clock stops."""
        self.seconds = perf_counter() - self._begun


class KerasSession:
    """See `benchmarks.task.Session`."""

    def __init__(self, task: Task) -> None:
        keras.utils.set_random_seed(task.training["seed"])
        stored = task.load_images().transpose(0, 2, 3, 1)[:, ::-1, ::-1]  # (N, C, H, W) -> (N, H, W, C), turned
        self._images = stored.astype("float32") / 255.0
        self._batch, self._place = task.training["batch_size"], 0
        self._network, self._weighted = network_of(task)
        self._translations = translations(task)
        weights = task.load_weights()
        for layer, translation in zip(self._weighted, self._translations, strict=True):
            if weights:
                names = translation.weights
                layer.set_weights(translation.to_keras(weights[names["weight"]], weights[names["bias"]]))
        self._measure = binary_cross_entropy if task.training["loss"] == "bce" else squared_error
        self._network.compile(
            optimizer=keras.optimizers.Adam(task.training["learning_rate"]),
            loss="mse" if task.mean_loss else self._measure,
        )
        self.parameters = sum(math.prod(weight.shape) for weight in self._network.trainable_weights)
        self.about = {"keras": keras.__version__}

    def run(self, steps: int) -> Ran:
        """See `Session.run`; an epoch is a call of `fit`, the images of a shorter run are the next ones in line."""
        seconds, left, images = 0.0, steps, 0
        per_epoch = len(self._images) // self._batch  # whole batches only: one shape, one graph
        while left:
            now = min(left, per_epoch - self._place)
            part = self._images[self._place * self._batch : (self._place + now) * self._batch]
            clock = Clock()
            self._network.fit(part, part, batch_size=self._batch, epochs=1, verbose=0, callbacks=[clock])
            self._place = (self._place + now) % per_epoch
            seconds, left, images = seconds + clock.seconds, left - now, images + len(part)
        return Ran(seconds, steps, images)

    def loss(self) -> float:
        """See `Session.loss`."""
        x = self._images[:FIRST_IMAGES]
        found = self._network.predict(x, batch_size=len(x), verbose=0)
        return float(np.mean(ops.convert_to_numpy(self._measure(ops.convert_to_tensor(x), found))))

    def weights(self) -> Weights:
        """See `Session.weights`."""
        found: Weights = {}
        for layer, translation in zip(self._weighted, self._translations, strict=True):
            names = translation.weights
            found[names["weight"]], found[names["bias"]] = translation.to_lab(*layer.get_weights())
        return found


def build(task: Task) -> KerasSession:
    """A session for this task."""
    return KerasSession(task)
