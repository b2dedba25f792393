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
from snnrun.job.command import Curve, Finished
from snnrun.job.compose import with_value
from snnrun.job.parts import Trial

__all__ = ["KEYS", "LIGHT", "STRICT", "finish", "prepare", "read", "run", "try_parts"]

STRICT = True
LIGHT = False  # the input is built, to ask it for its steps


def prepare(config: DictConfig, trusted: Collection[str]) -> DictConfig:
    """The config as it is run: with the number of steps, which some neurons need to know, where it is null.

    Raises:
        DataError: for an input's file that cannot be read.
    """
    if config.get("num_steps") is not None:
        return config
    try:
        given = build(OmegaConf.to_container(config["input"], resolve=True), "input", trusted)
        steps = given.steps(config["num_neurons"])
    except (ValueError, TypeError, AttributeError, LookupError, OmegaConfBaseException):
        steps = 100  # the checks will say what is wrong
    return with_value(config, "num_steps", steps)


def try_parts(trial: Trial, catalogue: Catalogue) -> list[Fault]:
    """All faults of the neuron and the input."""
    import torch

    # The layer is as wide as asked for, so that a list of values per neuron is checked too.
    shape = (trial.settings.num_neurons,)
    with torch.random.fork_rng(devices=[]):
        trial.attempt("neuron", lambda neuron: neuron(shape=shape))
    trial.attempt("input", lambda given: given.steps)
    return trial.faults


def run(
    config: Mapping[str, Any],
    folder: Path,
    command: Sequence[str],
    curves: Sequence[Curve],
    trusted: Collection[str],
) -> Any:
    """Simulate, and leave the record in ``folder``."""
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


def finish(jobs: Sequence[Finished], folder: Path) -> None:
    """The traces of all jobs of a sweep in one figure."""
    from snnrun.run import simulate

    simulate.overlay({job.label: job.result for job in jobs}, folder)
