"""A published image set: files that torchvision can download, and an official test set."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from typing_extensions import Unpack

from snnrun.errors import DataError
from snnrun.task.download import Source, find
from snnrun.task.images import ImageOptions, ImageSet, ImageTask


class PublishedTask(ImageTask):
    """A set is a subclass with ``name``, ``input_shape``, ``source`` and ``parse``.

    Existing files are used from the first of these folders that has all of them: torchvision's folder below
    ``data_dir``, ``<data_dir>/<name>``, ``<data_dir>``. Else they are downloaded.

    Args:
        validation: share of the official training set for validation, in [0, 1); 0: none. Default 0.1.
        split_seed: seed of that split. Default 0.
        **options: of every image set, see :class:`snnrun.task.ImageTask`.
    """

    def __init__(self, **options: Unpack[ImageOptions]) -> None:
        super().__init__(test=None, **options)

    @abstractmethod
    def source(self) -> Source:
        """The files, and how torchvision downloads them."""

    @abstractmethod
    def parse(self, files: Mapping[str, Path]) -> ImageSet:
        """The whole set, the official test set last.

        Raises:
            DataError: one of the files is invalid.
        """

    def read(self, data_dir: Path) -> ImageSet:
        """The official training set, then the official test set."""
        files = find(self.name, self.source(), data_dir)
        try:
            return self.parse(files)
        except DataError as error:
            raise DataError(
                f"{self.name}: {error}\nReplace that file, or remove it to have the set downloaded again."
            ) from None

    def check_labels(self, file: Path, labels: Tensor, num_images: int, first: int = 0) -> None:
        """Raise DataError unless each image has a label from ``first`` to ``first + num_outputs - 1``."""
        if len(labels) != num_images:
            raise DataError(f"{file}: expected {num_images} labels, one for each image, got {len(labels)}")
        last = first + self.num_outputs - 1
        wrong = ((labels < first) | (labels > last)).nonzero()
        if len(wrong):
            where = int(wrong[0])
            expected = f"of {first} to {last}" if first else f"of at most {last}"
            raise DataError(f"{file}: expected labels {expected}, got {int(labels[where])} (label {where})")
