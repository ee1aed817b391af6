"""A computation written down while it runs once, and played back from then on without Python.

A training step of a small network is a hundred operations and more, many of which take less time than finding them
does: modules, dispatch, and a graph of gradients that is built anew each time. But they are the same ones in the same
order at every step. So they are noted, below autograd, and compiled as TorchScript, which goes through them in C++. It
is for a processor what a CUDA graph is for a GPU, and like one it computes exactly what was computed before. This
module knows nothing of networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

Given = Tensor | torch.Generator

# optimised, TorchScript would take products with a sum apart, and bfloat16 would be rounded in between
_AS_WRITTEN = torch.jit.optimized_execution  # type: ignore[attr-defined]


class Recording:
    """A computation that was written down; make one with `record`.

    Attributes:
        source: Its text, as TorchScript.
    """

    def __init__(self, source: str, kept: Sequence[Given]) -> None:
        self.source = source
        self._kept = kept
        self._function = torch.jit.CompilationUnit(source).played

    @torch.no_grad()
    def play(self, *inputs: Given) -> list[Tensor]:
        """Compute it again, for these inputs; gives the same bits as computing it anew would."""
        with _AS_WRITTEN(False):
            results: list[Tensor] = self._function(*inputs, *self._kept)
        return results


@dataclass(frozen=True)
class Recorded:
    """What came of a computation while it was written down.

    Attributes:
        results: What it gave.
        recording: To play it again; None if that is not possible.
        why_not: Why, if it is not.
    """

    results: list[Tensor]
    recording: Recording | None
    why_not: str = ""


def record(compute: Callable[[], Sequence[Tensor]], inputs: Sequence[Given], kept: Sequence[Given]) -> Recorded:
    """Compute, once, and write down what is done.

    What depends on a number in a tensor, or uses a tensor of which nothing is said here, may be different the next
    time; of that there is no recording.

    Args:
        compute: What to do. It may take gradients with `torch.autograd.grad`.
        inputs: The very objects it uses that will be others each time it is played, of the same shapes.
        kept: Those it uses, and may write to, that will be the same objects, with whatever is in them by then.

    Example:
        >>> x, weight = torch.ones(2), torch.ones(2)
        >>> doubled = record(lambda: [(x * weight).sum()], inputs=[x], kept=[weight]).recording
        >>> weight.fill_(3)
        tensor([3., 3.])
        >>> doubled.play(torch.tensor([10.0, 20.0]))
        [tensor(90.)]
    """
    with _Recorder([*inputs, *kept]) as recorder:
        results = list(compute())
    try:
        return Recorded(results, Recording(recorder.source(results), kept))
    except (_Untold, RuntimeError) as error:  # the second is TorchScript's
        return Recorded(results, None, str(error))


class _Untold(Exception):  # noqa: N818 - nobody's error
    """Something there are no words for."""


class _Recorder(TorchDispatchMode):
    """Notes every operation that is carried out, gradients' too."""

    def __init__(self, given: Sequence[Given]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tensors = WeakTensorKeyDictionary()  # their names; a step's memory must be free to be used again
        self._generators: dict[int, str] = {}
        self._count = 0
        self._lines: list[str] = []
        self._untold: _Untold | None = None
        self._parameters = [
            f"{self._name(each)}: {'Tensor' if isinstance(each, Tensor) else 'Optional[Generator]'}" for each in given
        ]

    def source(self, results: Sequence[Tensor]) -> str:
        """What was noted, as a function that gives `results`."""
        if self._untold is not None:
            raise self._untold
        lines = [*self._lines, f"return [{', '.join(self._told(result) for result in results)}]"]
        return "\n    ".join([f"def played({', '.join(self._parameters)}) -> List[Tensor]:", *lines]) + "\n"

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Carry it out and note it."""
        del types
        result = operation(*args, **(kwargs or {}))
        try:
            self._note(operation, args, kwargs or {}, result)
        except _Untold as untold:  # the computation itself goes on
            self._untold = self._untold or untold
        return result

    def _note(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        if operation is torch.ops.aten.detach.default:  # means something to autograd only
            self._name(result, self._told(args[0]))
            return
        if _shaped_by_values(operation, args):
            raise _Untold(f"what {operation} gives has a shape that depends on numbers")
        if _writes_to_a_list(operation):
            raise _Untold(f"TorchScript takes {operation} for useless")
        told = [*map(self._told, args), *(f"{name}={self._told(value)}" for name, value in kwargs.items())]
        call = f"torch.ops.{operation.namespace}.{operation.overloadpacket.__name__}({', '.join(told)})"
        if isinstance(result, Tensor):
            self._lines.append(f"{self._name(result)} = {call}")
        elif isinstance(result, tuple | list) and all(isinstance(part, Tensor | None) for part in result):
            several = self._new_name()
            self._lines.append(f"{several} = {call}")
            parts = [(place, part) for place, part in enumerate(result) if part is not None]
            self._lines.extend(f"{self._name(part)} = {several}[{place}]" for place, part in parts)
        elif result is None:
            self._lines.append(call)
        else:
            raise _Untold(f"{operation} gives a {type(result).__name__}, on which the rest may depend")

    def _new_name(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def _name(self, thing: Given, name: str = "") -> str:
        """The name it has, or else this one, or a new one."""
        if isinstance(thing, Tensor):
            known: str = self._tensors.setdefault(thing, name or self._new_name())
            return known
        return self._generators.setdefault(_identity(thing), self._new_name())

    def _told(self, value: Any) -> str:
        """An argument as TorchScript writes it."""
        match value:
            case Tensor() if value in self._tensors:
                return str(self._tensors[value])
            case torch.Generator() if _identity(value) in self._generators:
                return self._generators[_identity(value)]
            case Tensor() | torch.Generator():
                raise _Untold(f"a {type(value).__name__} comes from elsewhere")
            case list() | tuple():
                return f"[{', '.join(map(self._told, value))}]"
            case float() if not math.isfinite(value):
                return f'float("{value}")'
            case torch.device():
                return f'torch.device("{value}")'
            case None | bool() | int() | float() | str() | torch.dtype() | torch.layout() | torch.memory_format():
                return repr(value)
            case _:
                raise _Untold(f"no words for {value!r}")


def _identity(generator: torch.Generator) -> int:
    """Its own: what an operation is given is another Python object each time."""
    return int(generator._cdata)  # type: ignore[attr-defined]


def _shaped_by_values(operation: Any, args: tuple[Any, ...]) -> bool:
    if operation is torch.ops.aten.index.Tensor:  # only where it picks by a mask
        return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])
    return torch.Tag.dynamic_output_shape in operation.tags


def _writes_to_a_list(operation: Any) -> bool:
    """TorchScript drops what is written to tensors in a list, if nobody asks for that list afterwards."""
    written = [
        argument for argument in operation._schema.arguments if argument.alias_info and argument.alias_info.is_write
    ]
    return any(isinstance(argument.type, torch.ListType) for argument in written)
