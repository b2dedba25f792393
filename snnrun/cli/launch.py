"""Runs a checked command: one job, a sweep of training runs, or a sweep of pictures."""

from __future__ import annotations

import copy
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf, open_dict

from snnrun.cli import offer
from snnrun.cli.commands import command_of
from snnrun.errors import ConfigError, SnnrunError, exit_code
from snnrun.job.arguments import Arguments
from snnrun.job.command import Command, Curve, JobResult
from snnrun.job.compose import Composer, Composition, plain
from snnrun.job.validate import Plan
from snnrun.run import new_folder
from snnrun.sweep import job_list, summary
from snnrun.sweep.sweep import Sweep
from snnrun.system import say
from snnrun.training.stop import mask_signals

SWEEP_FAILED = exit_code("SWEEP")


class Failure(NamedTuple):
    """A job that did not finish, and the reason."""

    name: str
    message: str
    exit_code: int


def show_config(arguments: Arguments, plan: Plan, hydra: Composer) -> None:
    """``snnrun --cfg job``: print the composed config."""
    whole = copy.deepcopy(hydra.whole(plan.words))
    with Composition(whole, Path(), None).hydra_references():
        OmegaConf.set_readonly(whole.hydra, None)
        if arguments.resolve:
            OmegaConf.resolve(whole)
        keys = [str(key) for key in whole if arguments.cfg == "all" or (key == "hydra") == (arguments.cfg == "hydra")]
        shown = OmegaConf.masked_copy(whole, keys)
        if arguments.cfg == "hydra":
            with open_dict(shown.hydra):
                del shown.hydra["help"], shown.hydra["hydra_help"]
        sys.stdout.write(OmegaConf.to_yaml(shown))


def launch(arguments: Arguments, command: list[str], plan: Plan, hydra: Composer, *, debug: bool) -> int:
    """Run the job, or every job of a sweep even if others fail; returns the exit code."""
    if arguments.multirun and arguments.command == "train":
        return _sweep(arguments, command, plan, hydra, debug=debug)
    return _in_place(arguments, command, plan, hydra, debug=debug)


def _sweep(arguments: Arguments, command: list[str], plan: Plan, hydra: Composer, *, debug: bool) -> int:
    """A sweep of training runs, with the chosen launcher."""
    own = plan.hydra
    if arguments.resume:
        again = _override("hydra.sweep.dir", _folder_of(arguments, plan))
        own = (*(word for word in own if not word.startswith("hydra.sweep.dir=")), again)
    sweep = Sweep(arguments, tuple(command), hydra, own, debug, plan.inherited, plan.source)
    try:
        if arguments.searches:
            from snnrun.sweep.search.study import search

            search(sweep, plan.overrides)
        else:
            sweep.run(plan.jobs())
        if sweep.folder is None:  # --dry-run
            return 0
        if not arguments.searches:  # a search prints its best trials itself
            summary.ranking(sweep.folder)
        summary.failures(sweep.outcomes, len(job_list.read(sweep.folder).jobs))
        summary.ways_on(sweep.folder)
        if sweep.stopped:
            say.say("snnrun: stopped by on_error=stop; the same command with --resume runs the rest", error=True)
        return SWEEP_FAILED if any(not outcome.well for outcome in sweep.outcomes) else 0
    except KeyboardInterrupt:
        if sweep.folder is not None:
            done = sweep.before + sum(outcome.finished for outcome in sweep.outcomes)
            say.say(
                f"snnrun: {done} jobs of the sweep in {sweep.folder} are finished; the same command with --resume "
                "runs the rest",
                error=True,
            )
        raise
    finally:
        sweep.close()


def _folder_of(arguments: Arguments, plan: Plan) -> Path:
    """The sweep to continue."""
    words = [word.partition("=") for word in arguments.overrides if word.startswith("hydra.sweep.dir=")]
    paths = [value.strip("'\"") for _, _, value in words]
    here = [
        Path(os.path.expanduser(path)) for path in paths if (Path(os.path.expanduser(path)) / job_list.NAME).is_file()
    ]
    folder = arguments.resumed or (here[0] if here else job_list.newest(Path(plan.output_dir), arguments))
    if folder is None:
        raise ConfigError(
            f"--resume: expected a sweep of this command in {plan.output_dir}, but there is none; name its folder with "
            "--resume=FOLDER, or leave --resume out to start one"
        )
    return folder.absolute()


