"""``snnrun resume``, ``evaluate`` and ``reproduce``: a run again, from the config that its folder holds.

The folder may be a stranger's: its config is read as text and judged as any other config is (``snnrun.trust``), and
checkpoints are no pickles.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from snnrun import files, runs, untrusted
from snnrun.catalogue import Catalogue
from snnrun.cli import imports, text
from snnrun.cli.arguments import Arguments
from snnrun.errors import ConfigError, NotReproduced
from snnrun.settings import Settings, read
from snnrun.signals import waiting
from snnrun.untrusted import Unreadable

OUTPUTS = Path("outputs")


def main(arguments: Arguments, command: Sequence[str]) -> int:
    """Answer the command; returns the exit code."""
    name, words = arguments.command, arguments.words
    if arguments.help:
        text.say(text.AGAIN[name])
        return 0
    text.check_words(arguments, 1, 1, "one run")
    folder = runs.named(words[0], OUTPUTS)
    # A link that is named is meant; inside of it none is followed.
    run = runs.read(files.named(folder))
    if run.command != "train":
        raise ConfigError(f"{name}: expected a training run, got one of `snnrun {run.command}`")
    if name == "resume":
        _resume(run.folder, run.status, arguments, command)
    elif name == "evaluate":
        _evaluate(run.folder, arguments)
    else:
        _reproduce(run.folder, arguments, command)
    return 0


class Frozen(NamedTuple):
    """The config that a run was started with.

    Attributes:
        config: as it was.
        seen: the same, with ``data_dir`` as it is seen from the working directory; settings and parts are of this one.
    """

    config: dict[str, Any]
    seen: dict[str, Any]
    settings: Settings
    parts: Any


def frozen(
    folder: Path, arguments: Arguments, changes: Mapping[str, Any] | None = None, *, tracked: bool = False
) -> Frozen:
    """What ``config.yaml`` in ``folder`` says, checked as the command's own config is, with some keys changed.

    ``tracked``: with its trackers.

    Raises:
        ConfigError: with all its faults.
    """
    imports.load("train")
    from snnrun.cli.parts import Trial, parts_of

    try:
        config = {**untrusted.yaml_object(folder, "config.yaml"), **(changes or {})}
        if not tracked:  # trackers hear of the run itself; a look at it needs none of their packages
            config.pop("tracker", None)
    except Unreadable as error:
        raise ConfigError(
            f"{folder / 'config.yaml'}: expected the config of a run, but it cannot be read: {error}"
        ) from error
    seen = _seen(config, folder)
    settings, faults = read(seen)
    if settings is not None:
        try:
            trial = Trial(seen, seen, seen, settings, trusted=arguments.trusted, debug=arguments.debug)
            faults = [f"{fault.path}: {fault.message}" for fault in trial.run(Catalogue(arguments.config_dir))]
        except (KeyError, TypeError, AttributeError) as error:
            faults = [f"config.yaml: expected the config of a run ({type(error).__name__}: {error})"]
    if faults or settings is None:
        raise ConfigError(text.faults(faults))
    return Frozen(config, seen, settings, parts_of(seen, arguments.trusted))


def _seen(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The config with a relative ``data_dir`` led to where the run was started, if that was elsewhere."""
    data_dir, task = config.get("data_dir"), config.get("task")
    try:
        way = untrusted.json_object(folder, "manifest.json").get("directory")
    except Unreadable:
        return config
    known = isinstance(way, str) and set(way.split("/")) <= {"..", "."}
    if not known or not isinstance(data_dir, str) or data_dir.startswith("~") or Path(data_dir).is_absolute():
        return config
    start = Path(os.path.abspath(folder.resolve() / str(way)))
    if start == Path.cwd():
        return config
    moved = os.path.relpath(start / data_dir)
    seen = {**config, "data_dir": moved}
    if isinstance(task, Mapping) and task.get("data_dir") == data_dir:
        seen["task"] = {**task, "data_dir": moved}
    return seen


def _resume(folder: Path, status: str, arguments: Arguments, command: Sequence[str]) -> None:
    if status == "finished":
        raise ConfigError(
            f"{folder}: expected a run that did not finish, and this one did; `snnrun reproduce` runs it again"
        )
    run = frozen(folder, arguments, tracked=True)
    from snnrun.cli.train import train

    train(
        settings=run.settings,
        parts=run.parts,
        config=run.config,
        seen=run.seen,
        folder=folder,
        command=command,
        resume=True,
    )


def _evaluate(folder: Path, arguments: Arguments) -> None:
    run = frozen(folder, arguments)
    from snnrun import experiment

    try:
        _check_config(folder)
    except ConfigError:
        text.say(
            "warning: config.yaml is another one than the run was started with; this is not the test that is recorded",
            error=True,
        )

    figures = experiment.evaluate_run(settings=run.settings, parts=run.parts, folder=folder)
    before = _result(folder)
    for key, value in figures.items():
        if value is not None:
            recorded = before.get(key)
            same = "the same as recorded" if value == recorded else f"recorded: {recorded}"
            text.say(f"{key}: {value:.6g} ({same})")


def _reproduce(folder: Path, arguments: Arguments, command: Sequence[str]) -> None:
    changes: dict[str, Any] = {"max_seconds": None, "name": None}  # the name is that of the run itself
    if arguments.seed is not None:
        changes["seed"] = arguments.seed
    run = frozen(folder, arguments, changes)
    _check_config(folder)
    if (status := runs.read(folder).status) != "finished":
        text.say(f"warning: the run is {status}; only what it recorded can be compared, and is no match", error=True)
    from snnrun import reproduction
    from snnrun.cli.train import train
    from snnrun.storage import storing

    now = datetime.now()
    name = f"{now:%H-%M-%S}-reproduced-{secrets.token_hex(4)}"
    copy = Path(run.settings.output_dir).expanduser() / f"{now:%Y-%m-%d}" / name
    with waiting():
        with storing(copy):
            copy.mkdir(parents=True)
            copy = files.named(copy)
        train(settings=run.settings, parts=run.parts, config=run.seen, folder=copy, command=command)
    verdict = reproduction.compare(folder, copy, same_seed=arguments.seed is None)
    verdict.save(copy)
    text.say(verdict.words())
    if not verdict.reproduced:
        raise NotReproduced(f"{folder} was not reproduced; {copy} holds the other run")


def _check_config(folder: Path) -> None:
    """That ``config.yaml`` is the one with which the run was started, as its manifest or else a state knows it.

    Raises:
        ConfigError: if it is another.
    """
    from snnrun import fingerprint, keeper

    config = untrusted.yaml_object(folder, "config.yaml")
    if not fingerprint.check(folder, config):
        keeper.latest(folder / "checkpoints", config, lambda message: None)


def _result(folder: Path) -> dict[str, Any]:
    try:
        return untrusted.json_object(folder, "result.json")
    except Unreadable:
        return {}
