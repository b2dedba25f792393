"""What a result says of each class, as rows for a table; it may be a stranger's. Plain Python, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from snnrun.system.safe_read import number, printable

ACCURACY, CONFUSION = "test_accuracy_by_class", "test_confusion"  # in result.json
MOST = 200  # classes that are read
LONGEST = 40  # letters of a name
MOST_ANSWERS = 3  # wrong ones that are named


class ClassRow(NamedTuple):
    """A class; what is missing is None, or empty."""

    name: str
    accuracy: float | None
    samples: int | None  # of the test part
    mistaken: str  # for which others most often, and how often: "8 (11), 1 (8)"


def class_rows(result: Mapping[str, Any]) -> list[ClassRow]:
    """Every class of a result, in the order of the labels."""
    accuracy = result.get(ACCURACY)
    if not isinstance(accuracy, Mapping):
        return []
    names = [printable(name, LONGEST) for name in islice(accuracy, MOST)]
    counts = _matrix(result.get(CONFUSION), len(accuracy))
    rows = []
    for i, (name, value) in enumerate(zip(names, accuracy.values(), strict=False)):
        row = counts[i][: len(names)] if counts else []
        wrong = sorted((j for j, count in enumerate(row) if count and j != i), key=lambda j: -row[j])
        mistaken = ", ".join(f"{names[j]} ({row[j]:,})" for j in wrong[:MOST_ANSWERS])
        rows.append(ClassRow(name, number(value), sum(row) if counts else None, mistaken))
    return rows


def confusion_matrix(result: Mapping[str, Any]) -> tuple[tuple[int, ...], ...]:
    """The counts of a result, a row for each class in the order of ``class_rows``; empty where there are none."""
    accuracy = result.get(ACCURACY)
    size = len(accuracy) if isinstance(accuracy, Mapping) else 0
    return tuple(tuple(row) for row in _matrix(result.get(CONFUSION), size)) if 0 < size <= MOST else ()


def worst(rows: Sequence[ClassRow], most: int) -> list[ClassRow]:
    """All rows as they are; of more than ``most`` those with the lowest accuracy, lowest first."""
    if len(rows) <= most:
        return list(rows)
    known = [row for row in rows if row.accuracy is not None]
    return sorted(known, key=lambda row: row.accuracy or 0.0)[:most]


def _matrix(value: Any, size: int) -> list[list[int]]:
    """A square of counts; empty for anything else."""
    if not isinstance(value, list) or len(value) != size:
        return []
    whole = all(
        isinstance(row, list) and len(row) == size and all(type(count) is int and 0 <= count < 2**63 for count in row)
        for row in value
    )
    return value if whole else []
