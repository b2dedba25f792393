"""``snnrun``: a training run, from the command, and from Python by :func:`compose` and :func:`train`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnrun.config import trust
from snnrun.config.catalogue import Catalogue
from snnrun.config.settings import KEYS, read
from snnrun.errors import ConfigError, Fault
from snnrun.job.arguments import PRIMARY, parse
from snnrun.job.command import Curve, JobResult
from snnrun.job.job import Job
from snnrun.job.parts import Trial
from snnrun.job.words import overrides_of
from snnrun.run import imports
from snnrun.run.run import Run
from snnrun.system import machine

if TYPE_CHECKING:
    from omegaconf import DictConfig

__all__ = ["KEYS", "LIGHT", "STRICT", "compose", "finish", "prepare", "read", "run", "train", "try_parts"]

STRICT = True
LIGHT = True


def prepare(config: DictConfig, trusted: Collection[str]) -> DictConfig:
    """The config as it is run: as composed."""
    return config


def try_parts(trial: Trial, catalogue: Catalogue) -> list[Fault]:
    """All faults of the parts, of their combination, and of the initial weights."""
    faults = trial.run(catalogue)
    if trial.settings.init_from is not None:
        from snnrun.run.initial_weights import weights_file

        try:
            weights_file(trial.settings.init_from)
        except ConfigError as error:
            faults.append(error.fault or Fault("init_from", str(error)))
    return faults


def run(
    config: Mapping[str, Any],
    folder: Path,
    command: Sequence[str],
    curves: Sequence[Curve],
    trusted: Collection[str],
    source: Mapping[str, str] | None = None,
) -> Any:
    """Train, and write the record in ``folder``; ``source``: the file of the config."""
    from snnrun.run.execute import execute

    return execute(Job.of(config, folder=folder, command=command, trusted=trusted, source=source))


def finish(jobs: Sequence[JobResult], folder: Path) -> None:
    """Nothing is left to do at the end of a sweep."""


def compose(*words: str, **keys: Any) -> Job:
    """The job of a training run, composed and checked; nothing is written before it is executed.

    Args:
        words: overrides and flags of the command, such as ``"neuron=if"``, ``"trust=my_parts"`` or
            ``"--config-dir=parts"``.
        keys: overrides by key, such as ``epochs=5``; a dotted key comes as ``**{"neuron.beta": 0.9}``.

    Raises:
        ConfigError: with all faults of the words.
        ArgumentError: for a value that no config can hold.
    """
    job, _ = _compose(words, keys)
    return job


def train(*words: str, **keys: Any) -> Run:
    """Train as the command does with the same words, with the same record; returns the run.

    ``words``, ``keys``: see :func:`compose`.

    Raises:
        SnnrunError: for a mistake, before anything starts, and for all that ends the run early.
        Interrupted: a signal requested a stop.
    """
    job, run = _compose(words, keys)
    from snnrun.run.execute import execute

    machine.keep_freed_memory()
    execute(job)
    return run


def _compose(words: Sequence[str], keys: Mapping[str, Any]) -> tuple[Job, Run]:
    """The job, and its run."""
    from snnrun.job import validate
    from snnrun.job.compose import composer, plain
    from snnrun.run import train as command  # this module

    command_words = [*words, *overrides_of(keys)]
    arguments = parse(command_words)
    others = arguments.help or arguments.version or arguments.multirun or arguments.shows
    if arguments.command != "train" or arguments.words or arguments.list_words is not None or others:
        line = " ".join(command_words)
        raise ConfigError(f"expected the overrides of one training run, got {line}; the command does the rest")
    arguments.trusted += trust.of_environment()
    catalogue = Catalogue(arguments.config_dir, PRIMARY[arguments.command])
    with trust.allow_imports(arguments.config_dir, arguments.trusted), composer(catalogue, "RUN") as hydra:
        plan = validate.validate(arguments, catalogue, command, hydra, load=imports.load)
        composition = hydra.job(plan.words)
        with composition.hydra_references():
            config = plain(composition.config)
        source = None if plan.source is None else plan.source._asdict()
        job = Job.of(
            config,
            folder=composition.folder.absolute(),
            command=["snnrun", *command_words],
            trusted=arguments.trusted,
            source=source,
            marks=composition.record(),
        )
    return job, Run(composition.folder, trusted=arguments.trusted, config_dir=arguments.config_dir)
