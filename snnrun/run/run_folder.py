"""The folder of a training run: lock, records, checkpoints, figures, result."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from snnrun import report
from snnrun.config import fingerprint
from snnrun.config.settings import Checkpoint, Style
from snnrun.errors import DataError
from snnrun.job.job import Job
from snnrun.model import delays_of, neurons
from snnrun.report.diagnosis import Diagnosis
from snnrun.run import browse, checkpoint
from snnrun.run.checkpoint import CannotSave
from snnrun.run.folder import RecordFolder
from snnrun.sequence import Trace
from snnrun.system import files
from snnrun.system.lock import RunLock
from snnrun.system.storage import storing
from snnrun.tracker import Trackers
from snnrun.training.confusion import Confusion
from snnrun.training.records import EpochRecord, LogRecord, Result, RunResult, WarningRecord, of_kind, record_of
from snnrun.training.state import TrainingState
from snnrun.training.stop import Stop

MOST_THREADS = 1024  # of a process; larger numbers are not from snnrun


class RunFolder(RecordFolder):
    """Writes a run's files. Checkpoints and metrics must succeed; a failure of a figure or the summary is a warning.

    ``create`` or ``reopen`` comes first, both contexts: within them only this process writes the folder, and
    ``result.json`` records the end of the run. Then ``start`` once, ``add`` for every record, ``save`` between two
    steps, and ``result``.

    Args:
        path, console, resuming: see :class:`RecordFolder`.
        config: of the run.
        every: steps or minutes between two checkpoints within an epoch. Default: none.
        silence_is_the_target: True for a task in which silent layers are no fault. Default: False.
        trackers: receive all records. Default: none.

    Attributes:
        config: of the run.
        resuming: the folder holds the record of this run.
        records: the content of ``metrics.jsonl``.
        resume_state: to go on from; None for a new run, and for a run that was killed before its first state.
    """

    def __init__(
        self,
        path: Path,
        config: Mapping[str, Any],
        console: report.Console,
        *,
        resuming: bool = False,
        every: Checkpoint | None = None,
        silence_is_the_target: bool = False,
        trackers: Trackers | None = None,
    ) -> None:
        super().__init__(path, console, resuming=resuming)
        self.config, self.resuming = config, resuming
        self.records: list[LogRecord] = []
        self.resume_state: checkpoint.State | None = None
        self._trackers = trackers or Trackers({}, console.warning)
        self._silence_is_the_target = silence_is_the_target
        self._diagnosis: Diagnosis | None = None
        self._every, self._can_save = every or Checkpoint(), True
        self._begin = self._save_time = time.monotonic()
        self._save_step = 0
        with storing(self._metrics):
            files.touch(self._metrics)

    @classmethod
    @contextmanager
    def create(cls, job: Job, console: report.Console, stop: Stop) -> Iterator[RunFolder]:
        """The folder of a new run, with its first files.

        ``stop`` has masked all signals, since they could leave a folder without a result; in the context they raise.

        Raises:
            ConfigError: if the folder holds the record of another run, or another process writes it.
            StorageError: if a file cannot be written.
        """
        with RunLock(job.folder):
            folder = cls._of(job, console)
            with folder.record_end(stop, folder.partial_result):
                folder.begin(job.config, job.command, job.source)
                yield folder

    @classmethod
    @contextmanager
    def reopen(cls, job: Job, console: report.Console, stop: Stop) -> Iterator[RunFolder]:
        """The folder of a resumed run; its last state is in ``resume_state``. Otherwise as ``create``.

        Raises:
            ConfigError: if the folder holds the state of another config, or a link or a pipe, or another process
                writes it.
            StorageError: if a file cannot be written.
        """
        with RunLock(job.folder):
            state = checkpoint.latest(job.folder / "checkpoints", job.config, console.warning)
            if state is None and not fingerprint.check(job.folder, job.config):
                console.warning(
                    "manifest.json does not say with which config the run was started; config.yaml is taken as it is"
                )
            folder = cls._of(job, console)
            folder.resume_state = state
            with folder.record_end(stop, folder.partial_result):
                yield folder

    @classmethod
    def _of(cls, job: Job, console: report.Console) -> RunFolder:
        return cls(
            job.folder,
            job.config,
            console,
            resuming=job.resuming,
            every=job.settings.checkpoint,
            silence_is_the_target=not job.parts.task.has_accuracy,
            trackers=Trackers(job.parts.trackers, console.warning),
        )

    def start(self, state: TrainingState, facts: Mapping[str, Any]) -> None:
        """Complete the manifest with ``facts`` (see :func:`snnrun.report.manifest`) and start the trackers.

        A resumed run first gets back its state, and its records at the time of the state.

        Raises:
            DataError: if the state does not fit.
        """
        if not self.resuming:
            self.manifest(**facts)
        else:
            if self.resume_state is None:  # it was killed before its first state
                self._rewind(0)
            else:
                self._restore(state, self.resume_state)
            self.resume(**facts, config=self.config, step=state.progress.step)
        self._save_time, self._save_step = time.monotonic(), state.progress.step
        manifest, records = files.plain(self._manifest), [record.to_json() for record in self.records]
        self._trackers.begin(self.path, self.config, manifest, records)

    def partial_result(self) -> RunResult:
        """The result of a run that ends now, without its status."""
        return RunResult(epochs=len(self.epochs), seconds=time.monotonic() - self._begin)

    @property
    def epochs(self) -> list[EpochRecord]:
        """The records of epochs."""
        return of_kind(self.records, EpochRecord)

    @property
    def checkpoints(self) -> Path:
        """The folder of weights and states."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """The weights of the epoch with the lowest validation loss."""
        return self.checkpoints / "best.safetensors"

    @property
    def _metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    def add(self, record: LogRecord, model: nn.Module, weights: Mapping[str, Tensor] | None = None) -> None:
        """Write a record of ``fit`` to ``metrics.jsonl`` and the console, and after an epoch the evaluated ``weights``.

        ``weights``: default the model's.
        """
        if isinstance(record, EpochRecord):
            # First, so that every epoch on record has its weights on disk, even if the run is killed.
            with storing(self.checkpoints):
                files.make_folder(self.checkpoints)
                weights = model.state_dict() if weights is None else weights
                checkpoint.save(self.checkpoints / "last.safetensors", weights)
                if record.best:
                    checkpoint.save(self.best, weights)
        self.records.append(record)
        values = record.to_json()
        line = json.dumps(values, allow_nan=False, ensure_ascii=False) + "\n"
        with storing(self._metrics):
            _append(self._metrics, line.encode())
        self._trackers.record(values)
        if isinstance(record, WarningRecord):
            self._console.warning(record.message)
            return
        self._console.record(record)
        if isinstance(record, EpochRecord):
            self._warn(self._diagnose(model).epoch(self.epochs))

    def save_due(self, state: TrainingState) -> bool:
        """True if it is time for a checkpoint between two steps."""
        steps, minutes = self._every.every_steps, self._every.every_minutes
        due = steps is not None and state.progress.step - self._save_step >= steps
        return due or (minutes is not None and time.monotonic() - self._save_time >= 60 * minutes)

    def save(self, state: TrainingState) -> None:
        """Save the state between two steps, with all metrics so far on disk.

        If a checkpoint cannot hold the state of some part, a warning is shown once, and the run goes on without.

        Raises:
            StorageError: if it cannot be written; earlier states stay.
        """
        if not self._can_save:
            return
        with storing(self._metrics), os.fdopen(files.open_to_append(self._metrics), "rb+") as file:
            os.fsync(file.fileno())
            size = file.seek(0, os.SEEK_END)
        values = {"config": fingerprint.config_hash(self.config), "metrics": size, **state.state_dict()}
        try:
            with storing(self.checkpoints):
                files.make_folder(self.checkpoints)
                checkpoint.save_state(self.checkpoints, state.progress.step, values)
        except CannotSave as error:
            self._can_save = False
            self._console.warning(f"this run cannot be resumed, since no checkpoint can hold all of its state: {error}")
        self._save_time, self._save_step = time.monotonic(), state.progress.step

    def _restore(self, state: TrainingState, values: checkpoint.State) -> None:
        try:
            state.load_state_dict(values)
            self._rewind(values["metrics"])
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            message = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"the checkpoint does not fit this run: {message}") from error

    def _rewind(self, size: int) -> None:
        """Go back to the first ``size`` bytes of the metrics, without a result.

        Raises:
            ValueError: if the file is shorter, or damaged.
        """
        with storing(self._metrics), self._metrics.open("rb") as file:
            metrics = file.read(max(size, 0))
            if len(metrics) != size:
                raise ValueError(f"metrics.jsonl has {len(metrics)} bytes, and had {size}")
            records = [record_of(json.loads(line)) for line in metrics.splitlines()]
            self.records = [record for record in records if record is not None]
            if len(self.records) != len(records):
                raise ValueError("metrics.jsonl is not as it was written")
            files.write_bytes(self._metrics, metrics)
        with storing(self.path / "result.json"):
            (self.path / "result.json").unlink(missing_ok=True)

    def summary(self, model: nn.Module, example: Tensor) -> None:
        """``summary.txt`` for one encoded sample ``[T, 1, *N]``."""
        self._try_write("summary.txt", lambda: self._write_text("summary.txt", report.summary(model, example)))

    def compare_with_chance(
        self, model: nn.Module, *, accuracy: float | None, r2: float | None, share: float | None, samples: int
    ) -> None:
        """Warn of a test result that guessing would reach too; ``share``: of the most frequent class."""
        last = next(reversed(self.epochs), None)
        self._warn(self._diagnose(model).test(last, accuracy=accuracy, r2=r2, share=share, samples=samples))

    def result(self, result: Result) -> None:
        """Write ``result.json``, and end the trackers."""
        try:
            super().result(result)
        finally:
            self._trackers.end(result.to_json())

    def figures(
        self,
        model: nn.Module,
        encoded: Tensor,
        traces: Mapping[str, Trace],
        style: Style,
        example: report.Example,
        confusion: Confusion | None = None,
    ) -> None:
        """Draw ``figures/``, and save the numbers of the raster.

        Args:
            encoded, traces: of one test sample, by the trained model.
            style: of the figures.
            example: the description of the sample.
            confusion: of the test set, if there are classes.
        """
        folder = self.path / "figures"
        thresholds = {name: neuron.threshold() for name, neuron in neurons(model).items() if neuron.spiking}
        with_input = {"input": encoded, **traces}
        drawings: dict[str, Callable[[], object]] = {
            "loss": lambda: report.loss_figure(self.records, folder, style),
            "accuracy": lambda: report.accuracy_figure(self.records, folder, style),
            "firing_rate": lambda: report.firing_rate_figure(self.records, folder, style),
            "parameters": lambda: report.parameters_figure(self.records, folder, style),
            "delays": lambda: report.delays_figure(_delays(model), folder, style),
            "confusion": lambda: report.confusion_figure(confusion, folder, style),
            "raster": lambda: report.raster_figure(with_input, folder, style, example),
            "membrane": lambda: report.membrane_figure(traces, thresholds, folder, style, example),
        }
        for name, draw in drawings.items():
            self._try_write(", ".join(f"figures/{name}.{kind}" for kind in style.format), draw)
        self._try_write(
            "figures/raster.npz", lambda: report.save_raster(traces, encoded, folder / "raster.npz", example=example)
        )

    def _diagnose(self, model: nn.Module) -> Diagnosis:
        if self._diagnosis is None:
            analogue = [name for name, neuron in neurons(model).items() if neuron.analogue]
            self._diagnosis = Diagnosis(
                self.config, analogue=analogue, silence_is_the_target=self._silence_is_the_target
            )
        return self._diagnosis

    def _warn(self, warnings: list[str]) -> None:
        for warning in warnings:
            self._console.warning(warning)

    def _try_write(self, name: str, write: Callable[[], object]) -> None:
        try:
            write()
        except Exception as error:  # any error: hours of training must not be lost to a figure
            self._console.warning(f"{name} could not be made ({type(error).__name__}: {error}); the run goes on")


def _delays(model: nn.Module) -> dict[str, report.LayerDelays]:
    """The delays of each layer, by the layer and the connections."""
    named = {}
    for path, delays in delays_of(model).items():
        *_, layer, connections = ["model", *path.split(".")]
        name = f"{layer}, recurrent" if connections == "recurrent_delay" else layer
        named[name] = report.LayerDelays(delays.delays().detach().cpu().double().numpy(), delays.kind.maximum)
    return named


def _append(path: Path, line: bytes) -> None:
    """Add the whole line, or nothing."""
    with os.fdopen(files.open_to_append(path), "rb+", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            if file.write(line) != len(line):  # the disk is full
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            file.truncate(size)
            raise


def recorded_threads(folder: Path, world_size: int) -> int | None:
    """The threads of each process of the run in ``folder``, if it had ``world_size`` processes; None if unknown."""
    manifest = browse.json_object(folder, "manifest.json")
    threads, parallel = manifest.get("threads"), manifest.get("parallel")
    size = parallel.get("world_size") if isinstance(parallel, dict) else None
    return threads if size == world_size and type(threads) is int and 0 < threads <= MOST_THREADS else None
