"""What several measurements of one thing come to."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Summary(NamedTuple):
    """Half of the measurements lie between ``low`` and ``high``."""

    median: float
    low: float
    high: float


def summary(values: Sequence[float]) -> Summary:
    """Median and quartiles."""
    if len(values) == 1:
        return Summary(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Summary(median, low, high)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Summary:
    """How many times as long theirs take: of pairs measured one after the other, so that drift cancels."""
    return summary([b / a for a, b in zip(ours, theirs, strict=True)])
