"""One operation on given numbers: its sizes as dials, its values, and the trace that follows from both.

This module knows nothing of pages: what a form, a link or the command line says becomes a `Setting` and a `Case`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Self

import numpy as np

from aecore.dials import Config, dial
from aecore.errors import OperationError
from aecore.ops.operations import OPERATIONS, Operation
from aecore.ops.overlap import central_period
from aecore.ops.presets import INPUTS, KERNELS, Preset
from aecore.ops.sizes import reach
from aecore.ops.trace import Array, Shape, Trace

LARGEST_SIDE, LARGEST_KERNEL = 8, 5


def _of(name: str) -> dict[str, tuple[str, ...]]:
    """The dial matters for the operations that list it."""
    return {"operation": tuple(key for key, operation in OPERATIONS.items() if name in operation.dials)}


@dataclass(frozen=True, kw_only=True)
class Setting(Config):
    """Which operation, and its sizes.

    Raises:
        ConfigError: For a value out of range or an unknown name, with what would fit.

    Example:
        >>> Setting(operation="conv2d", stride=2).usual().kernel
        3
    """

    operation: str = dial(
        "conv2d",
        label="Operation",
        choices={name: operation.title for name, operation in OPERATIONS.items()},
        help="What to take apart.",
    )
    size: int = dial(
        4, label="Input size", low=1, high=LARGEST_SIDE, when=_of("size"), help="Rows and columns of the input."
    )
    factor: int = dial(2, low=2, high=3, when=_of("factor"), help="How many times as many rows and columns come out.")
    mode: str = dial(
        "nearest",
        label="Enlarge by",
        choices={"nearest": "Nearest", "bilinear": "Bilinear"},
        when=_of("mode"),
        help="How the input is enlarged before the convolution.",
    )
    kernel: int = dial(
        3,
        label="Kernel size",
        low=1,
        high=LARGEST_KERNEL,
        when=_of("kernel"),
        help="Rows and columns of the kernel, or of the window of a pooling.",
    )
    stride: int = dial(
        1, low=1, high=5, when=_of("stride"), help="How many cells the window moves at a time, or the stamp."
    )
    padding: int = dial(
        1,
        low=0,
        high=4,
        when=_of("padding"),
        help="Rows and columns of zeros around the input; in a transposed convolution, cut off around the output.",
    )
    output_padding: int = dial(
        0,
        low=0,
        high=3,
        when=_of("output_padding"),
        advanced=True,
        help="Rows and columns added to the output at the bottom and on the right, to get a size the stride skips.",
    )
    dilation: int = dial(
        1, low=1, high=3, when=_of("dilation"), advanced=True, help="Cells from one kernel value to the next."
    )

    @property
    def about(self) -> Operation:
        """The registry's entry of the operation."""
        return OPERATIONS[self.operation]

    def usual(self) -> Setting:
        """The same operation with the sizes a visitor meets first."""
        sizes = {name: value for name, value in self.about.usual.items() if name in self.dials()}
        return Setting(operation=self.operation, **sizes)  # type: ignore[arg-type]

    @property
    def kernel_shape(self) -> Shape | None:
        """Shape of the kernel, None if the operation has none."""
        return self.about.kernel_shape(self)

    def size_formula(self, n: int | None = None) -> tuple[str, str]:
        """LaTeX of a side of the output, with letters and with this setting's numbers (for an input of `n`)."""
        letters = {"n": "n", "k": "k", "s": "s", "p": "p", "d": "d", "q": "q", "f": "f"}
        numbers = {
            "n": self.size if n is None else n,
            "k": self.kernel,
            "s": self.stride,
            "p": self.padding,
            "d": self.dilation,
            "q": self.output_padding,
            "f": self.factor,
        }
        template = self.about.size_formula
        return template.format(**letters), template.format(**numbers)


@lru_cache(maxsize=1024)
def overlap_period(setting: Setting, *, backward: bool = False) -> Array:
    """One period of a setting's overlap map away from the edges, forward or backward: (rows, columns), read-only.

    It begins with a cell that is written to most.

    Raises:
        OperationError: If the sizes do not go together on an input of any size.

    Example:
        >>> overlap_period(Setting(operation="conv_transpose2d", kernel=3, stride=2)).astype(int).tolist()
        [[4, 2], [2, 1]]
    """
    trace = _with_an_inside(setting)
    if backward:
        trace = trace.backward(np.ones(trace.result.shape))
    period = central_period(trace.overlap, setting.about.repeats(setting))[0]
    most = np.unravel_index(period.argmax(), period.shape)
    counts: Array = np.roll(period, (-most[0], -most[1]), axis=(0, 1))
    counts.flags.writeable = False
    return counts


