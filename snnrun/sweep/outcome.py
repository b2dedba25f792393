"""The outcome of a job, from its folder and its process."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any, NamedTuple

from snnrun.run import browse
from snnrun.sweep.job import JobTask
from snnrun.system import safe_read
from snnrun.system.safe_read import Unreadable, printable

LAST_LINES = 5


class Outcome(NamedTuple):
    """The end of a job."""

    task: JobTask
    status: str  # finished, failed, interrupted, pruned (by a search), or dead: it left no record of its end
    message: str  # why it did not finish
    result: Any = None  # of a finished job

    @property
    def finished(self) -> bool:
        return self.status == "finished"

    @property
    def well(self) -> bool:
        """True for a finished job, and for one that a search ended early."""
        return self.status in ("finished", "pruned")


def outcome_of(task: JobTask, code: int | None, why: str = "") -> Outcome:
    """The outcome of a job with its own process. ``code``: its exit code, if known; ``why``: a cause of death."""
    run = browse.read(task.folder)
    # A folder may still hold the result of an earlier attempt.
    status = "dead" if code is not None and code < 0 and run.status != "finished" else run.status
    if status in ("running", "stalled"):  # on another machine that cannot be reached
        status = "dead"
    if status == "interrupted" and run.result.pruned:
        return Outcome(task, "pruned", f"pruned after {run.epochs} epochs")
    error = run.result.error if status == "failed" else None
    message = f"snnrun: {error}" if error is not None else _death(status, code, why)
    return Outcome(task, status, message, run.result if status == "finished" else None)


def last_lines(task: JobTask) -> list[str]:
    """The last lines of the job's output."""
    for folder, name in ((task.sweep, task.log.relative_to(task.sweep)), (task.folder, Path("run.log"))):
        try:
            lines = [line.decode("utf-8", "replace").rstrip() for line in safe_read.lines(folder, str(name), 1 << 16)]
        except Unreadable:
            continue
        lines = [printable(line) for line in lines if line.strip()]
        if lines:
            return lines[-LAST_LINES:]
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
    cause = why or f"exit code {'unknown' if code is None else code}"
    return f"its process ended without a result ({cause})"
