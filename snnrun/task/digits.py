"""The 1,797 handwritten digits that come with scikit-learn: real data without a download."""

from __future__ import annotations

from pathlib import Path

import torch

from snnrun.task.images import ImageSet, ImageTask


class Digits(ImageTask):
    """1,797 images of 8x8 pixels with values 0 to 16, in 10 classes of 174 to 183; no official test part.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
    1998 (its test part), as shipped by ``sklearn.datasets.load_digits``.
    """

    name = "digits"
    input_shape = (1, 8, 8)
    white = 16

    def read(self, data_dir: Path) -> ImageSet:
        from sklearn.datasets import load_digits  # here, since it takes a second to import

        digits = load_digits()
        images = torch.from_numpy(digits.images).to(torch.uint8).unsqueeze(1)
        return ImageSet(images, torch.from_numpy(digits.target), num_test=0)
