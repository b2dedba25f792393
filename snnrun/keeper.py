"""Keeps a training run's state on disk: when it is saved, what belongs to it, and how a run goes on from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from snnrun import checkpoint
from snnrun.errors import ConfigError, DataError
from snnrun.files import make_folder
from snnrun.fingerprint import config_hash
from snnrun.progress import Progress
from snnrun.record import RunRecord
from snnrun.saved import CannotSave
from snnrun.settings import Checkpoint
from snnrun.storage import storing
from snnrun.streams import Streams

State = dict[str, Any]


class Keeper:
    """Saves the state of a run at every epoch and, between steps, as often as ``every`` says.

    Args:
        record: of the run.
        every: steps or minutes between two states.
        config: of the run; a state knows it by its hash.
        model, optimizer, scheduler, streams, progress: what a state is of.
        warn: told, once, if some part's state cannot be saved; the run then goes on without.
    """

    def __init__(
        self,
        record: RunRecord,
        every: Checkpoint,
        config: Mapping[str, Any],
        *,
        model: nn.Module,
        optimizer: Optimizer,
        scheduler: LRScheduler,
        streams: Streams,
        progress: Progress,
        warn: Callable[[str], None],
    ) -> None:
        self._record, self._every, self._config = record, every, config_hash(config)
        self._parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
        self._streams, self.progress, self._warn = streams, progress, warn
        self._saved_at, self._saved_step, self._able = time.monotonic(), progress.step, True

    def due(self) -> bool:
        """Whether it is time to save."""
        steps, minutes = self._every.every_steps, self._every.every_minutes
        due = steps is not None and self.progress.step - self._saved_step >= steps
        return due or (minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes)

    def save(self) -> None:
        """Save the state as it is now, between two steps.

        Raises:
            StorageError: if it cannot be written; the states before stay.
        """
        if not self._able:
            return
        folder = self._record.checkpoints
        state = {"config": self._config, "metrics": self._record.durable(), **self.state()}
        try:
            with storing(folder):
                make_folder(folder)
                checkpoint.save_state(folder, self.progress.step, state)
        except CannotSave as error:
            self._able = False
            self._warn(f"this run cannot be resumed, since no checkpoint can hold all of its state: {error}")
        self._saved_at, self._saved_step = time.monotonic(), self.progress.step

    def state(self) -> State:
        """What ``restore`` takes."""
        return {
            "progress": self.progress.state(),
            "streams": self._streams.state(),
            **{name: part.state_dict() for name, part in self._parts.items()},
        }

    def restore(self, state: State) -> None:
        """Put everything back to ``state``.

        Raises:
            DataError: if it does not fit.
        """
        try:
            restore(state, self._parts, self._streams, self.progress)
            self._record.rewind(state["metrics"])
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            message = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"the checkpoint does not fit this run: {message}") from error
        self._saved_step = self.progress.step


def restore(state: State, parts: Mapping[str, Any], streams: Streams, progress: Progress) -> None:
    """Put model, optimizer and scheduler (``parts``), streams and progress back to ``state``."""
    for name, part in parts.items():
        part.load_state_dict(state[name])
    # Else torch's scheduler warns, where an epoch's steps were made by the process before.
    parts["optimizer"]._opt_called = True
    streams.restore(state["streams"])
    progress.__dict__.update(Progress.of(state["progress"]).__dict__)


def latest(folder: Path, config: Mapping[str, Any], warn: Callable[[str], None]) -> State | None:
    """The last state in ``folder`` that is whole, or None; of one that is damaged, ``warn`` is told.

    Raises:
        ConfigError: if it is that of another config.
    """
    for path in checkpoint.states(folder):
        try:
            state = checkpoint.load_state(path)
        except DataError as error:
            warn(f"{error}; trying the one before")
            continue
        if state.get("config") != config_hash(config):
            raise ConfigError(
                f"{path}: expected the state of this config, but config.yaml is another one than it was; "
                "put it back, or start a new run"
            )
        return state
    return None
