"""The order in which the pixels of an image arrive: one after another, by rows, columns or blocks, and permuted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from snnrun import check
from snnrun.errors import ArgumentError

_WORDS = ("none", "pixel", "row", "column")
_EXPECTED = "none, pixel, row, column, or [height, width] of a block"


@dataclass(frozen=True)
class Scan:
    """Turns images ``[B, C, H, W]`` into what arrives at each step.

    ::

        p'[i] = p[permutation[i]]        i = 0 … H W - 1, the pixels in reading order
        x[t]  = block t of p'            t = 0 … T - 1, the blocks in reading order, T = H W / (h w)

    The channels of a pixel stay together. Within a step the channel comes first, then the row, then the column.

    Args:
        shape: ``(C, H, W)`` of an image.
        block: ``(h, w)``, the pixels of a step; None: images stay still, ``[1, B, C, H, W]``.
        permute_seed: seed of the permutation, or None.
        permutation: ``[H W]`` int64, or None. It follows from the seed, so it is left out of comparisons.
    """

    shape: tuple[int, int, int]
    block: tuple[int, int] | None
    permute_seed: int | None
    permutation: Tensor | None = field(compare=False)

    @property
    def length(self) -> int | None:
        """T, the number of steps; None for still images."""
        if self.block is None:
            return None
        (_, height, width), (h, w) = self.shape, self.block
        return height * width // (h * w)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """``(C h w,)``, or the image's own shape if it stays still."""
        return self.shape if self.block is None else (self.shape[0] * self.block[0] * self.block[1],)

    def to(self, device: torch.device) -> Scan:
        """The same scan for images on ``device``."""
        return self if self.permutation is None else replace(self, permutation=self.permutation.to(device))

    def __call__(self, images: Tensor) -> Tensor:
        """``[T, B, C h w]``, or ``[1, B, C, H, W]``, of images ``[B, C, H, W]``."""
        if self.permutation is not None:
            images = images.flatten(2).index_select(2, self.permutation).view_as(images)
        if self.block is None:
            return images.unsqueeze(0)
        (channels, height, width), (h, w) = self.shape, self.block
        blocks = images.view(-1, channels, height // h, h, width // w, w)
        # [B, C, H/h, h, W/w, w] -> [H/h, W/w, B, C, h, w]
        return blocks.permute(2, 4, 0, 1, 3, 5).reshape(self.length or 1, len(images), *self.input_shape).contiguous()


def scan_of(sequence: str | Sequence[int], permute_seed: int | None, shape: tuple[int, ...]) -> Scan | None:
    """The scan of images of ``shape``; None if they arrive as they are.

    Raises:
        ArgumentError: an invalid ``sequence`` or ``permute_seed``, or blocks that do not tile the image.
    """
    if permute_seed is not None:
        check.integer("permute_seed", permute_seed, low=0, high=2**63 - 1)
    block = None
    if isinstance(sequence, str):
        if sequence not in _WORDS:
            raise ArgumentError("sequence", _EXPECTED, sequence)
        if sequence == "none" and permute_seed is None:
            return None
    if len(shape) != 3:
        raise ArgumentError("sequence", f"none, since the input has the shape {list(shape)}, not [C, H, W]", sequence)
    channels, height, width = shape
    if isinstance(sequence, str):
        block = {"none": None, "pixel": (1, 1), "row": (1, width), "column": (height, 1)}[sequence]
    else:
        block = _block(sequence, height, width)
    permutation = None
    if permute_seed is not None:
        permutation = torch.randperm(height * width, generator=torch.Generator().manual_seed(permute_seed))
    return Scan((channels, height, width), block, permute_seed, permutation)


def _block(sides: Sequence[int], height: int, width: int) -> tuple[int, int]:
    if not isinstance(sides, (list, tuple)) or len(sides) != 2:
        raise ArgumentError("sequence", _EXPECTED, sides)
    h, w = check.integers("sequence", sides, low=1)
    if height % h or width % w:
        raise ArgumentError("sequence", f"a block that tiles the {height} x {width} pixels of an image", sides)
    return h, w
