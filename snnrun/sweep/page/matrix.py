"""The confusion matrix of a run as table cells, shaded by the share of their row."""

from __future__ import annotations

from typing import NamedTuple

from snnrun.sweep.page.gather import JobSummary

MOST_CLASSES = 40  # a larger matrix is not readable
LONGEST_UPRIGHT = 3  # letters of a name that fits above a column
DARKEST = 50  # per cent of colour in a cell with its whole row; its text must stay readable


class Cell(NamedTuple):
    """The samples of one class with one prediction."""

    text: str  # the count, empty for 0
    shade: int  # per cent of colour, 0 to 50


class Matrix(NamedTuple):
    """A row for each class, with its name; ``upright``: the names above the columns are vertical."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    upright: bool


def matrix_of(job: JobSummary) -> Matrix | None:
    """The matrix; None without one, or with more than 40 classes."""
    names = tuple(row.name for row in job.classes)
    if not job.confusion or len(job.confusion) != len(names) or len(names) > MOST_CLASSES:
        return None
    rows = tuple((name, _cells(counts)) for name, counts in zip(names, job.confusion, strict=True))
    return Matrix(names, rows, upright=any(len(name) > LONGEST_UPRIGHT for name in names))


def _cells(counts: tuple[int, ...]) -> tuple[Cell, ...]:
    whole = max(1, sum(counts))
    return tuple(Cell(f"{count:,}" if count else "", round(DARKEST * count / whole)) for count in counts)
