"""Augmentations: random changes to training samples, pure functions of samples and uniform random numbers."""

from snnrun.augmentation.affine import Affine
from snnrun.augmentation.base import NONE, Augmentation, augment
from snnrun.augmentation.crop import Crop
from snnrun.augmentation.erase import Erase
from snnrun.augmentation.flip import Flip
from snnrun.augmentation.sequence import (
    CutMix,
    DropChannels,
    DropEvents,
    JitterTime,
    SequenceAugmentation,
    ShiftChannels,
    ShiftTime,
    augment_sequences,
    check_sequence_augmentations,
)

__all__ = [
    "NONE",
    "Affine",
    "Augmentation",
    "Crop",
    "CutMix",
    "DropChannels",
    "DropEvents",
    "Erase",
    "Flip",
    "JitterTime",
    "SequenceAugmentation",
    "ShiftChannels",
    "ShiftTime",
    "augment",
    "augment_sequences",
    "check_sequence_augmentations",
]
