"""Formats values of runs as text: tables, ages, sizes."""

from __future__ import annotations

import math
import textwrap
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

#: The most important parts, in order.
PARTS = ("experiment", "neuron", "surrogate", "encoder", "model", "loss", "task")

LEAST = (20, 12, 8)  # letters of columns that shrink


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Collection[int] = (),
    indent: str = "",
    *,
    shrink: int | Mapping[int, Callable[[str, int], str]] | None = None,
    width: int | None = None,
    stack: bool = False,
) -> str:
    """Columns as wide as needed; those in ``right`` are aligned to the right, the last is not padded.

    If a line is longer than ``width``, the cells of the columns ``shrink`` are cut in this order: each to 20 letters,
    if needed to 12, and then to 8. A cell loses its middle, or the function cuts it. With ``stack`` the words of the
    head are stacked in that case.
    """
    heads = [list(head)] if head else []
    lines = [*heads, *map(list, rows)]
    if not lines:
        return ""
    if stack and width is not None and _long(lines, indent) > width:
        pairs = [cell.rpartition(" ") for cell in head]
        lines[:1] = [[first for first, _, _ in pairs], [last for _, _, last in pairs]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    if width is not None:
        over = _long(lines, indent) - width
        cuts = {shrink: cut} if isinstance(shrink, int) else shrink or {}
        for least in LEAST:
            for i in cuts:
                less = min(max(over, 0), max(widths[i] - least, 0))
                widths[i], over = widths[i] - less, over - less
        for line in lines:
            for i, shorten in cuts.items():
                line[i] = shorten(line[i], widths[i])
    return "\n".join(
        indent
        + "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _long(lines: Sequence[Sequence[str]], indent: str) -> int:
    """The letters of the longest line of a table."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return len(indent) + sum(widths) + 2 * (len(widths) - 1)


def pairs(rows: Sequence[tuple[str, str]], indent: str = "", width: int | None = None) -> str:
    """Names and descriptions in two columns; text longer than ``width`` continues below."""
    if width is None:
        return table((), rows, indent=indent)
    room = max(width - len(indent), LEAST[0])
    left = max((len(name) for name, _ in rows if len(name) <= room * 3 // 5), default=0)
    lines = []
    for name, text in rows:
        names = wrap(name, room) or [""]
        right = wrap(text, room - left - 2)
        if right and len(names) == 1 and len(name) <= left:
            names = [f"{name:<{left}}  {right.pop(0)}"]
        lines += [*names, *(" " * (left + 2) + line for line in right)]
    return "\n".join(indent + line for line in lines)


def wrap(line: str, width: int | None, indent: str = "") -> list[str]:
    """A line split into lines of at most ``width`` letters, the others with ``indent``; long words are broken."""
    if width is None or len(line) <= width:
        return [line]
    begins = len(line) - len(line.lstrip())
    return textwrap.wrap(line.strip(), width, initial_indent=line[:begins], subsequent_indent=indent)


def cut(cell: str, width: int) -> str:
    """The cell in at most ``width`` letters; a longer one loses its middle."""
    if len(cell) <= width:
        return cell
    end = (width - 2) // 2
    return cell[: width - 2 - end] + ".." + cell[len(cell) - end :]


def cut_start(cell: str, width: int) -> str:
    """The cell in at most ``width`` letters; a longer one loses its beginning."""
    return cell if len(cell) <= width else ".." + cell[len(cell) - width + 2 :]


def cut_end(cell: str, width: int) -> str:
    """The cell in at most ``width`` letters; a longer one loses its end."""
    return cell if len(cell) <= width else cell[: width - 2] + ".."


def age(started: float) -> str:
    """The time since then: ``5 s``, ``3 min``, ``2 h``, ``4 d``."""
    return duration(max(0.0, time.time() - started))


def duration(seconds: float) -> str:
    """A time in the largest unit with two or more; below 10 s with tenths of a second."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{int(seconds / size):,} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def size(count: int) -> str:
    """A number of bytes: ``12 B``, ``3.4 kB``, ``1.2 GB``."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def figure(value: float | None) -> str:
    """A loss or a rate, to four figures."""
    return "" if value is None or math.isnan(value) else f"{value:.4g}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share, such as ``93.1 %``; empty if unknown."""
    return "" if share is None or math.isnan(share) else f"{100 * share:.{digits}f} %"


def count(value: float | None) -> str:
    """A number without decimals: ``12,345``."""
    return "" if value is None or math.isnan(value) else f"{value:,.0f}"


def plural(number: int, noun: str) -> str:
    """``1 job``, ``1,200 jobs``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def short(folder: Path) -> str:
    """The path, relative to the current folder if it lies inside."""
    try:
        return str(folder.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(folder)
