"""The test result of each class, as rows for a table; it may be a stranger's. Plain Python, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from snnrun.system.safe_read import printable
from snnrun.training.records import RunResult

MOST = 200  # classes that are read
LONGEST = 40  # letters of a name
MOST_ANSWERS = 3  # wrong ones that are named


class ClassRow(NamedTuple):
    """A class; a missing value is None, or empty."""

    name: str
    accuracy: float | None
    samples: int | None  # of the test set
    confusions: str  # the most frequent wrong answers, with their counts: "8 (11), 1 (8)"


def class_rows(result: RunResult) -> list[ClassRow]:
    """Every class of a result, in the order of the labels."""
    accuracy = result.test_accuracy_by_class or {}
    names = [printable(name, LONGEST) for name in islice(accuracy, MOST)]
    counts = _square(result)
    rows = []
    for i, (name, value) in enumerate(zip(names, accuracy.values(), strict=False)):
        row = counts[i][: len(names)] if counts else []
        wrong = sorted((j for j, count in enumerate(row) if count and j != i), key=lambda j: -row[j])
        confusions = ", ".join(f"{names[j]} ({row[j]:,})" for j in wrong[:MOST_ANSWERS])
        rows.append(ClassRow(name, value, sum(row) if counts else None, confusions))
    return rows


def confusion_matrix(result: RunResult) -> tuple[tuple[int, ...], ...]:
    """The counts of a result, a row for each class in the order of ``class_rows``; empty without any."""
    return counts if len(counts := _square(result)) <= MOST else ()


def worst(rows: Sequence[ClassRow], most: int) -> list[ClassRow]:
    """All rows; if there are more than ``most``, the rows with the lowest accuracy, lowest first."""
    if len(rows) <= most:
        return list(rows)
    known = [row for row in rows if row.accuracy is not None]
    return sorted(known, key=lambda row: row.accuracy or 0.0)[:most]


def _square(result: RunResult) -> tuple[tuple[int, ...], ...]:
    """The confusion matrix, if it has a row and a column for each class; else empty."""
    counts, size = result.test_confusion or (), len(result.test_accuracy_by_class or {})
    return counts if len(counts) == size and all(len(row) == size for row in counts) else ()
