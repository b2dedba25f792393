"""Hands a checked command to ``hydra.main``, which makes the run folders and calls the task function in each."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from snnrun.cli import offer
from snnrun.cli.commands import command_of
from snnrun.config.catalogue import Catalogue, conf_folder
from snnrun.errors import ConfigError, SnnrunError, StorageError, exit_code
from snnrun.job.arguments import PRIMARY, Arguments
from snnrun.job.command import Command, Curve, Finished
from snnrun.job.compose import VERSION_BASE, composer, register_resolvers
from snnrun.job.preset import fitted
from snnrun.job.validate import Plan
from snnrun.sweep import job_list, summary
from snnrun.sweep.orders import Orders, TaskFunction
from snnrun.system import files, say
from snnrun.system.storage import storing
from snnrun.training.stop import waiting

SWEEP_FAILED = exit_code("SWEEP")


class Failure(NamedTuple):
    """A job that did not finish, and why."""

    name: str
    message: str
    exit_code: int


def show_config(arguments: Arguments, plan: Plan) -> int:
    """``snnrun --cfg job``: print the composed config."""
    flags = ["--cfg", str(arguments.cfg), *(["--resolve"] if arguments.resolve else [])]
    _hydra_main(arguments, flags, TaskFunction(lambda config: None, None), plan.inherited)
    return 0


def launch(arguments: Arguments, command: list[str], plan: Plan, *, debug: bool) -> int:
    """Run the job, or every job of a sweep whatever becomes of the others; returns the exit code."""
    if arguments.multirun and arguments.command == "train":
        return _sweep(arguments, command, plan, debug=debug)
    return _in_place(arguments, command, plan, debug=debug)


def _sweep(arguments: Arguments, command: list[str], plan: Plan, *, debug: bool) -> int:
    """A sweep of training runs, by the launcher that was chosen."""
    orders = Orders(arguments, tuple(command), plan.search, debug, plan.inherited, plan.source)
    again = [_override("hydra.sweep.dir", _folder_of(arguments, plan))] if arguments.resume else []
    try:
        _hydra_main(arguments, ["--multirun"], TaskFunction(lambda config: None, orders), plan.inherited, again)
        if orders.folder is None:  # --dry-run
            return 0
        if not orders.search:  # a search says its best trials itself
            summary.ranking(orders.folder)
        summary.failures(orders.outcomes, len(job_list.read(orders.folder).jobs))
        summary.ways_on(orders.folder)
        if orders.stopped:
            say.say("snnrun: stopped by on_error=stop; the same command with --resume runs the rest", error=True)
        return SWEEP_FAILED if any(not outcome.well for outcome in orders.outcomes) else 0
    except KeyboardInterrupt:
        if orders.folder is not None:
            done = orders.before + sum(outcome.finished for outcome in orders.outcomes)
            say.say(
                f"snnrun: {done} jobs of the sweep in {orders.folder} are finished; the same command with --resume "
                "runs the rest",
                error=True,
            )
        raise
    finally:
        orders.close()


def _folder_of(arguments: Arguments, plan: Plan) -> Path:
    """The sweep to go on with."""
    words = [word.partition("=") for word in arguments.overrides if word.startswith("hydra.sweep.dir=")]
    given = [value.strip("'\"") for _, _, value in words]
    here = [
        Path(os.path.expanduser(path)) for path in given if (Path(os.path.expanduser(path)) / job_list.NAME).is_file()
    ]
    found = arguments.resumed or (here[0] if here else job_list.newest(Path(plan.output_dir), arguments))
    if found is None:
        raise ConfigError(
            f"--resume: expected a sweep of this command in {plan.output_dir}, but there is none; name its folder with "
            "--resume=FOLDER, or leave --resume out to start one"
        )
    return found.absolute()


def _override(key: str, path: Path) -> str:
    quoted = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'{key}="{quoted}"'


def _in_place(arguments: Arguments, command: list[str], plan: Plan, *, debug: bool) -> int:
    """One job; or a sweep of pictures, whose jobs end with an overlay of all."""
    failures: list[Failure] = []
    finished: list[tuple[tuple[str, ...], Any]] = []
    sweeps: set[Path] = set()
    part = command_of(arguments.command)
    curves = _curves(arguments, plan)

    def job(config: DictConfig) -> Any:
        sweep = HydraConfig.get().mode is RunMode.MULTIRUN
        name = _job_name(plan) if sweep else ""
        if sweep:
            say.say(f"snnrun: {name}", prose=True)
        try:
            folder = _folder(sweep)
            _mark(config, folder)
            more = {} if plan.source is None else {"source": plan.source._asdict()}
            result = _run(part, config, folder, command, curves, arguments.trusted, **more)
            if sweep:
                finished.append((tuple(HydraConfig.get().overrides.task), result))
                sweeps.add(folder.parent)
            return result
        except Exception as error:
            # Told here and not left to Hydra, which ends a sweep with the first failure and prints a traceback.
            if debug:
                traceback.print_exc()
            message, code = f"snnrun: {error}", getattr(error, "exit_code", 1)
            if not isinstance(error, SnnrunError):
                message, code = say.unforeseen(error)
            failures.append(Failure(name, message, code))
            say.say(message, error=True)
            offer.after(error, arguments)
            return None

    words = plan.words[0] if plan.words else None
    with waiting():
        flags = ["--multirun"] if arguments.multirun else []
        _hydra_main(arguments, flags, TaskFunction(job, None), plan.inherited, words=words)
    for folder in sweeps:
        names = labels([words for words, _ in finished])
        part.finish([Finished(name, result) for name, (_, result) in zip(names, finished, strict=True)], folder)
    if not failures:
        return 0
    if not arguments.multirun:
        return failures[0].exit_code
    say.say(f"snnrun: {len(failures)} of {plan.jobs} jobs failed:", error=True)
    for failure in failures:
        say.say(f"  {failure.name}\n    {failure.message.partition(chr(10))[0]}", error=True)
    return SWEEP_FAILED


def _folder(sweep: bool) -> Path:
    """That of the job, for which no link is followed below the folder that the user named."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    if not sweep:
        return folder.resolve()
    named = Path(HydraConfig.get().sweep.dir).absolute()
    root = named.resolve()
    folder = root / folder.relative_to(named)
    with storing(folder):
        files.make_folders(root, folder)
        files.write_text(root / "multirun.yaml", OmegaConf.to_yaml(HydraConfig.instance().cfg))
    return folder


