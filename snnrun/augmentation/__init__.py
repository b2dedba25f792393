"""Augmentations: random changes to training images, pure functions of images and uniform random numbers."""

from snnrun.augmentation.affine import Affine
from snnrun.augmentation.base import NONE, Augmentation, augment
from snnrun.augmentation.crop import Crop
from snnrun.augmentation.erase import Erase
from snnrun.augmentation.flip import Flip

__all__ = ["NONE", "Affine", "Augmentation", "Crop", "Erase", "Flip", "augment"]
