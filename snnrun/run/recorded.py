"""The job of a run folder: read from its ``config.yaml``, and checked as the config of a command is.

The folder may be a stranger's. Its config is read as text and checked as any other config
(:mod:`snnrun.config.trust`), and checkpoints are no pickles.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from snnrun.config import fingerprint, trust
from snnrun.config.catalogue import Catalogue
from snnrun.config.settings import Settings, complete, read
from snnrun.errors import ConfigError, Fault
from snnrun.job.arguments import Arguments
from snnrun.job.scope import Scope
from snnrun.run import browse, imports
from snnrun.run.command_line import folder_remark
from snnrun.system import safe_read, say
from snnrun.system.safe_read import Unreadable

if TYPE_CHECKING:
    from snnrun.job.job import Job

PARTS = ("task", "encoder", "tracker")  # which an override may choose or change


def recorded_job(
    folder: Path,
    arguments: Arguments,
    command: Sequence[str] = (),
    changes: Mapping[str, Any] | None = None,
    *,
    trackers: bool = False,
    resuming: bool = False,
) -> Job:
    """The job of the run in ``folder``, with ``changes`` to some keys of its config.

    Args:
        arguments: of the command: trusted packages, and the folder of the user's own parts.
        trackers: True if the job has the trackers of the run.
        resuming: see :class:`~snnrun.job.job.Job`.

    Raises:
        ConfigError: with all faults of the config.
    """
    imports.load("train")
    from snnrun.job.job import Job

    config = {**_config(folder, trackers=trackers), **(changes or {})}
    local = complete(_local(config, folder))
    settings, faults = _check(local, local, arguments)
    if faults or settings is None:
        raise ConfigError("\n".join([say.faults(faults), *_missing_folder(folder, config, arguments)]))
    return Job.of(config, folder=folder, command=command, trusted=arguments.trusted, local=local, resuming=resuming)


def recorded_jobs(
    folder: Path,
    arguments: Arguments,
    command: Sequence[str],
    scope: Scope,
    *,
    trackers: bool = False,
    resuming: bool = False,
) -> list[Job]:
    """The jobs of the run in ``folder`` with the overrides of the command, one for each combination of values.

    Raises:
        ConfigError: with all faults of the command.
    """
    from snnrun.job.parts import not_finite
    from snnrun.job.variants import variants_of

    config = _config(folder, trackers=trackers)
    faults: list[Fault | str] = [*arguments.faults]
    local = complete(_local(config, folder))
    changes = variants_of(local, arguments, Catalogue(arguments.config_dir), scope, faults)
    # Torch takes seconds to import. A command with a typo needs it only if a part may have a fault too.
    parts = not faults or any(key.partition(".")[0] in PARTS for change in changes for key in change.words)
    if parts:
        imports.load("train")
    changes = list({tuple(change.words.items()): change for change in changes}.values())  # no duplicates
    for change in changes:
        _, invalid = _check(change.config, local, arguments, parts=parts)
        faults += not_finite(change.config)
        faults += [fault for fault in invalid if not (scope.tests and fault.for_training)]
    if faults:
        raise ConfigError("\n".join([say.faults(faults), *_missing_folder(folder, config, arguments)]))
    from snnrun.job.job import Job

    return [
        Job.of(
            config,
            folder=folder,
            command=command,
            trusted=arguments.trusted,
            local=change.config,
            resuming=resuming,
            words=change.words,
        )
        for change in changes
    ]


def check_config(folder: Path) -> None:
    """Check ``config.yaml`` by the hash in the manifest, or in a state.

    Raises:
        ConfigError: if the run was started with another config.
    """
    from snnrun.run import checkpoint

    config = safe_read.yaml_object(folder, "config.yaml")
    if not fingerprint.check(folder, config):
        checkpoint.latest(folder / "checkpoints", config, lambda message: None)


def _missing_folder(folder: Path, config: Mapping[str, Any], arguments: Arguments) -> list[str]:
    """A remark on the ``--config-dir`` of the recorded command, if the config names outside code and it is missing."""
    if arguments.config_dir or not trust.names_code(config):
        return []
    command = browse.json_object(folder, "manifest.json").get("command")
    words = [word for word in command if isinstance(word, str)] if isinstance(command, list) else []
    return [remark] if (remark := folder_remark(words)) else []


def _config(folder: Path, *, trackers: bool) -> dict[str, Any]:
    try:
        config = safe_read.yaml_object(folder, "config.yaml")
    except Unreadable as error:
        raise ConfigError(
            f"{folder / 'config.yaml'}: expected the config of a run, but it cannot be read: {error}"
        ) from error
    if not trackers:  # to test weights needs no package of a tracker
        config.pop("tracker", None)
    return config


def _check(
    config: Mapping[str, Any], base: Mapping[str, Any], arguments: Arguments, *, parts: bool = True
) -> tuple[Settings | None, list[Fault]]:
    """The settings of a config, if they can be read, and all faults; without ``parts``, those in settings alone."""
    settings, faults = read(config)
    usable = settings or read(base)[0]
    if usable is None or not parts:
        return settings, faults
    from snnrun.job.parts import Trial

    try:
        trial = Trial(config, config, base, usable, trusted=arguments.trusted, debug=arguments.debug)
        faults += trial.run(Catalogue(arguments.config_dir))
    except (KeyError, TypeError, AttributeError) as error:
        faults.append(Fault("config.yaml", f"expected the config of a run ({type(error).__name__}: {error})"))
    return settings, faults


def _local(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The config with relative paths of data and weights from this folder instead of the run's working directory."""
    path = browse.json_object(folder, "manifest.json").get("directory")
    if not isinstance(path, str) or not set(path.split("/")) <= {"..", "."}:
        return config
    start = Path(os.path.abspath(folder.resolve() / path))
    if start == Path.cwd():
        return config
    local, task, data_dir = dict(config), config.get("task"), config.get("data_dir")
    if _is_relative(data_dir):
        local["data_dir"] = os.path.relpath(start / data_dir)
        if isinstance(task, Mapping) and task.get("data_dir") == data_dir:
            local["task"] = {**task, "data_dir": local["data_dir"]}
    weights = config.get("init_from")
    if _is_relative(weights) and (start / weights).exists():  # else it is the name of a run, or a part of one
        local["init_from"] = os.path.relpath(start / weights)
    return local


def _is_relative(path: Any) -> TypeGuard[str]:
    return isinstance(path, str) and "\0" not in path and not path.startswith("~") and not Path(path).is_absolute()
