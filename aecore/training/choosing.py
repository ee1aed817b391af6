"""Which way to carry a network's training steps out: the one that is the fastest on this machine, as measured.

A few steps are tried each way, on a copy of the network. The fastest way whose loss comes out as plain float32's does
is taken, and remembered for this machine and this network. This module knows nothing of runs or pages.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import platformdirs
import torch
from jaxtyping import UInt8
from torch import Tensor

from aecore.data.folder import part_beside
from aecore.errors import DataError
from aecore.models.autoencoder import Autoencoder
from aecore.models.config import ModelConfig
from aecore.models.maps import FlattenMap
from aecore.models.phases import DoublingConv2d
from aecore.training.config import AUTO, PRECISIONS, TrainConfig
from aecore.training.draws import BatchOrder
from aecore.training.execution import PLAIN, Execution, has_bfloat16_units
from aecore.training.loop import TrainState, mean_image
from aecore.training.step import Step

WARM_UP = 3  # steps not counted: kernels are chosen, memory is laid out, and the step is recorded in them
TIMED = 5
LONGEST = 1.5  # seconds after which no further way is tried
FEW = 2  # ways; where time ran out after so few, the machine was busy with something else, and that is not remembered
WORTH_IT = 30_000  # images; a training that shows fewer is over before the choice has paid
FASTER = 1.08  # by so much a way must be faster than those tried before it: less may be chance
SAME_LOSS = 0.02  # relative; bfloat16 rounds to 0.4 %, and the mean over a batch to much less
REMEMBERED = 30 * 24 * 3600.0  # seconds
MOST_REMEMBERED = 500

Progress = Callable[[str, float | None], None]


@dataclass(frozen=True)
class Trial:
    """What trying one way gave.

    Attributes:
        execution: The way.
        milliseconds: The quickest of the timed steps; the others were disturbed.
        loss: Of the last batch.
        same: Whether that is what the plainest way gives, which is float32 unless another precision was asked for.
    """

    execution: Execution
    milliseconds: float
    loss: float
    same: bool


@dataclass(frozen=True)
class Choice:
    """The way to go, and why.

    Attributes:
        execution: The way.
        trials: What was tried, the plainest way of the precision asked for first; empty if nothing was.
        seconds: How long trying took.
        remembered: Whether all that was measured at an earlier time.
    """

    execution: Execution
    trials: tuple[Trial, ...] = ()
    seconds: float = 0.0
    remembered: bool = False

    def why(self) -> str:
        """One or two sentences for people."""
        if not self.trials:
            return f"{self.execution}: not measured: there is no other way, or the training is too short for it to pay."
        plain = self.trials[0].execution
        took = {trial.execution: trial.milliseconds for trial in self.trials}
        when = "measured here earlier" if self.remembered else f"measured here in {self.seconds:.1f} s"
        if self.execution == plain:
            said = f"{plain}: no other way was faster ({took[plain]:.1f} ms a step, {when})."
        else:
            said = (
                f"{self.execution}: {took[self.execution]:.1f} ms a step, where {plain} takes {took[plain]:.1f} "
                f"({when})."
            )
        lost = [str(trial.execution) for trial in self.trials if not trial.same]
        return said if not lost else f"{said} Not the same loss came from {' and from '.join(lost)}."

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` makes an equal one."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Choice:
        """What `to_dict` gave."""
        trials = tuple(Trial(**{**trial, "execution": Execution(**trial["execution"])}) for trial in values["trials"])
        return cls(Execution(**values["execution"]), trials, values["seconds"], values["remembered"])


def choose(
    model: Autoencoder,
    images: UInt8[Tensor, "n c h w"],
    config: TrainConfig,
    progress: Progress = lambda _, __: None,
) -> Choice:
    """Find out how to train `model` on `images`; neither is changed, and no global random numbers are drawn.

    A precision that is asked for is kept, whatever it costs. A training that shows few images is not worth the time:
    it is computed plainly, and so comes out the same on every machine.

    Args:
        model: The network, as it is before the first step.
        images: What it will be trained on, as stored.
        config: How it will be trained.
        progress: Told what is being done.
    """
    wanted = config.precision
    ways = candidates(model, wanted)
    if len(ways) == 1:
        return Choice(ways[0])
    total = config.total_steps(len(images))
    if total is not None and total * config.batch_size < WORTH_IT:
        return Choice(Execution(PLAIN.precision if wanted == AUTO else wanted))
    key = _key(model.config, config)
    known = _recall(key)
    if known is not None:
        return known
    progress("Finding the fastest way to compute this …", None)
    choice = _measured(model, images, config, ways)
    if len(choice.trials) > FEW or choice.seconds <= LONGEST:
        _remember(key, choice)
    return choice


def choose_alike(
    models: Mapping[str, Autoencoder],
    images: UInt8[Tensor, "n c h w"],
    config: TrainConfig,
    progress: Progress = lambda _, __: None,
) -> dict[str, Choice]:
    """Find out how to train each of several models that are to be compared; see `choose`.

    Unless a precision is asked for, all are computed in float32, so that they differ in nothing but what is compared.
    """
    if len(models) > 1 and config.precision == AUTO:
        config = replace(config, precision=PLAIN.precision)
    return {name: choose(model, images, config, progress) for name, model in models.items()}


def candidates(model: Autoencoder, precision: str) -> list[Execution]:
    """The ways that differ for this network, the plainest one first, then the most promising ones.

    Args:
        model: The network.
        precision: A name in `PRECISIONS`, or "auto" for all that this processor multiplies by itself.
    """
    layers = list(model.modules())
    layouts = [(True, True), (True, False), (False, True), (False, False)]
    layouts = [
        (channels_last, by_phases)
        for channels_last, by_phases in layouts
        if (any(isinstance(layer, FlattenMap) for layer in layers) or not channels_last)
        and (any(isinstance(layer, DoublingConv2d) for layer in layers) or not by_phases)
    ]
    names = [precision] if precision != AUTO else [name for name in reversed(PRECISIONS) if _offered(name, model)]
    ways = [Execution(name, *layout) for name in names for layout in layouts]
    return [ways[-1], *ways[:-1]]


def _offered(precision: str, model: Autoencoder) -> bool:
    # what is charged for a derivative would be as rough as the derivative
    return precision == PLAIN.precision or (has_bfloat16_units() and not model.bottleneck.differentiates)


def _measured(model: Autoencoder, images: Tensor, config: TrainConfig, ways: list[Execution]) -> Choice:
    begun = perf_counter()
    start = copy.deepcopy(model)
    start.start_from(mean_image(images[:1000]))
    trials: list[Trial] = []
    best: Trial | None = None
    for way in ways:
        if len(trials) >= FEW and perf_counter() - begun > LONGEST:
            break
        if best is not None and best.execution != ways[0] and best.execution.precision != way.precision:
            continue  # where bfloat16 has won, no layout of float32 comes near
        milliseconds, loss = _try(copy.deepcopy(start), images, config, way)
        expected = trials[0].loss if trials else loss
        trial = Trial(way, milliseconds, loss, abs(loss - expected) <= SAME_LOSS * abs(expected))
        trials.append(trial)
        if best is None or (trial.same and trial.milliseconds * FASTER < best.milliseconds):
            best = trial
    assert best is not None
    return Choice(best.execution, tuple(trials), perf_counter() - begun)


def _try(model: Autoencoder, images: Tensor, config: TrainConfig, way: Execution) -> tuple[float, float]:
    """Milliseconds of the quickest step, and the loss of the last batch."""
    state = TrainState(model, config, way)
    state.arrange(model)
    step = Step(model, images, config, way)
    order = BatchOrder(config.seed, len(images), config.batch_size)
    quickest, loss = float("inf"), float("nan")
    for number in range(WARM_UP + TIMED):
        begun = perf_counter()
        loss = float(step.backward(order.batch(number), number).minimised)
        state.optimiser.step()
        if number >= WARM_UP:
            quickest = min(quickest, perf_counter() - begun)
    return 1000 * quickest, loss


# ---- what was found out is remembered, in a file of its own for each question --------------------------------------


def memory_folder() -> Path:
    """Where measured choices are kept: `AECORE_CACHE`, or else a folder in the user's cache. It may not exist yet."""
    chosen = os.environ.get("AECORE_CACHE", "").strip()
    root = Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("autoencoder-lab", appauthor=False)
    return root / "choices"


