"""The still image beside a raster, as rectangles of an SVG: the page needs no file and no script for it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun.report.raster import thin

MOST_PIXELS = 64  # a side


class Block(NamedTuple):
    """Neighbouring pixels of a row with one colour."""

    x: int
    y: int
    width: int
    colour: str  # #rrggbb


class Picture(NamedTuple):
    """``width`` x ``height`` pixels, sampled from ``of`` pixels; black ones have no block."""

    width: int
    height: int
    blocks: tuple[Block, ...]
    of: tuple[int, int]


def picture_of(values: NDArray[Any]) -> Picture | None:
    """The picture of ``[1 or 3, H, W]`` uint8; None for anything else. Beyond 64 pixels a side it is subsampled."""
    if values.ndim != 3 or values.shape[0] not in (1, 3) or values.dtype != np.uint8 or not values.size:
        return None
    _, high, wide = values.shape
    small = values[:, thin(high, MOST_PIXELS)][:, :, thin(wide, MOST_PIXELS)]
    red, green, blue = (small[i].astype(np.int64) for i in ((0, 0, 0) if len(small) == 1 else (0, 1, 2)))
    colours = (red << 16) + (green << 8) + blue
    blocks = []
    for y, row in enumerate(colours):
        starts = np.flatnonzero(np.diff(row, prepend=-1)).tolist()
        for x, end in zip(starts, [*starts[1:], len(row)], strict=True):
            if row[x]:
                blocks.append(Block(x, y, end - x, f"#{row[x]:06x}"))
    return Picture(small.shape[2], small.shape[1], tuple(blocks), (wide, high))
