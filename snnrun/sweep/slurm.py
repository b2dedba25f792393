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
from snnrun.sweep.engine import Engine, Heard
from snnrun.sweep.job import Task, run
from snnrun.sweep.outcome import judged
from snnrun.system import files, say
from snnrun.system.storage import storing

FOLDER = "slurm"
POLL = 2.0  # seconds; submitit asks Slurm itself no more often than every 15
#: How Slurm is to say that the time is nearly over: in a way that a run understands, and saves its state.
PREEMPT = {"SUBMITIT_PREEMPT_SIGNAL": "USR1"}


class Slurm(Engine):
    """Runs jobs through submitit, all in one array.

    Args:
        cluster: ``slurm``; ``local``: processes of this machine, all at once.
        parameters: of submitit's ``AutoExecutor``; those for Slurm alone start with ``slurm_``.
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

    def executor(self, tasks: Sequence[Task]) -> Any:
        """submitit's executor, set up for these jobs.

        Raises:
            ConfigError: if submitit refuses an option.
        """
        try:
            executor = self._submitit.AutoExecutor(folder=_folder(tasks[0].sweep), cluster=self.cluster)
            executor.update_parameters(name="snnrun", **self.parameters)
        except (RuntimeError, NameError, TypeError, ValueError) as error:
            raise ConfigError(f"hydra/launcher=slurm: submitit says: {error}") from error
        return executor

    def run(self, tasks: Sequence[Task], heard: Heard) -> None:
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
                if not heard(judged(jobs[job], *_ended(job))) and going:
                    going = False
                    _cancel(jobs)
        except KeyboardInterrupt:
            _cancel(jobs)
            raise


def _folder(sweep: Path) -> Path:
    """A new folder for submitit, closed to others, under a name that nobody guesses.

    submitit's files are pickles, named by the numbers of jobs, and a sweep that goes on may be a stranger's.

    Raises:
        StorageError: if it cannot be made.
    """
    folder = sweep / FOLDER / secrets.token_hex(8)
    with storing(folder):
        files.make_folder(folder.parent)
        folder.mkdir(mode=0o700)
    return folder


def _ended(job: Any) -> tuple[int | None, str]:
    """What the job returned; None if it died, and what submitit knows of that."""
    try:
        code = job.result()
    except Exception as error:  # whatever it is, the other jobs go on
        said = [line for line in str(error).splitlines() if line.strip()]
        return None, f"{said[-1].strip() if said else type(error).__name__}; {job.paths.stderr} may tell more"
    return code if isinstance(code, int) else None, ""


def _cancel(jobs: Mapping[Any, Task]) -> None:
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