def _override(key: str, path: Path) -> str:
    quoted = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'{key}="{quoted}"'


def _in_place(arguments: Arguments, command: list[str], plan: Plan, hydra: Composer, *, debug: bool) -> int:
    """One job; or a sweep of pictures, with an overlay of all jobs at the end."""
    failures: list[Failure] = []
    finished: list[tuple[tuple[str, ...], Any]] = []
    sweeps: set[Path] = set()
    part = command_of(arguments.command)
    more = {} if plan.source is None else {"source": plan.source._asdict()}
    curves = _curves(arguments, plan, hydra)
    jobs = plan.jobs() if arguments.multirun else []
    with mask_signals():
        for number, words in enumerate(jobs or [plan.words]):
            name = ""
            if jobs:
                words = (*plan.hydra, *words)
                name = f"job {number + 1} of {len(jobs)}: {' '.join(jobs[number])}"
                say.say(f"snnrun: {name}", prose=True)
            try:
                job = hydra.job(words, number if jobs else None)
                folder = new_folder.make(job.folder, job.record()) if job.subdir is None else new_folder.make_job(job)
                job.configure_log()
                with job.hydra_references():
                    config = plain(part.prepare(job.config, arguments.trusted))
                result = _run(part, config, folder, command, curves, arguments.trusted, **more)
                if jobs:
                    finished.append((jobs[number], result))
                    sweeps.add(folder.parent)
            except Exception as error:
                # Reported here, since the other jobs of a sweep go on.
                if debug:
                    traceback.print_exc()
                message, code = f"snnrun: {error}", getattr(error, "exit_code", 1)
                if not isinstance(error, SnnrunError):
                    message, code = say.describe(error)
                failures.append(Failure(name, message, code))
                say.say(message, error=True)
                offer.after(error, arguments)
    for folder in sweeps:
        names = labels([words for words, _ in finished])
        part.finish([JobResult(name, result) for name, (_, result) in zip(names, finished, strict=True)], folder)
    if not failures:
        return 0
    if not jobs:
        return failures[0].exit_code
    say.say(f"snnrun: {len(failures)} of {len(jobs)} jobs failed:", error=True)
    for failure in failures:
        say.say(f"  {failure.name}\n    {failure.message.partition(chr(10))[0]}", error=True)
    return SWEEP_FAILED


def _run(
    part: Command,
    config: dict[str, Any],
    folder: Path,
    command: list[str],
    curves: list[Curve],
    trusted: tuple[str, ...],
    **more: Any,
) -> Any:
    from snnrun.config.build import PartError

    try:
        return part.run(config, folder, command, curves, trusted, **more)
    except PartError as error:  # a combination of a large sweep that was not checked before
        raise ConfigError(f"{error.path}: {error}") from error


def _curves(arguments: Arguments, plan: Plan, hydra: Composer) -> list[Curve]:
    """The configs of an overlay; empty for a single config."""
    if len(plan.curves) < 2:
        return []
    prepare = command_of(arguments.command).prepare
    return [
        Curve(name, plain(prepare(hydra.compose(words), arguments.trusted)))
        for name, words in zip(labels(plan.curves), plan.curves, strict=True)
    ]


def labels(jobs: Sequence[Sequence[str]]) -> list[str]:
    """A label for each job: its overrides that not all jobs share, or just the value if one key differs."""
    common = set(jobs[0]).intersection(*jobs[1:]) if jobs else set()
    own = [[word for word in job if word not in common] for job in jobs]
    if all(len(words) == 1 for words in own):
        return [words[0].partition("=")[2] if "." not in words[0].partition("=")[0] else words[0] for words in own]
    return [" ".join(words) for words in own]
