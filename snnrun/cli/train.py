"""``snnrun``: a training run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from snnrun.config.catalogue import Catalogue
from snnrun.config.settings import KEYS, read
from snnrun.errors import Fault
from snnrun.job.command import Curve, Finished
from snnrun.job.job import Job
from snnrun.job.parts import Trial

__all__ = ["KEYS", "LIGHT", "STRICT", "finish", "prepare", "read", "run", "try_parts"]

STRICT = True
LIGHT = True


def prepare(config: DictConfig, trusted: Collection[str]) -> DictConfig:
    """The config as it is run: as composed."""
    return config


def try_parts(trial: Trial, catalogue: Catalogue) -> list[Fault]:
    """All faults of the parts, and of how they go together."""
    return trial.run(catalogue)


def run(
    config: Mapping[str, Any],
    folder: Path,
    command: Sequence[str],
    curves: Sequence[Curve],
    trusted: Collection[str],
    source: Mapping[str, str] | None = None,
) -> Any:
    """Train, and leave the record in ``folder``; ``source``: the file that the config is from."""
    from snnrun.run.execute import execute

    return execute(Job.of(config, folder=folder, command=command, trusted=trusted, source=source))


def finish(jobs: Sequence[Finished], folder: Path) -> None:
    """Nothing is left to do at the end of a sweep."""
