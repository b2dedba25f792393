"""One job of a sweep, run from its config of the launch: in this process or in a process of a launcher."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from snnrun.config import trust
from snnrun.errors import ConfigError, SnnrunError
from snnrun.run import browse, imports, new_folder
from snnrun.system import files, machine, safe_read, say
from snnrun.system.safe_read import Unreadable
from snnrun.training.records import LogRecord
from snnrun.training.stop import Interrupted, mask_signals

CONFIGS, LOGS = "configs", "logs"


@dataclass(frozen=True)
class JobTask:
    """All that a process needs to run a job; it is sent to other processes."""

    number: int
    name: str  # for people
    overrides: tuple[str, ...]
    sweep: Path  # absolute
    folder: Path  # absolute
    command: tuple[str, ...]
    trusted: tuple[str, ...]
    config_dir: Path | None
    debug: bool
    cwd: Path  # for relative paths of the config
    threads: int
    uses_cuda: bool
    hydra: Mapping[str, str]  # the files of .hydra/
    source: Mapping[str, str] | None = None  # the file of --config
    watch: Callable[[LogRecord], None] | None = None  # called with every record; may raise Pruned

    @property
    def config_path(self) -> Path:
        """The file with the config."""
        return self.sweep / CONFIGS / f"{self.number}.yaml"

    @property
    def log(self) -> Path:
        """The file for the output of a job with its own process."""
        return self.sweep / LOGS / f"{self.number}.txt"


def train(task: JobTask) -> Any:
    """Run the job in this process, from its last checkpoint if there is one.

    Raises:
        SnnrunError, Interrupted: what ends the run early.
    """
    from snnrun.system.storage import storing

    try:
        config = safe_read.yaml_object(task.sweep, f"{CONFIGS}/{task.number}.yaml")
    except Unreadable as error:
        raise ConfigError(
            f"{task.config_path}: expected the config of a job, but it cannot be read: {error}; start a new sweep"
        ) from error
    from snnrun.job.job import Job
    from snnrun.run.execute import execute

    job = Job.of(config, folder=task.folder, command=task.command, trusted=task.trusted, source=task.source)
    with mask_signals():  # from the first file on
        with storing(task.folder):
            resuming = _begin(task)
        return execute(replace(job, resuming=resuming), watch=task.watch or (lambda record: None))


def run(task: JobTask) -> int:
    """Run the job in a process of a launcher, with its output in a file. Returns the exit code."""
    with _redirect_output(task.log):
        try:
            os.chdir(task.cwd)
            if browse.read(task.folder).status == "finished":  # a queue may start a job twice
                return 0
            machine.keep_freed_memory()
            with trust.allow_imports(task.config_dir, task.trusted):
                imports.load("train")
                train(task)
            return 0
        except Interrupted as interrupt:
            return interrupt.exit_code
        except SnnrunError as error:
            if task.debug:
                traceback.print_exc()
            say.say(f"snnrun: {error}", error=True)
            return error.exit_code
        except Exception as error:
            # The whole traceback, since the error may not happen again.
            traceback.print_exc()
            words, code = say.describe(error)
            say.say(words, error=True)
            return code


def _begin(task: JobTask) -> bool:
    """Create the run folder. Returns True if the job was started before."""
    from snnrun.run.folder import check_contents

    files.make_folders(task.sweep, task.folder)
    check_contents(task.folder)  # before anything is written there
    resuming = (task.folder / "config.yaml").exists()
    if not resuming:  # an earlier process was killed before its first checkpoint
        for name in ("manifest.json", "result.json"):
            (task.folder / name).unlink(missing_ok=True)
    new_folder.write(task.folder / ".hydra", task.hydra)
    return resuming


@contextmanager
def _redirect_output(path: Path) -> Iterator[None]:
    """Within this context all output goes to a file, also the last words of a dying process."""
    files.make_folder(path.parent)
    originals = [os.dup(1), os.dup(2)]
    _flush()
    descriptor = files.open_to_append(path)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    try:
        yield
    finally:
        _flush()
        for number, copy in zip((1, 2), originals, strict=True):
            os.dup2(copy, number)
            os.close(copy)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
