"""House numbers from street photographs: colour images of 32x32 pixels in MATLAB files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.errors import DataError
from snnrun.task.download import Source
from snnrun.task.images import ImageOptions, ImageSet
from snnrun.task.published import PublishedTask


class SVHN(PublishedTask):
    """House numbers, with the digit in the middle as the class: 73,257 images to train on and 26,032 to test.

    In the files the digit 0 has label 10; here it has label 0.

    Args:
        extra: train on the 531,131 easier images of the extra part too, which take 1.6 GB of memory. Default false.
        validation: share of the training images for validation, in [0, 1); 0: none. Default 0.1.
        split_seed: seed of that share. Default 0.
        **options: of every image set, see :class:`snnrun.task.ImageTask`.

    Source: Y. Netzer et al., Reading digits in natural images with unsupervised feature learning, NIPS workshop on deep
    learning and unsupervised feature learning, 2011.
    """

    name = "svhn"
    input_shape = (3, 32, 32)

    def __init__(
        self,
        *,
        extra: bool = False,
        **options: Unpack[ImageOptions],
    ) -> None:
        super().__init__(**options)
        self.extra = check.flag("extra", extra)

    def source(self) -> Source:
        parts = ("train", "extra", "test") if self.extra else ("train", "test")
        names = tuple(f"{part}_32x32.mat" for part in parts)
        return Source("SVHN", "", names, calls=tuple({"split": part} for part in parts))

    def parse(self, files: Mapping[str, Path]) -> ImageSet:
        parts = [self._read(path) for path in files.values()]
        images, labels = (torch.cat(pieces) for pieces in zip(*parts, strict=True))
        return ImageSet(images, labels, num_test=len(parts[-1][1]))

    def _read(self, path: Path) -> tuple[Tensor, Tensor]:
        from scipy.io import loadmat  # slow to import

        try:
            content = loadmat(path, variable_names=["X", "y"])
        except Exception as error:  # damage causes many kinds of errors
            if isinstance(error, OSError) and error.strerror:
                raise DataError(f"{path}: cannot be read: {error.strerror}") from None
            message = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{path}: damaged, or no MATLAB file of version 5: {message}") from None
        height, width = self.image_shape[1:]
        images, labels = content.get("X"), content.get("y")
        # [H, W, C, N]; MATLAB leaves out the last axis if it is 1.
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[:3] != (height, width, 3):
            got = f"{images.dtype} {list(images.shape)}" if isinstance(images, np.ndarray) else "none"
            raise DataError(f"{path}: expected images X, uint8 [{height}, {width}, 3, N], got {got}")
        images = images.reshape(height, width, 3, -1).transpose(3, 2, 0, 1)
        if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu" or labels.size != max(labels.shape):
            got = f"{labels.dtype} {list(labels.shape)}" if isinstance(labels, np.ndarray) else "none"
            raise DataError(f"{path}: expected labels y, whole numbers [N, 1], got {got}")
        flat = torch.from_numpy(labels.reshape(-1).astype(np.int64))
        self.check_labels(path, flat, len(images), first=1)
        return torch.from_numpy(np.ascontiguousarray(images)), flat % 10
