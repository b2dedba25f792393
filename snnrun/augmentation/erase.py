"""A black square at a random place of the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from snnrun import check
from snnrun.augmentation.base import Augmentation, whole
from snnrun.system.device import upload


@dataclass(frozen=True)
class Erase(Augmentation):
    """Blackens a square at a random place (cutout).

    Its centre is any pixel of the image, so that some of it may be outside.

    ::

        y[i, j] = 0 if i in [a - n/2, a + n/2) and j in [b - n/2, b + n/2), else x[i, j]
                                                             a uniform in 0 … H - 1, b uniform in 0 … W - 1

    Halves are rounded down.

    Args:
        size: side n >= 1 of the square, in pixels. Default 8.

    Raises:
        ValueError: for a size below 1.

    Source: T. DeVries and G. Taylor, Improved regularization of convolutional neural networks with cutout,
    arXiv:1708.04552, 2017.
    """

    size: int = 8
    num_draws: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check.integer("size", self.size, low=1)

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        erased = [upload(self._hit(draws[:, i], images.shape[-2 + i]), images.device) for i in range(2)]
        rows, columns = erased  # [B, H], [B, W]
        return images.masked_fill((rows[:, :, None] & columns[:, None, :]).unsqueeze(1), 0)

    def _hit(self, draws: Tensor, length: int) -> Tensor:
        """True for the rows or columns that the square covers, ``[B, length]``."""
        first = whole(draws, length)[:, None] - self.size // 2
        place = torch.arange(length)
        return (place >= first) & (place < first + self.size)
