"""``snnrun resume``, ``evaluate`` and ``reproduce``: a run again, from the config that its folder holds.

The folder may be a stranger's: its config is read as text and judged as any other config is
(``snnrun.config.trust``), and checkpoints are no pickles.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from snnrun.cli import usage
from snnrun.cli.show import classes_of
from snnrun.config import fingerprint, trust
from snnrun.config.catalogue import Catalogue
from snnrun.config.settings import Settings, completed, read
from snnrun.errors import ConfigError, Fault, NotReproduced
from snnrun.job.arguments import Arguments, check_words
from snnrun.job.scope import FINISHED, TESTED, UNFINISHED, Scope
from snnrun.run import browse, imports
from snnrun.system import files, safe_read, say
from snnrun.system.layout import fit, page_width
from snnrun.system.safe_read import Unreadable
from snnrun.training.records import RunResult
from snnrun.training.stop import waiting

OUTPUTS = Path("outputs")
HORIZONS = ("T_max", "total_iters", "total_steps")  # the arguments of torch's schedulers that say how long training is
PARTS = ("task", "encoder", "tracker")  # that an override may choose or change


def main(arguments: Arguments, command: Sequence[str]) -> int:
    """Answer the command; returns the exit code."""
    name, words = arguments.command, arguments.words
    if arguments.help:
        say.say(fit(usage.AGAIN[name], page_width()))
        return 0
    if len(words) != 1 or not arguments.overrides:  # else faults are told with those of the overrides
        check_words(arguments, 1, 1, "one run")
    folder = browse.named(words[0], OUTPUTS)
    # A link that is named is meant; inside of it none is followed.
    run = browse.read(files.named(folder))
    if run.command != "train":
        raise ConfigError(f"{name}: expected a training run, got one of `snnrun {run.command}`")
    if name == "resume":
        _resume(run.folder, run.status, arguments, command)
    elif name == "evaluate":
        _evaluate(run.folder, arguments, command)
    else:
        _reproduce(run.folder, arguments, command)
    return 0


class Frozen(NamedTuple):
    """The config that a run was started with.

    Attributes:
        config: as it was.
        seen: the same, with ``data_dir`` as it is seen from the working directory, and with the overrides of the
            command and keys of later versions; settings and parts are of this one.
        words: the overrides, by key. Default: none.
    """

    config: dict[str, Any]
    seen: dict[str, Any]
    settings: Settings
    parts: Any
    words: Mapping[str, str] = {}


def frozen(
    folder: Path, arguments: Arguments, changes: Mapping[str, Any] | None = None, *, tracked: bool = False
) -> Frozen:
    """What ``config.yaml`` in ``folder`` says, checked as the command's own config is, with some keys changed.

    ``tracked``: with its trackers.

    Raises:
        ConfigError: with all its faults.
    """
    imports.load("train")
    from snnrun.job.parts import parts_of

    config = {**_recorded(folder, tracked=tracked), **(changes or {})}
    seen = completed(_seen(config, folder))
    settings, faults = _judged(seen, seen, arguments)
    if faults or settings is None:
        raise ConfigError("\n".join([say.faults(faults), *_lacking_folder(folder, config, arguments)]))
    return Frozen(config, seen, settings, parts_of(seen, arguments.trusted))


def variants(folder: Path, arguments: Arguments, scope: Scope, *, tracked: bool = False) -> list[Frozen]:
    """The same with the overrides of the command: one for each combination of their values.

    Raises:
        ConfigError: with all faults of the command.
    """
    from snnrun.job.parts import not_finite
    from snnrun.job.variants import changed

    config = _recorded(folder, tracked=tracked)
    faults: list[Fault | str] = [*arguments.faults]
    seen = completed(_seen(config, folder))
    found = changed(seen, arguments, Catalogue(arguments.config_dir), scope, faults)
    # A typo is told without torch, which takes seconds to import, unless a part has to tell of a fault too.
    parts = not faults or any(key.partition(".")[0] in PARTS for change in found for key in change.words)
    if parts:
        imports.load("train")
    made = []
    for change in found:
        settings, said = _judged(change.config, seen, arguments, parts=parts)
        made.append((change, settings))
        faults += not_finite(change.config)
        faults += [fault for fault in said if not (scope.tests and fault.for_training)]
    if faults:
        raise ConfigError("\n".join([say.faults(faults), *_lacking_folder(folder, config, arguments)]))
    from snnrun.job.parts import parts_of

    return [
        Frozen(config, change.config, settings, parts_of(change.config, arguments.trusted), change.words)
        for change, settings in made
        if settings is not None
    ]


def _lacking_folder(folder: Path, config: Mapping[str, Any], arguments: Arguments) -> list[str]:
    """A line on the ``--config-dir`` of the recorded command, where parts from outside need it and it is not given."""
    if arguments.config_dir or not trust.names_code(config):
        return []
    try:
        command = safe_read.json_object(folder, "manifest.json").get("command")
    except Unreadable:
        return []
    from snnrun.sweep.page.command import folder_remark

    words = [word for word in command if isinstance(word, str)] if isinstance(command, list) else []
    return [said] if (said := folder_remark(words)) else []


def _recorded(folder: Path, *, tracked: bool) -> dict[str, Any]:
    try:
        config = safe_read.yaml_object(folder, "config.yaml")
    except Unreadable as error:
        raise ConfigError(
            f"{folder / 'config.yaml'}: expected the config of a run, but it cannot be read: {error}"
        ) from error
    if not tracked:  # trackers hear of the run itself; a look at it needs none of their packages
        config.pop("tracker", None)
    return config


def _judged(
    config: Mapping[str, Any], base: Mapping[str, Any], arguments: Arguments, *, parts: bool = True
) -> tuple[Settings | None, list[Fault]]:
    """The settings of a config, if they can be read, and all its faults; without ``parts``, of the settings alone."""
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


def _seen(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The config with a relative ``data_dir`` led to where the run was started, if that was elsewhere."""
    data_dir, task = config.get("data_dir"), config.get("task")
    try:
        way = safe_read.json_object(folder, "manifest.json").get("directory")
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
        _train_on(folder, arguments, command)
        return
    if arguments.overrides:
        (run,) = variants(folder, arguments, UNFINISHED, tracked=True)
    else:
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


