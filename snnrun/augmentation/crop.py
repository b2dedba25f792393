"""A random crop of the image's size, after black padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from snnrun import check
from snnrun.augmentation.base import Augmentation, whole
from snnrun.system.device import upload


@dataclass(frozen=True)
class Crop(Augmentation):
    """Shifts an image by some pixels, up or down and sideways; the uncovered border is black.

    ::

        y[i, j] = x[i + a - p, j + b - p], or 0 outside the image        a, b uniform in 0 … 2 p

    Args:
        padding: p >= 1, in pixels. Default 4.

    Raises:
        ValueError: for a padding below 1.

    Source: C.-Y. Lee et al., Deeply-supervised nets, AISTATS 2015; ``torchvision.transforms.RandomCrop``.
    """

    padding: int = 4
    num_draws: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check.integer("padding", self.padding, low=1)

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        count, channels, height, width = images.shape
        top, left = upload(whole(draws, 2 * self.padding + 1), images.device).unbind(1)
        rows = top[:, None] + torch.arange(height, device=images.device)  # [B, H]
        columns = left[:, None] + torch.arange(width, device=images.device)  # [B, W]
        padded = pad(images, [self.padding] * 4)
        # Flat pixel indices: several times as fast as an index for each axis.
        place = rows[:, :, None] * padded.shape[3] + columns[:, None, :]  # [B, H, W]
        places = place.view(count, 1, -1).expand(-1, channels, -1)
        return padded.view(count, channels, -1).gather(2, places).view(images.shape)
