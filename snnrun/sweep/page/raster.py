"""The raster of a run, from ``figures/raster.npz``: an untrusted archive, so sizes are checked first."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun.report.raster import thin
from snnrun.sweep.page.picture import Picture, picture_of
from snnrun.system import safe_read
from snnrun.system.safe_read import Unreadable, printable

LARGEST = 1 << 25  # bytes of the archive, and of an unpacked array
MOST_LAYERS = 30
MOST_NEURONS = 120  # of a layer in the drawing
MOST_SPIKES = 20_000  # of all layers in the drawing
FACTS = ("sample", "label", "prediction", "tied")
# Errors of zipfile and numpy for damaged or hostile files.
DAMAGED = (
    *(Unreadable, zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, KeyError),
    *(RuntimeError, NotImplementedError, MemoryError),
)


class Raster(NamedTuple):
    """The spikes of one layer for one test sample."""

    layer: str
    neurons: int
    drawn: int  # neurons in the drawing, evenly spread
    steps: int
    spikes: list[list[int]]  # step and row of each


def rasters(folder: Path) -> list[Raster]:
    """Input (if it is a spike train) and layers, in order; empty if the file is missing or damaged."""
    layers: list[Raster] = []
    try:
        room = MOST_SPIKES
        for name, values in _arrays(folder, lambda name: name == "input" or name.endswith(".spikes")):
            if values.ndim == 2 and values.size:
                raster = _raster(name.removesuffix(".spikes"), values, room)
                room -= len(raster.spikes)
                layers.append(raster)
    except DAMAGED:
        return []
    return layers


def sample_of(folder: Path) -> dict[str, int]:
    """The facts about the sample: "sample", and if known "label", "prediction" and "tied"."""
    try:
        return {name: int(value) for name, value in _arrays(folder, FACTS.__contains__) if value.ndim == 0}
    except DAMAGED:
        return {}


def picture(folder: Path) -> Picture | None:
    """The still image of the sample, if the record has one."""
    try:
        return next((picture_of(values) for _, values in _arrays(folder, "image".__eq__)), None)
    except DAMAGED:
        return None


def _arrays(folder: Path, select: Callable[[str], bool]) -> Iterator[tuple[str, NDArray[Any]]]:
    """The integer arrays whose names ``select`` accepts; no others are read."""
    with safe_read.open_regular(folder, "figures/raster.npz") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        count = 0
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            if not select(name):
                continue
            count += 1
            if count > MOST_LAYERS or entry.file_size > LARGEST:
                return
            with archive.open(entry) as member:
                values = np.lib.format.read_array(io.BytesIO(member.read(LARGEST)), allow_pickle=False)
            if values.dtype.kind in "iu":
                yield name, values


def _raster(name: str, values: NDArray[Any], room: int) -> Raster:
    steps, neurons = values.shape
    neurons_shown = thin(neurons, MOST_NEURONS)
    where = np.argwhere(values[:, neurons_shown] != 0)[: max(room, 0)]
    return Raster(printable(name, 60), neurons, len(neurons_shown), steps, where.tolist())
