"""One run, from claim to release, inside a worker process.

The worker writes events to the store and obeys what the store says is wanted. It knows nothing of who started it
or of pages.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from aecore.checkpoint import Checkpoint
from aecore.data import load_dataset
from aecore.errors import AecoreError
from aecore.fit import measure
from aecore.models.autoencoder import build_model
from aecore.runs.records import Run, Snapshot, Stage
from aecore.runs.states import State
from aecore.runs.store import RunLostError, RunStore
from aecore.runs.threads import ThreadChooser, share_of_cores
from aecore.training.evaluation import encode, reconstruct
from aecore.training.events import Evaluated, Finished, Started, StepDone, TrainEvent
from aecore.training.loop import TrainState, train

REPORT_EVERY = 0.15  # seconds; a page that looks five times a second sees a new picture nearly each time
LISTEN_EVERY = 0.05  # seconds between two looks at what is wanted
CHECKPOINT_EVERY = 10.0  # seconds: the most work a crash can cost
PARK_AFTER = 60.0  # seconds a paused run may keep its worker from others
STAGE_IMAGES = 8
STAGE_CODES = 600

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
class _Unreported:
    """What happened since the last report."""

    losses: list[float] = field(default_factory=list)
    points: list[tuple[int, str, dict[str, float]]] = field(default_factory=list)
    since_images: int = 0
    since_seconds: float = 0.0


class _Worker:
    def __init__(self, store: RunStore, run: Run, abandoned: Callable[[], bool]) -> None:
        self.store, self.run, self.abandoned = store, run, abandoned
        self.holder = run.executor
        self.reported = self.listened = self.told = 0.0
        self.saved = time.monotonic()
        self.last: StepDone | None = None
        self.threads = ThreadChooser()

    def work(self) -> None:
        try:
            self._prepare()
        except _Leave as leave:
            ended: State = "stopped" if leave.how == "stop" else "interrupted"
            self.store.release(self.run.id, ended, "Left before training began.", holder=self.holder)
            return
        try:
            for event in train(self.model, self.dataset, self.run.training, self.state):
                self._note(event)
                if isinstance(event, Finished):
                    self._finish(event)
                else:
                    self._obey(event)
        except _Leave as leave:
            self._leave(leave.how)

    # -- before it begins ----------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Get the data, and the model as new or as its checkpoint has it."""
        run = self.run
        self.dataset = load_dataset(run.dataset, progress=self._tell)
        saved = self.store.checkpoint(run.id)
        if saved is None:
            self.model = build_model(run.model, seed=run.training.seed)
            self.state = TrainState(self.model, run.training)
        else:
            checkpoint = Checkpoint.from_bytes(saved)
            self.model = checkpoint.build()
            self.state = checkpoint.resume(self.model)
        self.store.rewind(run.id, self.state.step if saved else -1, holder=self.holder)
        self.unreported = _Unreported(since_images=self.state.images, since_seconds=self.state.seconds)
        self.plane = run.model.latent_dim == 2  # a code one can draw
        labels = self.dataset.test_labels[: STAGE_CODES if self.plane else 0]
        stage = Stage(self.dataset.test[:STAGE_IMAGES].numpy(), labels.numpy())
        self.store.set_stage(run.id, stage, holder=self.holder)

    def _tell(self, message: str, _: float | None) -> None:
        """Say what is being prepared, a few times a second at most."""
        if time.monotonic() - self.told >= REPORT_EVERY:
            self.told = time.monotonic()
            self.store.report(self.run.id, holder=self.holder, message=message)
            self._listen()

    # -- what happened -------------------------------------------------------------------------------------------

    def _note(self, event: TrainEvent) -> None:
        if isinstance(event, Started):
            self.steps_per_epoch = event.steps_per_epoch
            self.store.report(
                self.run.id, holder=self.holder, message="", total_steps=event.total_steps, step=event.step
            )
        elif isinstance(event, StepDone):
            self.last = event
            self.unreported.losses.append(event.loss)
            self.threads.note(event.images, event.seconds)
        elif isinstance(event, Evaluated):
            epoch = event.step / self.steps_per_epoch
            values = {"epoch": epoch, "loss": event.loss, "mse": event.mse, "images": float(event.images)}
            self.unreported.points.append((event.step, "test", values))
        first = isinstance(event, StepDone) and event.step == 1  # the first loss should not wait
        if first or time.monotonic() - self.reported >= REPORT_EVERY or isinstance(event, Finished):
            self._report("running")
        if time.monotonic() - self.saved >= CHECKPOINT_EVERY:
            self._save()

    def _report(self, state: State) -> None:
        """Write everything unreported, with a fresh snapshot."""
        news, last = self.unreported, self.last
        points = list(news.points)
        if news.losses and last is not None:
            seconds = last.seconds - news.since_seconds
            values = {
                "loss": sum(news.losses) / len(news.losses),
                "learning_rate": last.learning_rate,
                "epoch": last.epoch,
                "images_per_second": (last.images - news.since_images) / seconds if seconds > 0 else 0.0,
                "seconds": last.seconds,
            }
            points.append((last.step, "train", values))
        codes = encode(self.model, self.dataset.test[: STAGE_CODES if self.plane else 0])
        self.store.report(
            self.run.id,
            holder=self.holder,
            state=state,
            step=self.state.step,
            progress=last.progress if last else None,
            points=points,
            snapshot=Snapshot(
                self.state.step,
                reconstruct(self.model, self.dataset.test[:STAGE_IMAGES]).numpy(),
                codes.numpy(),
            ),
        )
        self.unreported = _Unreported(since_images=self.state.images, since_seconds=self.state.seconds)
        self.reported = time.monotonic()

    def _save(self, metrics: dict[str, Any] | None = None) -> None:
        checkpoint = Checkpoint.of(
            self.model,
            self.state,
            train_config=self.run.training,
            dataset=self.dataset.name,
            dataset_checksum=self.dataset.checksum,
            metrics=metrics or {},
        )
        self.store.save_checkpoint(self.run.id, self.state.step, checkpoint.to_bytes(), holder=self.holder)
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
        if event.reason == "diverged":
            self.store.release(self.run.id, "failed", event.message, holder=self.holder)
        else:
            self._conclude("finished", event.message)

    def _conclude(self, state: State, message: str) -> None:
        """Measure on the whole test set, keep the model, give the run back."""
        notice = f"Measuring on all {len(self.dataset.test):,} test images …"
        self.store.report(self.run.id, holder=self.holder, message=notice)
        metrics = measure(self.model, self.dataset, self.run.training, self.state)
        self._save(metrics)
        self.store.release(self.run.id, state, message, metrics, holder=self.holder)
