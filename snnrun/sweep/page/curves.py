"""Curves of a configuration: mean and standard deviation over its seeds for each epoch."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from snnrun.report.raster import thin
from snnrun.sweep.page.gather import JobSummary

MOST_POINTS = 200
ALL_POINTS = 6000  # of one kind of curve; keeps a page below 2 MB
LEAST_POINTS = 24


def bands(jobs: Sequence[JobSummary], key: str, most: int = MOST_POINTS) -> dict[str, Any] | None:
    """Epochs, mean and standard deviation of a curve over the finished jobs, or over all jobs if none has finished.

    The curve ends with the shortest job, since a mean over fewer seeds would jump there. A single job has no
    deviation. None without a curve. ``most``: points of a long curve after thinning.
    """
    done = [job for job in jobs if job.finished] or list(jobs)
    curves = [job.curves[key] for job in done if any(value is not None for value in job.curves.get(key, ()))]
    length = min(map(len, curves), default=0)
    if not length:
        return None
    epochs = [i for i in thin(length, most).tolist() if all(curve[i] is not None for curve in curves)]
    columns = [[value for curve in curves if (value := curve[i]) is not None] for i in epochs]
    return {
        "n": len(curves),
        "epoch": [i + 1 for i in epochs],
        "mean": [trim(statistics.fmean(column)) for column in columns],
        "sd": [trim(statistics.stdev(column)) for column in columns] if len(curves) > 1 else None,
    }


def points(curves: int) -> int:
    """The number of points that each of ``curves`` curves may have."""
    return max(LEAST_POINTS, min(MOST_POINTS, ALL_POINTS // max(curves, 1)))


def trim(value: float | None, digits: int = 5) -> float | None:
    """Round to ``digits`` significant digits: more than a screen shows, less than a file needs."""
    return None if value is None else float(f"{value:.{digits}g}")
