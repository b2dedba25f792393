"""The page of the benchmarks is what its numbers make, and the statistics are right."""

from __future__ import annotations

from benchmarks import report, statistic


def test_the_page_shows_the_numbers_of_its_file() -> None:
    assert report.main(["--check"]) == 0


def test_a_ratio_is_of_pairs() -> None:
    """Both become slower together: the ratio stays."""
    assert statistic.ratio([1.0, 2.0, 4.0], [3.0, 6.0, 12.0]) == (3.0, 3.0, 3.0)


def test_half_of_the_values_lie_in_the_spread() -> None:
    assert statistic.summary([5.0, 1.0, 2.0, 4.0, 3.0]) == (3.0, 2.0, 4.0)
    assert statistic.summary([7.0]) == (7.0, 7.0, 7.0)
