"""Runs trackers in threads: if one fails, the run goes on with a warning."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from snnrun.tracker.base import Record, Tracker

MOST_WAITING = 10_000  # records by which a tracker may lag behind
PATIENCE = 60.0  # seconds that the end of a run waits for a tracker

Call = tuple[str, tuple[Any, ...]]


class Trackers:
    """All trackers of a run. No method raises, and only ``end`` waits.

    Each tracker has a thread, so that a hanging disk does not block the run. One that fails, or lags too far behind,
    gets no more calls; ``warn`` is called once, in the thread of the run.

    Args:
        trackers: by the name for warnings.
        warn: called with the warning about a failed tracker.
        patience: seconds that ``end`` waits for busy trackers.
    """

    def __init__(
        self, trackers: Mapping[str, Tracker], warn: Callable[[str], None], patience: float = PATIENCE
    ) -> None:
        self._threads = [_Thread(name, tracker) for name, tracker in trackers.items()]
        self._warn, self._patience, self._begun = warn, patience, False

    def begin(
        self, folder: Path, config: Mapping[str, Any], manifest: Mapping[str, Any], before: Sequence[Record]
    ) -> None:
        """The run begins or goes on; see :meth:`Tracker.begin`."""
        self._begun = True
        for thread in self._threads:
            thread.start()
        self._tell("begin", folder, config, manifest, list(before))

    def record(self, record: Record) -> None:
        """A line of ``metrics.jsonl``."""
        self._tell("record", record)

    def end(self, result: Mapping[str, Any]) -> None:
        """The run has ended; no effect if it had not begun."""
        if not self._begun:
            return
        self._tell("end", result)
        deadline = time.monotonic() + self._patience
        for thread in list(self._threads):
            if not thread.over.wait(max(0.0, deadline - time.monotonic())):
                self._drop(thread, f"it was not done {self._patience:g} s after the run")
            elif thread.failure:
                self._drop(thread, thread.failure)
        self._threads = []

    def _tell(self, method: str, *arguments: Any) -> None:
        for thread in list(self._threads):
            if thread.failure:
                self._drop(thread, thread.failure)
                continue
            try:
                thread.calls.put_nowait((method, arguments))
            except queue.Full:
                self._drop(thread, f"it is {MOST_WAITING:,} records behind")

    def _drop(self, thread: _Thread, why: str) -> None:
        self._threads.remove(thread)
        self._warn(f"tracker {thread.name} is left out from here on: {why}")


class _Thread(threading.Thread):
    """Passes calls to one tracker. A daemon: a hanging tracker does not keep the process alive."""

    def __init__(self, name: str, tracker: Tracker) -> None:
        super().__init__(name=name, daemon=True)
        self.calls: queue.Queue[Call] = queue.Queue(MOST_WAITING)
        self.failure = ""
        self.over = threading.Event()  # nothing is left to do
        self._tracker = tracker

    def run(self) -> None:
        method = ""
        try:
            while method != "end":
                method, arguments = self.calls.get()
                getattr(self._tracker, method)(*arguments)
        except BaseException as error:  # even SystemExit of a user's tracker
            self.failure = f"{method} failed ({type(error).__name__}: {' '.join(str(error).split())[:300]})"
        finally:
            self.over.set()
