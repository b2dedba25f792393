"""Text streams that never fail: output is a courtesy, and a closed pipe or a full disk must not end a training run."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast


class SafeStream:
    """Wraps stdout or stderr. Characters its encoding lacks are written as escapes; once it breaks, it is silent.

    Attributes:
        error: the first that the stream raised; None as long as all was written.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream  # None: a process without a console, or whose stream was closed
        self.error: Exception | None = None

    @property
    def encoding(self) -> str:
        """The encoding of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write what can be written."""
        if self._stream is not None:
            try:
                self._stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
            except (OSError, ValueError) as error:  # ValueError: closed
                self._give_up(error)
        elif self.error is None:
            self.error = OSError(errno.EBADF, os.strerror(errno.EBADF))
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._give_up(error)

    def isatty(self) -> bool:
        """Whether a person is watching."""
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        """The descriptor, which rich asks for the width of the terminal."""
        if self._stream is None:
            raise OSError("no stream")
        return self._stream.fileno()

    def __getattr__(self, name: str) -> Any:
        # What else a stream has, for those who take this one for sys.stdout.
        return getattr(self.__dict__.get("_stream"), name)

    def _give_up(self, error: Exception) -> None:
        stream, self._stream, self.error = self._stream, None, self.error or error
        try:
            descriptor = stream.fileno() if stream is not None else -1
            if descriptor in (1, 2):
                # The interpreter flushes them once more at its end, and would fail there.
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
        except (OSError, ValueError):
            pass


@contextmanager
def safe_output() -> Iterator[SafeStream]:
    """Within this context neither ``sys.stdout``, which it gives, nor ``sys.stderr`` raises."""
    before = sys.stdout, sys.stderr
    out, errors = SafeStream(sys.stdout), SafeStream(sys.stderr)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, errors)
    try:
        yield out
    finally:
        out.flush()
        errors.flush()
        sys.stdout, sys.stderr = before


def open_standard_streams() -> None:
    """Have 0, 1 and 2 be open, on the null device where the process was started without them.

    Else the next file that is opened would get such a number, and whatever is printed would be written into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            os.set_inheritable(number, True)
