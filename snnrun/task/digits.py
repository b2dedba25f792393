"""The 1,797 handwritten digits of scikit-learn: real data without a download."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch

from snnrun.task.images import ImageSet, ImageTask


class Digits(ImageTask):
    """1,797 images of 8x8 pixels with values 0 to 16, in 10 classes of 174 to 183; no official test set.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
    1998 (its test set), as shipped by ``sklearn.datasets.load_digits``.
    """

    name = "digits"
    input_shape = (1, 8, 8)
    white = 16

    def read(self, data_dir: Path) -> ImageSet:
        rows = _rows()
        images = torch.from_numpy(rows[:, :-1].copy()).view(-1, *self.image_shape)
        return ImageSet(images, torch.from_numpy(rows[:, -1].copy()), num_test=0)


def _rows() -> np.ndarray:
    """``[1797, 65]`` uint8: the 64 pixels of an image, row by row, and its label."""
    # Importing scikit-learn for this file would take a second, of four from launch to the first training step.
    package = importlib.util.find_spec("sklearn")
    for folder in package.submodule_search_locations or () if package else ():
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.is_file():
            return np.loadtxt(file, delimiter=",", dtype=np.uint8)

    from sklearn.datasets import load_digits  # for releases with the file elsewhere

    digits = load_digits()
    return np.column_stack([digits.data, digits.target]).astype(np.uint8)
