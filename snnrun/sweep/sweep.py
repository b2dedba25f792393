"""A sweep of training runs: the configs of all jobs are frozen, and the jobs that are not finished are run."""

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
from snnrun.job.config_file import Source
from snnrun.run import browse
from snnrun.run.browse import end
from snnrun.sweep import dry, job_list, launcher
from snnrun.sweep.job import CONFIGS, Task
from snnrun.sweep.job_list import Book, Job
from snnrun.sweep.outcome import Outcome
from snnrun.system import files, safe_read, say
from snnrun.system.lock import RunLock
from snnrun.system.safe_read import Unreadable
from snnrun.system.storage import storing
from snnrun.training.records import LogRecord
from snnrun.training.stop import Stop

#: Threads of a job in a sweep, where ``threads`` is auto. Their number changes the last bits of a result, so that it
#: may depend on no launcher; and several jobs on as many cores get more done than one job on all of them.
THREADS = 1

#: Hears the records of a job while it runs; may raise Pruned.
Watch = Callable[[LogRecord], None]


@dataclass(frozen=True)
class Frozen:
    """A job with its config."""

    job: Job
    config: dict[str, Any]  # resolved
    hydra: dict[str, str]  # the files of .hydra/


@dataclass
class Sweep:
    """A sweep of training runs.

    Attributes:
        arguments, command: of the command.
        composer: composes the configs.
        hydra: the overrides of Hydra's own settings, which say how the sweep is run and where.
        debug: whether an error is told with its traceback.
        inherited: overrides that stand for the file of --config; ``source``: that file.
        folder: of the sweep, once it has begun.
        before: jobs that were finished already.
        stopped: by on_error=stop.
        outcomes: of the jobs that have ended.
    """

    arguments: Arguments
    command: tuple[str, ...]
    composer: Composer
    hydra: tuple[str, ...]
    debug: bool
    inherited: tuple[str, ...] = ()
    source: Source | None = None
    folder: Path | None = None
    before: int = 0
    stopped: bool = False
    outcomes: list[Outcome] = field(default_factory=list)
    _held: ExitStack = field(default_factory=ExitStack)

    def run(self, jobs: Sequence[Sequence[str]], first: int = 0, watch: Watch | None = None) -> list[Task]:
        """Run the jobs with these overrides, and return them; those that are finished are not run again.

        A search calls this several times, with ``first`` the number of jobs before.

        Raises:
            ConfigError: for what is wrong with the jobs, their launcher or the folder.
        """
        composed = [self.composer.job((*self.hydra, *words), number) for number, words in enumerate(jobs, first)]
        frozen = []
        for number, each in enumerate(composed, first):
            with each.referred():
                config = plain(each.config)
            if config.get("threads") == "auto":
                config["threads"] = THREADS
            frozen.append(Frozen(Job(number, each.subdir or "", each.overrides), config, each.record()))
        composed[0].configure_log()
        _check_folders(frozen)
        named = composed[0].root
        if self.arguments.dry_run:
            dry.show([(each.job, each.config) for each in frozen], named, self)
            return []
        hydra, threads = composed[0].whole.hydra, max(each.config["threads"] for each in frozen)
        chosen, options = hydra.runtime.choices["hydra/launcher"], plain(hydra.launcher)
        engine = launcher.engine_of(chosen, options, threads)
        sweep = named.resolve()
        _freeze(frozen, self.open(sweep), sweep)
        total = None if self.arguments.searches else len(frozen)
        tasks = [self._task(each, sweep, total, watch) for each in frozen]
        waiting = [task for task in tasks if _waits(task)]
        self.before += len(tasks) - len(waiting)
        if len(waiting) < len(tasks):
            say.say(f"snnrun: {len(tasks) - len(waiting)} of {len(tasks)} jobs are finished already")

        def heard(outcome: Outcome) -> bool:
            self.outcomes.append(outcome)
            if engine.alone:
                say.say(_ended(outcome), error=not outcome.well)
            self.stopped |= not outcome.well and self.arguments.on_error == "stop"
            return not self.stopped

        with Stop().handle_signals():
            engine.run(waiting, heard)
        return tasks

    def open(self, folder: Path) -> Book:
        """What is known of the sweep in ``folder``, which is this command's alone from now on.

        Raises:
            ConfigError: if somebody is running it, or it is another than the command's.
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
        self._held.enter_context(RunLock(folder, job_list.LOCK, "sweep"))
        self.folder = folder
        if not there:
            return Book.new(self.command, search=self.arguments.searches)
        found = job_list.read(folder)
        if not job_list.same(found, self.arguments):
            raise ConfigError(f"{folder}: expected a sweep of this command, got that of `{' '.join(found.command)}`")
        return found

    def typed(self, overrides: Sequence[str]) -> str:
        """The overrides of a job for people: without those of a file."""
        keys = {_key(word) for word in self.inherited}
        return " ".join(word for word in overrides if _key(word) not in keys)

    def close(self) -> None:
        """Let go of the folder."""
        self._held.close()

    def _task(self, each: Frozen, sweep: Path, total: int | None, watch: Watch | None) -> Task:
        job = each.job
        place = f"job {job.number + 1}" if total is None else f"job {job.number + 1} of {total}"
        return Task(
            number=job.number,
            name=": ".join(filter(None, [place, self.typed(job.overrides)])),
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


def _check_folders(jobs: Sequence[Frozen]) -> None:
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


def _freeze(jobs: Sequence[Frozen], before: Book, sweep: Path) -> None:
    """Write the configs of new jobs; those of others must be as they were."""
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


def _check_same(each: Frozen, known: Job, sweep: Path) -> None:
    name = f"{CONFIGS}/{known.number}.yaml"
    try:
        frozen = safe_read.yaml_object(sweep, name)
    except Unreadable as error:
        raise ConfigError(
            f"{sweep / name}: expected the config of a job, but it cannot be read: {error}; start a new sweep"
        ) from error
    old, new = safe_read.dotted(frozen), safe_read.dotted(each.config)
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    if changed or known.folder != each.job.folder:
        key = changed[0] if changed else "hydra.sweep.subdir"
        was, now = (old.get(key), new.get(key)) if changed else (known.folder, each.job.folder)
        raise ConfigError(
            f"{sweep / name}: expected the config that the command composes now, but in job {known.number + 1} {key} "
            f"was {safe_read.shown(was)} and is now {safe_read.shown(now)}; undo the change, or start a new sweep"
        )


def _waits(task: Task) -> bool:
    """Whether the job is still to be run.

    Raises:
        ConfigError: if somebody is running it.
    """
    if not task.folder.is_dir():
        return True
    run = browse.read(task.folder)
    if run.status in ("running", "stalled"):
        raise ConfigError(f"{task.folder}: expected a job that nobody runs, but {run.holder} does; wait, or end it")
    return run.status != "finished"


def _ended(outcome: Outcome) -> str:
    if not outcome.finished:
        return f"snnrun: {outcome.task.name}: {outcome.message.removeprefix('snnrun: ').partition(chr(10))[0]}"
    run = browse.read(outcome.task.folder)
    seconds = "" if run.seconds is None else f"  {run.seconds:.1f} s"
    return f"snnrun: {outcome.task.name}: {end(run)}{seconds}"
