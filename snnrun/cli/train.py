"""``snnrun``: a training run."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from snnrun.config.catalogue import Catalogue
from snnrun.config.settings import KEYS, Settings, read
from snnrun.errors import Fault
from snnrun.job.command import Curve, Finished
from snnrun.job.parts import Trial, parts_of
from snnrun.system.ranks import Ranks

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
    parts = parts_of(config, trusted)
    settings, more = Settings.from_config(config), {} if source is None else {"source": source}
    return train(settings=settings, parts=parts, config=config, folder=folder, command=command, **more)


def train(*, settings: Settings, config: Mapping[str, Any], seen: Mapping[str, Any] | None = None, **rest: Any) -> Any:
    """``snnrun.run.execute.run``, with the other processes of torchrun where there are some.

    ``seen``: what these make their parts of, where it is not the config that is recorded.
    """
    from snnrun.run import execute

    ranks = Ranks.of(os.environ)
    if ranks.size == 1:
        return execute.run(settings=settings, config=config, **rest)
    from snnrun.system import processes
    from snnrun.training.runtime import resolve_device

    device = resolve_device(settings.device, ranks).type
    with processes.leading(ranks, {"config": config if seen is None else seen}, device) as team:
        return execute.run(settings=settings, config=config, team=team, **rest)


def finish(jobs: Sequence[Finished], folder: Path) -> None:
    """Nothing is left to do at the end of a sweep."""