def _mark(config: DictConfig, folder: Path) -> None:
    """Write ``.hydra/``. Hydra itself would follow links, which may have been planted in a folder that is there."""
    if any((folder / name).exists() for name in ("manifest.json", "result.json")):
        return  # it holds the record of another run, and will be refused
    marks = folder / ".hydra"
    with storing(marks):
        files.make_folder(marks)
        for name, part in (
            ("config.yaml", config),
            ("hydra.yaml", HydraConfig.instance().cfg),
            ("overrides.yaml", HydraConfig.get().overrides.task),
        ):
            files.write_text(marks / name, OmegaConf.to_yaml(part))


def _run(
    part: Command,
    config: DictConfig,
    folder: Path,
    command: list[str],
    curves: list[Curve],
    trusted: tuple[str, ...],
    **more: Any,
) -> Any:
    from snnrun.config.build import PartError

    try:
        return part.run(plain(part.prepare(config, trusted)), folder, command, curves, trusted, **more)
    except PartError as error:  # a combination of a large sweep that was not tried beforehand
        raise ConfigError(f"{error.path}: {error}") from error


def plain(config: DictConfig) -> dict[str, Any]:
    resolved = OmegaConf.to_container(config, resolve=True)
    assert isinstance(resolved, dict)  # the primary config is a mapping
    return {str(key): value for key, value in resolved.items()}


def _curves(arguments: Arguments, plan: Plan) -> list[Curve]:
    """The configs of an overlay; none where there is one config only."""
    if len(plan.words) < 2:
        return []
    names = labels(plan.words)
    with composer(Catalogue(arguments.config_dir, PRIMARY[arguments.command])) as hydra:
        prepare = command_of(arguments.command).prepare
        return [
            Curve(name, plain(prepare(hydra.compose(words), arguments.trusted)))
            for name, words in zip(names, plan.words, strict=True)
        ]


def labels(jobs: Sequence[Sequence[str]]) -> list[str]:
    """What sets each job apart: its overrides that not all jobs have; just the value where one key differs."""
    common = set(jobs[0]).intersection(*jobs[1:]) if jobs else set()
    own = [[word for word in job if word not in common] for job in jobs]
    if all(len(words) == 1 for words in own):
        return [words[0].partition("=")[2] if "." not in words[0].partition("=")[0] else words[0] for words in own]
    return [" ".join(words) for words in own]


def _job_name(plan: Plan) -> str:
    job = HydraConfig.get()
    total = "" if plan.search else f" of {plan.jobs}"
    return f"job {job.job.num + 1}{total}: {' '.join(job.overrides.task)}"


def _hydra_main(
    arguments: Arguments,
    flags: list[str],
    job: TaskFunction,
    inherited: Sequence[str] = (),
    more: Sequence[str] = (),
    words: Sequence[str] | None = None,
) -> None:
    """``inherited``: overrides beneath those of the command; ``more``: such that win over them.

    ``words``: the overrides of an overlay's first curve instead: one job stands for all, and its folder is theirs.
    """
    register_resolvers()
    extra = ["--config-dir", str(arguments.config_dir)] if arguments.config_dir else []
    decorate = hydra.main(
        config_path=str(conf_folder()), config_name=PRIMARY[arguments.command], version_base=VERSION_BASE
    )
    own = arguments.overrides if words is None else words
    keys = {word.partition("=")[0] for word in more}
    kept = [word for word in own if word.partition("=")[0] not in keys]
    with fitted(), _for_hydra(["snnrun", *flags, *extra, *inherited, *kept, *more]):
        try:
            decorate(job)()
        except OSError as error:
            raise StorageError(f"the run folder cannot be made: {error}") from error
        except RecursionError as error:  # pathlib makes the folders above a folder by recursion
            raise StorageError("the run folder cannot be made: there are too many folders in its path") from error
        except (HydraException, OmegaConfBaseException) as error:
            # What a launcher says of its options is wrapped in Hydra's own words.
            raise ConfigError(str(error.__cause__ if isinstance(error.__cause__, ValueError) else error)) from error


@contextmanager
def _for_hydra(argv: list[str]) -> Iterator[None]:
    """``hydra.main`` reads ``sys.argv``, and only with HYDRA_FULL_ERROR does it raise errors instead of exiting."""
    old_argv, old_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = argv, "1"
    try:
        yield
    finally:
        sys.argv = old_argv
        if old_error is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = old_error
