"""Text fitted to the width of a screen: prose, and rows with a description in the right column."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from typing import TextIO

#: The longest line on any screen, for readability; and the length if the width is unknown.
MOST, USUAL = 100, 80

_ROW = re.compile(r"^(?P<left>\s*\S.*?\s{2,})(?P<right>\S.*)$")
# Text in backquotes, such as a command to copy, and text in quotes is never broken.
_WORD = re.compile(r"[^\s`']*(?:(?:`[^`]*`|(?<!\w)'[^']*')[^\s`']*)+|\S+")


def columns(stream: TextIO | None = None) -> int | None:
    """The width of a line: ``COLUMNS``, else the width of the terminal; None for a file or a pipe."""
    setting = os.environ.get("COLUMNS", "")
    if setting.isascii() and setting.isdigit() and int(setting) > 0:
        return int(setting)
    with suppress(OSError, ValueError):
        return os.get_terminal_size((stream or sys.stdout).fileno()).columns or None
    return None


def page_width(stream: TextIO | None = None) -> int:
    """The width of help and lists: the width of the screen, at most 100; 80 for a file or a pipe."""
    return max(20, min(columns(stream) or USUAL, MOST))


def fit(text: str, width: int) -> str:
    """``text`` with lines of at most ``width`` letters, except for a single longer word or command.

    A line of two columns, with at least two spaces between them, continues in its second column, or below the first if
    the second begins too far to the right. Any other line continues with its own indent.
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
