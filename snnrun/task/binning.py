"""Binning: events of recordings become T frames, by sums over flat indices, never by a loop over events.

An event is a time and a cell: a pixel and polarity of a camera, or a unit of a cochlea. ``cells`` computes and checks
the flat index of a cell; ``steps`` finds the frame of each event; ``frames`` counts. The arrays may hold several
recordings one after another: ``lengths`` has the number of events of each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnrun import check
from snnrun.errors import ArgumentError, DataError

Integers = NDArray[np.int64]

WAYS = ("count", "time")


def cells(coordinates: Sequence[ArrayLike], shape: Sequence[int], source: object = "events") -> Integers:
    """The flat index of each event in a frame of ``shape``.

    Args:
        coordinates: one array ``[n]`` for each axis of ``shape``, such as polarity, y and x for ``(2, 128, 128)``.
        source: file of the events, for the message.

    Returns:
        int64 ``[n]``, in ``[0, prod(shape))``; rows first, as in ``frame.reshape(-1)``.

    Raises:
        DataError: a coordinate out of range; it names file and event.
    """
    flat = np.zeros(len(np.atleast_1d(np.asarray(coordinates[0]))), dtype=np.int64)
    for axis, (values, size) in enumerate(zip(coordinates, shape, strict=True)):
        column = np.atleast_1d(np.asarray(values)).astype(np.int64, copy=False)
        if len(column) != len(flat):
            raise DataError(f"{source}: expected {len(flat)} coordinates of axis {axis}, got {len(column)}")
        if len(column) and (column.min() < 0 or column.max() >= size):
            where = int(((column < 0) | (column >= size)).argmax())
            raise DataError(
                f"{source}: expected coordinates from 0 to {size - 1} on axis {axis} of a frame of "
                f"{' x '.join(map(str, shape))}, got {column[where]} (event {where})"
            )
        flat = flat * size + column
    return flat


def steps(
    times: ArrayLike,
    num_steps: int,
    by: str = "count",
    *,
    duration: float | None = None,
    start: float | None = None,
    lengths: ArrayLike | None = None,
    source: object = "events",
) -> Integers:
    """The frame, 0 … T-1, of each event.

    ::

        by count    min(i // max(n // T, 1), T - 1)     i: place in the order of time; n: events of the recording
        by time     min(floor(T (t - t0) / D), T - 1)   D: from t0 to the last event: equal parts of each recording
        … duration  floor(T (t - t0) / duration)        the same for all: later events are left out

    By count a frame has n // T events, and the last one the remainder too, as in SpikingJelly's ``split_by='number'``;
    a recording of fewer than T events has one in each of its first frames. Events need not be in order of time; equal
    times keep their order.

    Args:
        times: ``[n]``, whole or real numbers, of any unit.
        num_steps: T.
        by: ``count`` or ``time``.
        duration: only by time: length of T frames, in the unit of ``times``.
        start: only by time: t0, the time at which recordings begin; None: with their first event.
        lengths: ``[N]``, the number of events in each of N consecutive recordings; None: one recording.
        source: file of the events, for messages.

    Returns:
        int64 ``[n]``; -1 for an omitted event.

    Raises:
        DataError: a time that is not finite, or before ``start``.
        ValueError: an option out of range.
    """
    num_steps = check.integer("num_steps", num_steps, low=1)
    check.choice("by", by, WAYS)
    moments = np.atleast_1d(np.asarray(times))
    sizes = _sizes(lengths, len(moments))
    if moments.dtype.kind == "f" and not np.isfinite(moments).all():
        where = int((~np.isfinite(moments)).argmax())
        raise DataError(f"{source}: expected finite times, got {moments[where]} (event {where})")
    # Differences of unsigned numbers would wrap around, and half-precision ones would be rounded.
    moments = moments.astype(np.float64 if moments.dtype.kind == "f" else np.int64, copy=False)
    if not len(moments):
        return np.zeros(0, dtype=np.int64)

    owner = np.repeat(np.arange(len(sizes)), sizes)
    if by == "count":
        if duration is not None or start is not None:
            raise ArgumentError(
                "duration",
                "None for binning by count",
                (duration, start),
                advice="choose by='time'",
                others=("start",),
            )
        return _by_count(moments, sizes, owner, num_steps)
    return _by_time(moments, sizes, owner, num_steps, duration, start, source)


def frames(
    step: Integers, cell: Integers, num_steps: int, shape: Sequence[int], *, lengths: ArrayLike | None = None
) -> Integers:
    """The number of events in each cell of each frame.

    Args:
        step: ``[n]`` from :func:`steps`.
        cell: ``[n]`` from :func:`cells`.
        shape: ``*N`` of a frame.
        lengths: as in :func:`steps`; then the frames of N recordings are returned.

    Returns:
        int64 ``[T, *shape]``, or ``[N, T, *shape]`` with ``lengths``. Their sum is the number of events without omitted
        ones. With ``clip(max=1)`` it is 0 or 1.
    """
    sizes = _sizes(lengths, len(step))
    owner = np.repeat(np.arange(len(sizes)), sizes)
    size = math.prod(shape)
    flat = (owner * num_steps + step) * size + cell
    if (step < 0).any():
        flat = flat[step >= 0]
    counts = np.bincount(flat, minlength=len(sizes) * num_steps * size).astype(np.int64, copy=False)
    whole = counts.reshape(len(sizes), num_steps, *shape)
    return whole[0] if lengths is None else whole


def _by_count(moments: NDArray[Any], sizes: Integers, owner: Integers, num_steps: int) -> Integers:
    place = np.arange(len(moments)) - (np.cumsum(sizes) - sizes)[owner]  # in its own recording
    rising = moments[1:] >= moments[:-1]
    if not (rising | (owner[1:] != owner[:-1])).all():
        rank = np.empty_like(place)
        rank[np.lexsort((moments, owner))] = place  # stable: equal times keep their order
        place = rank
    return np.minimum(place // np.maximum(sizes // num_steps, 1)[owner], num_steps - 1)


def _by_time(
    moments: NDArray[Any],
    sizes: Integers,
    owner: Integers,
    num_steps: int,
    duration: float | None,
    start: float | None,
    source: object,
) -> Integers:
    begins = (np.cumsum(sizes) - sizes)[sizes > 0]
    index = (np.cumsum(sizes > 0) - 1)[owner]  # among the recordings with events; `reduceat` needs nonempty ones
    if start is None:
        since = moments - np.minimum.reduceat(moments, begins)[index]
    else:
        since = moments - np.asarray(start, dtype=moments.dtype if float(start).is_integer() else np.float64)
        if since.min() < 0:
            where = int((since < 0).argmax())
            raise DataError(f"{source}: expected times of at least {start:g}, got {moments[where]} (event {where})")
    if duration is not None:
        length = check.number("duration", duration, above=0)
        real = np.floor(since * num_steps / length)
        return np.where(real < num_steps, real, -1).astype(np.int64)
    last = np.maximum.reduceat(since, begins)[index]
    span = np.where(last > 0, last, 1)  # if all events have the same time, they go to the first frame
    exact = since * num_steps // span  # exact in whole numbers
    return np.minimum(exact.astype(np.int64), num_steps - 1)


def _sizes(lengths: ArrayLike | None, total: int) -> Integers:
    sizes = np.asarray([total] if lengths is None else lengths, dtype=np.int64)
    if sizes.ndim != 1 or (sizes < 0).any() or int(sizes.sum()) != total:
        raise ArgumentError("lengths", f"numbers of events with the sum {total}", sizes.tolist())
    return sizes
