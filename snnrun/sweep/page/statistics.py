"""Means over seeds and what can be said of them: Student's t, sample standard deviations, nothing else."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from scipy.special import stdtrit

LEVEL = 0.95


class Estimate(NamedTuple):
    """A mean over seeds; what needs two of them is None where there is one."""

    n: int
    mean: float
    sd: float | None  # of the sample, with n - 1
    low: float | None  # of the interval of the mean, t with n - 1 degrees of freedom
    high: float | None


class Difference(NamedTuple):
    """By how much one mean is above another; the interval is None where there are too few seeds for one."""

    mean: float
    low: float | None
    high: float | None
    paired: bool  # seed by seed; otherwise of two independent samples

    @property
    def told_apart(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def quantile(freedom: float, level: float = LEVEL) -> float:
    """How many standard errors an interval reaches to either side: t for ``freedom`` degrees of freedom."""
    return float(stdtrit(freedom, (1 + level) / 2))


def estimate(values: Iterable[float]) -> Estimate | None:
    """Mean, sample standard deviation and 95 % interval of the mean; None without a value.

    ::

        mean ± t(0.975, n - 1) sd / sqrt(n)
    """
    known = list(values)
    if not known:
        return None
    mean = statistics.fmean(known)
    if len(known) == 1:
        return Estimate(1, mean, None, None, None)
    sd = statistics.stdev(known)
    reach = quantile(len(known) - 1) * sd / math.sqrt(len(known))
    return Estimate(len(known), mean, sd, mean - reach, mean + reach)


def difference(left: Mapping[Any, float], right: Mapping[Any, float]) -> Difference:
    """``left`` - ``right``, each a value by seed, neither empty.

    Where both have the same two seeds or more, and no others, seed by seed (paired t). Otherwise as two samples with
    variances of their own (Welch 1947, "The generalization of Student's problem").
    """
    if left.keys() == right.keys():
        paired = estimate(left[seed] - right[seed] for seed in left)
        assert paired is not None
        return Difference(paired.mean, paired.low, paired.high, paired=paired.n > 1)
    a, b = estimate(left.values()), estimate(right.values())
    assert a is not None and b is not None
    mean = a.mean - b.mean
    if a.sd is None or b.sd is None:
        return Difference(mean, None, None, paired=False)
    va, vb = a.sd**2 / a.n, b.sd**2 / b.n
    if va + vb == 0:
        return Difference(mean, mean, mean, paired=False)
    freedom = (va + vb) ** 2 / (va**2 / (a.n - 1) + vb**2 / (b.n - 1))
    reach = quantile(freedom) * math.sqrt(va + vb)
    return Difference(mean, mean - reach, mean + reach, paired=False)
