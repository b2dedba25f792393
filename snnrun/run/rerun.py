"""Resumes a recorded run, trains it on, or reproduces it, by the config in its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnrun.config.catalogue import Catalogue
from snnrun.errors import ConfigError
from snnrun.job.arguments import Arguments
from snnrun.job.scope import FINISHED, UNFINISHED
from snnrun.run import browse, new_folder
from snnrun.run.recorded import check_config, recorded_job, recorded_jobs
from snnrun.system import files, say
from snnrun.system.storage import storing
from snnrun.training.stop import mask_signals

if TYPE_CHECKING:
    from snnrun.job.job import Job
    from snnrun.run.compare import Verdict

HORIZONS = ("T_max", "total_iters", "total_steps")  # arguments of torch's schedulers for the length of training


def resume(folder: Path, arguments: Arguments, command: Sequence[str]) -> Path:
    """Bring the run in ``folder`` to its end, or train a finished one on as a new run; returns the run's folder.

    Raises:
        SnnrunError: for a run that cannot go on, and for all that ends it early.
    """
    if browse.read(folder).status == "finished":
        return _train_on(folder, arguments, command)
    if arguments.overrides:
        (job,) = recorded_jobs(folder, arguments, command, UNFINISHED, trackers=True, resuming=True)
    else:
        job = recorded_job(folder, arguments, command, trackers=True, resuming=True)
    from snnrun.run.execute import execute

    execute(job)
    return folder


def reproduce(folder: Path, arguments: Arguments, command: Sequence[str]) -> tuple[Path, Verdict]:
    """Run the config of the run in ``folder`` again, and compare; returns the folder of the new run and the verdict.

    Raises:
        SnnrunError: for a run that cannot be repeated, and for all that ends the new one early.
    """
    changes: dict[str, Any] = {"max_seconds": None, "name": None}  # names the old run
    if arguments.seed is not None:
        changes["seed"] = arguments.seed
    job = recorded_job(folder, arguments, command, changes)
    check_config(folder)
    if (status := browse.read(folder).status) != "finished":
        warn(f"the run is {status}; only what it recorded can be compared, and is no match")
    from snnrun.run import compare
    from snnrun.run.execute import execute

    with mask_signals():
        repetition = new_folder.make_dated(job.settings.output_dir, "reproduced")
        execute(replace(job, config=job.local, folder=repetition))
    verdict = compare.compare(folder, repetition, same_seed=arguments.seed is None)
    verdict.save(repetition)
    return repetition, verdict


def warn(message: str) -> None:
    """Show a warning on the terminal."""
    say.say(f"warning: {message}", error=True)


def _train_on(parent: Path, arguments: Arguments, command: Sequence[str]) -> Path:
    """Train a finished run on, as a new run."""
    if not arguments.overrides:
        raise ConfigError(
            f"{parent}: expected a run that did not finish, and this one did; `snnrun reproduce` runs it again, and "
            "`snnrun resume RUN epochs=N`, with N above its epochs, trains it on"
        )
    (job,) = recorded_jobs(parent, arguments, command, FINISHED, trackers=True, resuming=True)
    if "name" not in job.words:  # names the old run
        job = replace(
            job,
            config={**job.config, "name": None},
            local={**job.local, "name": None},
            settings=replace(job.settings, name=None),
        )
    from snnrun.run import continuation
    from snnrun.run.execute import execute

    ancestor = continuation.read(parent, job.config, warn)
    ancestor.check_longer(job.settings)
    warnings = list(_differences_from_longer_run(parent, job, ancestor.progress.step, Catalogue(arguments.config_dir)))
    if (steps := _derived_steps(job, ancestor.state)) is not None:
        warnings.append(
            f"scheduler.total_steps: the schedule of the finished run had {steps} steps and stays as it is, so the "
            "learning rate stays at its last value; a longer run from the start would have another from its first step"
        )
        job = replace(job, config=_with_steps(job.config, steps), local=_with_steps(job.local, steps))
    with mask_signals():
        folder = new_folder.make_dated(job.settings.output_dir, job.settings.name or "resumed")
        with storing(folder):
            files.write_text(folder / "run.log", "".join(f"warning: {message}\n" for message in warnings))
        for message in warnings:
            warn(message)
        ancestor.begin(folder, config=job.local, command=command)
        execute(replace(job, config=job.local, folder=folder))
    return folder


def _differences_from_longer_run(parent: Path, job: Job, step: int, catalogue: Catalogue) -> Iterator[str]:
    """The differences to a longer run from the start, in words."""
    from snnrun.job.variants import referring

    before, after = job.config.get("epochs"), job.settings.epochs
    scheduler = job.config.get("scheduler")
    if isinstance(scheduler, Mapping) and before != after:
        keys = {*referring(catalogue, "scheduler", scheduler, "epochs"), *(key for key in HORIZONS if key in scheduler)}
        for key in sorted(key for key in keys if scheduler[key] == before):
            yield (
                f"scheduler.{key}={before} is the length of the finished run and stays as it is, so that the learning "
                f"rate goes on as this scheduler has it beyond its end; a run of epochs={after} from the start would "
                f"have another from its first epoch on"
            )
    most = job.config.get("max_steps")
    if isinstance(most, int) and step == most and _is_truncated(parent):
        yield (
            f"max_steps={most} has ended the last epoch of the finished run before its end. The next epoch follows; a "
            "longer run from the start would have finished that one first"
        )


def _derived_steps(job: Job, state: Mapping[str, Any]) -> int | None:
    """The length of a schedule per step that came from the settings of the finished run; None for other schedules."""
    scheduler, values = job.config.get("scheduler"), state.get("scheduler")
    if not isinstance(scheduler, Mapping) or not isinstance(values, Mapping):
        return None
    steps = values.get("total_steps")
    return steps if scheduler.get("total_steps") is None and type(steps) is int else None


def _with_steps(config: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """The config of the run that goes on with this schedule, and repeats it from the start."""
    return {**config, "scheduler": {**config["scheduler"], "total_steps": steps}}


def _is_truncated(run: Path) -> bool:
    """True if the last epoch has fewer steps than the first; unknown for a single epoch, then True."""
    ends = [0, *(record.step for record in browse.epochs(run))]
    return len(ends) < 3 or ends[-1] - ends[-2] < ends[1]
