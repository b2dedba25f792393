"""A sweep of training runs: the configs of all jobs are written, and the unfinished jobs run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from snnrun.errors import ConfigError
from snnrun.job.arguments import Arguments
from snnrun.job.compose import Composer, plain
from snnrun.job.config_file import ConfigSource
from snnrun.run import browse
from snnrun.run.browse import end
from snnrun.sweep import dry, job_list
from snnrun.sweep.engine import engine_of
from snnrun.sweep.job import CONFIGS, JobTask
from snnrun.sweep.job_list import JobEntry, JobList
from snnrun.sweep.outcome import Outcome
from snnrun.system import files, safe_read, say
from snnrun.system.lock import RunLock
from snnrun.system.safe_read import Unreadable
from snnrun.system.storage import storing
from snnrun.training.records import LogRecord
from snnrun.training.stop import Stop

#: Threads of a job in a sweep if ``threads`` is auto. The number changes the last bits of a result, so it must not
#: depend on the launcher; and several jobs on one core each are faster than one job on all cores.
THREADS = 1

#: Called with the records of a running job; may raise Pruned.
Watch = Callable[[LogRecord], None]


@dataclass(frozen=True)
class JobConfig:
    """A job with its config."""

    job: JobEntry
    config: dict[str, Any]  # resolved
    hydra: dict[str, str]  # the files of .hydra/


@dataclass
class Sweep:
    """A sweep of training runs.

    Attributes:
        arguments, command: of the command line.
        composer: composes the configs.
        hydra: the overrides of Hydra's own settings, which choose launcher and folder.
        debug: show errors with their traceback.
        inherited: overrides from the file of --config; ``source``: that file.
        folder: of the sweep, after its start.
        before: number of jobs that were already finished.
        stopped: by on_error=stop.
        outcomes: of the jobs that have ended.
    """

    arguments: Arguments
    command: tuple[str, ...]
    composer: Composer
    hydra: tuple[str, ...]
    debug: bool
    inherited: tuple[str, ...] = ()
    source: ConfigSource | None = None
    folder: Path | None = None
    before: int = 0
    stopped: bool = False
    outcomes: list[Outcome] = field(default_factory=list)
    _locks: ExitStack = field(default_factory=ExitStack)

    def run(self, jobs: Sequence[Sequence[str]], first: int = 0, watch: Watch | None = None) -> list[JobTask]:
        """Run the jobs with these overrides, except finished ones, and return all of them.

        A search calls this several times, with ``first`` as the number of earlier jobs.

        Raises:
            ConfigError: for an error in the jobs, their launcher or the folder.
        """
        composed = [self.composer.job((*self.hydra, *words), number) for number, words in enumerate(jobs, first)]
        frozen = []
        for number, each in enumerate(composed, first):
            with each.hydra_references():
                config = plain(each.config)
            if config.get("threads") == "auto":
                config["threads"] = THREADS
            frozen.append(JobConfig(JobEntry(number, each.subdir or "", each.overrides), config, each.record()))
        composed[0].configure_log()
        _check_folders(frozen)
        folder = composed[0].root
        if self.arguments.dry_run:
            dry.show([(each.job, each.config) for each in frozen], folder, self)
            return []
        hydra, threads = composed[0].whole.hydra, max(each.config["threads"] for each in frozen)
        name, options = hydra.runtime.choices["hydra/launcher"], plain(hydra.launcher)
        engine = engine_of(name, options, threads)
        sweep = folder.resolve()
        _freeze(frozen, self.open(sweep), sweep)
        total = None if self.arguments.searches else len(frozen)
        tasks = [self._task(each, sweep, total, watch) for each in frozen]
        waiting = [task for task in tasks if _waits(task)]
        self.before += len(tasks) - len(waiting)
        if len(waiting) < len(tasks):
            say.say(f"snnrun: {len(tasks) - len(waiting)} of {len(tasks)} jobs are finished already")

        def on_outcome(outcome: Outcome) -> bool:
            self.outcomes.append(outcome)
            if engine.alone:
                say.say(_end_line(outcome), error=not outcome.well)
            self.stopped |= not outcome.well and self.arguments.on_error == "stop"
            return not self.stopped

        with Stop().handle_signals():
            engine.run(waiting, on_outcome)
        return tasks

    def open(self, folder: Path) -> JobList:
        """Lock ``folder`` for this command, and read its list of jobs.

        Raises:
            ConfigError: if another process runs the sweep, or it has another command.
        """
        if self.folder is not None:
            return job_list.read(folder)
        with storing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        there = (folder / job_list.NAME).exists()
        if there and not self.arguments.resume:
            raise ConfigError(
                f"{folder}: expected a folder without a sweep, but there is one; add --resume to go on with it, or "
                "choose another hydra.sweep.dir"
            )
        self._locks.enter_context(RunLock(folder, job_list.LOCK, "sweep"))
        self.folder = folder
        if not there:
            return JobList.new(self.command, search=self.arguments.searches)
        listed = job_list.read(folder)
        if not job_list.same(listed, self.arguments):
            raise ConfigError(f"{folder}: expected a sweep of this command, got that of `{' '.join(listed.command)}`")
        return listed

    def own_overrides(self, overrides: Sequence[str]) -> str:
        """The overrides of a job as text, without overrides from a file."""
        keys = {_key(word) for word in self.inherited}
        return " ".join(word for word in overrides if _key(word) not in keys)

    def close(self) -> None:
        """Unlock the folder."""
        self._locks.close()

    def _task(self, each: JobConfig, sweep: Path, total: int | None, watch: Watch | None) -> JobTask:
        job = each.job
        place = f"job {job.number + 1}" if total is None else f"job {job.number + 1} of {total}"
        return JobTask(
            number=job.number,
            name=": ".join(filter(None, [place, self.own_overrides(job.overrides)])),
            overrides=job.overrides,
            sweep=sweep,
            folder=sweep / job.folder,
            command=self.command,
            trusted=self.arguments.trusted,
            config_dir=self.arguments.config_dir,
            debug=self.debug,
            cwd=Path.cwd(),
            threads=each.config["threads"],
            uses_cuda=each.config["device"] != "cpu",
            hydra=each.hydra,
            source=None if self.source is None else self.source._asdict(),
            watch=watch,
        )


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")


def _check_folders(jobs: Sequence[JobConfig]) -> None:
    seen: dict[str, int] = {}
    for each in jobs:
        number, folder, _ = each.job
        if job_list.outside(folder):
            raise ConfigError(f"hydra.sweep.subdir: expected a folder in that of the sweep, got {folder!r}")
        if seen.setdefault(folder, number) != number:
            raise ConfigError(
                f"hydra.sweep.subdir: expected a folder for each job, got {folder!r} for jobs {seen[folder] + 1} and "
                f"{number + 1}; put ${{hydra:job.num}} into it"
            )


def _freeze(jobs: Sequence[JobConfig], before: JobList, sweep: Path) -> None:
    """Write the configs of new jobs; the configs of others must be unchanged."""
    with storing(sweep):
        files.make_folder(sweep / CONFIGS)
        for each in jobs:
            known = before.job(each.job.number)
            if known is None:
                path = sweep / CONFIGS / f"{each.job.number}.yaml"
                files.write_text(path, yaml.safe_dump(each.config, sort_keys=False, allow_unicode=True))
            else:
                _check_same(each, known, sweep)
        before.with_jobs([each.job for each in jobs]).write(sweep)


def _check_same(each: JobConfig, known: JobEntry, sweep: Path) -> None:
    name = f"{CONFIGS}/{known.number}.yaml"
    try:
        frozen = safe_read.yaml_object(sweep, name)
    except Unreadable as error:
        raise ConfigError(
            f"{sweep / name}: expected the config of a job, but it cannot be read: {error}; start a new sweep"
        ) from error
    old, new = safe_read.flatten(frozen), safe_read.flatten(each.config)
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    if changed or known.folder != each.job.folder:
        key = changed[0] if changed else "hydra.sweep.subdir"
        was, now = (old.get(key), new.get(key)) if changed else (known.folder, each.job.folder)
        raise ConfigError(
            f"{sweep / name}: expected the config that the command composes now, but in job {known.number + 1} {key} "
            f"was {safe_read.quote(was)} and is now {safe_read.quote(now)}; undo the change, or start a new sweep"
        )


def _waits(task: JobTask) -> bool:
    """True if the job is not finished.

    Raises:
        ConfigError: if another process runs it.
    """
    if not task.folder.is_dir():
        return True
    run = browse.read(task.folder)
    if run.status in ("running", "stalled"):
        raise ConfigError(f"{task.folder}: expected a job that nobody runs, but {run.holder} does; wait, or end it")
    return run.status != "finished"


def _end_line(outcome: Outcome) -> str:
    if not outcome.finished:
        return f"snnrun: {outcome.task.name}: {outcome.message.removeprefix('snnrun: ').partition(chr(10))[0]}"
    run = browse.read(outcome.task.folder)
    seconds = "" if run.seconds is None else f"  {run.seconds:.1f} s"
    return f"snnrun: {outcome.task.name}: {end(run)}{seconds}"
