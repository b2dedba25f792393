"""Means over seeds against numbers that others have worked out."""

from __future__ import annotations

import math

import pytest

from snnrun.sweep.page.statistics import difference, estimate, quantile

# Student 1908, "The probable error of a mean": hours of sleep gained with two drugs, ten patients. The intervals are
# those of R's t.test, in the examples of its manual.
FIRST = dict(enumerate([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]))
SECOND = dict(enumerate([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]))


@pytest.mark.parametrize(("freedom", "value"), [(1, 12.7062047), (2, 4.3026527), (3, 3.1824463), (9, 2.2621572)])
def test_the_table_of_t(freedom: int, value: float) -> None:
    assert quantile(freedom) == pytest.approx(value, abs=5e-8)


def test_a_mean_and_its_interval() -> None:
    interval = estimate([1, 2, 3, 4])
    assert interval is not None
    assert (interval.n, interval.mean) == (4, 2.5)
    assert interval.sd == pytest.approx(math.sqrt(5 / 3))
    reach = 3.1824463 * math.sqrt(5 / 3) / 2
    assert (interval.low, interval.high) == pytest.approx((2.5 - reach, 2.5 + reach), abs=1e-6)


def test_few_values() -> None:
    assert estimate([]) is None
    assert estimate([0.5]) == (1, 0.5, None, None, None)
    assert estimate([0.5, 0.5]) == (2, 0.5, 0.0, 0.5, 0.5)


def test_seed_by_seed() -> None:
    gap = difference(FIRST, SECOND)
    assert gap.paired and gap.significant
    assert gap[:3] == pytest.approx((-1.58, -2.4598858, -0.7001142), abs=5e-8)


def test_two_samples() -> None:
    gap = difference(FIRST, {seed + 10: value for seed, value in SECOND.items()})
    assert not gap.paired and not gap.significant
    assert gap[:3] == pytest.approx((-1.58, -3.3654832, 0.2054832), abs=5e-8)


def test_too_few_seeds_for_an_interval() -> None:
    for right in ({0: 0.75}, {1: 0.75}):
        gap = difference({0: 0.5}, right)
        assert gap[:] == (-0.25, None, None, False)
        assert not gap.significant


def test_samples_without_spread() -> None:
    gap = difference({0: 0.5, 1: 0.5}, {2: 0.25, 3: 0.25})
    assert gap[:3] == (0.25, 0.25, 0.25) and gap.significant