def _train_on(parent: Path, arguments: Arguments, command: Sequence[str]) -> None:
    """Train a finished run on, as a new run."""
    if not arguments.overrides:
        raise ConfigError(
            f"{parent}: expected a run that did not finish, and this one did; `snnrun reproduce` runs it again, and "
            "`snnrun resume RUN epochs=N`, with N above its epochs, trains it on"
        )
    (run,) = variants(parent, arguments, FINISHED, tracked=True)
    if "name" not in run.words:  # the name is that of the run itself
        run = run._replace(
            config={**run.config, "name": None},
            seen={**run.seen, "name": None},
            settings=replace(run.settings, name=None),
        )
    from snnrun.cli.train import train
    from snnrun.run import continuation
    from snnrun.system.storage import storing

    def warn(message: str) -> None:
        say.say(f"warning: {message}", error=True)

    before = continuation.read(parent, run.config, warn)
    before.check_longer(run.settings)
    warnings = list(_unlike_a_longer_run(parent, run, before.progress.step, Catalogue(arguments.config_dir)))
    with waiting():
        folder = _new_folder(run.settings.output_dir, run.settings.name or "resumed")
        with storing(folder):
            files.write_text(folder / "run.log", "".join(f"warning: {message}\n" for message in warnings))
        for message in warnings:
            warn(message)
        before.begin(folder, config=run.seen, command=command)
        train(settings=run.settings, parts=run.parts, config=run.seen, folder=folder, command=command, resume=True)


def _unlike_a_longer_run(parent: Path, run: Frozen, step: int, catalogue: Catalogue) -> Iterator[str]:
    """In what training on differs from a longer run that is started anew, in words."""
    from snnrun.job.variants import referring

    before, after = run.config.get("epochs"), run.settings.epochs
    scheduler = run.config.get("scheduler")
    if isinstance(scheduler, Mapping) and before != after:
        keys = {*referring(catalogue, "scheduler", scheduler, "epochs"), *(key for key in HORIZONS if key in scheduler)}
        for key in sorted(key for key in keys if scheduler[key] == before):
            yield (
                f"scheduler.{key}={before} is the length of the finished run and stays as it is, so that the learning "
                f"rate goes on as this scheduler has it beyond its end; a run of epochs={after} from the start would "
                f"have another from its first epoch on"
            )
    most = run.config.get("max_steps")
    if isinstance(most, int) and step == most and _is_cut(parent):
        yield (
            f"max_steps={most} has ended the last epoch of the finished run before its end. The next epoch follows; a "
            "longer run from the start would have finished that one first"
        )


