"""MNIST and the sets made in its image: 28x28 pixels, 10 classes, four IDX files, an official test part."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

from snnrun.errors import DataError
from snnrun.task.download import download
from snnrun.task.idx import read_idx
from snnrun.task.images import ImageSet, ImageTask

_TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
_TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


class IdxTask(ImageTask):
    """A set in MNIST's four files. A set is a subclass with ``name`` and ``source``.

    Files that are there already, raw or gzipped, are used as they are, from the first of these folders that has all
    four: ``<data_dir>/<source>/raw`` (torchvision's), ``<data_dir>/<name>``, ``<data_dir>``. Else they are downloaded.

    Args:
        validation: share of the official training part that is the validation part, in [0, 1); 0 for none.
            Default 0.1.
        split_seed: seed of that split. Default 0.
    """

    source: str
    """torchvision's name of the set: a class in ``torchvision.datasets``, and the folder it keeps files in."""
    input_shape = (1, 28, 28)

    def __init__(self, *, validation: float = 0.1, split_seed: int = 0) -> None:
        super().__init__(validation=validation, test=None, split_seed=split_seed)

    def read(self, data_dir: Path) -> ImageSet:
        """The official training part, then the official test part."""
        files = self._find(data_dir)
        try:
            train_images, train_labels = self._pair(*(files[name] for name in _TRAIN))
            test_images, test_labels = self._pair(*(files[name] for name in _TEST))
        except DataError as error:
            raise DataError(
                f"{self.name}: {error}\nReplace that file, or remove it to have the set downloaded again."
            ) from None
        return ImageSet(
            torch.cat([train_images, test_images]), torch.cat([train_labels, test_labels]), num_test=len(test_labels)
        )

    def _find(self, data_dir: Path) -> dict[str, Path]:
        downloaded = data_dir / self.source / "raw"
        folders = [downloaded, data_dir / self.name, data_dir]
        for folder in folders:
            if found := _files(folder):
                return found

        # Looked for again rather than trusted: only what is there, whole, counts as data.
        fault = download(self.source, data_dir, [*_TRAIN, *_TEST])
        if fault is None and (found := _files(downloaded)):
            return found
        raise DataError(
            f"{self.name}: the data is missing, and downloading it failed: {fault or 'files are missing'}\n"
            f"Looked in: {', '.join(map(str, folders))}\n"
            f"Put these four files, as they are or gzipped (.gz), into one of those folders: "
            f"{', '.join([*_TRAIN, *_TEST])}\n"
            "Or choose a task that works offline: task=digits"
        )

    def _pair(self, images_file: Path, labels_file: Path) -> tuple[Tensor, Tensor]:
        images, labels = read_idx(images_file, 3).unsqueeze(1), read_idx(labels_file, 1)
        if tuple(images.shape[1:]) != self.input_shape:
            expected, got = (" x ".join(map(str, shape[-2:])) for shape in (self.input_shape, images.shape))
            raise DataError(f"{images_file}: expected images of {expected} pixels, got {got}")
        if len(images) != len(labels):
            raise DataError(f"{labels_file}: expected {len(images)} labels, one for each image, got {len(labels)}")
        if labels.max() >= self.num_outputs:
            where = int(labels.argmax())
            raise DataError(
                f"{labels_file}: expected labels of at most {self.num_outputs - 1}, got {labels[where]} (label {where})"
            )
        return images, labels


class MNIST(IdxTask):
    """Handwritten digits: 60,000 images to train on and 10,000 to test.

    Source: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning applied to document recognition,
    Proceedings of the IEEE 86(11), 1998.
    """

    name = "mnist"
    source = "MNIST"


class FashionMNIST(IdxTask):
    """Articles of clothing: 60,000 images to train on and 10,000 to test.

    Source: H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms, arXiv:1708.07747, 2017.
    """

    name = "fashion_mnist"
    source = "FashionMNIST"


class KMNIST(IdxTask):
    """Cursive Japanese characters (Kuzushiji): 60,000 images to train on and 10,000 to test.

    Source: T. Clanuwat et al., Deep learning for classical Japanese literature, arXiv:1812.01718, 2018.
    """

    name = "kmnist"
    source = "KMNIST"


def _files(folder: Path) -> dict[str, Path]:
    """The four files of a folder, each raw or else gzipped; empty unless all are there."""
    found = {}
    for name in [*_TRAIN, *_TEST]:
        for path in (folder / name, folder / f"{name}.gz"):
            if os.path.isfile(path):  # Path.is_file raises where a folder may not be entered
                found[name] = path
                break
        else:
            return {}
    return found
