"""Keeps a training run's state on disk: when it is saved, what belongs to it, and how a run goes on from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from snnrun.config.fingerprint import config_hash
from snnrun.config.settings import Checkpoint
from snnrun.errors import ConfigError, DataError
from snnrun.run import checkpoint
from snnrun.run.checkpoint import CannotSave
from snnrun.run.folder import RunRecord
from snnrun.system.files import make_folder
from snnrun.system.storage import storing
from snnrun.training.state import TrainingState

State = dict[str, Any]


class Keeper:
    """Saves the state of a run at every epoch and, between steps, as often as ``every`` says.

    Args:
        record: of the run.
        every: steps or minutes between two states.
        config: of the run; a saved state has its hash.
        state: what is saved and restored.
        warn: told, once, if some part's state cannot be saved; the run then goes on without.
    """

    def __init__(
        self,
        record: RunRecord,
        every: Checkpoint,
        config: Mapping[str, Any],
        state: TrainingState,
        *,
        warn: Callable[[str], None],
    ) -> None:
        self._record, self._every, self._config, self._state = record, every, config_hash(config), state
        self._warn, self._able = warn, True
        self._saved_at, self._saved_step = time.monotonic(), state.progress.step

    def due(self) -> bool:
        """Whether it is time to save."""
        steps, minutes = self._every.every_steps, self._every.every_minutes
        due = steps is not None and self._state.progress.step - self._saved_step >= steps
        return due or (minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes)

    def save(self) -> None:
        """Save the state as it is now, between two steps.

        Raises:
            StorageError: if it cannot be written; the states before stay.
        """
        if not self._able:
            return
        folder, step = self._record.checkpoints, self._state.progress.step
        saved = {"config": self._config, "metrics": self._record.durable(), **self._state.state_dict()}
        try:
            with storing(folder):
                make_folder(folder)
                checkpoint.save_state(folder, step, saved)
        except CannotSave as error:
            self._able = False
            self._warn(f"this run cannot be resumed, since no checkpoint can hold all of its state: {error}")
        self._saved_at, self._saved_step = time.monotonic(), step

    def restore(self, saved: State) -> None:
        """Put state and records back to what was saved.

        Raises:
            DataError: if it does not fit.
        """
        try:
            self._state.load_state_dict(saved)
            self._record.rewind(saved["metrics"])
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            message = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"the checkpoint does not fit this run: {message}") from error
        self._saved_step = self._state.progress.step


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
