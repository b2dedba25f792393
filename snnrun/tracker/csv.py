"""The tracker that needs no package."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snnrun.system import files
from snnrun.tracker.base import Record, Tracker, flat


class Csv(Tracker):
    """A table for each kind of record, in ``csv/`` of the run: ``step.csv``, ``epoch.csv``, ``warning.csv``.

    A row is a record, a column one of its fields; fields of a layer have names like ``layers.hidden1.silent``. Numbers
    are written in full; an empty cell is a number that was not finite. A file is on disk up to its last whole row.
    """

    def __init__(self) -> None:
        self._folder = Path()
        self._columns: dict[str, list[str]] = {}

    def begin(
        self, folder: Path, config: Mapping[str, Any], manifest: Mapping[str, Any], before: Sequence[Record]
    ) -> None:
        """Start the tables, with the rows of ``before``."""
        self._folder = folder / "csv"
        files.make_folder(self._folder)
        for kind in ("step", "epoch", "warning"):
            rows = [_row(record) for record in before if record["kind"] == kind]
            if rows:
                self._write(kind, rows)
            else:
                (self._folder / f"{kind}.csv").unlink(missing_ok=True)

    def record(self, record: Record) -> None:
        """Add a row; rewrite the table if it lacks a column of the row."""
        kind, row = record["kind"], _row(record)
        if set(row) <= set(self._columns.get(kind, ())):
            descriptor = files.open_to_append(self._path(kind))
            with os.fdopen(descriptor, "a", encoding="utf-8", newline="") as file:
                file.write(_text([row], self._columns[kind]))
            return
        rows: list[dict[str, str]] = []
        if kind in self._columns:
            with self._path(kind).open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
        self._write(kind, [*rows, row])

    def end(self, result: Mapping[str, Any]) -> None:
        """Nothing: every row is already written."""

    def _write(self, kind: str, rows: Sequence[Mapping[str, str]]) -> None:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        files.write_text(self._path(kind), _text([dict(zip(columns, columns, strict=True)), *rows], columns))
        self._columns[kind] = columns

    def _path(self, kind: str) -> Path:
        return self._folder / f"{kind}.csv"


def _row(record: Record) -> dict[str, str]:
    return {name: _cell(value) for name, value in flat(record) if name != "kind"}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.DictWriter(buffer, columns, restval="", lineterminator="\n").writerows(rows)
    return buffer.getvalue()
