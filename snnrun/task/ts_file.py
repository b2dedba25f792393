"""The ``.ts`` format of the UCR and UEA archives of time series: a header, then a line for each series.

::

    #A comment
    @problemName Waves
    @timeStamps false
    @univariate false
    @dimension 2
    @equalLength false
    @classLabel true left right
    @data
    1.5,1.75,2.0:0.5,0.25,?:left            two dimensions of three steps, the last value of the second missing

"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun.errors import DataError

_LARGEST = float(np.finfo(np.float32).max)
_MISSING = ("?", "nan")
_TRUE = ("true", "t", "1")


class Header(NamedTuple):
    """What a file has before its series."""

    classes: tuple[str, ...]
    dimensions: int


class Series(NamedTuple):
    """A line of a file."""

    values: NDArray[np.float32]  # [L, dimensions], NaN where a value is missing
    label: str
    line: int  # its number, from 1 on
    source: str  # file and line, for messages


def read_header(path: Path) -> Header:
    """The classes and the number of dimensions. If the header lacks ``@dimension``, the first series has it.

    Raises:
        DataError: the file cannot be read, is of no classification task or has time stamps.
    """
    with _reading(path) as file:
        _, keys = _header(path, file)
        if keys.get("timestamps", "false").lower() in _TRUE:
            raise DataError(f"{path}: expected series without time stamps (@timeStamps false), got @timeStamps true")
        words = keys.get("classlabel", "false").split()
        if words[:1] == [] or words[0].lower() not in _TRUE:
            raise DataError(f"{path}: expected class labels, as in @classLabel true 1 2, got @classLabel false")
        classes = tuple(words[1:])
        if len(classes) < 2 or len(set(classes)) < len(classes):
            raise DataError(f"{path}: expected at least two different labels after @classLabel, got {list(classes)}")
        text = keys.get("dimension", keys.get("dimensions"))
        if text is None:
            first = next((line for line in file if line.strip()), "")
            dimensions = first.count(":")
        else:
            dimensions = int(text) if text.isdecimal() else 0
    if dimensions < 1:
        raise DataError(f"{path}: expected a number of dimensions of at least 1, got {text or 0}")
    return Header(classes, dimensions)


def read_series(path: Path, header: Header) -> Iterator[Series]:
    """The series of a file, with labels among ``header.classes``.

    Raises:
        DataError: the file cannot be read, or a series is invalid; it names file, line and column.
    """
    with _reading(path) as file:
        begin, _ = _header(path, file)
        for number, line in enumerate(file, begin + 1):
            if line.strip():
                yield _series(line.rstrip("\r\n"), header, number, f"{path}: line {number}")


@contextmanager
def _reading(path: Path) -> Iterator[IO[str]]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield file
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def _header(path: Path, file: IO[str]) -> tuple[int, dict[str, str]]:
    """The number of the line ``@data``, and the words of each key, in small letters."""
    keys: dict[str, str] = {}
    for number, line in enumerate(file, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if not text.startswith("@"):
            raise DataError(
                f"{path}: line {number}: expected a line of the header, beginning with @ or #, got {_cut(text)}"
            )
        key, _, words = text[1:].partition(" ")
        if key.lower() == "data":
            return number, keys
        keys[key.lower()] = words.strip()
    raise DataError(f"{path}: expected a line @data after the header, got none")


def _series(line: str, header: Header, number: int, source: str) -> Series:
    *texts, label = line.split(":")
    if not label.strip():
        raise DataError(f"{source}, column {len(line) + 1}: expected a label after the last colon, got none")
    if len(texts) != header.dimensions:
        raise DataError(
            f"{source}: expected {header.dimensions} dimensions and a label, with colons between them, got {len(texts)}"
        )
    if label.strip() not in header.classes:
        column = len(line) - len(label) + 1
        raise DataError(
            f"{source}, column {column}: expected a label among {list(header.classes)}, got {_cut(label.strip())}"
        )
    columns, begin = [], 1
    for dimension, text in enumerate(texts, 1):
        columns.append(_values(text, begin, f"{source}, column", f"dimension {dimension}"))
        if len(columns[-1]) != len(columns[0]):
            raise DataError(
                f"{source}, column {begin}: expected {len(columns[0])} steps, as dimension 1 has, got "
                f"{len(columns[-1])} of dimension {dimension}"
            )
        begin += len(text) + 1
    return Series(np.stack(columns, axis=1).astype(np.float32), label.strip(), number, source)


def _values(text: str, begin: int, source: str, dimension: str) -> NDArray[np.float64]:
    """The numbers of a dimension ``[L]``, NaN where one is missing; its text begins at column ``begin``."""
    if not text.strip():
        raise DataError(f"{source} {begin}: expected numbers of {dimension}, got a length of 0")
    words = text.split(",")
    values = np.empty(len(words))
    for step, word in enumerate(words):
        try:
            values[step] = np.nan if word.strip().lower() in _MISSING else float(word)
        except ValueError:
            values[step] = np.inf
        if abs(values[step]) > _LARGEST:  # false for NaN
            column = begin + len(",".join(words[:step])) + (step > 0)
            where = f"{source} {column} ({dimension}, step {step + 1})"
            raise DataError(f"{where}: expected a finite number, or ? if it is missing, got {_cut(word.strip())}")
    return values


def _cut(text: str) -> str:
    """A text for a message, shortened."""
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
