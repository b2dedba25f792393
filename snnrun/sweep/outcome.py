"""How a job ended, as its folder and its process say."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any, NamedTuple

from snnrun.run import browse
from snnrun.sweep.job import Task
from snnrun.system import safe_read
from snnrun.system.safe_read import Unreadable, printable

LAST_LINES = 5


class Outcome(NamedTuple):
    """How a job ended."""

    task: Task
    status: str  # finished, failed, interrupted, pruned (by a search), or dead: it left no word of its end
    message: str  # why it did not finish
    result: Any = None  # where there is one

    @property
    def finished(self) -> bool:
        """Whether there is a result."""
        return self.status == "finished"

    @property
    def well(self) -> bool:
        """Whether all went as it should: a search may end a job early."""
        return self.status in ("finished", "pruned")


def judged(task: Task, code: int | None, why: str = "") -> Outcome:
    """The outcome of a job that had a process of its own.

    ``code``: its exit code, None if nobody knows; ``why``: what is known of its death beyond that.
    """
    run = browse.read(task.folder)
    # A folder may still hold the word of an earlier attempt.
    status = "dead" if code is not None and code < 0 and run.status != "finished" else run.status
    if status in ("running", "stalled"):  # on another machine, that cannot be reached
        status = "dead"
    if status == "interrupted" and run.result.pruned:
        return Outcome(task, "pruned", f"pruned after {run.epochs} epochs")
    error = run.result.error if status == "failed" else None
    message = f"snnrun: {error}" if error is not None else _death(status, code, why)
    return Outcome(task, status, message, run.result if status == "finished" else None)


def last_lines(task: Task) -> list[str]:
    """The last lines of what the job said, without those that repeat its error."""
    for folder, name in ((task.sweep, task.log.relative_to(task.sweep)), (task.folder, Path("run.log"))):
        try:
            lines = [line.decode("utf-8", "replace").rstrip() for line in safe_read.lines(folder, str(name), 1 << 16)]
        except Unreadable:
            continue
        said = [printable(line) for line in lines if line.strip()]
        if said:
            return said[-LAST_LINES:]
    return []


def _death(status: str, code: int | None, why: str) -> str:
    if status == "interrupted":
        return "interrupted"
    if code is not None and code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        by = ": by somebody, or by the system because memory ran out" if name == "SIGKILL" else ""
        return f"its process was killed ({name}{by})"
    known = why or f"exit code {'unknown' if code is None else code}"
    return f"its process ended without a result ({known})"
