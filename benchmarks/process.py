"""A contestant in a process of its own, told when it is its turn.

Frameworks in one process fight over the threads, and their memory could not be told apart. So each contestant is
built and warmed up in its own process, works when told to and otherwise sleeps. Orders and answers are lines of JSON.
This module knows nothing of frameworks, and imports none: what a child imports counts as the contestant's memory.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

import numpy as np

from benchmarks.memory import peak_with_children
from benchmarks.task import Ran, Session, Task, Weights

ENVIRONMENT = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONWARNINGS": "ignore"}
CLOSING = 10.0  # seconds a contestant gets to leave by itself


class ContestantError(RuntimeError):
    """A contestant's process failed; the message ends with the last line it wrote."""


class ContestantProcess:
    """The parent's side: starts the process and speaks with it.

    Args:
        module: Where `build(task) -> Session` is.
        task: What to train.

    Attributes:
        parameters: Number of trained values of its network.
        first_loss: `Session.loss` before the first step.
        about: `Session.about` after the latest run.
        memory: Peak so far in MiB; None where the system does not tell.

    Raises:
        ContestantError: If it cannot be built; here, and if it dies later in any method.
    """

    def __init__(self, module: str, task: Task) -> None:
        self._module = module
        self._folder = tempfile.TemporaryDirectory(prefix="benchmark-")
        self._errors = Path(self._folder.name, "stderr")
        order = Path(self._folder.name, "task.json")
        order.write_text(task.to_json())
        root = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.process", module, str(order)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **ENVIRONMENT, "PYTHONPATH": path},
                text=True,
            )
        self.memory: float | None = None
        self.about: dict[str, str] = {}
        ready = self._answer()
        self.parameters: int = ready["parameters"]
        self.first_loss: float = ready["loss"]

    def run(self, steps: int) -> Ran:
        """See `Session.run`."""
        answer = self._ask("run", steps)
        return Ran(answer["seconds"], answer["steps"], answer["images"])

    def weights(self) -> Weights:
        """See `Session.weights`."""
        path = Path(self._folder.name, "weights.npz")
        self._ask("weights", str(path))
        with np.load(path) as arrays:
            return dict(arrays)

    def close(self) -> None:
        """Let it go."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(CLOSING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, what: str, argument: int | str) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps([what, argument]) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._died() from error
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._died()
        answer: dict[str, Any] = json.loads(line)
        self.memory, self.about = answer["memory"], answer["about"]
        return answer

    def _died(self) -> ContestantError:
        lines = self._errors.read_text(errors="replace").strip().splitlines()
        self.close()
        return ContestantError(f"{self._module} ended: {lines[-1] if lines else 'no word why'}")


def obey(session: Session, what: str, argument: Any) -> dict[str, Any]:
    """The child's side of one order."""
    if what == "run":
        ran = session.run(argument)
        return {"seconds": ran.seconds, "steps": ran.steps, "images": ran.images}
    assert what == "weights", what
    np.savez(argument, allow_pickle=False, **session.weights())
    return {}


def main() -> None:
    """Build what the arguments name, then obey orders until standard input closes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # frameworks that print must not disturb the answers

    def answer(words: dict[str, Any]) -> None:
        print(json.dumps({**words, "memory": peak_with_children(), "about": dict(session.about)}), file=answers)
        answers.flush()

    module, order = sys.argv[1:]
    session: Session = importlib.import_module(module).build(Task.from_json(Path(order).read_text()))
    answer({"parameters": session.parameters, "loss": session.loss()})
    for line in sys.stdin:
        answer(obey(session, *json.loads(line)))


if __name__ == "__main__":
    main()
