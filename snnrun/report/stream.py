"""A text stream that never fails: output is a courtesy, and a closed pipe must not end a training run."""

from __future__ import annotations

import os
from typing import TextIO


class SafeStream:
    """Wraps stdout or stderr. Characters its encoding lacks are written as escapes; once it breaks, it is silent."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream  # None: a process without a console

    @property
    def encoding(self) -> str:
        """The encoding of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write what can be written."""
        if self._stream is not None:
            try:
                self._stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
            except (OSError, ValueError):  # ValueError: closed
                self._give_up()
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._give_up()

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

    def _give_up(self) -> None:
        stream, self._stream = self._stream, None
        try:
            descriptor = stream.fileno() if stream is not None else -1
            if descriptor in (1, 2):
                # The interpreter flushes them once more at its end, and would fail there.
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
        except (OSError, ValueError):
            pass
