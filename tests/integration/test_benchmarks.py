"""The page of the benchmarks is what its numbers make, and the statistics are right."""

from __future__ import annotations

import argparse

import pytest

from benchmarks import gpu, report, statistic


def test_the_page_shows_the_numbers_of_its_file() -> None:
    assert report.main(["--check"]) == 0


def test_kernels_for_gpus_are_compiled_and_measured() -> None:
    """On the CPU, in place of the GPU; the numbers of the machine code are the GPU's."""
    pytest.importorskip("triton")
    result = gpu.run(argparse.Namespace(quick=True, rounds=1), device="cpu")
    numbers = result["gpu"]
    assert [row["direction"] for row in numbers["machine_code"]] == ["forward", "backward"]
    for row in numbers["machine_code"]:
        assert row["registers"] > 0 and row["spilt"] == 0 and row["bytes"] >= 8
    assert {row["neuron"] for row in numbers["cases"]} == set(gpu.NEURONS)
    assert all(time > 0 for row in numbers["cases"] for time in row["seconds"].values())
    lines = report.tables({**result, "machine": numbers["machine"]})
    assert sum(line.startswith("| if |") for line in lines) == 3


def test_a_ratio_is_of_pairs() -> None:
    """Both become slower together: the ratio stays."""
    assert statistic.ratio([1.0, 2.0, 4.0], [3.0, 6.0, 12.0]) == (3.0, 3.0, 3.0)


def test_half_of_the_values_lie_in_the_spread() -> None:
    assert statistic.summary([5.0, 1.0, 2.0, 4.0, 3.0]) == (3.0, 2.0, 4.0)
    assert statistic.summary([7.0]) == (7.0, 7.0, 7.0)
