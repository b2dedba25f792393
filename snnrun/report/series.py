"""Curves out of records: plain arrays in which whatever is missing or not finite is NaN, so that a plot shows a gap."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Record = Mapping[str, Any]
Floats = NDArray[np.float64]


class Timeline(NamedTuple):
    """The common horizontal axis of all curves of a run."""

    steps: Floats  # where the step records lie
    epochs: Floats  # where the epoch records lie
    label: str  # "epoch", or "step" where there is one epoch only


def of_kind(records: Iterable[Record], kind: str) -> list[Record]:
    """The step or the epoch records, in order."""
    return [record for record in records if record.get("kind") == kind]


def finite(value: object) -> float:
    """``value`` as a number; NaN where it is absent, infinite, or no number."""
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    return math.nan


def column(records: Sequence[Record], key: str) -> Floats:
    """One number per record."""
    return np.array([finite(record.get(key)) for record in records], dtype=np.float64)


def layer_column(epochs: Sequence[Record], layer: str, key: str) -> Floats:
    """One number per epoch record, from the entry of ``layer``."""
    return column([(record.get("layers") or {}).get(layer) or {} for record in epochs], key)


def layer_names(epochs: Sequence[Record]) -> list[str]:
    """All layers in order of appearance."""
    return list(dict.fromkeys(name for record in epochs for name in record.get("layers") or {}))


def timeline(records: Sequence[Record]) -> Timeline:
    """Positions of step and epoch records, with steps counted over the whole run.

    Epoch e covers (e - 1, e], so that its steps end where its mean is drawn. A run of one epoch is told in steps.
    """
    steps, epochs = of_kind(records, "step"), of_kind(records, "epoch")
    if len({record["epoch"] for record in steps + epochs}) <= 1:
        return Timeline(column(steps, "step"), column(epochs, "step"), "step")
    ends = {record["epoch"]: record["step"] for record in epochs}
    first: dict[int, int] = {}
    for record in steps:
        first.setdefault(record["epoch"], record["step"])
    positions, length = [], 1
    for record in steps:
        epoch = record["epoch"]
        start = ends.get(epoch - 1, 0 if epoch == 1 else first[epoch] - 1)
        # An epoch that was cut short has no end: it is taken to be as long as the one before.
        length = ends[epoch] - start if epoch in ends else max(length, record["step"] - start)
        positions.append(epoch - 1 + (record["step"] - start) / max(length, 1))
    return Timeline(np.array(positions, dtype=np.float64), column(epochs, "epoch"), "epoch")


def best_epoch(epochs: Sequence[Record]) -> int | None:
    """Index into ``epochs`` of the best one: every record on the way is marked, the last mark counts."""
    marked = [i for i, record in enumerate(epochs) if record.get("best")]
    return marked[-1] if marked else None


def spans_decades(values: Floats, decades: float = 2.0) -> bool:
    """Whether all values are positive and the largest is more than ``decades`` powers of ten above the smallest."""
    known = values[np.isfinite(values)]
    return bool(known.size and known.min() > 0 and math.log10(known.max()) - math.log10(known.min()) > decades)
