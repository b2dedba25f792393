"""Jobs as tasks of Ray, on this machine or on a running cluster."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

from snnrun.errors import ConfigError
from snnrun.sweep.engine import Engine, OnOutcome
from snnrun.sweep.job import JobTask, run
from snnrun.sweep.outcome import outcome_of
from snnrun.system import say
from snnrun.training.stop import SIGNALS


class Ray(Engine):
    """Runs jobs when Ray has room for them.

    Args:
        address: of the cluster; its machines must have the folder of the sweep under the same path. None: this machine.
        n_jobs: CPUs for Ray on this machine; None: all.
        cpus, gpus: of a job. Ray shows a job only its own GPUs.
    """

    def __init__(self, address: str | None, n_jobs: int | None, cpus: float, gpus: float) -> None:
        try:
            import ray

            ray.init  # noqa: B018  (a folder `ray` in the working directory passes for the package)
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                'hydra/launcher=ray: expected Ray, which is not installed; pip install "snnrun[ray]"'
            ) from error
        self._ray: Any = ray
        self.address, self.n_jobs, self.cpus, self.gpus = address, n_jobs, cpus, gpus

    def run(self, tasks: Sequence[JobTask], on_outcome: OnOutcome) -> None:
        if not tasks:
            return
        ray = self._ray
        self._connect()
        try:
            # A killed job is reported, and not started again without the user's knowledge.
            remote = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=0)(run)
            references = {remote.options(name=task.name).remote(task): task for task in tasks}
            say.say(f"snnrun: {len(tasks)} jobs are Ray's; what they say goes to logs/ in the sweep's folder")
            try:
                self._follow(references, on_outcome)
            except KeyboardInterrupt:
                self._leave(references)
                raise
        finally:
            ray.shutdown()

    def _connect(self) -> None:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        if self.address is None:
            options.update(num_cpus=self.n_jobs, include_dashboard=False)
        # Ray replaces the signal handlers that end a sweep in an orderly way.
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        try:
            self._ray.init(address=self.address or "local", **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"hydra.launcher.address: expected a Ray cluster at {self.address!r}: {error}; start one with "
                "`ray start --head`"
            ) from error
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _follow(self, references: dict[Any, JobTask], on_outcome: OnOutcome) -> None:
        ray, left, going = self._ray, list(references), True
        while left:
            done, left = ray.wait(left, num_returns=1)
            for reference in done:
                code, why = None, ""
                try:
                    code = ray.get(reference)
                except ray.exceptions.RayError as error:  # its process or its machine is gone
                    why = f"Ray: {str(error).strip().partition(chr(10))[0] or type(error).__name__}"
                if not going and not references[reference].folder.is_dir():
                    continue  # it never began
                if not on_outcome(outcome_of(references[reference], code, why)) and going:
                    going = False
                    self._cancel(left)

    def _cancel(self, references: Sequence[Any]) -> None:
        for reference in references:
            self._ray.cancel(reference)  # like Ctrl-C for running jobs, which save their state

    def _leave(self, references: dict[Any, JobTask]) -> None:
        self._cancel(list(references))
        self._ray.wait(list(references), num_returns=len(references))
