"""``hydra/launcher=NAME``: the engine of a sweep, by the name of the launcher and its checked options.

``conf/hydra/launcher/NAME.yaml`` has the keys of a launcher and explains them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from snnrun import check
from snnrun.errors import ConfigError, Fault
from snnrun.sweep.engine import Engine, Serial


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


def _local_parallel(threads: int, n_jobs: int | None, gpus_per_job: float) -> Engine:
    from snnrun.sweep.local import LocalParallel

    share = check.number("hydra.launcher.gpus_per_job", gpus_per_job, above=0, high=1)
    return LocalParallel(_jobs(n_jobs), share, threads)


def _slurm(
    threads: int,
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


def _ray(threads: int, address: str | None, n_jobs: int | None, cpus: float | None, gpus: float) -> Engine:
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
