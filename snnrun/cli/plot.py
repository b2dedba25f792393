"""``snnrun plot``: surrogates, encoders or neurons, several in one figure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from snnrun.config.build import build
from snnrun.config.catalogue import Catalogue
from snnrun.config.settings import PLOT_KEYS as KEYS
from snnrun.config.settings import read_plot as read
from snnrun.errors import ConfigError, Fault
from snnrun.job.command import Curve, JobResult
from snnrun.job.compose import with_value
from snnrun.job.parts import Trial, input_faults, length_faults

__all__ = ["KEYS", "LIGHT", "STRICT", "finish", "prepare", "read", "run", "try_parts"]

STRICT = False  # a task sets epochs and the like, which a plot does not use
LIGHT = True


def prepare(config: DictConfig, trusted: Collection[str]) -> DictConfig:
    """The config with the number of steps in place of null, since some neurons need it."""
    if config.get("num_steps") is not None:
        return config
    return with_value(config, "num_steps", 25 if config.get("subject") == "encoder" else 1000)


def try_parts(trial: Trial, catalogue: Catalogue) -> list[Fault]:
    """All faults of the plotted parts."""
    import torch

    subject = trial.settings.subject
    with torch.random.fork_rng(devices=[]):
        if subject == "surrogate":
            trial.attempt("surrogate", lambda surrogate: surrogate.derivative(torch.zeros(1)))
        elif subject == "neuron":
            trial.attempt("neuron", lambda neuron: neuron(shape=(1,)))
        else:
            task = trial.attempt("task", lambda task: (task.input_shape, task.has_time))
            encoder = trial.attempt("encoder", lambda encoder: (encoder.takes_still, encoder.takes_sequence))
            if task:
                trial.faults += length_faults(task, trial.settings.num_steps)
            if task and encoder:
                trial.faults += input_faults(task, encoder, trial.config, catalogue)
    return trial.faults


def run(
    config: Mapping[str, Any],
    folder: Path,
    command: Sequence[str],
    curves: Sequence[Curve],
    trusted: Collection[str],
) -> Any:
    """Draw, and write the record into ``folder``."""
    from snnrun.run import plot

    settings, faults = read(config)
    if settings is None:
        raise ConfigError("\n".join(map(str, faults)))
    configs = {curve.label: curve.config for curve in curves} or {"": dict(config)}
    groups = ("task", "encoder") if settings.subject == "encoder" else (settings.subject,)
    return plot.run(
        settings=settings,
        parts={
            label: {group: build(each[group], group, trusted) for group in groups} for label, each in configs.items()
        },
        configs=configs,
        folder=folder,
        command=command,
    )


def finish(jobs: Sequence[JobResult], folder: Path) -> None:
    """Nothing: each job has its own figure. Without -m, values with commas give one common figure."""
