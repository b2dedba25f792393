"""The raster of a run, from ``figures/raster.npz``: an archive of which nothing is known, so that sizes come first."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun import untrusted
from snnrun.untrusted import Unreadable, printable

LARGEST = 1 << 25  # bytes of the archive, and of what an array in it may become
MOST_LAYERS = 30
MOST_NEURONS = 120  # drawn of a layer
MOST_SPIKES = 20_000  # drawn of all


class Raster(NamedTuple):
    """The spikes of one layer for one sample of the test part."""

    layer: str
    neurons: int
    drawn: int  # of them, evenly spread
    steps: int
    spikes: list[list[int]]  # step and place of each


def rasters(folder: Path) -> list[Raster]:
    """Input (where it is a spike train) and layers, in order; nothing where the file is missing or damaged."""
    try:
        with untrusted.opened(folder, "figures/raster.npz") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            return []
        found, room = [], MOST_SPIKES
        for name, values in _arrays(data):
            raster = _raster(name, values, room)
            room -= len(raster.spikes)
            found.append(raster)
        return found
    # zipfile and numpy raise these for what is damaged, or made so.
    except (
        *(Unreadable, zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, KeyError),
        *(RuntimeError, NotImplementedError, MemoryError),
    ):
        return []


def _arrays(data: bytes) -> Iterator[tuple[str, NDArray[Any]]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        count = 0
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            if name != "input" and not name.endswith(".spikes"):
                continue
            count += 1
            if count > MOST_LAYERS or entry.file_size > LARGEST:
                return
            with archive.open(entry) as member:
                values = np.lib.format.read_array(io.BytesIO(member.read(LARGEST)), allow_pickle=False)
            if values.ndim == 2 and values.dtype.kind in "iu" and values.size:
                yield name.removesuffix(".spikes"), values


def _raster(name: str, values: NDArray[Any], room: int) -> Raster:
    steps, neurons = values.shape
    chosen = np.unique(np.linspace(0, neurons - 1, min(neurons, MOST_NEURONS)).round().astype(np.intp))
    where = np.argwhere(values[:, chosen] != 0)[: max(room, 0)]
    return Raster(printable(name, 60), neurons, len(chosen), steps, where.tolist())
