"""The output of a command: lines, a progress bar on a terminal, and the same lines in run.log."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

from snnrun.errors import StorageError
from snnrun.report.lines import epoch_line, epoch_of, silent_share, step_words
from snnrun.system import files
from snnrun.system.layout import fit
from snnrun.system.stream import SafeStream
from snnrun.training.records import EpochRecord, LogRecord, StepRecord

if TYPE_CHECKING:
    import rich.console
    import rich.progress


class Console:
    """Writes lines to ``stream`` (stdout), warnings and errors to ``error_stream`` (stderr), and all of them to a log.

    A terminal shows a progress bar below the lines (not with ``progress=False``). Other streams get only the lines,
    one per epoch, without control characters. NO_COLOR and TERM=dumb are respected. A stream that cannot show a
    character, or is closed, loses output but never raises. The log is part of the record: it raises StorageError.
    """

    def __init__(
        self, *, progress: bool = True, stream: TextIO | None = None, error_stream: TextIO | None = None
    ) -> None:
        self._stream = SafeStream(stream or sys.stdout)
        self._errors = SafeStream(error_stream or sys.stderr)
        self._progress = progress
        self._log: TextIO | None = None
        self._log_path = Path()
        self._early: list[str] = []  # lines from before the log
        self._epochs: int | None = None
        self._steps_per_epoch = 0
        self._silent: float | None = None
        self._bar: rich.progress.Progress | None = None
        self._task: rich.progress.TaskID | None = None
        self._rich = _terminal(self._stream)
        self._rich_errors = _terminal(self._errors)

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(StorageError) if error is not None else nullcontext():  # report the first error
            self.close()

    def attach(self, path: Path) -> None:
        """Append every line, also the earlier ones, to the log at ``path``."""
        try:
            descriptor = files.open_to_append(path)
            self._log_path = path
            self._log = os.fdopen(
                descriptor, "a", encoding="utf-8", errors="backslashreplace", newline="\n", buffering=1
            )
        except OSError as error:
            raise _write_error(path, error) from error
        early, self._early = self._early, []
        for text in early:
            self._to_log(text)

    def start(self, epochs: int, steps_per_epoch: int, done: int = 0, most: int | None = None) -> None:
        """Show the progress bar. ``done``: steps before this start (a resumed run). ``most``: limit of all steps."""
        self._epochs, self._steps_per_epoch = epochs, steps_per_epoch
        if self._rich is None or not self._progress or self._bar is not None:
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[status]}", markup=False),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=self._rich,
            expand=True,
            transient=True,
            refresh_per_second=4,  # each time costs as much as a short training step
            redirect_stderr=self._errors.isatty(),  # else `2> file` would end on the terminal
        )
        total = epochs * steps_per_epoch
        total = total if most is None else min(total, most)
        self._task = self._bar.add_task("", total=total, completed=done, status="")
        self._bar.start()

    def line(self, text: str) -> None:
        """Write a line to stdout."""
        self._say(text, "", self._stream, self._rich)

    def warning(self, text: str) -> None:
        """Write a warning to stderr."""
        self._say(f"warning: {text}", "yellow", self._errors, self._rich_errors)

    def error(self, text: str) -> None:
        """Write an error to stderr. Never raises: an error of the log must not hide this one."""
        with suppress(StorageError):
            self._say(f"error: {text}", "bold red", self._errors, self._rich_errors)

    def log(self, text: str) -> None:
        """Write a line to the log only; the command itself will print it."""
        self._to_log(text)

    def record(self, record: LogRecord) -> None:
        """Show a record: a step moves the bar, an epoch is a line. Steps count over the whole run."""
        if isinstance(record, EpochRecord):
            self._silent = silent_share(record)
            self._say(epoch_line(record, self._epochs), "", self._stream, self._rich, self._short(record))
        elif isinstance(record, StepRecord) and self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=record.step, **self._texts(record))

    def _short(self, record: EpochRecord) -> str | None:
        """The line of an epoch as the terminal shows it; None without a terminal."""
        return None if self._rich is None else epoch_line(record, self._epochs, self._rich.width)

    def _texts(self, record: StepRecord) -> dict[str, Any]:
        assert self._rich is not None
        step = record.step - (record.epoch - 1) * self._steps_per_epoch
        where = f"epoch {epoch_of(record, self._epochs)}  {step:>{len(str(self._steps_per_epoch))}}"
        where += f"/{self._steps_per_epoch}"
        free = self._rich.width - len(where) - 8 - 15  # the bar itself, and the time left with the spaces between
        return {"description": where, "status": step_words(record, self._silent, free)}

    def close(self) -> None:
        """Remove the bar and close the log. May be called again."""
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.stop()
        self._stream.flush()
        log, self._log = self._log, None
        if log is not None:
            try:
                log.close()
            except OSError as error:
                raise _write_error(self._log_path, error) from error

    def _say(
        self, text: str, style: str, stream: SafeStream, terminal: rich.console.Console | None, shown: str | None = None
    ) -> None:
        """``shown``: the text for a terminal. Default: ``text``, in lines that fit."""
        # The screen first: the line must appear even if the log cannot be written.
        if terminal is None:
            stream.write(f"{text}\n")
            stream.flush()
        else:
            from rich.text import Text

            # With a live bar both streams are one screen, and only the bar's console can write above it.
            target = self._rich if self._bar is not None and self._rich is not None else terminal
            target.print(Text(shown or fit(text, target.width), style=style), soft_wrap=True)
        self._to_log(text)

    def _to_log(self, text: str) -> None:
        if self._log is None:
            self._early.append(text)
            return
        try:
            self._log.write(f"{text}\n")
        except OSError as error:
            raise _write_error(self._log_path, error) from error


def _terminal(stream: SafeStream) -> rich.console.Console | None:
    """rich's console on ``stream``; None for a pipe, a file, or a terminal that cannot move its cursor."""
    if not stream.isatty() or os.environ.get("TERM", "") in ("dumb", "unknown"):
        return None
    import rich.console

    return rich.console.Console(file=cast("IO[str]", stream), force_terminal=True, highlight=False)


def _write_error(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path}: the log could not be written ({error.strerror}). Free some space, or check the rights."
    )
