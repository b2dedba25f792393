"""Engines run the jobs of a sweep, one for each ``hydra/launcher=NAME``; the default one runs them in this process.

``conf/hydra/launcher/NAME.yaml`` has the keys of a launcher and explains them.
"""

from __future__ import annotations

import inspect
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from snnrun import check
from snnrun.errors import ConfigError, Fault, SnnrunError
from snnrun.sweep.job import JobTask, train
from snnrun.sweep.outcome import Outcome, outcome_of
from snnrun.system import say
from snnrun.training.stop import Pruned

#: Called with each outcome; returns True if the sweep goes on.
OnOutcome = Callable[[Outcome], bool]


class Engine(ABC):
    """Runs jobs. ``alone``: each job has its own process, so that its lines are not on the terminal."""

    alone = True

    @abstractmethod
    def run(self, tasks: Sequence[JobTask], on_outcome: OnOutcome) -> None:
        """Run all jobs, or until ``on_outcome`` returns False; then, and on a signal, running jobs save and leave.

        Raises:
            Interrupted: on a signal.
        """


class Serial(Engine):
    """One after the other, in this process."""

    alone = False

    def run(self, tasks: Sequence[JobTask], on_outcome: OnOutcome) -> None:
        for task in tasks:
            say.say(f"snnrun: {task.name}", prose=True)
            if not on_outcome(self._outcome(task)):
                return

    def _outcome(self, task: JobTask) -> Outcome:
        try:
            result = train(task)
        except Pruned as pruning:
            say.say(f"snnrun: {pruning}")
            return outcome_of(task, None)
        except Exception as error:
            # Reported here, since the other jobs of the sweep go on.
            if task.debug:
                traceback.print_exc()
            message = f"snnrun: {error}" if isinstance(error, SnnrunError) else say.describe(error)[0]
            say.say(message, error=True)
            status = outcome_of(task, None).status
            return Outcome(task, "interrupted" if status == "interrupted" else "failed", message)
        return Outcome(task, "finished", "", result)


def engine_of(name: str, options: Mapping[str, Any], threads: int) -> Engine:
    """The engine for jobs of ``threads`` threads.

    Raises:
        ConfigError: for a wrong option, and if the launcher needs a package that is not installed.
    """
    make = _ENGINES[name]
    keys = [key for key in inspect.signature(make).parameters if key != "threads"]
    for key in options:
        if key not in keys:
            there_are = f"there are {', '.join(keys)}" if keys else f"{name} has none"
            raise ConfigError(str(Fault(f"hydra.launcher.{key}", f"there is no such key; {there_are}")))
    try:
        return make(threads, **options)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _serial(threads: int) -> Engine:
    return Serial()


def _local_parallel(threads: int, *, n_jobs: int | None, gpus_per_job: float) -> Engine:
    from snnrun.sweep.local import LocalParallel

    share = check.number("hydra.launcher.gpus_per_job", gpus_per_job, above=0, high=1)
    return LocalParallel(_jobs(n_jobs), share, threads)


def _slurm(
    threads: int,
    *,
    cluster: str,
    n_jobs: int | None,
    partition: str | None,
    time: int,
    cpus: int | None,
    gpus: int,
    memory: float | None,
    setup: Sequence[str],
    options: Mapping[str, Any],
) -> Engine:
    from snnrun.sweep.slurm import Slurm

    parameters = {
        "timeout_min": check.integer("hydra.launcher.time", time, low=1),
        "gpus_per_node": check.integer("hydra.launcher.gpus", gpus, low=0),
        "mem_gb": None if memory is None else check.number("hydra.launcher.memory", memory, above=0),
        "cpus_per_task": threads if cpus is None else check.integer("hydra.launcher.cpus", cpus, low=1),
        "slurm_array_parallelism": _jobs(n_jobs),
        "slurm_partition": partition,
        "slurm_setup": list(setup) or None,
        "slurm_additional_parameters": dict(options) or None,
    }
    cluster = check.choice("hydra.launcher.cluster", cluster, ("slurm", "local"))
    return Slurm(cluster, {key: value for key, value in parameters.items() if value is not None})


def _ray(threads: int, *, address: str | None, n_jobs: int | None, cpus: float | None, gpus: float) -> Engine:
    from snnrun.sweep.ray import Ray

    each = threads if cpus is None else check.number("hydra.launcher.cpus", cpus, above=0)
    return Ray(address, _jobs(n_jobs), each, check.number("hydra.launcher.gpus", gpus, low=0))


def _jobs(n_jobs: int | None) -> int | None:
    return None if n_jobs is None else check.integer("hydra.launcher.n_jobs", n_jobs, low=1)


_ENGINES: Mapping[str, Callable[..., Engine]] = {
    "local_parallel": _local_parallel,
    "ray": _ray,
    "serial": _serial,
    "slurm": _slurm,
}
