"""``sweep.json``: the jobs of a sweep as launched. The file may be a stranger's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from snnrun.errors import ConfigError
from snnrun.job.arguments import Arguments, parse
from snnrun.system import files, safe_read
from snnrun.system.safe_read import Unreadable

NAME = "sweep.json"
LOCK = "sweep.lock"
VERSION = 1
#: Overrides that choose how a sweep runs; without them it is the same sweep.
HOW = ("hydra/launcher=", "hydra.launcher.")


class JobEntry(NamedTuple):
    """One run of a sweep."""

    number: int
    folder: str  # relative to the folder of the sweep
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class JobList:
    """The content of ``sweep.json``."""

    started: str
    command: tuple[str, ...]
    search: bool  # a sweeper chooses the jobs while running
    jobs: tuple[JobEntry, ...]

    @classmethod
    def new(cls, command: Sequence[str], *, search: bool) -> JobList:
        """A list without jobs."""
        return cls(datetime.now(timezone.utc).isoformat(timespec="seconds"), tuple(command), search, ())

    def job(self, number: int) -> JobEntry | None:
        """The job with that number, if it was launched."""
        return next((job for job in self.jobs if job.number == number), None)

    def with_jobs(self, jobs: Sequence[JobEntry]) -> JobList:
        """The list with new jobs appended."""
        known = {job.number for job in self.jobs}
        return replace(self, jobs=(*self.jobs, *(job for job in jobs if job.number not in known)))

    def write(self, folder: Path) -> None:
        """Write the file atomically."""
        jobs = [{**job._asdict(), "overrides": list(job.overrides)} for job in self.jobs]
        content = {"version": VERSION, "started": self.started, "command": list(self.command), "search": self.search}
        files.write_json(folder / NAME, {**content, "jobs": jobs})


def read(folder: Path) -> JobList:
    """Read the list in ``folder``.

    Raises:
        ConfigError: if it is not the folder of a sweep.
    """
    try:
        content = safe_read.json_object(folder, NAME)
    except Unreadable as error:
        raise ConfigError(
            f"{folder / NAME}: expected the list of a sweep's jobs, but it cannot be read: {error}"
        ) from error
    jobs = content.get("jobs")
    if content.get("version") != VERSION or not isinstance(jobs, list):
        raise ConfigError(f"{folder / NAME}: expected the list of a sweep's jobs in version {VERSION}")
    return JobList(
        started=str(content.get("started")),
        command=_words(content.get("command")),
        search=content.get("search") is True,
        jobs=tuple(_job(job, folder) for job in jobs),
    )


def newest(root: Path, arguments: Arguments) -> Path | None:
    """The newest sweep of the same command in ``root``, an ``output_dir``."""
    for path in sorted(root.glob(f"multirun/*/*/{NAME}"), reverse=True):
        try:
            if same(read(path.parent), arguments):
                return path.parent
        except ConfigError:  # of another version, or damaged
            continue
    return None


def same(jobs: JobList, arguments: Arguments) -> bool:
    """True if this command started the sweep, with any launcher."""
    return _what(parse(jobs.command[1:])) == _what(arguments)


def outside(folder: str) -> bool:
    """True if a job's folder is not inside the folder of the sweep."""
    path = PurePath(folder)
    return not path.parts or path.is_absolute() or ".." in path.parts or "\0" in folder


def _what(arguments: Arguments) -> tuple[Any, ...]:
    words = tuple(word for word in arguments.overrides if not word.startswith(HOW))
    return arguments.command, arguments.config, arguments.config_dir, words


def _job(job: Any, folder: Path) -> JobEntry:
    entry = job if isinstance(job, dict) else {}
    number, place = entry.get("number"), entry.get("folder")
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ConfigError(f"{folder / NAME}: expected the number of a job, got {safe_read.quote(number)}")
    if not isinstance(place, str) or outside(place):
        raise ConfigError(f"{folder / NAME}: expected a folder in that of the sweep, got {safe_read.quote(place)}")
    return JobEntry(number, place, _words(entry.get("overrides")))


def _words(words: Any) -> tuple[str, ...]:
    return tuple(word for word in words if isinstance(word, str)) if isinstance(words, list) else ()
