"""``snnrun simulate``: one neuron, one input."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from snnrun.config.build import build
from snnrun.config.catalogue import Catalogue
from snnrun.config.settings import SIMULATE_KEYS as KEYS
from snnrun.config.settings import read_simulate as read
from snnrun.errors import ConfigError, Fault
from snnrun.job.command import Curve, JobResult
from snnrun.job.compose import with_value
from snnrun.job.parts import Trial

__all__ = ["KEYS", "LIGHT", "STRICT", "finish", "prepare", "read", "run", "try_parts"]

STRICT = True
LIGHT = False  # the input is built for its number of steps


def prepare(config: DictConfig, trusted: Collection[str]) -> DictConfig:
    """The config with the number of steps in place of null, since some neurons need it.

    Raises:
        DataError: if the file of an input cannot be read.
    """
    if config.get("num_steps") is not None:
        return config
    try:
        source = build(OmegaConf.to_container(config["input"], resolve=True), "input", trusted)
        steps = source.steps(config["num_neurons"])
    except (ValueError, TypeError, AttributeError, LookupError, OmegaConfBaseException):
        steps = 100  # the checks will report the fault
    return with_value(config, "num_steps", steps)


def try_parts(trial: Trial, catalogue: Catalogue) -> list[Fault]:
    """All faults of the neuron and the input."""
    import torch

    # The layer has its real width, so that lists of values per neuron are checked too.
    shape = (trial.settings.num_neurons,)
    with torch.random.fork_rng(devices=[]):
        trial.attempt("neuron", lambda neuron: neuron(shape=shape))
    trial.attempt("input", lambda source: source.steps)
    return trial.faults


def run(
    config: Mapping[str, Any],
    folder: Path,
    command: Sequence[str],
    curves: Sequence[Curve],
    trusted: Collection[str],
) -> Any:
    """Simulate, and write the record into ``folder``."""
    from snnrun.run import simulate

    settings, faults = read(config)
    if settings is None:
        raise ConfigError("\n".join(map(str, faults)))
    return simulate.run(
        settings=settings,
        neuron=build(config["neuron"], "neuron", trusted),
        source=build(config["input"], "input", trusted),
        config=config,
        folder=folder,
        command=command,
    )


def finish(jobs: Sequence[JobResult], folder: Path) -> None:
    """The traces of all jobs of a sweep in one figure."""
    from snnrun.run import simulate

    simulate.overlay({job.label: job.result for job in jobs}, folder)