def processor() -> str:
    """The processor's name as the system tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _key(model: ModelConfig, config: TrainConfig) -> str:
    """A name for the question: this network and batch on this machine, with so many threads."""
    question = {
        "model": model.to_dict(),
        "batch": config.batch_size,
        "loss": config.loss,
        "optimiser": config.optimiser,
        "precision": config.precision,
        "noise": config.noise.to_dict(),
        "machine": [processor(), torch.get_num_threads(), torch.__version__],
    }
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:24]


def _recall(key: str) -> Choice | None:
    file = memory_folder() / f"{key}.json"
    try:
        if time.time() - file.stat().st_mtime > REMEMBERED:
            return None
        return Choice.from_dict({**json.loads(file.read_text(encoding="utf-8")), "remembered": True})
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, or of another version


def _remember(key: str, choice: Choice) -> None:
    """Write it down, whole or not at all; where that is not possible, it is measured again next time."""
    file = memory_folder() / f"{key}.json"
    with suppress(OSError, DataError), part_beside(file) as part:
        part.write_text(json.dumps(choice.to_dict()), encoding="utf-8")
        part.replace(file)
        oldest_first = sorted(file.parent.glob("*.json"), key=lambda known: known.stat().st_mtime)
        for old in oldest_first[:-MOST_REMEMBERED]:
            old.unlink(missing_ok=True)
