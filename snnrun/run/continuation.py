"""Trains a finished run on: a new folder begins with a copy of the run's state, and names the run as its parent.

The new folder looks like a run of the new config that was interrupted where its parent ended, and is resumed as such.
The parent stays as it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from torch import Tensor

from snnrun.config import fingerprint
from snnrun.config.settings import Settings
from snnrun.errors import ConfigError, DataError
from snnrun.report.manifest import ENVIRONMENT
from snnrun.report.manifest import start as manifest_start
from snnrun.run import browse, checkpoint
from snnrun.run.checkpoint import State
from snnrun.run.folder import PARENT
from snnrun.system import files, safe_read
from snnrun.system.safe_read import Unreadable
from snnrun.system.storage import storing
from snnrun.training.loop import continues, out_of_patience
from snnrun.training.progress import Progress

LAST, BEST = "last.safetensors", "best.safetensors"


class Parent(NamedTuple):
    """A finished run that another trains on.

    Attributes:
        folder: of the run.
        state: of its training, after the last step.
        progress: of its training.
        metrics: the content of ``metrics.jsonl``.
        weights: by the names of their files in ``checkpoints/``; without a validation set there are no best.
        environment: in which it was trained, from its manifest.
    """

    folder: Path
    state: State
    progress: Progress
    metrics: bytes
    weights: Mapping[str, Mapping[str, Tensor]]
    environment: dict[str, Any]

    def check_longer(self, settings: Settings) -> None:
        """Check that a run of ``settings`` is longer.

        Raises:
            ConfigError: if it would end at once, with the setting to blame.
        """
        progress, done = self.progress, self.progress.epoch - 1
        if continues(progress, settings):
            return
        if progress.epoch > settings.epochs:
            raise ConfigError(
                f"epochs: expected more than {done}, which the run has trained, got {settings.epochs}; "
                f"write epochs=N with N above {done}"
            )
        if out_of_patience(progress, settings):
            raise ConfigError(
                f"early_stopping: the validation loss was lowest in epoch {progress.best_epoch}, so that "
                f"early_stopping={settings.early_stopping} ended the run after epoch {done}, and would again; "
                "write early_stopping=null too, or a larger number"
            )
        raise ConfigError(
            f"max_steps: expected null, or more than {progress.step}, which the run has made, got {settings.max_steps}"
        )

    def begin(self, folder: Path, *, config: Mapping[str, Any], command: Sequence[str]) -> None:
        """Fill ``folder`` as a run of ``config`` that was interrupted where the parent ended.

        ``config.yaml`` is written last, so that a folder with this file is whole.

        Raises:
            StorageError: if a file cannot be written.
        """
        digest, checkpoints = fingerprint.config_hash(config), folder / "checkpoints"
        parent = {
            **reference(self.folder, folder),
            fingerprint.KEY: self.state["config"],
            "weights_sha256": checkpoint.weights_sha256(self.weights[LAST]),
            "epochs": self.progress.epoch - 1,
            "step": self.progress.step,
        }
        manifest = {
            **self.environment,
            **manifest_start(command, record=folder),
            fingerprint.KEY: digest,
            PARENT: parent,
        }
        with storing(folder):
            files.make_folder(checkpoints)
            files.write_bytes(folder / "metrics.jsonl", self.metrics)
            for name, weights in self.weights.items():
                checkpoint.save(checkpoints / name, weights)
            checkpoint.save_state(checkpoints, self.progress.step, {**self.state, "config": digest})
            files.write_json(folder / "manifest.json", manifest)
            files.write_text(folder / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))


def read(folder: Path, config: Mapping[str, Any], warn: Callable[[str], None]) -> Parent:
    """The finished run in ``folder``, whose ``config.yaml`` has ``config``.

    Raises:
        ConfigError: if it was started with another config, or has no state.
        DataError: if something is missing, or damaged.
    """
    fingerprint.check(folder, config)
    state = checkpoint.latest(folder / "checkpoints", config, warn)
    if state is None:
        raise ConfigError(
            f"{folder}: expected the last state of the run, checkpoints/step-….safetensors, but there is none to go on "
            "from; start a new run"
        )
    model = state.get("model")
    if not isinstance(model, Mapping) or not all(isinstance(each, Tensor) for each in model.values()):
        raise DataError(f"{folder}: expected a checkpoint with the weights of the run, got one without")
    try:
        progress = Progress.of(state["progress"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{folder}: expected a checkpoint that says where the run stood: {safe_read.printable(error, 80)}"
        ) from error
    names = [name for name in (LAST, BEST) if name == LAST or os.path.lexists(folder / "checkpoints" / name)]
    weights = {name: checkpoint.load(folder / "checkpoints" / name, model) for name in names}
    manifest = browse.json_object(folder, "manifest.json")
    environment = {key: manifest[key] for key in ENVIRONMENT if key in manifest}
    return Parent(folder, state, progress, _metrics(folder, state.get("metrics")), weights, environment)


def reference(run: Path, record: Path) -> dict[str, str | None]:
    """The ``name`` of a run's folder, and as ``folder`` the relative path to it from the folder ``record``.

    The path is None unless both lie in the working directory: it would reveal the folders above.
    """
    here, target, start = (path.resolve() for path in (Path.cwd(), run, record))
    within = target.is_relative_to(here) and start.is_relative_to(here)
    path = os.path.relpath(target, start).replace(os.sep, "/") if within else None
    return {"name": safe_read.printable(target.name), "folder": path and safe_read.printable(path)}


def _metrics(folder: Path, size: Any) -> bytes:
    """The first ``size`` bytes of the records."""
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise DataError(f"{folder}: expected a checkpoint with the length of metrics.jsonl, got one without")
    try:
        with safe_read.open_regular(folder, "metrics.jsonl") as file:
            length = os.fstat(file.fileno()).st_size
            metrics = file.read(size) if size <= length else b""
    except Unreadable as error:
        raise DataError(f"{folder / 'metrics.jsonl'}: expected the records of the run, but: {error}") from error
    if len(metrics) != size:
        raise DataError(f"{folder / 'metrics.jsonl'}: expected at least {size} bytes, got {length}")
    return metrics
