"""The interface of an augmentation: images and uniform random numbers in, changed images out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import Never


@dataclass(frozen=True)
class Augmentation(ABC):
    """Base of all augmentations. The change of a sample depends only on its own random numbers, not on the batch."""

    #: Number of random numbers per sample.
    num_draws: ClassVar[int]

    @abstractmethod
    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """The changed images, of the same shape, dtype and device.

        Args:
            images: ``[B, C, H, W]``, values in [0, 1].
            draws: ``[B, num_draws]``, uniform in [0, 1); float64, on the CPU.
        """


#: No augmentation.
NONE: Mapping[str, Never] = MappingProxyType({})


def augment(images: Tensor, augmentations: Collection[Augmentation], generator: torch.Generator) -> Tensor:
    """One augmentation after the other.

    All numbers of a sample are drawn together, from ``generator`` on the CPU, sample by sample: they are the same on
    every device and for every batch size.
    """
    sizes = [augmentation.num_draws for augmentation in augmentations]
    draws = torch.rand(len(images), sum(sizes), dtype=torch.float64, generator=generator)
    for augmentation, own in zip(augmentations, draws.split(sizes, dim=1), strict=True):
        images = augmentation.apply(images, own)
    return images


def whole(draws: Tensor, count: int | Tensor) -> Tensor:
    """Uniform numbers in [0, 1) as whole numbers of 0 to ``count - 1``, equally likely."""
    # The product may be rounded up to count itself.
    return draws.mul(count).long().clamp_(max=count - 1)