@lru_cache(maxsize=1024)
def receptive_side(setting: Setting) -> int:
    """Rows, and likewise columns, of the input that one output cell sees away from the edges, at the most.

    Raises:
        OperationError: If the sizes do not go together on an input of any size.

    Example:
        >>> receptive_side(Setting(operation="conv2d", kernel=3, dilation=2))
        5
    """
    trace = _with_an_inside(setting)
    period = setting.about.repeats(setting)
    middle = (trace.result.shape[1] - period) // 2
    places = range(middle, middle + period)
    fields = (trace.receptive_field((0, row, column)).any(axis=(0, 2)) for row in places for column in places)
    return max(int(np.ptp(np.flatnonzero(rows))) + 1 for rows in fields if rows.any())


@lru_cache(maxsize=8)
def _with_an_inside(setting: Setting) -> Trace:
    """The operation on an input of ones that is large enough for some output cells to be unaware of its edges."""
    setting = Setting.from_dict({**setting.to_dict(), "padding": 0})  # away from the edges it makes no difference
    shape, span, period = setting.kernel_shape, reach(setting.kernel, setting.dilation), setting.about.repeats(setting)
    side = 2 * (span + setting.stride) + period
    while True:
        trace = setting.about.run(setting, np.ones((1, side, side)), None if shape is None else np.ones(shape))
        if trace.result.shape[1] >= 2 * span + period:
            return trace
        side *= 2


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """An operation on given numbers.

    Attributes:
        setting: The operation and its sizes.
        x: Input, (1, H, W).
        kernel: Kernel as torch has it, or None.
        gradient: Gradient of the output, shaped as that; what goes in when running backward.
    """

    setting: Setting
    x: Array
    kernel: Array | None
    gradient: Array

    @cached_property
    def trace(self) -> Trace:
        """What happens, cell by cell.

        Raises:
            OperationError: If the sizes do not go together, with those that would.
        """
        return self.setting.about.run(self.setting, self.x, self.kernel)

    @classmethod
    def from_presets(cls, setting: Setting, x: str | None = None, kernel: str | None = None) -> Self:
        """A case with ready-made numbers, those a visitor meets first if not named; the gradient is all ones.

        Raises:
            OperationError: If the sizes do not go together, or a preset is unknown.

        Example:
            >>> Case.from_presets(Setting(operation="conv2d", size=4)).trace.result.shape
            (1, 4, 4)
        """
        values = input_preset(setting, x or str(setting.about.usual["x"]))
        weights = kernel_preset(setting, kernel or str(setting.about.usual.get("w", "ones")))
        shape = setting.about.run(setting, values, weights).result.shape
        return cls(setting=setting, x=values, kernel=weights, gradient=np.ones(shape))

    def chooses(self, *, backward: bool) -> bool:
        """Whether the numbers decide which cells are written to: where maxima are handed back."""
        stages = self.trace.stages
        return any(stage.rule == "max" for stage in stages) and (backward or len(stages) > 1)

    def overlaps(self, *, backward: bool) -> Array:
        """How often cells are written to: one period away from the edges, or all there are where numbers decide."""
        if not self.chooses(backward=backward):
            return overlap_period(self.setting, backward=backward)
        counts: Array = (self.trace.backward(self.gradient) if backward else self.trace).overlap[0]
        return counts

    def replace(self, *, x: Array | None = None, kernel: Array | None = None) -> Case:
        """The same operation on other numbers."""
        return dataclasses.replace(self, x=self.x if x is None else x, kernel=self.kernel if kernel is None else kernel)


def input_preset(setting: Setting, name: str) -> Array:
    """Ready-made input for a setting, (1, H, W).

    Raises:
        OperationError: If the preset is unknown.
    """
    return _known(INPUTS, name).make(setting.size)[None]


def kernel_preset(setting: Setting, name: str) -> Array | None:
    """Ready-made kernel for a setting, or None where it has none.

    Several kernels are all alike, but for the random ones.

    Raises:
        OperationError: If the preset is unknown.
    """
    shape = setting.kernel_shape
    preset = _known(KERNELS, name)
    if shape is None:
        return None
    planes = np.repeat(preset.make(shape[-1])[None], shape[0], axis=0)
    if name == "random":
        planes = np.stack([np.roll(plane.ravel(), number).reshape(plane.shape) for number, plane in enumerate(planes)])
    return planes.reshape(shape)


def gradient_preset(shape: Shape, name: str) -> Array:
    """Ready-made gradient of an output (C, H, W), of the shape of the output.

    Raises:
        OperationError: If the preset is unknown.
    """
    side = max(shape[1:])
    return np.broadcast_to(_known(INPUTS, name).make(side)[: shape[1], : shape[2]], shape).copy()


def _known(presets: dict[str, Preset], name: str) -> Preset:
    if name not in presets:
        raise OperationError(f"There are no ready-made numbers {name!r}, only {', '.join(presets)}.")
    return presets[name]
