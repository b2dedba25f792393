"""How what is read from runs looks as text: tables, ages, sizes."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from pathlib import Path

from snnrun.runs import Run

#: The parts that matter most, in the order in which they are named.
PARTS = ("experiment", "neuron", "surrogate", "encoder", "model", "loss", "task")

LEAST = 12  # letters of a column that shrinks


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Collection[int] = (),
    indent: str = "",
    *,
    shrink: int | None = None,
    width: int | None = None,
) -> str:
    """Columns as wide as they need be; those named in ``right`` are set to the right, the last is not filled up.

    Where a line is longer than ``width``, the cells of the column ``shrink`` lose their middle, down to 12 letters.
    """
    lines = [list(head), *map(list, rows)] if head else [list(row) for row in rows]
    if not lines:
        return ""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    if shrink is not None and width is not None:
        over = len(indent) + sum(widths) + 2 * (len(widths) - 1) - width
        if over > 0:
            widths[shrink] = min(widths[shrink], max(LEAST, widths[shrink] - over))
            for line in lines:
                line[shrink] = cut(line[shrink], widths[shrink])
    return "\n".join(
        indent
        + "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def cut(cell: str, width: int) -> str:
    """The cell in at most ``width`` letters, without its middle where it is longer."""
    if len(cell) <= width:
        return cell
    end = (width - 2) // 2
    return cell[: width - 2 - end] + ".." + cell[len(cell) - end :]


def age(started: float) -> str:
    """How long ago: ``5 s``, ``3 min``, ``2 h``, ``4 d``."""
    return duration(max(0.0, time.time() - started))


def duration(seconds: float) -> str:
    """A time in the largest unit of which it has two or more; below that, tenths of a second."""
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


def end(run: Run) -> str:
    """What the test part said: an accuracy, or where there is none the loss."""
    if run.accuracy is not None:
        return f"{100 * run.accuracy:.2f} %"
    return "" if run.loss is None else f"loss {figure(run.loss)}"


def figure(value: float | None) -> str:
    """A loss or a rate, to four figures."""
    return "" if value is None else f"{value:.4g}"


def short(folder: Path) -> str:
    """The path from the current folder, where it lies in it."""
    try:
        return str(folder.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(folder)
