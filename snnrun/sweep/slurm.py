"""Jobs as jobs of Slurm, through submitit. Not run on a real Slurm so far; see docs/sweeps.md."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snnrun.errors import ConfigError
from snnrun.sweep.engine import Engine, OnOutcome
from snnrun.sweep.job import JobTask, run
from snnrun.sweep.outcome import outcome_of
from snnrun.system import files, say
from snnrun.system.storage import storing

FOLDER = "slurm"
POLL = 2.0  # seconds; submitit asks Slurm itself no more often than every 15
#: The signal of Slurm before the time is over; a run saves its state on it.
PREEMPT = {"SUBMITIT_PREEMPT_SIGNAL": "USR1"}


class Slurm(Engine):
    """Runs jobs through submitit, all in one array.

    Args:
        cluster: ``slurm``; ``local``: processes of this machine, all at once.
        parameters: of submitit's ``AutoExecutor``; those with ``slurm_`` are for Slurm only.
    """

    def __init__(self, cluster: str, parameters: Mapping[str, Any]) -> None:
        try:
            import submitit
        except ImportError as error:
            raise ConfigError(
                'hydra/launcher=slurm: expected submitit, which is not installed; pip install "snnrun[slurm]"'
            ) from error
        if cluster == "slurm" and shutil.which("sbatch") is None:
            raise ConfigError(
                "hydra/launcher=slurm: expected the commands of Slurm, but there is no sbatch here; start the sweep on "
                "a machine that has them, or try it out with hydra.launcher.cluster=local"
            )
        self._submitit, self.cluster, self.parameters = submitit, cluster, dict(parameters)

    def executor(self, tasks: Sequence[JobTask]) -> Any:
        """submitit's executor for these jobs.

        Raises:
            ConfigError: if submitit rejects an option.
        """
        try:
            executor = self._submitit.AutoExecutor(folder=_folder(tasks[0].sweep), cluster=self.cluster)
            executor.update_parameters(name="snnrun", **self.parameters)
        except (RuntimeError, NameError, TypeError, ValueError) as error:
            raise ConfigError(f"hydra/launcher=slurm: submitit says: {error}") from error
        return executor

    def run(self, tasks: Sequence[JobTask], on_outcome: OnOutcome) -> None:
        if not tasks:
            return
        executor = self.executor(tasks)
        with _environment(PREEMPT), executor.batch():
            jobs = {executor.submit(run, task): task for task in tasks}
        say.say(f"snnrun: {len(jobs)} jobs were submitted; what they say goes to logs/ in the sweep's folder")
        going = True
        try:
            for job in self._submitit.helpers.as_completed(list(jobs), poll_frequency=POLL):
                if not going and not jobs[job].folder.is_dir():
                    continue  # it never began
                if not on_outcome(outcome_of(jobs[job], *_exit_code(job))) and going:
                    going = False
                    _cancel(jobs)
        except KeyboardInterrupt:
            _cancel(jobs)
            raise


def _folder(sweep: Path) -> Path:
    """A new private folder for submitit, with a random name.

    submitit's files are pickles, named by the numbers of jobs, and a resumed sweep may be a stranger's.

    Raises:
        StorageError: if it cannot be created.
    """
    folder = sweep / FOLDER / secrets.token_hex(8)
    with storing(folder):
        files.make_folder(folder.parent)
        folder.mkdir(mode=0o700)
    return folder


def _exit_code(job: Any) -> tuple[int | None, str]:
    """The exit code of the job; None if it died, with submitit's text about that."""
    try:
        code = job.result()
    except Exception as error:  # the other jobs go on
        lines = [line for line in str(error).splitlines() if line.strip()]
        return None, f"{lines[-1].strip() if lines else type(error).__name__}; {job.paths.stderr} may tell more"
    return code if isinstance(code, int) else None, ""


def _cancel(jobs: Mapping[Any, JobTask]) -> None:
    for job in jobs:
        job.cancel(check=False)


@contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in more}
    os.environ.update(more)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
