"""What the command wants of a sweep, and what has become of it: handed to the launcher with the task function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snnrun.errors import ConfigError
from snnrun.job.arguments import Arguments
from snnrun.job.config_file import Source
from snnrun.sweep import job_list
from snnrun.sweep.job_list import Book
from snnrun.sweep.outcome import Outcome
from snnrun.system.lock import RunLock
from snnrun.system.storage import storing
from snnrun.training.records import LogRecord


@dataclass
class Orders:
    """A sweep of training runs."""

    arguments: Arguments
    command: tuple[str, ...]
    search: bool
    debug: bool
    inherited: tuple[str, ...] = ()  # overrides that stand for the file of --config
    source: Source | None = None  # that file
    folder: Path | None = None  # of the sweep, once it was launched
    before: int = 0  # jobs that were finished already
    launched: int = 0  # jobs so far, those included
    stopped: bool = False  # by on_error=stop
    outcomes: list[Outcome] = field(default_factory=list)
    _held: ExitStack = field(default_factory=ExitStack)

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
            return Book.new(self.command, search=self.search)
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


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")


class TaskFunction:
    """What Hydra calls for a job; our launchers, which need no such call, take the orders from it."""

    def __init__(self, job: Any, orders: Orders | None) -> None:
        self.job, self.orders = job, orders
        self.watch: Callable[[LogRecord], None] | None = None  # looks on while the next jobs run: a search's

    def __call__(self, config: Any) -> Any:
        return self.job(config)
