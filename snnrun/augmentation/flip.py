"""Random mirroring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from snnrun import check
from snnrun.augmentation.base import Augmentation
from snnrun.system.device import upload


@dataclass(frozen=True)
class Flip(Augmentation):
    """Swaps left and right of some images; not for digits and letters: mirrored, they are different characters.

    ::

        y[i, j] = x[i, W - 1 - j] with probability p, else x[i, j]

    Args:
        p: probability, in [0, 1]. Default 0.5.

    Raises:
        ValueError: for a probability out of range.

    Source: ``torchvision.transforms.RandomHorizontalFlip``.
    """

    p: float = 0.5
    num_draws: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check.number("p", self.p, low=0, high=1)

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        chosen = upload(draws < self.p, images.device)[:, :, None, None]  # [B, 1, 1, 1]
        return torch.where(chosen, images.flip(-1), images)