def _is_cut(run: Path) -> bool:
    """Whether the last epoch has fewer steps than the first; of a single one nobody knows, so that it may be."""
    ends = [0, *(record.step for record in browse.epochs(run))]
    return len(ends) < 3 or ends[-1] - ends[-2] < ends[1]


def _new_folder(output_dir: str, kind: str) -> Path:
    """Make a folder for what is done with a run: ``output_dir/DATE/TIME-KIND-TOKEN``."""
    from snnrun.system.storage import storing

    now = datetime.now()
    name = f"{now:%H-%M-%S}-{kind}-{secrets.token_hex(4)}"
    folder = Path(output_dir).expanduser() / f"{now:%Y-%m-%d}" / name
    with storing(folder):
        folder.mkdir(parents=True)
        return files.named(folder)


def _evaluate(folder: Path, arguments: Arguments, command: Sequence[str]) -> None:
    if arguments.overrides:
        from snnrun.cli import evaluation

        tests = variants(folder, arguments, TESTED)
        _warn_of_another_config(folder)
        where = evaluation.evaluate(folder, tests, command, lambda output_dir: _new_folder(output_dir, "evaluated"))
        if where is not None:
            say.say(str(where))
        return
    run = frozen(folder, arguments)
    from snnrun.run import execute

    _warn_of_another_config(folder)
    result = execute.evaluate_run(settings=run.settings, parts=run.parts, folder=folder)
    before = _result(folder)
    for key in ("test_accuracy", "test_loss", "test_r2"):
        if (value := getattr(result, key)) is not None:
            recorded = before.get(key)
            same = "the same as recorded" if value == recorded else f"recorded: {recorded}"
            say.say(f"{key}: {value:.6g} ({same})")
    if by_class := classes_of(result):
        recorded = RunResult.from_json(before).test_confusion
        alike = "the same as recorded" if result.test_confusion == recorded else "recorded otherwise"
        say.say(f"classes ({alike if 'test_confusion' in before else 'not recorded'})\n{by_class}")


def _warn_of_another_config(folder: Path) -> None:
    try:
        _check_config(folder)
    except ConfigError:
        say.say(
            "warning: config.yaml is another one than the run was started with; this is not the test that is recorded",
            error=True,
        )


def _reproduce(folder: Path, arguments: Arguments, command: Sequence[str]) -> None:
    changes: dict[str, Any] = {"max_seconds": None, "name": None}  # the name is that of the run itself
    if arguments.seed is not None:
        changes["seed"] = arguments.seed
    run = frozen(folder, arguments, changes)
    _check_config(folder)
    if (status := browse.read(folder).status) != "finished":
        say.say(f"warning: the run is {status}; only what it recorded can be compared, and is no match", error=True)
    from snnrun.cli.train import train
    from snnrun.run import compare

    with waiting():
        copy = _new_folder(run.settings.output_dir, "reproduced")
        train(settings=run.settings, parts=run.parts, config=run.seen, folder=copy, command=command)
    verdict = compare.compare(folder, copy, same_seed=arguments.seed is None)
    verdict.save(copy)
    say.say(verdict.words(), prose=True)
    if not verdict.reproduced:
        raise NotReproduced(f"{folder} was not reproduced; {copy} holds the other run")


def _check_config(folder: Path) -> None:
    """That ``config.yaml`` is the one with which the run was started, as its manifest or else a state knows it.

    Raises:
        ConfigError: if it is another.
    """
    from snnrun.run import checkpointer

    config = safe_read.yaml_object(folder, "config.yaml")
    if not fingerprint.check(folder, config):
        checkpointer.latest(folder / "checkpoints", config, lambda message: None)


def _result(folder: Path) -> dict[str, Any]:
    try:
        return safe_read.json_object(folder, "result.json")
    except Unreadable:
        return {}
