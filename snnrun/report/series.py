"""Curves out of records: plain arrays. A missing or infinite value is NaN, so that a plot shows a gap."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun.training.records import Entry, EpochRecord, LogRecord, StepRecord, of_kind

Floats = NDArray[np.float64]


class Timeline(NamedTuple):
    """The common horizontal axis of all curves of a run."""

    steps: Floats  # positions of the step records
    epochs: Floats  # positions of the epoch records
    label: str  # "epoch", or "step" if there is only one epoch


def finite(value: object) -> float:
    """``value`` as a number; NaN if it is absent, infinite, or no number."""
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    return math.nan


def column(records: Iterable[Entry | None], key: str) -> Floats:
    """The field ``key`` of each record; NaN for a missing record."""
    values = (None if record is None else getattr(record, key) for record in records)
    return np.array([finite(value) for value in values], dtype=np.float64)


def layer_column(epochs: Sequence[EpochRecord], layer: str, key: str) -> Floats:
    """One number per epoch record, from the entry of ``layer``."""
    return column([record.layers.get(layer) for record in epochs], key)


def layer_names(epochs: Sequence[EpochRecord]) -> list[str]:
    """All layers in order of appearance."""
    return list(dict.fromkeys(name for record in epochs for name in record.layers))


def timeline(records: Sequence[LogRecord]) -> Timeline:
    """Positions of step and epoch records, with steps counted over the whole run.

    Epoch e covers (e - 1, e], so that its steps end at the position of its mean. A run of one epoch is shown in steps.
    """
    steps, epochs = of_kind(records, StepRecord), of_kind(records, EpochRecord)
    if len({record.epoch for record in (*steps, *epochs)}) <= 1:
        return Timeline(column(steps, "step"), column(epochs, "step"), "step")
    ends = {record.epoch: record.step for record in epochs}
    first: dict[int, int] = {}
    for record in steps:
        first.setdefault(record.epoch, record.step)
    positions, length = [], 1
    for record in steps:
        epoch = record.epoch
        start = ends.get(epoch - 1, 0 if epoch == 1 else first[epoch] - 1)
        # An interrupted epoch has no end: assume the length of the one before.
        length = ends[epoch] - start if epoch in ends else max(length, record.step - start)
        positions.append(epoch - 1 + (record.step - start) / max(length, 1))
    return Timeline(np.array(positions, dtype=np.float64), column(epochs, "epoch"), "epoch")


def spans_decades(values: Floats, decades: float = 2.0) -> bool:
    """True if all values are positive and the largest is more than ``decades`` powers of ten above the smallest."""
    known = values[np.isfinite(values)]
    return bool(known.size and known.min() > 0 and math.log10(known.max()) - math.log10(known.min()) > decades)
