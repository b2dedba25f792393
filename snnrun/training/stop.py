"""Requests to stop: Ctrl-C, a signal of the system or of a queue, and the clock."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from snnrun.errors import SnnrunError

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))


_CLOCK = 1 << 10  # above every signal


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop by a signal. A KeyboardInterrupt, since it ends a sweep as well."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        # As shells have it for a process that the signal ended; SIGUSR1 is a queue's polite SIGTERM.
        self.exit_code = 128 + (number if number == signal.SIGINT else signal.SIGTERM)
        self.folder: Path | None = None  # of the run that it ended, once there is one


class TimeUp(SnnrunError):
    """``max_seconds`` are over."""

    exit_code = 128 + int(signal.SIGTERM)
    folder: Path | None = None  # of the run that it ended, once there is one


class Pruned(SnnrunError):
    """A search has seen enough of this run: it is saved and left."""


class Stop:
    """Whether somebody wants the run to stop.

    Outside of ``patiently`` a signal raises ``Interrupted`` at once. Inside it is noted, and ``check`` raises it at the
    next place where nothing is half done; a second signal does not wait. Where it listens deaf, and after a second
    signal was raised, all are noted and none is raised, so that how a run ended can be written whatever comes.

    Args:
        max_seconds: after so many, from now on, the clock wants it too; None: never.
    """

    def __init__(self, max_seconds: float | None = None) -> None:
        self._seconds = max_seconds
        self._begin = time.monotonic()
        self._number: int | None = None
        self._patient = self._twice = self._deaf = False

    @contextmanager
    def listening(self, *, deaf: bool = False) -> Iterator[None]:
        """Within this context signals come here; only in the main thread, since Python hears them nowhere else.

        One that a Stop around this one has noted comes here too; and one that was noted here and raised by nobody goes
        to that around it. ``deaf``: within this context every signal waits, but for that of ``alert`` in it.
        """
        before: dict[int, Any] = {}
        outer: Stop | None = None
        ending = False
        self._deaf = True  # until all is set up, and from when it is taken down
        try:
            if threading.current_thread() is threading.main_thread():
                for number in SIGNALS:
                    before[number] = signal.signal(number, self._hear)
                    owner = getattr(before[number], "__self__", None)
                    outer = owner if isinstance(owner, Stop) else outer
                if outer is not None and self._number is None:
                    self._number = outer._number
            self._deaf = deaf
            yield
        except KeyboardInterrupt:
            ending = True
            raise
        finally:
            self._deaf = True
            for number, handler in before.items():
                if handler is not None:  # one that was not set from Python cannot be put back
                    signal.signal(number, handler)
            if self._number is not None and outer is not None and not ending:
                outer._hear(self._number, None)

    @contextmanager
    def alert(self) -> Iterator[None]:
        """Within this context, inside of a deaf one, signals raise; first one that has waited."""
        before, self._deaf = self._deaf, False
        try:
            self.heed()
            yield
        finally:
            self._deaf = before

    def deafen(self) -> None:
        """From here on no signal raises: it is over, and what is left is to say how."""
        self._deaf = True

    @contextmanager
    def patiently(self) -> Iterator[None]:
        """Within this context a signal waits for ``check``."""
        before, self._patient = self._patient, True
        try:
            yield
        finally:
            self._patient = before

    def check(self) -> None:
        """Raise Interrupted or TimeUp, if somebody wants the run to stop."""
        self.obey(self.wanted())

    def wanted(self, *, clock: bool = True) -> int:
        """What ``obey`` is told: 0 if nobody wants it to stop, else the number of a signal, or that of the clock.

        ``clock``: whether the clock counts yet.
        """
        if self._number is not None:
            return self._number
        late = clock and self._seconds is not None and time.monotonic() - self._begin >= self._seconds
        return _CLOCK if late else 0

    def obey(self, wanted: int) -> None:
        """Raise Interrupted or TimeUp, as ``wanted``, here or in another process, says."""
        if wanted == _CLOCK:
            raise TimeUp(f"max_seconds={self._seconds:g} are over; `snnrun resume` goes on where it stopped")
        if wanted:
            raise Interrupted(wanted)

    def heed(self) -> None:
        """Raise Interrupted, if a signal came; the clock is not looked at."""
        if self._number is not None:
            raise Interrupted(self._number)

    @property
    def twice(self) -> bool:
        """Whether somebody did not wait."""
        return self._twice

    def _hear(self, number: int, frame: FrameType | None) -> None:
        twice, self._number = self._number is not None, number
        if self._deaf:
            return
        self._twice = twice
        if twice or not self._patient:
            self._deaf = twice
            raise Interrupted(number)


@contextmanager
def waiting() -> Iterator[None]:
    """Within this context signals wait for the Stop that listens in it: whoever makes a folder says how it ended."""
    stop = Stop()
    with stop.listening(deaf=True):
        yield
