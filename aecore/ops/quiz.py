"""Three questions about a case, each with a reason for every answer: how large, how even, how much.

They are about a neighbour of what is on the screen, so that the answer has to be worked out. Every answer is computed
by running the operation. This module knows nothing of how questions are asked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from aecore.errors import OperationError
from aecore.ops.overlap import evenness
from aecore.ops.setting import Case, Setting
from aecore.ops.trace import Array, inside

CHOICES = 4
TURNED = "That is with the kernel turned by 180°."
LEFT_OUT = {"padding": 0, "stride": 1, "output_padding": 0, "dilation": 1}


@dataclass(frozen=True)
class Answer:
    """One answer to choose.

    Attributes:
        text: What it says.
        right: Whether it is right.
        reason: Why it is, or why it is not; Markdown.
    """

    text: str
    right: bool
    reason: str


@dataclass(frozen=True)
class Question:
    """A question with its answers, exactly one of which is right; Markdown."""

    text: str
    answers: tuple[Answer, ...]


def questions(case: Case, number: int = 0) -> tuple[Question, Question, Question]:
    """The output's size, how evenly it is written to, and the value of a cell.

    Args:
        case: What is on the screen.
        number: Counts the rounds: each asks about other cells and sizes.

    Raises:
        OperationError: If the case's sizes do not go together.
    """
    return _size(case, number), _evenness(case), _value(case, number)


def show(value: float) -> str:
    """A number as people write it: whole as it is, others with four significant digits or one decimal.

    Example:
        >>> show(12345.0), show(-0.0625), show(1 / 3), show(float("inf"))
        ('12345', '−0.0625', '0.3333', '∞')
    """
    if math.isinf(value):
        return "∞"
    if value == round(value):
        return f"{value:.0f}".replace("-", "−")
    return (f"{value:.1f}" if abs(value) >= 1000 else f"{value:.4g}").replace("-", "−")


def _size(case: Case, number: int) -> Question:
    setting = case.setting
    n = setting.size + 3 + number % 3
    right = _side(setting, n)
    assert right is not None, "a larger input fits where a smaller one does"
    formula = setting.size_formula(n)[1]
    wrong = [
        (_side(Setting.from_dict({**setting.to_dict(), name: none}), n), f"That leaves out the {told}.")
        for name, none in LEFT_OUT.items()
        if name in setting.about.dials and getattr(setting, name) != none and (told := name.replace("_", " "))
    ]
    wrong += [
        (n, "That is the size of the input."),
        (case.trace.result.shape[1], "That is the size for the present input."),
        (right + 1, "Almost: one too many."),
        (right - 1, "Almost: one too few."),
        (right + 2, "Too many."),
        (right + 3, "Too many."),
    ]
    return Question(
        f"The same operation on an input of {n} × {n}: how many rows does the output have?",
        _answers(float(right), f"${formula} = {right}$", [(float(side), why) for side, why in wrong if side]),
    )


def _side(setting: Setting, n: int) -> int | None:
    shape = setting.kernel_shape
    try:
        trace = setting.about.run(
            setting, np.arange(float(n * n)).reshape(1, n, n), None if shape is None else np.ones(shape)
        )
    except OperationError:
        return None
    return int(trace.result.shape[1])


def _evenness(case: Case) -> Question:
    """Asked where cells are written to again and again: forward if the operation hands out, else backward."""
    backward = case.trace.stages[0].gathers and case.setting.about.half != "decoder"
    chosen = case.chooses(backward=backward)
    counts = case.overlaps(backward=backward)
    right = evenness(counts)
    direction = "Going backward, when gradients are handed back to the input" if backward else "Going forward"
    where = "for the numbers shown" if chosen else "away from the edges"
    if chosen:
        reason = (
            "Each window has one winner, which gets everything: here cells are written to "
            f"{show(counts.min())} to {show(counts.max())} times."
        )
    elif math.isinf(right):
        reason = "Some cells are never written to, so the ratio has no bound: there are holes."
    else:
        rows = "; ".join(", ".join(map(show, row)) for row in counts)
        reason = f"Away from the edges the counts repeat as {rows}. The largest over the smallest: {show(right)}."
    wrong = [
        (math.sqrt(right), "That is the ratio along rows alone; rows and columns multiply."),
        (1.0, "That would be perfectly even."),
        (float(counts.max()), "That is the largest count itself, not its ratio to the smallest."),
        *((number, "Count how often each cell is written to.") for number in (2.0, 4.0)),
        (math.inf, "Every cell is written to at least once."),
        (9.0, "That would be the count of a whole 3 × 3 kernel."),
    ]
    return Question(
        f"{direction}: {where}, how many times as often is the most written cell written to as the least written one?",
        _answers(right, reason, wrong, {math.inf: "some cells are never written to"}),
    )


def _value(case: Case, number: int) -> Question:
    rng = np.random.default_rng(number)
    matrix = case.trace.matrix()
    chosen = case.trace.stages[0].rule == "max"
    target, source = _window_and_loser(case, rng) if chosen else _pair(matrix, rng)
    x = case.x.copy()
    before, old = float(case.trace.result.ravel()[target]), float(x.ravel()[source])
    new = float(np.ceil(x.max()) + 1 + number % 3 if chosen else np.round(old) + 2 + number % 2)
    x.ravel()[source] = new
    right = float(case.replace(x=x).trace.result.ravel()[target])
    weight = float(matrix[target, source])
    x_name, y_name = _name("x", source, case.x), _name("y", target, case.trace.result)
    if chosen:
        reason = f"{x_name} is now the largest of its window, so it wins: {y_name} is {show(right)}."
        if len(case.trace.stages) > 1 and target != source:
            reason = f"{x_name} now wins its window and goes back to its own place, so {y_name} is {show(right)}."
    else:
        reason = (
            f"{x_name} counts {show(weight)} times in {y_name}, and it changes by {show(new - old)}: "
            f"{show(before)} + {show(weight)} · {show(new - old)} = {show(right)}."
        )
    wrong = [
        (before, f"That is its present value, but {y_name} depends on {x_name}."),
        (before + (new - old), f"That forgets how much {x_name} counts in {y_name}."),
        *([] if case.kernel is None else [(before + _turned(case, target, source) * (new - old), TURNED)]),
        (new, f"That is the new value of {x_name} itself."),
    ]
    unit = max(1.0, 10.0 ** math.floor(math.log10(abs(right) or 1)) / 10)  # no answer must look like another
    wrong += [(right + many * unit, "Not quite.") for many in (1, -1, 2)]
    return Question(
        f"If {x_name} were {show(new)} instead of {show(old)}, what would {y_name} be?", _answers(right, reason, wrong)
    )


def _pair(matrix: Array, rng: np.random.Generator) -> tuple[int, int]:
    """An output cell that depends on as many input cells as any, and an input cell that counts for much in it."""
    reads = (matrix != 0).sum(axis=1)
    amounts = np.abs(matrix) * (reads == reads.max())[:, None]
    target, source = rng.choice(np.argwhere(amounts >= 0.5 * amounts.max()))
    return int(target), int(source)


def _window_and_loser(case: Case, rng: np.random.Generator) -> tuple[int, int]:
    """Where the largest value of a window comes out, and a cell of that window that is not the largest, if any."""
    pooling = case.trace.stages[0]
    window = rng.choice(np.unique(pooling.numbers))
    own = (pooling.numbers == window) & inside(pooling.source, case.x.shape)
    flat = np.ravel_multi_index(tuple(pooling.source[own].T), case.x.shape)
    won = pooling.weight[own] == 1
    comes_out = flat[won][0] if len(case.trace.stages) > 1 else window
    return int(comes_out), int(rng.choice(flat[~won] if (~won).any() else flat))


def _name(letter: str, index: int, planes: Array) -> str:
    _, row, column = np.unravel_index(index, planes.shape)
    return f"`{letter}[{row}, {column}]`"


def _turned(case: Case, target: int, source: int) -> float:
    """How much the input cell would count if the kernel were turned by 180 degrees."""
    assert case.kernel is not None, "only a kernel can be turned"
    turned = case.replace(kernel=case.kernel[..., ::-1, ::-1])
    return float(turned.trace.matrix()[target, source])


def _answers(
    right: float, reason: str, wrong: list[tuple[float, str]], names: dict[float, str] | None = None
) -> tuple[Answer, ...]:
    """The right answer among the first wrong ones that differ from it and from each other, in order of size."""
    texts = {show(right): (right, True, reason)}
    for value, why in wrong:
        if len(texts) < CHOICES:
            texts.setdefault(show(value), (value, False, f"{why} {reason}"))
    return tuple(
        Answer((names or {}).get(value, text), is_right, told)
        for text, (value, is_right, told) in sorted(texts.items(), key=lambda item: item[1][0])
    )
