"""Text streams that never fail: a closed pipe or a full disk must not end a training run."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast


class SafeStream:
    """Wraps stdout or stderr. Characters that its encoding lacks become escapes; after an error it writes nothing.

    Attributes:
        error: the first error of the stream, or None.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream  # None: a process without a console, or whose stream was closed
        self.error: Exception | None = None

    @property
    def encoding(self) -> str:
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write ``text`` as far as possible."""
        if self._stream is not None:
            try:
                self._stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
            except (OSError, ValueError) as error:  # ValueError: closed
                self._give_up(error)
        elif self.error is None:
            self.error = OSError(errno.EBADF, os.strerror(errno.EBADF))
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._give_up(error)

    def isatty(self) -> bool:
        """True on a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        """The descriptor; rich needs it for the width of the terminal."""
        if self._stream is None:
            raise OSError("no stream")
        return self._stream.fileno()

    def __getattr__(self, name: str) -> Any:
        # Other attributes, for code that uses this stream as sys.stdout.
        return getattr(self.__dict__.get("_stream"), name)

    def _give_up(self, error: Exception) -> None:
        stream, self._stream, self.error = self._stream, None, self.error or error
        try:
            descriptor = stream.fileno() if stream is not None else -1
            if descriptor in (1, 2):
                # The interpreter flushes them again at its end, and would fail there.
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
        except (OSError, ValueError):
            pass


@contextmanager
def safe_output() -> Iterator[SafeStream]:
    """Within this context neither ``sys.stdout``, which is returned, nor ``sys.stderr`` raises."""
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
    """Open missing descriptors 0, 1 and 2 on the null device.

    Else the next open file would get such a number, and printed text would be written into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest free number
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            os.set_inheritable(number, True)
