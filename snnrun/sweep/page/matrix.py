"""The confusion matrix of a run as the cells of a table, shaded by the share of their row."""

from __future__ import annotations

from typing import NamedTuple

from snnrun.sweep.page.gather import Job

MOST_CLASSES = 40  # of more no matrix is readable
LONGEST_UPRIGHT = 3  # letters of a name that has room above a column
DARKEST = 50  # per cent of colour in a cell that has its whole row: what is written on it stays readable


class Cell(NamedTuple):
    """What was taken for what."""

    text: str  # the count, empty for 0
    shade: int  # per cent of colour, 0 to 50


class Matrix(NamedTuple):
    """A row for each class, with its name; ``upright``: names above the columns stand."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    upright: bool


def matrix_of(job: Job) -> Matrix | None:
    """The matrix; None without one, or with more than 40 classes."""
    names = tuple(row.name for row in job.classes)
    if not job.confusion or len(job.confusion) != len(names) or len(names) > MOST_CLASSES:
        return None
    rows = tuple((name, _cells(counts)) for name, counts in zip(names, job.confusion, strict=True))
    return Matrix(names, rows, upright=any(len(name) > LONGEST_UPRIGHT for name in names))


def _cells(counts: tuple[int, ...]) -> tuple[Cell, ...]:
    whole = max(1, sum(counts))
    return tuple(Cell(f"{count:,}" if count else "", round(DARKEST * count / whole)) for count in counts)
