"""Binning, against a loop over the events, and where there is little to bin."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from snnrun.errors import DataError
from snnrun.task import binning
from support.refusals import fails, refuses

SHAPE = (2, 4, 5)


def recording(seed: int, num: int = 97, *, sort: bool = True) -> tuple[Any, list[Any]]:
    """Times of few values, so that many are equal, and coordinates in SHAPE."""
    random = np.random.default_rng(seed)
    times = random.integers(1000, 1000 + num // 2, num)
    return (np.sort(times) if sort else times), [random.integers(0, size, num) for size in SHAPE]


def bin_by_loop(times: Any, coordinates: Any, num_steps: int, by: str, duration: Any = None, start: Any = None) -> Any:
    """The definition, an event at a time."""
    whole = np.zeros((num_steps, *SHAPE), dtype=np.int64)
    order = sorted(range(len(times)), key=lambda event: times[event])  # stable
    for place, event in enumerate(order):
        if by == "count":
            step = min(place // max(len(times) // num_steps, 1), num_steps - 1)
        else:
            first = min(times) if start is None else start
            since = Fraction(int(times[event] - first))
            length = duration or int(max(times) - first)
            step = since * num_steps // Fraction(length) if length else 0
            if step >= num_steps:
                if duration:
                    continue
                step = num_steps - 1
        where = (step, *(column[event] for column in coordinates))
        whole[where] += 1
    return whole


def bin_at_once(times: Any, coordinates: Any, num_steps: int, by: str, lengths: Any = None, **options: Any) -> Any:
    step = binning.steps(times, num_steps, by, lengths=lengths, **options)
    return binning.frames(step, binning.cells(coordinates, SHAPE), num_steps, SHAPE, lengths=lengths)


OPTIONS = [("count", {}), ("time", {}), ("time", {"duration": 30}), ("time", {"start": 900}), ("time", {"duration": 7})]


@pytest.mark.parametrize(("by", "options"), OPTIONS)
@pytest.mark.parametrize("num_steps", [1, 7, 97, 120])
@pytest.mark.parametrize("sort", [True, False])
def test_a_recording_is_binned_as_by_a_loop(by: str, options: Any, num_steps: int, sort: bool) -> None:
    times, coordinates = recording(num_steps, sort=sort)
    frames = bin_at_once(times, coordinates, num_steps, by, **options)
    assert np.array_equal(frames, bin_by_loop(times, coordinates, num_steps, by, **options))
    if "duration" not in options:
        assert frames.sum() == len(times)


@pytest.mark.parametrize(("by", "options"), OPTIONS)
@pytest.mark.parametrize("sort", [True, False])
def test_many_recordings_are_each_binned_as_if_alone(by: str, options: Any, sort: bool) -> None:
    lengths = [0, 5, 97, 1, 0, 0, 30, 0]
    all_of = [recording(i, length, sort=sort) for i, length in enumerate(lengths) if length > 1]
    all_of.insert(2, (np.array([1003]), [np.array([1]), np.array([3]), np.array([4])]))
    times = np.concatenate([times for times, _ in all_of])
    coordinates = [np.concatenate(columns) for columns in zip(*(c for _, c in all_of), strict=True)]
    all_frames = bin_at_once(times, coordinates, 4, by, lengths, **options)
    assert all_frames.shape == (len(lengths), 4, *SHAPE)
    expected = iter(bin_by_loop(times, coordinates, 4, by, **options) for times, coordinates in all_of)
    for length, frames in zip(lengths, all_frames, strict=True):
        assert np.array_equal(frames, next(expected) if length else np.zeros((4, *SHAPE)))


@pytest.mark.parametrize(("by", "options"), OPTIONS)
def test_without_events_frames_are_empty(by: str, options: Any) -> None:
    frames = bin_at_once([], [[], [], []], 3, by, **options)
    assert frames.shape == (3, *SHAPE)
    assert not frames.any()
    assert bin_at_once([], [[], [], []], 3, by, [0, 0], **options).shape == (2, 3, *SHAPE)
    assert bin_at_once([], [[], [], []], 3, by, [], **options).shape == (0, 3, *SHAPE)


@pytest.mark.parametrize("by", binning.WAYS)
def test_one_event_is_of_the_first_frame(by: str) -> None:
    frames = bin_at_once([17], [[1], [2], [3]], 4, by)
    assert frames[0, 1, 2, 3] == frames.sum() == 1


def test_equal_times_are_one_frame_by_time_and_are_spread_by_count_in_the_order_they_have() -> None:
    assert binning.steps([5] * 6, 3, "time").tolist() == [0] * 6
    assert binning.steps([5] * 6, 3, "count").tolist() == [0, 0, 1, 1, 2, 2]
    assert binning.steps([9, 5, 9, 5], 4, "count").tolist() == [2, 0, 3, 1]


def test_the_last_frame_by_count_takes_the_remainder_as_in_spikingjelly() -> None:
    assert Counter(binning.steps(np.arange(23), 5, "count").tolist()) == {0: 4, 1: 4, 2: 4, 3: 4, 4: 7}
    assert binning.steps(np.arange(3), 5, "count").tolist() == [0, 1, 2]


def test_frames_by_time_are_closed_at_their_beginning() -> None:
    assert binning.steps([0, 9, 10, 19, 20, 29, 30], 3, "time").tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert binning.steps([0.0, 0.5, 0.999, 1.0, 1.5], 2, "time", duration=1.0).tolist() == [0, 1, 1, -1, -1]
    assert binning.steps([0.25, 0.75], 2, "time", duration=1.0, start=0.0).tolist() == [0, 1]
    assert binning.steps([0.25, 0.75], 2, "time", duration=1.0).tolist() == [0, 1]
    assert binning.steps([0.75, 0.25], 4, "time", start=0.0).tolist() == [3, 1]


def test_times_of_any_kind_are_taken() -> None:
    for kind in (np.uint8, np.uint32, np.uint64, np.int64, np.float16, np.float32):
        times = np.array([30, 20, 10, 40], dtype=kind)
        assert binning.steps(times, 4, "time", start=10).tolist() == [2, 1, 0, 3]
        assert binning.steps(times, 4, "time", duration=40).tolist() == [2, 1, 0, 3]


def test_units_are_cells_of_one_axis() -> None:
    cell = binning.cells([[3, 0, 3]], [5], "speech.h5")
    assert cell.tolist() == [3, 0, 3]
    frames = binning.frames(binning.steps([0.0, 0.1, 0.2], 2, "time"), cell, 2, [5])
    assert frames.tolist() == [[0, 0, 0, 1, 0], [1, 0, 0, 1, 0]]
    assert frames.clip(max=1).max() == 1


@pytest.mark.parametrize(
    ("axis", "value", "bounds"),
    [(0, 2, "from 0 to 1 on axis 0"), (1, 4, "from 0 to 3 on axis 1"), (2, -1, "from 0 to 4 on axis 2")],
)
def test_a_coordinate_out_of_range_is_named_with_its_file(axis: int, value: int, bounds: str) -> None:
    _, coordinates = recording(0)
    coordinates[axis][[11, 50]] = value
    with fails(DataError, "a/00001.bin: ", bounds, "2 x 4 x 5", f"got {value} (event 11)"):
        binning.cells(coordinates, SHAPE, "a/00001.bin")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_time_that_is_not_finite_is_named(value: float) -> None:
    with pytest.raises(DataError, match=r"^x\.h5: expected finite times, got (nan|inf) \(event 1\)$"):
        binning.steps([0.0, value], 3, "count", source="x.h5")


def test_a_time_before_the_start_is_named() -> None:
    with fails(DataError, "x.h5: ", "at least 0", "got -0.5 (event 2)"):
        binning.steps([0.0, 1.0, -0.5], 3, "time", start=0.0, source="x.h5")


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"num_steps": 0}, ("num_steps", 0, "whole number of at least 1")),
        ({"by": "events"}, ("by", "events", "'count' or 'time'")),
        ({"by": "count", "duration": 1.0}, ("duration, start", (1.0, None), "None")),
        ({"by": "time", "duration": 0}, ("duration", 0, "above 0")),
        ({"lengths": [2]}, ("lengths", [2], "sum 3")),
        ({"lengths": [4, -1]}, ("lengths", [4, -1], "sum 3")),
    ],
)
def test_options_are_checked(options: dict[str, Any], refusal: tuple[Any, ...]) -> None:
    with refuses(*refusal):
        binning.steps([1, 2, 3], **{"num_steps": 2, **options})
