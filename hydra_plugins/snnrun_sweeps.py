"""snnrun's launchers and sweeper, where Hydra looks for plugins; each is a few words, and the work is in snnrun.

Hydra imports this file at every start, so it is light.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from snnrun import check
from snnrun.sweep.engine import Engine, Serial
from snnrun.sweep.launcher import SweepLauncher


class Grid(BasicSweeper):
    """Every combination of the values given.

    Unlike Hydra's own it does not compose all jobs for a check, which the launcher does before the first begins, and
    keeps no ``multirun.yaml``: ``sweep.json`` says more.
    """

    def __init__(self) -> None:
        super().__init__(max_batch_size=None)

    def sweep(self, arguments: list[str]) -> Any:
        assert self.hydra_context is not None and self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        (batch,) = self.split_arguments(parser.parse_overrides(arguments), None)
        return [self.launcher.launch(batch, initial_job_idx=0)]


class SerialLauncher(SweepLauncher):
    """One job after the other, in the process of the command."""

    def engine(self, threads: int) -> Engine:
        return Serial()


class LocalParallelLauncher(SweepLauncher):
    """Several jobs at a time on this machine, each in a process of its own.

    Args:
        n_jobs: at a time; None: as many as there are cores for their threads, and GPUs.
        gpus_per_job: 1, or a fraction; jobs beyond the GPUs wait.
    """

    def __init__(self, n_jobs: int | None, gpus_per_job: float) -> None:
        super().__init__()
        self.n_jobs = _jobs(n_jobs)
        self.gpus_per_job = check.number("hydra.launcher.gpus_per_job", gpus_per_job, above=0, high=1)

    def engine(self, threads: int) -> Engine:
        from snnrun.sweep.local import Processes

        return Processes(self.n_jobs, self.gpus_per_job, threads)


class SlurmLauncher(SweepLauncher):
    """Each job is a job of Slurm, through submitit.

    Args:
        cluster: slurm, or local to try it out.
        n_jobs: at a time; None: as many as Slurm lets run.
        partition, time, cpus, gpus, memory: of a job; time in minutes, memory in GB.
        setup: lines of shell before a job.
        options: further options of sbatch.
    """

    def __init__(
        self,
        cluster: str,
        n_jobs: int | None,
        partition: str | None,
        time: int,
        cpus: int | None,
        gpus: int,
        memory: float | None,
        setup: Sequence[str],
        options: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.cluster = check.choice("hydra.launcher.cluster", cluster, ("slurm", "local"))
        self.parameters = {
            "timeout_min": check.integer("hydra.launcher.time", time, low=1),
            "gpus_per_node": check.integer("hydra.launcher.gpus", gpus, low=0),
            "mem_gb": None if memory is None else check.number("hydra.launcher.memory", memory, above=0),
            "cpus_per_task": None if cpus is None else check.integer("hydra.launcher.cpus", cpus, low=1),
            "slurm_array_parallelism": _jobs(n_jobs),
            "slurm_partition": partition,
            "slurm_setup": list(setup) or None,
            "slurm_additional_parameters": dict(options) or None,
        }

    def engine(self, threads: int) -> Engine:
        from snnrun.sweep.slurm import Slurm

        parameters = {key: value for key, value in self.parameters.items() if value is not None}
        return Slurm(self.cluster, {"cpus_per_task": threads, **parameters})


class RayLauncher(SweepLauncher):
    """The jobs are tasks of a Ray cluster.

    Args:
        address: of the cluster; None: a Ray of this machine alone.
        n_jobs: CPUs of that Ray.
        cpus, gpus: of a job.
    """

    def __init__(self, address: str | None, n_jobs: int | None, cpus: float | None, gpus: float) -> None:
        super().__init__()
        self.address, self.n_jobs = address, _jobs(n_jobs)
        self.cpus = None if cpus is None else check.number("hydra.launcher.cpus", cpus, above=0)
        self.gpus = check.number("hydra.launcher.gpus", gpus, low=0)

    def engine(self, threads: int) -> Engine:
        from snnrun.sweep.ray import Ray

        return Ray(self.address, self.n_jobs, threads if self.cpus is None else self.cpus, self.gpus)


def _jobs(n_jobs: int | None) -> int | None:
    return None if n_jobs is None else check.integer("hydra.launcher.n_jobs", n_jobs, low=1)
