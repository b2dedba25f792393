"""Messages to the user: printing, and the text of faults and unforeseen errors."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

from snnrun.errors import Fault, OutOfMemoryError
from snnrun.system import foreign
from snnrun.system.layout import columns, fit
from snnrun.system.safe_read import printable_lines

MOST_FAULTS = 20  # in one message


def say(answer: str, *, error: bool = False, prose: bool = False) -> None:
    """Print safely: characters that the terminal lacks are escaped, and control sequences are removed.

    Messages quote words of the command line and of files that may be a stranger's. On a terminal the lines of an
    ``error`` and of ``prose`` are wrapped; tables have their own layout.
    """
    stream = sys.stderr if error else sys.stdout
    encoding = stream.encoding or "utf-8"
    printed = printable_lines(answer.rstrip("\n")).encode(encoding, "backslashreplace").decode(encoding)
    # In a file or a pipe a message is one line.
    if (error or prose) and stream.isatty() and (width := columns(stream)):
        printed = fit(printed, width)
    print(printed, file=stream, flush=True)


def faults(messages: Iterable[str | Fault]) -> str:
    """All faults of a command as one message."""
    unique = [shorten(" ".join(message.split("\n"))) for message in dict.fromkeys(str(each) for each in messages)]
    count = "1 fault" if len(unique) == 1 else f"{len(unique)} faults"
    if len(unique) > MOST_FAULTS:
        unique[MOST_FAULTS:] = [f"... and {len(unique) - MOST_FAULTS} more"]
    title = f"{count} in the command; nothing was started"
    advice = "`snnrun --help` shows the keys, `snnrun list` the parts"
    return "\n".join([title, *(f"  {message}" for message in unique), advice])


def bug(error: Exception) -> str:
    """One line for an unforeseen error."""
    message = shorten(str(error).strip().partition("\n")[0])
    return (
        f"snnrun: {type(error).__name__}: {message}\n"
        "This is a bug in snnrun or in a part of your own; run again with --debug for the traceback"
    )


def describe(error: Exception) -> tuple[str, int]:
    """Message and exit code for an unforeseen error: too little memory, or a bug."""
    if not foreign.lacks_memory(error):
        return bug(error), 1
    reason = shorten(" ".join(str(error).split()), 200) or "no more to allocate"
    advice = "end other programs, or raise the limit that was set (`ulimit -v`, or that of a queue or a container)"
    return f"snnrun: out of memory: {reason}; {advice}", OutOfMemoryError.exit_code


def shorten(message: str, limit: int = 600) -> str:
    """Remove the middle of a message that would fill the screen, and of each long word in it."""
    message = re.sub(r"\S{250,}", lambda word: f"{word[0][:100]}...{word[0][-20:]}", message)
    if len(message) <= limit:
        return message
    # Between two words, so that every name is complete.
    return f"{message[: limit // 2].rpartition(' ')[0]} ... {message[-limit // 2 :].partition(' ')[2]}"
