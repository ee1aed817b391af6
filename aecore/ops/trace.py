"""What an operation does, one product at a time: the record from which every picture of it can be drawn.

All operations of this package do the same thing: they multiply input values by weights and add the products up in
output cells. They differ in which cells meet. A `Stage` lists these meetings; its result, both gradients, its matrix,
its overlaps and its receptive fields follow from that one list. A `Trace` is a chain of stages. This module knows
nothing of any particular operation.

A cell of a plane is (channel, row, column), counted from 0. Rows and columns outside the plane are the padding of
what is read (its value is 0) or the cropped edge of what is written (nobody sees it).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aecore.errors import OperationError

Array = NDArray[np.float64]
Cells = NDArray[np.int64]
Shape = tuple[int, ...]
Cell = tuple[int, int, int]


class Term(NamedTuple):
    """One product: `weight * value * kernel_value`, added to `target`.

    Attributes:
        source: The input cell; outside the plane it is padding.
        tap: The kernel cell (as the kernel's own indices), None where there is no kernel.
        weight: What the operation itself multiplies by, such as 1/4 for the mean of four.
        value: Value of the input cell.
        kernel_value: Value of the kernel cell, 1 where there is no kernel.
        product: The three multiplied.
        target: The output cell; outside the plane the product is cropped away.
    """

    source: Cell
    tap: tuple[int, int, int, int] | None
    weight: float
    value: float
    kernel_value: float
    product: float
    target: Cell


class Step(NamedTuple):
    """What belongs together: everything one output cell gathers, or everything one input cell hands out.

    Attributes:
        stage: Index of the stage in its trace.
        cell: The output cell that gathers, or the input cell that hands out.
        gathers: Which of the two.
        terms: The products, in the order of the kernel.
    """

    stage: int
    cell: Cell
    gathers: bool
    terms: tuple[Term, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Stage:
    """One elementary operation on given values, as a list of T products.

    Attributes:
        name: What it does, in a word.
        x: Input (C, H, W).
        kernel: Four-dimensional as in torch, None where there is none.
        out_shape: Shape of the output, (C, H, W).
        source: Input cell of each product, (T, 3).
        tap: Kernel cell of each product, (T, 4), or None.
        weight: Factor of each product, (T,).
        target: Output cell of each product, (T, 3).
        gathers: Whether a step is an output cell with all it reads, or an input cell with all it writes. The
            products of a step follow each other, and the steps follow their cells in row-major order.
        rule: How the weights or targets come about: "sum", they are given; "max", the weight is 1 for the largest
            value of a step and 0 for the others; "place", the targets are where the stage before found its maxima.
        padding: Rows and columns of zeros around the input, whether they are read or not; for pictures.
    """

    name: str
    x: Array
    kernel: Array | None = None
    out_shape: Shape
    source: Cells
    tap: Cells | None = None
    weight: Array
    target: Cells
    gathers: bool
    rule: Literal["sum", "max", "place"] = "sum"
    padding: tuple[int, int] = (0, 0)

    @cached_property
    def values(self) -> Array:
        """Input value of each product, 0 for padding, (T,)."""
        return read(self.x, self.source)

    @cached_property
    def kernel_values(self) -> Array:
        """Kernel value of each product, 1 where there is no kernel, (T,)."""
        if self.kernel is None or self.tap is None:
            return np.ones(len(self.weight))
        values: Array = self.kernel[tuple(self.tap.T)]
        return values

    @cached_property
    def products(self) -> Array:
        """Each product, (T,)."""
        return self.weight * self.values * self.kernel_values

    @cached_property
    def result(self) -> Array:
        """The output, (C, H, W)."""
        return add_up(self.products, self.target, self.out_shape)

    @cached_property
    def numbers(self) -> Cells:
        """Which step each product belongs to, (T,)."""
        cells, shape = (self.target, self.out_shape) if self.gathers else (self.source, self.x.shape)
        return np.ravel_multi_index(tuple(cells.T), shape)  # type: ignore[no-any-return]

    def steps(self, stage: int = 0) -> Iterator[Step]:
        """The products, step by step; `stage` is the index to note in them."""
        taps: list[Any] = [None] * len(self.weight) if self.tap is None else list(map(tuple, self.tap.tolist()))
        columns = (
            map(tuple, self.source.tolist()),
            taps,
            self.weight.tolist(),
            self.values.tolist(),
            self.kernel_values.tolist(),
            self.products.tolist(),
            map(tuple, self.target.tolist()),
        )
        terms = [Term(*row) for row in zip(*columns, strict=True)]
        for group in np.split(np.arange(len(terms)), np.flatnonzero(np.diff(self.numbers)) + 1):
            own = tuple(terms[index] for index in group)
            yield Step(stage, own[0].target if self.gathers else own[0].source, self.gathers, own)

    def backward(self, gradient: ArrayLike) -> Stage:
        """The same meetings the other way round: from the gradient of the output to that of the input.

        By the chain rule each product hands `weight * kernel value * gradient of its target` to its source. So what
        gathered now hands out, and what was padding is now cropped.
        """
        return Stage(
            name=f"gradient of {self.name}",
            x=as_planes(gradient, self.out_shape),
            kernel=self.kernel,
            out_shape=self.x.shape,
            source=self.target,
            tap=self.tap,
            weight=self.weight,
            target=self.source,
            gathers=not self.gathers,
        )

    def kernel_gradient(self, gradient: ArrayLike) -> Array | None:
        """Gradient of the kernel: every kernel cell collects `weight * input * gradient` of its products."""
        if self.kernel is None or self.tap is None:
            return None
        collected = self.weight * self.values * read(as_planes(gradient, self.out_shape), self.target)
        return add_up(collected, self.tap, self.kernel.shape)

    def matrix(self) -> Array:
        """The matrix M with `result.ravel() == M @ x.ravel()`, (output cells, input cells)."""
        amounts = self.weight * self.kernel_values
        seen = inside(self.source, self.x.shape) & inside(self.target, self.out_shape)
        rows = np.ravel_multi_index(tuple(self.target[seen].T), self.out_shape)
        columns = np.ravel_multi_index(tuple(self.source[seen].T), self.x.shape)
        shape = (math.prod(self.out_shape), self.x.size)
        return add_up(amounts[seen], np.stack([rows, columns], axis=1), shape)


@dataclass(frozen=True, eq=False)
class Trace:
    """An operation carried out on given values: one stage, or several of which each reads the one before.

    Attributes:
        stages: At least one.

    Example:
        >>> from aecore.ops import conv2d
        >>> trace = conv2d([[1, 2], [3, 4]], [[1, 0], [0, 1]])
        >>> trace.result.tolist()
        [[[5.0]]]
        >>> [(term.source, term.product) for term in trace.steps[0].terms]
        [((0, 0, 0), 1.0), ((0, 0, 1), 0.0), ((0, 1, 0), 0.0), ((0, 1, 1), 4.0)]
    """

    stages: tuple[Stage, ...]

    @property
    def x(self) -> Array:
        """The input, (C, H, W)."""
        return self.stages[0].x

    @property
    def kernel(self) -> Array | None:
        """The kernel, four-dimensional as in torch, of the one stage that has one."""
        return next((stage.kernel for stage in self.stages if stage.kernel is not None), None)

    @property
    def result(self) -> Array:
        """The output, (C, H, W)."""
        return self.stages[-1].result

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """Everything that happens, in order."""
        return tuple(step for index, stage in enumerate(self.stages) for step in stage.steps(index))

    def backward(self, gradient: ArrayLike) -> Trace:
        """The trace from the gradient of the output, shaped as `result`, to the gradient of the input.

        Source: Goodfellow, Bengio & Courville, Deep Learning (2016), section 6.5: the chain rule, stage by stage.
        """
        stages: list[Stage] = []
        for stage in reversed(self.stages):
            stages.append(stage.backward(stages[-1].result if stages else gradient))
        return Trace(tuple(stages))

    def kernel_gradient(self, gradient: ArrayLike) -> Array | None:
        """The gradient of the kernel, given that of the output; None where there is no kernel."""
        for stage, back in zip(reversed(self.stages), self.backward(gradient).stages, strict=True):
            if stage.kernel is not None:
                return stage.kernel_gradient(back.x)
        return None

    def matrix(self) -> Array:
        """The matrix M with `result.ravel() == M @ x.ravel()`, (output cells, input cells).

        Source: Dumoulin & Visin, A guide to convolution arithmetic for deep learning (2016), section 4.1.
        """
        return _chained([stage.matrix() for stage in self.stages])

    @cached_property
    def overlap(self) -> Array:
        """The overlap map: how often each output cell is written to by cells of the input, (C, H, W).

        A product counts with the operation's own weight (1 in a convolution, 1/4 in the mean of four), whatever the
        kernel holds. So it is the output for an input of ones and a kernel of ones, and a decoder's layer whose map is
        uneven draws its pattern into every flat region.
        Source: Odena, Dumoulin & Olah, Deconvolution and checkerboard artifacts, Distill (2016).
        """
        counts = np.ones(self.x.shape)
        for stage in self.stages:
            counts = add_up(stage.weight * read(counts, stage.source), stage.target, stage.out_shape)
        return counts

    @property
    def multiplications(self) -> int:
        """How many products are worth multiplying: all of a stage with a kernel or with fractions, no copies."""
        worth = (s for s in self.stages if s.kernel is not None or not np.isin(s.weight, (0, 1)).all())
        return sum(len(stage.weight) for stage in worth)

    def receptive_field(self, cell: Cell) -> NDArray[np.bool_]:
        """Which input cells can make a difference to the output cell, as a mask (C, H, W).

        In max-pooling these are all cells of the window: any of them can become the largest. An unpooling after it is
        taken with its places as they are.

        Raises:
            OperationError: If there is no such output cell.
        """
        shape = self.stages[-1].out_shape
        if len(cell) != len(shape) or not inside(np.array([cell]), shape)[0]:
            raise OperationError(f"There is no output cell {cell}: the output is {shape}, counted from 0.")
        reached = np.zeros(shape)
        reached[cell] = 1
        for stage in reversed(self.stages):
            reached = add_up(read(reached, stage.target), stage.source, stage.x.shape)
        seen: NDArray[np.bool_] = reached > 0
        return seen


def as_planes(values: ArrayLike, shape: Shape | None = None) -> Array:
    """Numbers as float64 (C, H, W); a single plane may come as (H, W).

    Raises:
        OperationError: For other dimensions, another shape than `shape`, an empty plane, or what is no finite number.
    """
    planes = as_numbers(values)
    if planes.ndim == 2:
        planes = planes[None]
    if planes.ndim != 3 or not planes.size:
        raise OperationError(f"Got an array of shape {planes.shape}, expected (height, width) or (channels, h, w).")
    if shape is not None and planes.shape != shape:
        raise OperationError(f"Got an array of shape {planes.shape}, expected {shape}.")
    return planes


def as_numbers(values: ArrayLike) -> Array:
    """Numbers of any shape as float64.

    Raises:
        OperationError: For rows of different lengths and for what is no finite number.
    """
    try:
        given = np.asarray(values)
        # O: whole numbers too large for a machine's, among others
        numbers = given.astype(np.float64 if given.dtype.kind in "biufO" else object)
    except (TypeError, ValueError, OverflowError) as error:
        raise OperationError("Expected rows of numbers, all of the same length.") from error
    if numbers.dtype != np.float64 or not np.isfinite(numbers).all():
        raise OperationError("Every cell has to hold a finite number.")
    return numbers


def inside(cells: Cells, shape: Shape) -> NDArray[np.bool_]:
    """Which of the cells (T, D) lie in an array of this shape, (T,)."""
    there: NDArray[np.bool_] = np.all((cells >= 0) & (cells < np.array(shape)), axis=1)
    return there


def read(planes: Array, cells: Cells) -> Array:
    """Values of the cells (T, D), 0 for those outside, (T,)."""
    there = inside(cells, planes.shape)
    values = np.zeros(len(cells))
    values[there] = planes[tuple(cells[there].T)]
    return values


def add_up(amounts: Array, cells: Cells, shape: Shape) -> Array:
    """An array of zeros to which each amount (T,) was added at its cell (T, D); those outside are dropped."""
    there = inside(cells, shape)
    places = np.ravel_multi_index(tuple(cells[there].T), shape)
    sums = np.bincount(places, weights=amounts[there], minlength=math.prod(shape)).astype(np.float64)
    return sums.reshape(shape)


def _chained(matrices: list[Array]) -> Array:
    """The matrix of several maps, the first of which is applied first."""
    product = matrices[0]
    for matrix in matrices[1:]:
        product = matrix @ product
    return product
