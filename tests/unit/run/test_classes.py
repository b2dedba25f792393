"""What is said of each class of a result, of which nothing is known."""

from __future__ import annotations

from typing import Any

import pytest

from snnrun.run.classes import MOST, ClassRow, class_rows, worst
from snnrun.training.records import RunResult

RESULT: dict[str, Any] = {
    "test_accuracy_by_class": {"cat": 0.5, "dog": 1.0, "eel": None},
    "test_confusion": [[2, 0, 2], [0, 3, 0], [0, 0, 0]],
}


def rows_of(result: dict[str, Any]) -> list[ClassRow]:
    return class_rows(RunResult.from_json(result))


def test_a_row_for_each_class() -> None:
    assert rows_of(RESULT) == [
        ClassRow("cat", 0.5, 4, "eel (2)"),
        ClassRow("dog", 1.0, 3, ""),
        ClassRow("eel", None, 0, ""),
    ]


def test_the_commonest_mistakes_first() -> None:
    counts = [[1, 1, 5, 2, 2], *([[0] * 5] * 4)]
    (row, *_) = rows_of({"test_accuracy_by_class": dict.fromkeys("abcde", 0.1), "test_confusion": counts})
    assert row.confusions == "c (5), d (2), e (2)"


@pytest.mark.parametrize(
    "matrix",
    [None, 3, [], [[1, 0, 0]] * 2, [[1, 0]] * 3, [[1, 0, -1]] * 3, [[1, 0, True]] * 3, [[1.5, 0, 0]] * 3, ["abc"] * 3],
)
def test_without_a_matrix_the_accuracies_are_left(matrix: Any) -> None:
    rows = rows_of({**RESULT, "test_confusion": matrix})
    assert rows == [ClassRow("cat", 0.5, None, ""), ClassRow("dog", 1.0, None, ""), ClassRow("eel", None, None, "")]


@pytest.mark.parametrize("value", [None, 3, "text", ["a"], {}])
def test_no_classes(value: Any) -> None:
    assert rows_of({**RESULT, "test_accuracy_by_class": value}) == []
    assert rows_of({}) == []


def test_a_strangers_names_and_numbers() -> None:
    (row,) = rows_of({"test_accuracy_by_class": {"\x1b[31mred\n" + "x" * 500: "high"}, "test_confusion": [[7]]})
    assert row.name.startswith("redx") or row.name.startswith("red x")
    assert len(row.name) == 40 and row.name.isprintable()
    assert (row.accuracy, row.samples) == (None, 7)
    assert len(rows_of({"test_accuracy_by_class": {str(i): 0.1 for i in range(5000)}})) == MOST


def test_the_worst_of_many() -> None:
    rows = [ClassRow(name, value, None, "") for name, value in (("a", 0.9), ("b", 0.2), ("c", None), ("d", 0.0))]
    assert worst(rows, 4) == rows
    assert [row.name for row in worst(rows, 2)] == ["d", "b"]
