"""One run, from claim to release, inside a worker process.

The worker writes events to the store and obeys what the store says is wanted. It knows nothing of who started it
or of pages.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aecore.analysis.latent import Box, box_of, decode_grid
from aecore.checkpoint import Checkpoint
from aecore.compare import measure_rival, scores_on, watched_images
from aecore.data import load_dataset
from aecore.data.image_dataset import to_stored
from aecore.errors import AecoreError
from aecore.fit import measure
from aecore.models.autoencoder import Autoencoder, build_model
from aecore.runs.records import GRID_SIDE, TERM, Run, Snapshot, Stage, by_unit, pack, unpack
from aecore.runs.states import State
from aecore.runs.store import NewPoint, RunLostError, RunStore
from aecore.runs.threads import ThreadChooser, share_of_cores
from aecore.training.choosing import choose_alike
from aecore.training.evaluation import corrupted, encode, reconstruct
from aecore.training.events import Evaluated, Finished, Started, StepDone, TrainEvent
from aecore.training.lockstep import train_together
from aecore.training.loop import TrainState, check_fit

REPORT_EVERY = 0.15  # seconds; a page that looks five times a second sees a new picture nearly each time
LISTEN_EVERY = 0.05  # seconds between two looks at what is wanted
CHECKPOINT_EVERY = 10.0  # seconds: the most work a crash can cost
PARK_AFTER = 60.0  # seconds a paused run may keep its worker from others
STAGE_IMAGES = 8
STAGE_CODES = 600
METER_IMAGES = 500  # test images the checkerboards are measured on while training goes on

log = logging.getLogger(__name__)


def work(store: RunStore, run_id: str, abandoned: Callable[[], bool] = lambda: False) -> None:
    """Carry a claimed run out; whatever happens, the store says how it ended.

    Args:
        store: Where the run is.
        run_id: Which run.
        abandoned: Tells whether whoever started this worker is gone; then the run is saved and left.
    """
    holder = store.holder(run_id)

    def fail(why: str) -> None:
        with suppress(RunLostError):
            store.release(run_id, "failed", why, holder=holder)

    try:
        _Worker(store, store.get(run_id), abandoned).work()
    except RunLostError as error:
        log.info("%s", error)
    except AecoreError as error:
        fail(str(error))
    except MemoryError:
        fail("The machine ran out of memory. Try a smaller model or smaller batches.")
    except Exception as error:
        log.exception("run %s failed", run_id)
        fail(f"A mistake in the lab ended this run ({type(error).__name__}); its log has the details.")


class _Leave(Exception):  # noqa: N818 - a decision, not an error
    """The run is to be left before its training ended by itself."""

    def __init__(self, how: Literal["stop", "park", "interrupt"]) -> None:
        self.how = how


@dataclass
class _Rival:
    """One of the models of a run, and what happened to it since the last report.

    Attributes:
        name: Its upsampler in a comparison, empty in a run of one model.
        model: What is trained.
        state: Where its training stands.
        last: The latest step.
        losses: Of the steps since the last report.
        since_images, since_seconds: Where it stood then.
        diverged: Why it ended early, if it did.
    """

    name: str
    model: Autoencoder
    state: TrainState
    last: StepDone | None = None
    losses: list[float] = field(default_factory=list)
    since_images: int = 0
    since_seconds: float = 0.0
    diverged: str = ""

    def point(self) -> NewPoint | None:
        """The mean over the steps since the last report; None if there were none."""
        if not self.losses or self.last is None:
            return None
        seconds = self.last.seconds - self.since_seconds
        values = {
            "loss": sum(self.losses) / len(self.losses),
            "learning_rate": self.last.learning_rate,
            "epoch": self.last.epoch,
            "images_per_second": (self.last.images - self.since_images) / seconds if seconds > 0 else 0.0,
            "seconds": self.last.seconds,
        }
        return (self.last.step, "train", values, self.name)

    def reported(self) -> None:
        """Begin a new count."""
        self.losses, self.since_images, self.since_seconds = [], self.state.images, self.state.seconds


class _Worker:
    def __init__(self, store: RunStore, run: Run, abandoned: Callable[[], bool]) -> None:
        self.store, self.run, self.abandoned = store, run, abandoned
        self.holder = run.executor
        self.reported_at = self.listened = self.told = 0.0
        self.saved = time.monotonic()
        self.looks: list[NewPoint] = []
        self.threads = ThreadChooser()

    @property
    def step(self) -> int:
        """Steps taken: by all models but those that diverged."""
        return max(rival.state.step for rival in self.rivals.values())

    def work(self) -> None:
        try:
            self._prepare()
        except _Leave as leave:
            how: State = "stopped" if leave.how == "stop" else "interrupted"
            self.store.release(self.run.id, how, "Left before training began.", holder=self.holder)
            return
        models = {name: rival.model for name, rival in self.rivals.items()}
        states = {name: rival.state for name, rival in self.rivals.items()}
        try:
            for turn in train_together(models, self.dataset, self.run.training, states):
                self._note(self.rivals[turn.name], turn.event)
                if isinstance(turn.event, Finished):
                    ended = turn.event
                elif turn.even:
                    self._report_if_due(turn.event)
                    self._obey(turn.event)
            self._finish(ended)
        except _Leave as leave:
            self._leave(leave.how)

    # -- before it begins ----------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Get the data, and the model as new or as its checkpoint has it."""
        run = self.run
        self.dataset = load_dataset(run.dataset, progress=self._tell)
        saved = self.store.checkpoint(run.id)
        self.rivals = self._restored(saved) if saved else self._fresh()
        self.store.rewind(run.id, self.step if saved else -1, holder=self.holder)
        for rival in self.rivals.values():
            rival.reported()
        self.plane = not run.rivals and run.model.latent_dim == 2  # a code one can draw
        labels = self.dataset.test_labels[: STAGE_CODES if self.plane else 0]
        self.shown = watched_images(self.dataset) if run.rivals else self.dataset.test[:STAGE_IMAGES]
        noise = run.training.noise
        noisy = corrupted(self.shown, noise).numpy() if noise.on else None
        self.store.set_stage(run.id, Stage(self.shown.numpy(), labels.numpy(), noisy), holder=self.holder)

    def _fresh(self) -> dict[str, _Rival]:
        training = self.run.training
        models = {name: build_model(config, seed=training.seed) for name, config in self.run.models.items()}
        for model in models.values():
            check_fit(model, self.dataset, training)
        self._listen()  # for the number of threads: what is fastest depends on it
        choices = choose_alike(models, self.dataset.train, training, self._tell)
        why = {name: choice.why() for name, choice in choices.items()}
        self.store.report(self.run.id, holder=self.holder, computing=why)
        states = {name: TrainState(model, training, choices[name].execution) for name, model in models.items()}
        return {name: _Rival(name, model, states[name]) for name, model in models.items()}

    def _restored(self, saved: bytes) -> dict[str, _Rival]:
        rivals = {}
        for name, data in (unpack(saved) if self.run.rivals else {"": saved}).items():
            checkpoint = Checkpoint.from_bytes(data)
            model = checkpoint.build()
            rivals[name] = _Rival(name, model, checkpoint.resume(model))
        return rivals

    def _tell(self, message: str, _: float | None) -> None:
        """Say what is being prepared, a few times a second at most."""
        if time.monotonic() - self.told >= REPORT_EVERY:
            self.told = time.monotonic()
            self.store.report(self.run.id, holder=self.holder, message=message)
            self._listen()

    # -- what happened -------------------------------------------------------------------------------------------

    def _note(self, rival: _Rival, event: TrainEvent) -> None:
        if isinstance(event, Started):
            self.steps_per_epoch = event.steps_per_epoch
            self.store.report(
                self.run.id, holder=self.holder, message="", total_steps=event.total_steps, step=event.step
            )
        elif isinstance(event, StepDone):
            rival.last = event
            rival.losses.append(event.loss)
            self.threads.note(event.images, event.seconds)
        elif isinstance(event, Evaluated):
            epoch = event.step / self.steps_per_epoch
            values = {"epoch": epoch, "loss": event.loss, "mse": event.mse, "images": float(event.images)}
            parts = {**{TERM + name: amount for name, amount in event.terms.items()}, **by_unit(event.units)}
            if self.run.training.warmup:
                parts["share"] = event.share
            self.looks.append((event.step, "test", {**values, **parts, **self._meters(rival)}, rival.name))
        elif event.reason == "diverged":
            rival.diverged = event.message

    def _meters(self, rival: _Rival) -> dict[str, float]:
        """In a comparison, what is looked at besides the loss; what cannot be measured is left out."""
        if not self.run.rivals:
            return {}
        images = self.dataset.test[: min(METER_IMAGES, self.run.training.evaluation_images)]
        found = scores_on(rival.model, images, self.run.training)
        return {name: value for name, value in found.items() if value is not None}

    def _report_if_due(self, event: TrainEvent) -> None:
        """Report and save now and then; all models are at the same step here."""
        first = isinstance(event, StepDone) and event.step == 1  # the first loss should not wait
        if first or time.monotonic() - self.reported_at >= REPORT_EVERY:
            self._report("running")
        if time.monotonic() - self.saved >= CHECKPOINT_EVERY:
            self._save()

    def _report(self, state: State) -> None:
        """Write everything unreported, with a fresh snapshot."""
        rivals = list(self.rivals.values())
        points = [*self.looks, *(point for rival in rivals if (point := rival.point()))]
        noise = self.run.training.noise
        pictures = [reconstruct(rival.model, self.shown, noise).numpy() for rival in rivals]
        codes = encode(rivals[0].model, self.dataset.test[: STAGE_CODES if self.plane else 0])
        grid, box = self._grid(rivals[0].model, codes) if self.plane else (None, None)
        last = max((rival.last for rival in rivals if rival.last), key=lambda step: step.step, default=None)
        self.store.report(
            self.run.id,
            holder=self.holder,
            state=state,
            step=self.step,
            progress=last.progress if last else None,
            points=points,
            snapshot=Snapshot(
                self.step, np.stack(pictures) if self.run.rivals else pictures[0], codes.numpy(), grid, box
            ),
        )
        self.looks = []
        for rival in rivals:
            rival.reported()
        self.reported_at = time.monotonic()

    def _grid(self, model: Autoencoder, codes: Tensor) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """What the decoder makes of the part of the plane where codes are, and where that is; see `Snapshot`."""
        whole = box_of(codes, margin=0.1)
        half = (whole.high - whole.low) / (2 * GRID_SIDE)
        _, pictures = decode_grid(model, GRID_SIDE, box=Box(whole.low + half, whole.high - half))
        return to_stored(pictures).numpy(), torch.stack([whole.low, whole.high]).float().numpy()

    def _save(self, metrics: Mapping[str, dict[str, Any]] | None = None) -> None:
        """Keep all models as one checkpoint, with their final numbers if there are any."""
        saved = {
            name: Checkpoint.of(
                rival.model,
                rival.state,
                train_config=self.run.training,
                dataset=self.dataset.name,
                dataset_checksum=self.dataset.checksum,
                metrics=(metrics or {}).get(name, {}),
            ).to_bytes()
            for name, rival in self.rivals.items()
        }
        data = pack(saved) if self.run.rivals else saved[""]
        self.store.save_checkpoint(self.run.id, self.step, data, holder=self.holder)
        self.saved = time.monotonic()

    # -- what is wanted ------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Look up what the owner wants, whether anybody still cares, and how many share the machine."""
        self.listened = time.monotonic()
        self.run = self.store.get(self.run.id)
        if self.run.executor != self.holder:
            raise RunLostError(f"Run {self.run.id!r} is in other hands by now.")
        self.threads.allow(share_of_cores(self.store.count_computing(self.holder)))
        if self.abandoned():
            raise _Leave("interrupt")
        if self.run.wanted == "stop":
            raise _Leave("stop")

    def _obey(self, event: TrainEvent) -> None:
        """Go on, hold still or leave, as the store says."""
        stepping = self.run.wanted == "pause" and isinstance(event, StepDone)
        if stepping:
            self.store.step_taken(self.run.id, holder=self.holder)
        if stepping or time.monotonic() - self.listened >= LISTEN_EVERY:
            self._listen()
        fresh = isinstance(event, Started) and event.step == 0  # the look before the first step comes next
        if self.run.wanted == "pause" and not self.run.step_requests and not fresh:
            self._hold()

    def _hold(self) -> None:
        """Stay where the run is until something else is wanted."""
        self._save()  # first: whoever sees that it is paused may want to take the model away
        self._report("paused")
        since = time.monotonic()
        while self.run.wanted == "pause" and not self.run.step_requests:
            if time.monotonic() - since > PARK_AFTER:
                raise _Leave("park")
            time.sleep(LISTEN_EVERY)
            self._listen()
        self.store.report(self.run.id, holder=self.holder, state="running")

    # -- how it ends ---------------------------------------------------------------------------------------------

    def _leave(self, how: Literal["stop", "park", "interrupt"]) -> None:
        if how == "stop":
            self._report("running")
            self._conclude("stopped", "Stopped. What was learned so far is kept.")
        elif how == "park":
            self.store.release(self.run.id, "paused", "", holder=self.holder)
        else:
            self._save()
            self.store.release(
                self.run.id, "interrupted", "The lab was stopped while this run was going.", holder=self.holder
            )

    def _finish(self, event: Finished) -> None:
        self._report("running")
        lost = [rival for rival in self.rivals.values() if rival.diverged]
        if len(lost) == len(self.rivals):
            self.store.release(self.run.id, "failed", lost[0].diverged, holder=self.holder)
        else:
            self._conclude("finished", event.message if not lost else f"{lost[0].name}: {lost[0].diverged}")

    def _conclude(self, state: State, message: str) -> None:
        """Measure on the whole test set, keep the model, give the run back."""
        notice = f"Measuring on all {len(self.dataset.test):,} test images …"
        self.store.report(self.run.id, holder=self.holder, message=notice)
        measure_one = measure_rival if self.run.rivals else measure
        metrics = {
            name: measure_one(rival.model, self.dataset, self.run.training, rival.state)
            for name, rival in self.rivals.items()
            if not rival.diverged
        }
        self._save(metrics)
        result = {"rivals": metrics} if self.run.rivals else metrics[""]
        self.store.release(self.run.id, state, message, result, holder=self.holder)
