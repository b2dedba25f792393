"""Text fitted to the width of a screen: prose, and rows whose right column says what the left one is."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from typing import TextIO

#: Lines are no longer on any screen, since longer ones are hard to read; and so long where nobody knows the screen.
MOST, USUAL = 100, 80

_ROW = re.compile(r"^(?P<left>\s*\S.*?\s{2,})(?P<right>\S.*)$")
# What stands in backquotes is a command to be copied, and is never broken; nor is what stands in quotes.
_WORD = re.compile(r"[^\s`']*(?:(?:`[^`]*`|(?<!\w)'[^']*')[^\s`']*)+|\S+")


def columns(stream: TextIO | None = None) -> int | None:
    """The width of a line: ``COLUMNS``, else that of the terminal; None for a file or a pipe."""
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given) > 0:
        return int(given)
    with suppress(OSError, ValueError):
        return os.get_terminal_size((stream or sys.stdout).fileno()).columns or None
    return None


def page_width(stream: TextIO | None = None) -> int:
    """The width of help and lists: that of the screen, at most 100; 80 for a file or a pipe."""
    return max(20, min(columns(stream) or USUAL, MOST))


def fit(text: str, width: int) -> str:
    """``text`` with lines of at most ``width`` letters, but for a single word or command that is longer.

    A line of two columns, with at least two spaces between them, goes on in its second column, or where that begins
    too far to the right, below the first. Any other line goes on with its own indent.
    """
    return "\n".join(fitted for line in text.split("\n") for fitted in _fit_line(line, width))


def _fit_line(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    row = _ROW.match(line)
    if row is None:
        return _fill(_WORD.findall(line), indent, indent, width)
    left, words = row["left"], _WORD.findall(row["right"])
    if len(left) > width // 2:
        below = indent + " " * 6
        return [*_fit_line(left.rstrip(), width), *_fill(words, below, below, width)]
    return _fill(words, left, " " * len(left), width)


def _fill(words: list[str], first: str, then: str, width: int) -> list[str]:
    lines, line, empty = list[str](), first, True
    for word in words:
        if not empty and len(line) + 1 + len(word) > width:
            lines.append(line)
            line, empty = then, True
        line += word if empty else f" {word}"
        empty = False
    return [*lines, line]
