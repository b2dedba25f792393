"""A random rotation, shift and scaling."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from snnrun import check
from snnrun.augmentation.base import Augmentation
from snnrun.system.device import upload


@dataclass(frozen=True)
class Affine(Augmentation):
    """Turns, shifts and scales an image about its centre.

    Between pixels values are interpolated, outside the image is black.

    ::

        y(q) = x(R(-α) (q - t) / s)              q: position relative to the centre, in pixels
        α uniform in ± degrees (clockwise), s uniform in 1 ± scale
        t uniform in ± translate (W, H)

    Args:
        degrees: largest angle, in [0, 180]. Default 10.
        translate: largest shift as a share of width and height, in [0, 1). Default 0.1.
        scale: largest relative change of the size, in [0, 1). Default 0.1.

    Raises:
        ValueError: for a value out of range.

    Source: ``torchvision.transforms.RandomAffine``, with bilinear interpolation.
    """

    degrees: float = 10.0
    translate: float = 0.1
    scale: float = 0.1
    num_draws: ClassVar[int] = 4

    def __post_init__(self) -> None:
        check.number("degrees", self.degrees, low=0, high=180)
        check.number("translate", self.translate, low=0, below=1)
        check.number("scale", self.scale, low=0, below=1)

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        angle, scale, right, down = draws.mul(2).sub(1).unbind(1)
        angle, scale = angle * math.radians(self.degrees), 1 + scale * self.scale
        cos, sin = angle.cos() / scale, angle.sin() / scale
        # torch's grid is from -1 to 1 between the edges of the image, so a pixel is 2/W wide and 2/H high.
        right, down = 2 * self.translate * right, 2 * self.translate * down
        ratio = height / width
        rows = [
            torch.stack([cos, sin * ratio, -cos * right - sin * ratio * down], dim=1),
            torch.stack([-sin / ratio, cos, sin / ratio * right - cos * down], dim=1),
        ]
        theta = upload(torch.stack(rows, dim=1).to(images.dtype), images.device)  # [B, 2, 3]
        grid = affine_grid(theta, list(images.shape), align_corners=False)
        # A mean of values in [0, 1], up to rounding.
        return grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False).clamp_(0, 1)
