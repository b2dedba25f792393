"""The launchers' common half: freezes the configs of all jobs, and runs those that are not finished."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from snnrun.errors import ConfigError
from snnrun.run import browse
from snnrun.run.browse import end
from snnrun.sweep import dry, job_list
from snnrun.sweep.engine import Engine
from snnrun.sweep.job import CONFIGS, Task
from snnrun.sweep.job_list import Book, Job
from snnrun.sweep.orders import Orders
from snnrun.sweep.outcome import Outcome
from snnrun.system import files, safe_read, say
from snnrun.system.safe_read import Unreadable
from snnrun.system.storage import storing
from snnrun.training.stop import Stop

#: Threads of a job in a sweep, where ``threads`` is auto. Their number changes the last bits of a result, so that it
#: may depend on no launcher; and several jobs on as many cores get more done than one job on all of them.
THREADS = 1


@dataclass(frozen=True)
class Composed:
    """A job as it was composed."""

    job: Job
    config: dict[str, Any]  # resolved
    hydra: dict[str, str]  # the files of .hydra/


class SweepLauncher(Launcher):
    """A launcher for sweeps of ``snnrun``; what sets one apart is its engine."""

    def __init__(self) -> None:
        self.config: DictConfig | None = None
        self.hydra_context: HydraContext | None = None
        self.task_function: TaskFunction | None = None

    @abstractmethod
    def engine(self, threads: int) -> Engine:
        """What runs jobs of so many threads.

        Raises:
            ConfigError: if what it needs is not installed.
        """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's word for what the launcher is to work with."""
        self.config, self.hydra_context, self.task_function = config, hydra_context, task_function

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs; the result of one that finished is what its ``result.json`` says, that of another None.

        A sweeper that searches calls this several times, with ``initial_job_idx`` the number of jobs before.
        """
        assert self.config is not None
        orders = getattr(self.task_function, "orders", None)
        if not isinstance(orders, Orders):
            raise ConfigError("hydra/launcher: this one runs sweeps of training runs only; leave it out")
        setup_globals()
        jobs = [self._composed(number, list(words)) for number, words in enumerate(job_overrides, initial_job_idx)]
        _check_folders(jobs)
        if orders.arguments.dry_run:
            dry.show([(each.job, each.config) for each in jobs], Path(self.config.hydra.sweep.dir), orders)
            return []
        sweep = Path(self.config.hydra.sweep.dir).resolve()
        engine = self.engine(max((each.config["threads"] for each in jobs), default=THREADS))
        before = orders.open(sweep)
        _freeze(jobs, before, sweep)
        total = None if orders.search else len(jobs)
        watch = getattr(self.task_function, "watch", None)
        tasks = [replace(_task(each, sweep, orders, total), watch=watch) for each in jobs]
        waiting = [task for task in tasks if _waits(task)]
        orders.before += len(tasks) - len(waiting)
        orders.launched += len(tasks)
        if len(waiting) < len(tasks):
            say.say(f"snnrun: {len(tasks) - len(waiting)} of {len(tasks)} jobs are finished already")

        def heard(outcome: Outcome) -> bool:
            orders.outcomes.append(outcome)
            if engine.alone:
                say.say(_ended(outcome), error=not outcome.well)
            orders.stopped |= not outcome.well and orders.arguments.on_error == "stop"
            return not orders.stopped

        with Stop().listening():
            engine.run(waiting, heard)
        results = {outcome.task.number: outcome.result for outcome in orders.outcomes if outcome.finished}
        return [_returned(task, results.get(task.number)) for task in tasks]

    def _composed(self, number: int, overrides: list[str]) -> Composed:
        assert self.config is not None and self.hydra_context is not None
        config = self.hydra_context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        before = HydraConfig.instance().cfg
        try:
            HydraConfig.instance().set_config(config)  # which references to `hydra:` look at
            folder = str(OmegaConf.select(config, "hydra.sweep.subdir"))
            with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
                config.hydra.runtime.output_dir = str(Path(config.hydra.sweep.dir, folder).absolute())
            own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
            resolved = OmegaConf.to_container(own, resolve=True)
            assert isinstance(resolved, dict)  # the primary config is a mapping
            hydra = {
                "config.yaml": OmegaConf.to_yaml(own),
                "hydra.yaml": OmegaConf.to_yaml(OmegaConf.masked_copy(config, "hydra")),
                "overrides.yaml": OmegaConf.to_yaml(config.hydra.overrides.task),
            }
            words = tuple(OmegaConf.to_container(config.hydra.overrides.task) or ())
        finally:
            HydraConfig.instance().cfg = before
        if resolved.get("threads") == "auto":
            resolved["threads"] = THREADS
        return Composed(Job(number, folder, words), {str(key): value for key, value in resolved.items()}, hydra)


def _check_folders(jobs: Sequence[Composed]) -> None:
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


def _freeze(jobs: Sequence[Composed], before: Book, sweep: Path) -> None:
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


def _check_same(each: Composed, known: Job, sweep: Path) -> None:
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


def _task(each: Composed, sweep: Path, orders: Orders, total: int | None) -> Task:
    job = each.job
    return Task(
        number=job.number,
        name=f"job {job.number + 1}{'' if total is None else f' of {total}'}: {orders.typed(job.overrides)}",
        overrides=job.overrides,
        sweep=sweep,
        folder=sweep / job.folder,
        command=orders.command,
        trusted=orders.arguments.trusted,
        config_dir=orders.arguments.config_dir,
        debug=orders.debug,
        cwd=Path.cwd(),
        threads=each.config["threads"],
        uses_cuda=each.config["device"] != "cpu",
        hydra=each.hydra,
        source=None if orders.source is None else orders.source._asdict(),
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


def _returned(task: Task, result: Any) -> JobReturn:
    if result is None and (run := _finished(task)) is not None:
        result = run
    returned = JobReturn(overrides=task.overrides, working_dir=str(task.folder), status=JobStatus.COMPLETED)
    returned.return_value = result
    return returned


def _finished(task: Task) -> Any:
    run = browse.read(task.folder)
    return run.result if run.status == "finished" else None
