"""Statistics of means over seeds: Student's t, sample standard deviations, nothing else."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from scipy.special import stdtrit

LEVEL = 0.95


class Estimate(NamedTuple):
    """A mean over seeds; ``sd``, ``low`` and ``high`` are None for a single seed."""

    n: int
    mean: float
    sd: float | None  # of the sample, with n - 1
    low: float | None  # of the interval of the mean, t with n - 1 degrees of freedom
    high: float | None


class Difference(NamedTuple):
    """The difference of two means; the interval is None if there are too few seeds."""

    mean: float
    low: float | None
    high: float | None
    paired: bool  # seed by seed; False for two independent samples

    @property
    def significant(self) -> bool:
        """True if the interval does not contain zero."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def quantile(freedom: float, level: float = LEVEL) -> float:
    """Half the width of an interval in standard errors: t for ``freedom`` degrees of freedom."""
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

    Seed by seed (paired t) if both have the same two or more seeds. Otherwise as two samples with unequal variances
    (Welch 1947, "The generalization of Student's problem").
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
