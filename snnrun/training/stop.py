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
    """A search ended this run early; its state is saved."""


class Stop:
    """Collects the requests to stop a run.

    Outside of ``defer`` a signal raises ``Interrupted`` at once. Inside it is noted for ``request``, and
    ``raise_request`` raises it where nothing is half done; a second signal raises at once. While signals are masked,
    and after a second signal was raised, none is raised, so that the end of the run can always be written.

    Args:
        max_seconds: after this many, from now on, the clock requests a stop too; None: never.
    """

    def __init__(self, max_seconds: float | None = None) -> None:
        self._seconds = max_seconds
        self._begin = time.monotonic()
        self._number: int | None = None
        self._defer = self._second = self._mask = False

    @contextmanager
    def handle_signals(self, *, mask: bool = False) -> Iterator[None]:
        """Within this context signals come here; only in the main thread, the only one in which Python has handlers.

        A signal that an outer Stop has noted comes here too; a signal that was noted and not raised here goes to the
        outer Stop. ``mask``: within this context signals are raised in ``unmask`` only.
        """
        before: dict[int, Any] = {}
        outer: Stop | None = None
        ending = False
        self._mask = True  # until all is set up, and from when it is taken down
        try:
            if threading.current_thread() is threading.main_thread():
                for number in SIGNALS:
                    before[number] = signal.signal(number, self._receive)
                    owner = getattr(before[number], "__self__", None)
                    outer = owner if isinstance(owner, Stop) else outer
                if outer is not None and self._number is None:
                    self._number = outer._number
            self._mask = mask
            yield
        except KeyboardInterrupt:
            ending = True
            raise
        finally:
            self._mask = True
            for number, handler in before.items():
                if handler is not None:  # a handler from outside Python cannot be put back
                    signal.signal(number, handler)
            if self._number is not None and outer is not None and not ending:
                outer._receive(self._number, None)

    @contextmanager
    def unmask(self) -> Iterator[None]:
        """Within this context signals raise, first one that was noted while they were masked."""
        before, self._mask = self._mask, False
        try:
            if self._number is not None:  # the clock does not count here
                raise Interrupted(self._number)
            yield
        finally:
            self._mask = before

    def mask(self) -> None:
        """From here on no signal raises: the run is over, and only its end is left to be written."""
        self._mask = True

    @contextmanager
    def defer(self) -> Iterator[None]:
        """Within this context a signal waits for ``raise_request``."""
        before, self._defer = self._defer, True
        try:
            yield
        finally:
            self._defer = before

    def request(self, *, clock: bool = True) -> int:
        """The number of the signal that requests a stop, a number for the clock, or 0 without a request.

        ``clock``: whether the clock counts yet.
        """
        if self._number is not None:
            return self._number
        late = clock and self._seconds is not None and time.monotonic() - self._begin >= self._seconds
        return _CLOCK if late else 0

    def raise_request(self, request: int) -> None:
        """Raise Interrupted or TimeUp for what ``request`` returned, here or in another process."""
        if request == _CLOCK:
            raise TimeUp(f"max_seconds={self._seconds:g} are over; `snnrun resume` goes on where it stopped")
        if request:
            raise Interrupted(request)

    @property
    def second_signal(self) -> bool:
        """True if a second signal came, which does not wait."""
        return self._second

    def _receive(self, number: int, frame: FrameType | None) -> None:
        second, self._number = self._number is not None, number
        if self._mask:
            return
        self._second = second
        if second or not self._defer:
            self._mask = second
            raise Interrupted(number)


@contextmanager
def mask_signals() -> Iterator[None]:
    """Within this context signals wait for a Stop inside it, so that a new folder always records how its run ended."""
    stop = Stop()
    with stop.handle_signals(mask=True):
        yield
