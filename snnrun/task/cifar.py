"""CIFAR: colour photographs of 32x32 pixels, in pickles that are read without running code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.errors import DataError
from snnrun.task.download import Source
from snnrun.task.images import ImageOptions, ImageSet
from snnrun.task.published import PublishedTask
from snnrun.task.unpickle import read_pickle


class CIFAR(PublishedTask):
    """A set in CIFAR's files for Python. A set is a subclass with ``name``, ``dataset``, ``folder`` and the files."""

    dataset: str
    """torchvision's name of the set."""
    folder: str
    """torchvision's folder for it."""
    train_files: tuple[str, ...]
    test_files: tuple[str, ...]
    meta: str
    """A file with the names of the classes, which torchvision requires."""
    key = "labels"
    """The key of the labels in a file."""
    input_shape = (3, 32, 32)

    def source(self) -> Source:
        return Source(self.dataset, self.folder, (*self.train_files, *self.test_files), others=(self.meta,))

    def parse(self, files: Mapping[str, Path]) -> ImageSet:
        parts = [self._read(path) for path in files.values()]
        num_test = sum(len(labels) for _, labels in parts[len(self.train_files) :])
        images, labels = (torch.cat(pieces) for pieces in zip(*parts, strict=True))
        return ImageSet(images, labels, num_test)

    def _read(self, path: Path) -> tuple[Tensor, Tensor]:
        content = read_pickle(path)
        fields = content if isinstance(content, dict) else {}
        images = fields.get("data")
        size = int(np.prod(self.image_shape))
        if not isinstance(images, np.ndarray) or images.ndim != 2 or images.shape[1] != size or not len(images):
            got = f"shape {list(images.shape)}" if isinstance(images, np.ndarray) else "none"
            raise DataError(f"{path}: expected images as data, an array of [N, {size}] bytes, got {got}")
        labels = _whole_numbers(fields.get(self.key))
        if labels is None:
            raise DataError(f"{path}: expected {self.key}, a list of whole numbers; is it a file of {self.dataset}?")
        self.check_labels(path, labels, len(images))
        return torch.from_numpy(images).view(-1, *self.image_shape), labels


class CIFAR10(CIFAR):
    """Photographs in 10 classes, aeroplane to lorry: 50,000 images to train on and 10,000 to test.

    The files are pickles; of these, lists, numbers, texts and arrays of bytes are read, and nothing is run.

    Source: A. Krizhevsky, Learning multiple layers of features from tiny images, technical report, University of
    Toronto, 2009.
    """

    name = "cifar10"
    dataset = "CIFAR10"
    folder = "cifar-10-batches-py"
    train_files = tuple(f"data_batch_{i}" for i in range(1, 6))
    test_files = ("test_batch",)
    meta = "batches.meta"
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


_FINE = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl",
    "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee",
    "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant",
    "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower",
    "leopard", "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom",
    "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate",
    "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark",
    "shrew", "skunk", "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower",
    "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor", "train", "trout", "tulip",
    "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
)  # fmt: skip
_COARSE = (
    "aquatic_mammals", "fish", "flowers", "food_containers", "fruit_and_vegetables",
    "household_electrical_devices", "household_furniture", "insects", "large_carnivores",
    "large_man-made_outdoor_things", "large_natural_outdoor_scenes", "large_omnivores_and_herbivores",
    "medium_mammals", "non-insect_invertebrates", "people", "reptiles", "small_mammals", "trees", "vehicles_1",
    "vehicles_2",
)  # fmt: skip


class CIFAR100(CIFAR):
    """Photographs in 100 classes, or in 20 groups of 5 classes: 50,000 images to train on and 10,000 to test.

    The files are pickles; of these, lists, numbers, texts and arrays of bytes are read, and nothing is run.

    Args:
        labels: fine (100 classes) or coarse (20 groups of them). Default fine.
        validation: share of the official training set for validation, in [0, 1); 0: none. Default 0.1.
        split_seed: seed of that share. Default 0.
        **options: of every image set, see :class:`snnrun.task.ImageTask`.

    Source: A. Krizhevsky, Learning multiple layers of features from tiny images, technical report, University of
    Toronto, 2009.
    """

    name = "cifar100"
    dataset = "CIFAR100"
    folder = "cifar-100-python"
    train_files = ("train",)
    test_files = ("test",)
    meta = "meta"

    def __init__(
        self,
        *,
        labels: str = "fine",
        **options: Unpack[ImageOptions],
    ) -> None:
        super().__init__(**options)
        self.labels = check.choice("labels", labels, ("fine", "coarse"))
        self.key = f"{labels}_labels"
        self.classes = _FINE if labels == "fine" else _COARSE
        self.num_outputs = len(self.classes)


def _whole_numbers(values: Any) -> Tensor | None:
    """A list as a tensor; None for anything except whole numbers of usual size."""
    if not isinstance(values, Sequence) or isinstance(values, (str, bytes)):
        return None
    if not all(type(value) is int and abs(value) < 2**62 for value in values):
        return None
    return torch.tensor(values, dtype=torch.int64)
