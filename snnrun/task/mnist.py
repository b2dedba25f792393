"""MNIST and similar sets: 28x28 pixels in IDX files, two for each part, an official test set."""

from __future__ import annotations

import string
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.errors import DataError
from snnrun.task.download import Source
from snnrun.task.idx import read_idx
from snnrun.task.images import ImageOptions, ImageSet
from snnrun.task.published import PublishedTask

_MNIST = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
#: EMNIST's splits, and the number of classes of each.
_SPLITS = {"balanced": 47, "letters": 26, "digits": 10, "byclass": 62, "bymerge": 47, "mnist": 10}

#: Their classes, in the order of the labels; lower-case letters that look like capitals share their class.
_CHARACTERS = {
    "balanced": f"{string.digits}{string.ascii_uppercase}abdefghnqrt",
    "letters": string.ascii_uppercase,
    "digits": string.digits,
    "byclass": f"{string.digits}{string.ascii_uppercase}{string.ascii_lowercase}",
    "bymerge": f"{string.digits}{string.ascii_uppercase}abdefghnqrt",
    "mnist": string.digits,
}


class IdxTask(PublishedTask):
    """A set in four IDX files, raw or gzipped. A set is a subclass with ``name`` and ``dataset``."""

    dataset: str
    """torchvision's name of the set: a class in ``torchvision.datasets``, and its folder."""
    input_shape = (1, 28, 28)
    first_label = 0
    """The label of the first class in the files."""
    transposed = False
    """True if the files hold images column by column."""

    def source(self) -> Source:
        return Source(self.dataset, f"{self.dataset}/raw", _MNIST, packed=True)

    def parse(self, files: Mapping[str, Path]) -> ImageSet:
        train_images_file, train_labels_file, test_images_file, test_labels_file = files.values()
        train_images, train_labels = self._pair(train_images_file, train_labels_file)
        test_images, test_labels = self._pair(test_images_file, test_labels_file)
        return ImageSet(
            torch.cat([train_images, test_images]), torch.cat([train_labels, test_labels]), num_test=len(test_labels)
        )

    def _pair(self, images_file: Path, labels_file: Path) -> tuple[Tensor, Tensor]:
        images, labels = read_idx(images_file, 3).unsqueeze(1), read_idx(labels_file, 1)
        if tuple(images.shape[1:]) != self.image_shape:
            expected, got = (" x ".join(map(str, shape[-2:])) for shape in (self.image_shape, images.shape))
            raise DataError(f"{images_file}: expected images of {expected} pixels, got {got}")
        self.check_labels(labels_file, labels, len(images), self.first_label)
        return images.transpose(2, 3) if self.transposed else images, labels - self.first_label


class MNIST(IdxTask):
    """Handwritten digits: 60,000 images to train on and 10,000 to test.

    Source: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning applied to document recognition,
    Proceedings of the IEEE 86(11), 1998.
    """

    name = "mnist"
    dataset = "MNIST"


class FashionMNIST(IdxTask):
    """Articles of clothing: 60,000 images to train on and 10,000 to test.

    Source: H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms, arXiv:1708.07747, 2017.
    """

    name = "fashion_mnist"
    dataset = "FashionMNIST"
    classes = (
        *("T-shirt/top", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    )


class KMNIST(IdxTask):
    """Cursive Japanese characters (Kuzushiji): 60,000 images to train on and 10,000 to test.

    Source: T. Clanuwat et al., Deep learning for classical Japanese literature, arXiv:1812.01718, 2018.
    """

    name = "kmnist"
    dataset = "KMNIST"
    classes = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


class EMNIST(IdxTask):
    """Handwritten letters and digits in six splits, of up to 62 classes and 814,255 images.

    The files hold every image transposed; here they are upright (in torchvision they are transposed). The labels of
    ``letters`` begin with 1 in the files, with 0 here. One download of 560 MB has all six splits.

    Args:
        split: balanced (47 classes), letters (26), digits (10), byclass (62), bymerge (47) or mnist (10). Default
            balanced.
        validation: share of the official training set for validation, in [0, 1); 0: none. Default 0.1.
        split_seed: seed of that share. Default 0.
        **options: of every image set, see :class:`snnrun.task.ImageTask`.

    Source: G. Cohen, S. Afshar, J. Tapson and A. van Schaik, EMNIST: an extension of MNIST to handwritten letters,
    arXiv:1702.05373, 2017.
    """

    name = "emnist"
    dataset = "EMNIST"
    transposed = True

    def __init__(
        self,
        *,
        split: str = "balanced",
        **options: Unpack[ImageOptions],
    ) -> None:
        super().__init__(**options)
        self.split = check.choice("split", split, tuple(_SPLITS))
        self.num_outputs = _SPLITS[split]
        self.classes = tuple(_CHARACTERS[split])
        self.first_label = int(split == "letters")

    def source(self) -> Source:
        others = tuple(name for split in _SPLITS for name in _emnist(split))
        return Source(
            self.dataset,
            f"{self.dataset}/raw",
            _emnist(self.split),
            packed=True,
            calls=({"split": self.split},),
            others=tuple(name for name in others if name not in _emnist(self.split)),
        )


def _emnist(split: str) -> tuple[str, ...]:
    return tuple(
        f"emnist-{split}-{part}-{kind}-ubyte" for part in ("train", "test") for kind in ("images-idx3", "labels-idx1")
    )
