"""The search: trials become jobs, and the results of the jobs go back to the study."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from snnrun.config.build import build
from snnrun.config.settings import Style, read_rows
from snnrun.errors import ArgumentError, ConfigError, StorageError
from snnrun.job.compose import plain
from snnrun.job.search import options as checked
from snnrun.job.search.options import Options, direction_of, pruner_of, sampler_of
from snnrun.job.search.optuna_private import mark, number_in_storage
from snnrun.job.search.space import Space, space_of
from snnrun.run import browse
from snnrun.sweep import job_list
from snnrun.sweep.job import JobTask
from snnrun.sweep.search.end import conclude
from snnrun.sweep.search.judge import Judge
from snnrun.sweep.sweep import Sweep
from snnrun.system import database, lock, say
from snnrun.system.safe_read import Unreadable, at, number, printable, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna import Study, Trial

OBJECTIVE = "objective"  # attribute of a study
SWEEP, FOLDERS, KILLED = "sweep", "folders", "killed"  # attributes of its trials


class JobFailed(Exception):
    """A job of this trial has no result; the search goes on."""


@dataclass
class Search:
    """One search.

    Attributes:
        sweep: runs the jobs.
        fixed: the overrides of all jobs.
        storage: as a URL.
        number: of the next job.
    """

    options: Options
    sweep: Sweep
    fixed: list[str]
    space: Space
    objectives: tuple[str, ...]
    study: Study
    storage: str
    number: int

    def objective(self, trial: Trial) -> tuple[float, ...]:
        """Run the jobs of a trial. Returns the mean over its seeds of each objective."""
        trial.set_user_attr(SWEEP, str(self.sweep.folder))
        try:
            return self._mean(trial)
        except KeyboardInterrupt:
            trial.set_user_attr(KILLED, True)
            raise
        finally:
            if self.sweep.stopped:
                trial.study.stop()

    def _mean(self, trial: Trial) -> tuple[float, ...]:
        try:
            words = [*self.fixed, *(f"{key}={_suggest(trial, key, self.space)}" for key in self.space)]
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"hydra.sweeper.study_name: expected a study of this search, but values that "
                f"{self.study.study_name!r} holds do not fit: {printable(error)}; choose another study_name"
            ) from error
        seeds = [[f"seed={seed}"] for seed in self.options.seeds or ()] or [[]]
        jobs = [[*words, *seed] for seed in seeds]
        # With a pruner the first job runs alone: if it is pruned, the others need not run.
        pieces = [jobs[:1], jobs[1:]] if self.options.pruner != "none" else [jobs]
        values: list[tuple[float, ...]] = []
        for i, piece in enumerate(piece for piece in pieces if piece):
            judge = self._judge(trial) if i == 0 and self.options.pruner != "none" else None
            values += [self._value(job) for job in self._launch(trial, piece, judge)]
        return tuple(statistics.fmean(column) for column in zip(*values, strict=True))

    def _launch(self, trial: Trial, jobs: list[list[str]], judge: Judge | None) -> Sequence[JobTask]:
        first, self.number = self.number, self.number + len(jobs)
        tasks = self.sweep.run(jobs, first, judge)
        listed = trial.user_attrs.get(FOLDERS, [])
        trial.set_user_attr(FOLDERS, [*listed, *(str(task.folder) for task in tasks)])
        return tasks

    def _judge(self, trial: Trial) -> Judge:
        options, name = self.options, self.study.study_name
        return Judge(
            self.storage,
            name,
            number_in_storage(trial),
            self.objectives[0],
            options.pruner,
            dict(options.pruner_options),
        )

    def _value(self, job: JobTask) -> tuple[float, ...]:
        """The value of each objective for a job.

        Raises:
            TrialPruned, JobFailed: if the job has none.
        """
        import optuna

        run = browse.read(job.folder)
        if run.status == "interrupted" and run.result.pruned:
            raise optuna.TrialPruned
        if run.status != "finished":
            raise JobFailed(f"{run.folder.name} is {run.status}")
        values = {name: number(objective_value(run, name)) for name in self.objectives}
        finite = tuple(value for value in values.values() if value is not None)
        if len(finite) < len(values):
            missing = ", ".join(name for name, value in values.items() if value is None)
            say.say(f"snnrun: {run.folder.name} has no finite {missing}; the trial failed", error=True)
            raise JobFailed(missing)
        return finite


def objective_value(run: browse.RunSummary, name: str) -> Any:
    """The value of an objective for a finished run: of the best epoch, or of the whole run."""
    if name in checked.RESULTS:
        return getattr(run.result, name)
    try:
        epochs = {record.epoch: record for record in browse.epochs(run.folder)}
    except Unreadable:
        return None
    best = epochs.get(run.result.best_epoch or 0) or next(reversed(epochs.values()), None)
    return None if best is None else at(best.to_json(), name)


def search(sweep: Sweep, overrides: Sequence[Override]) -> None:
    """Search among the values of the ``overrides`` that have several; an existing study goes on.

    Raises:
        ConfigError: for an error in the command. StorageError: if the study cannot be stored.
    """
    fixed = [str(each.input_line) for each in overrides if not each.is_sweep_override()]
    first = sweep.composer.job((*sweep.hydra, *fixed), 0)
    with first.hydra_references():
        sweeper_options = plain(first.whole.hydra.sweeper)
    options, faults = checked.read(sweeper_options)
    if options is None:
        raise ConfigError("\n".join(f"hydra.sweeper.{fault}" for fault in faults))
    import optuna
    from optuna.study import StudyDirection

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder = first.root.resolve()
    style = _style(first.config)
    try:
        space = space_of(overrides)
        pruner = pruner_of(options.pruner, options.pruner_options)
        objectives = options.objective or (_default(sweep, fixed, space),)
        ways = options.direction or tuple(direction_of(name) or "minimize" for name in objectives)
        directions = [StudyDirection[way.upper()] for way in ways]
        sweep.open(folder).write(folder)  # the storage needs the folder
        storage = _url(options.storage, folder)
        with _storage_errors(storage):
            study = optuna.create_study(
                storage=storage,
                study_name=options.study_name,
                directions=directions,
                pruner=pruner,
                load_if_exists=True,
            )
            _check_same(study, objectives, ways, storage)
            _release(study, folder, requeue=options.sampler not in ("grid", "brute_force"))
        past = len(study.trials)
        study.sampler = sampler_of(options, space, past)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    number = max((job.number for job in job_list.read(folder).jobs), default=-1) + 1
    one = Search(options, sweep, fixed, space, objectives, study, storage, number)
    remaining = options.n_trials - sum(_counts(trial) for trial in study.trials)
    if past:
        say.say(f"snnrun: the study has {past} trials already; {max(remaining, 0)} are left")
    if remaining > 0:
        with _storage_errors(storage):
            study.optimize(one.objective, n_trials=remaining, catch=(JobFailed,))
    conclude(study, objectives, sweep.arguments, fixed, options, folder, style)


def _suggest(trial: Trial, key: str, space: Space) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    distribution = space[key]
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(key, distribution.choices)
    if isinstance(distribution, FloatDistribution):
        return repr(trial.suggest_float(key, distribution.low, distribution.high, log=distribution.log))
    return trial.suggest_int(key, distribution.low, distribution.high, step=distribution.step, log=distribution.log)  # type: ignore[attr-defined]


def _style(config: DictConfig) -> Style:
    """The style of the figures of its runs."""
    style, faults = read_rows(Style, plain(config.style), "style")
    if style is None:
        raise ConfigError("\n".join(map(str, faults)))
    return style


def _default(sweep: Sweep, fixed: Sequence[str], space: Space) -> str:
    """The default objective: the measure of the task."""
    from optuna.distributions import CategoricalDistribution

    chosen = [f"{key}={each.choices[0]}" for key, each in space.items() if isinstance(each, CategoricalDistribution)]
    config = sweep.composer.compose((*sweep.hydra, *fixed, *chosen))
    task = build(plain(config.task), "task", sweep.arguments.trusted)
    if not task.has_validation:
        raise ArgumentError("hydra.sweeper.objective", "a name, since the task has no validation set to judge by", None)
    return "validation_accuracy" if task.has_accuracy else "validation_loss"


def _url(storage: str | None, folder: Path) -> str:
    if storage is not None and "://" in storage:
        return storage
    path = folder / "search.db" if storage is None else Path(storage).expanduser().absolute()
    database.check(path, linked=storage is not None)
    if not path.parent.is_dir():
        raise ArgumentError("hydra.sweeper.storage", "a file in a folder that exists", storage)
    return f"sqlite:///{path}"


def _check_same(study: Study, objectives: Sequence[str], directions: Sequence[str], storage: str) -> None:
    before = study.user_attrs.get(OBJECTIVE)
    now = {"names": list(objectives), "directions": list(directions)}
    if before is not None and before != now:
        raise ValueError(
            f"hydra.sweeper.study_name: the study {study.study_name!r} in {storage} is a search for "
            f"{printable(_words(before))}, and this command's for {_words(now)}; choose another study_name"
        )
    study.set_user_attr(OBJECTIVE, now)


def _words(objective: Any) -> str:
    if not isinstance(objective, dict) or not all(_is_texts(objective.get(key)) for key in ("names", "directions")):
        return quote(objective)  # a stranger's
    return ", ".join(f"{name} ({way})" for name, way in zip(objective["names"], objective["directions"], strict=False))


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _release(study: Study, folder: Path, *, requeue: bool) -> None:
    """Mark trials that a killed process left running as failed, and queue them again."""
    from optuna.trial import TrialState

    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        sweep = trial.user_attrs.get(SWEEP)
        if isinstance(sweep, str) and sweep != str(folder) and lock.holder(Path(sweep), job_list.LOCK) is not None:
            continue  # another process works on the same study
        mark(study, trial, KILLED, True)
        study.tell(trial.number, state=TrialState.FAIL)
    if requeue:
        waiting = [trial.system_attrs.get("fixed_params") for trial in study.get_trials(states=(TrialState.WAITING,))]
        done = [trial.params for trial in study.trials if not trial.user_attrs.get(KILLED)]
        for trial in study.trials:
            if trial.user_attrs.get(KILLED) and trial.params and trial.params not in [*waiting, *done]:
                study.enqueue_trial(trial.params)
                waiting.append(trial.params)


def _counts(trial: Any) -> bool:
    from optuna.trial import TrialState

    return trial.state is not TrialState.WAITING and not trial.user_attrs.get(KILLED)


@contextmanager
def _storage_errors(storage: str) -> Iterator[None]:
    """Within this context an error of the storage becomes a StorageError."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        first = str(error.__cause__ or error).strip().partition("\n")[0]
        raise StorageError(f"{storage}: the study cannot be kept there: {first}") from error
