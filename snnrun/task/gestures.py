"""DVS Gesture from its authors: long recordings, and tables with the times of the gestures in them."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from snnrun.errors import DataError
from snnrun.task.event_files import Recording, aedat3, read_error


class Gesture(NamedTuple):
    """One gesture in a recording of several."""

    name: str  # of the recording's file
    begin: int  # µs
    end: int
    label: int  # from 1 on, as in the file
    recording: Recording  # all of it
    digest: bytes


def gestures(folder: Path, part: str) -> Iterator[Gesture]:
    """Every gesture in ``<recording>_labels.csv`` of the recordings in ``trials_to_<part>.txt``.

    Raises:
        DataError: a file is missing or damaged; it names the file, and the line of a table.
    """
    for name in _text(folder / f"trials_to_{part}.txt").split():
        path = folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise read_error(path, error) from None
        recording, digest = aedat3(content, str(path)), hashlib.sha256(content).digest()
        table = path.with_name(f"{path.stem}_labels.csv")
        for line, row in enumerate(csv.reader(_text(table).splitlines()), 1):
            if line == 1 or not row:  # class,startTime_usec,endTime_usec
                continue
            try:
                label, begin, end = (int(word) for word in row)
            except ValueError:
                raise DataError(f"{table}: line {line}: expected class, begin and end in µs, got {row}") from None
            yield Gesture(name, begin, end, label, recording, digest)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise read_error(path, error) from None
