"""A user's own folder of images: a sub-folder for each class."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from typing_extensions import Unpack

from snnrun import check
from snnrun.errors import ArgumentError, DataError
from snnrun.system import foreign
from snnrun.task.images import ImageOptions, ImageSet, ImageTask
from snnrun.task.user_data import STAND_IN, check_path, locate, no_path

#: Allowed file names and decoders; others of Pillow's start programs (EPS) or are rarely used.
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp")
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
_GREY = ("1", "L", "LA", "La")
_COLOUR = ("RGB", "RGBA", "RGBa", "RGBX", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB")
_WORDS = {1: "grey", 3: "colour"}


class Layout(NamedTuple):
    """Folders of classes, in the order of their labels."""

    train: list[Path]
    test: list[Path]  # empty if there is no test set


class Folder(ImageTask):
    """A user's own images: each sub-folder is a class, or each sub-folder of ``train`` and ``test``.

    ::

        my_images/cat/1.png  my_images/dog/2.jpg             split into training, validation and test set
        my_images/train/cat/1.png  my_images/test/cat/3.png  with its own test set

    Classes are in alphabetical order, or in order of numbers if all names are numbers. Files are PNG, JPEG, BMP, GIF
    (the first picture), PGM, PPM, TIFF or WebP with 8 bits; other files and hidden ones are skipped. All images must
    have the size and channels of the first, unless ``size`` and ``channels`` are given. All are kept in memory.

    Args:
        path: the folder; a relative one starts in ``data_dir``. Default null, which must be set.
        size: new size of the images, without regard to their proportions: [height, width], or one number for both.
            Default null: unchanged.
        channels: 1 to convert all images to grey, 3 to colour; transparency is dropped. Default null: unchanged.
        validation: share for validation, in [0, 1); 0: none. Default 0.1.
        test: share for the test, in (0, 1); unused if there is a folder ``test``. Default 0.2.
        split_seed: seed of the split. Default 0.
        data_dir: the run's own ``data_dir``. Default data.
        **options: of every image set, see :class:`snnrun.task.ImageTask`.

    Raises:
        ValueError: an argument out of range.
        DataError: there is no such folder, or no classes or images in it; in ``load``, for damaged images.
    """

    name = "folder"

    def __init__(
        self,
        *,
        path: str | None = None,
        size: int | Sequence[int] | None = None,
        channels: int | None = None,
        test: float = 0.2,
        data_dir: str = "data",
        **options: Unpack[ImageOptions],
    ) -> None:
        self.path, self.data_dir = check_path(path), data_dir
        self.size = None if size is None else _size(size)
        if channels is not None and (check.integer("channels", channels) not in _WORDS):
            raise ArgumentError("channels", "1 (grey) or 3 (colour)", channels)
        self.channels = channels
        shape, self.num_outputs = STAND_IN
        own_test = False
        self.classes: tuple[str, ...] = ()
        if self.path is not None:  # only the folders and the first image
            layout = self._layout()
            self.classes = tuple(folder.name for folder in layout.train)
            self.num_outputs = len(self.classes)
            own_test = bool(layout.test)
            shape = self._image(_images(layout.train[0])[0], None).shape
        self.input_shape = (self.channels or shape[0], *(self.size or shape[1:]))
        super().__init__(test=test, **options)
        self.test = None if own_test else self.test

    def read(self, data_dir: Path) -> ImageSet:
        """All images; the test set is last."""
        layout = self._layout()
        files = [[_images(folder) for folder in folders] for folders in layout]
        parts = ["training", *["validation"] * self.has_validation, *["test"] * (not layout.test)]
        for folder, paths in zip(layout.train, files[0], strict=True):
            if len(paths) < len(parts):
                raise DataError(
                    f"{self.name}: {folder}: expected at least {len(parts)} images, one for each part "
                    f"({', '.join(parts)}), got {len(paths)}"
                )
        every = [(file, label) for part in files for label, paths in enumerate(part) for file in paths]
        images = np.empty((len(every), *self.image_shape), dtype=np.uint8)
        for i, (file, _) in enumerate(every):
            images[i] = self._image(file, every[0][0])
        labels = torch.tensor([label for _, label in every])
        return ImageSet(torch.from_numpy(images), labels, num_test=sum(map(len, files[1])))

    def _layout(self) -> Layout:
        if self.path is None:
            raise no_path(self.name, "task.path=my_images, with a sub-folder for each class")
        root = locate(self.name, self.path, self.data_dir)
        folders = {folder.name: folder for folder in _folders(root)}
        if not {"train", "test"} <= set(folders):
            return Layout(self._classes(root), [])
        if others := sorted(set(folders) - {"train", "test"}):
            raise DataError(
                f"{self.name}: {root}: expected train and test alone, or a sub-folder for each class, got {others[0]} "
                "beside train and test; the validation set is taken from train (task.validation)"
            )
        train, test = (self._classes(folders[name]) for name in ("train", "test"))
        names = [[folder.name for folder in part] for part in (train, test)]
        if names[0] != names[1]:
            odd = sorted(set(names[0]) ^ set(names[1]))[0]
            where = "train" if odd in names[0] else "test"
            raise DataError(
                f"{self.name}: {root}: expected the same classes in train and test, but {odd} is in {where}"
            )
        return Layout(train, test)

    def _classes(self, root: Path) -> list[Path]:
        folders = _folders(root)
        if len(folders) < 2:
            got = f"got only {folders[0].name}" if folders else "got none"
            if not folders and _images(root, refuse=False):
                got += ", but images that belong to no class"
            raise DataError(
                f"{self.name}: {root}: expected a sub-folder of images for each of at least 2 classes, {got}"
            )
        numbers = all(folder.name.isdecimal() for folder in folders)
        folders.sort(key=lambda folder: (int(folder.name) if numbers else 0, folder.name))
        for folder in folders:
            _images(folder)
        return folders

    def _image(self, path: Path, first: Path | None) -> np.ndarray:
        """``[C, H, W]`` uint8; with the task's shape, if a ``first`` image has set it."""
        from PIL import Image, ImageOps  # here, since listing tasks does not need it

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(path, formats=_FORMATS) as file:
                    image: Any = ImageOps.exif_transpose(file)  # upright, as in every viewer
                    mode = image.mode
                    if mode not in (*_GREY, *_COLOUR):
                        raise DataError(
                            f"{self.name}: {path}: expected an image of 8 bits, got Pillow's mode {mode}; convert it"
                        )
                    channels = self.channels or (1 if mode in _GREY else 3)
                    image = image.convert("L" if channels == 1 else "RGB")
        except DataError:
            raise
        except Exception as error:  # decoders fail in many ways
            message = foreign.without_name(error, path)
            raise DataError(f"{self.name}: {path}: not an image that can be read: {message}") from None
        if first is not None and channels != self.image_shape[0]:
            expected, got = _WORDS[self.image_shape[0]], _WORDS[channels]
            raise DataError(
                f"{self.name}: {path}: expected {expected}, as {first} is, got {got}; "
                "task.channels=1 makes all grey, 3 colour"
            )
        if self.size is not None:
            image = image.resize(self.size[::-1], Image.Resampling.BILINEAR)
        elif first is not None and image.size[::-1] != self.image_shape[1:]:
            expected, got = (f"{height} x {width}" for height, width in (self.image_shape[1:], image.size[::-1]))
            raise DataError(
                f"{self.name}: {path}: expected {expected} pixels (height x width), as {first} has, got {got}; "
                f"task.size=[{self.image_shape[1]},{self.image_shape[2]}] resizes all"
            )
        pixels = np.asarray(image)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _folders(root: Path) -> list[Path]:
    """The sub-folders that are not hidden."""
    try:
        with os.scandir(root) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(
            f"folder: {root}: expected a folder, but it cannot be read: {error.strerror or error}"
        ) from None


def _images(folder: Path, *, refuse: bool = True) -> list[Path]:
    """The images directly in a folder, by name; DataError if there is none, unless ``refuse`` is False."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(e.name for e in entries if e.is_file() and not e.name.startswith("."))
    except OSError as error:
        raise DataError(f"folder: {folder}: cannot be read: {error.strerror or error}") from None
    images = [folder / name for name in names if name.lower().endswith(SUFFIXES)]
    if not images and refuse:
        raise DataError(f"folder: {folder}: expected images ({', '.join(SUFFIXES)}), got none of them")
    return images


def _size(size: Any) -> tuple[int, int]:
    if isinstance(size, int) and not isinstance(size, bool):
        side = check.integer("size", size, low=1)
        return side, side
    if isinstance(size, (list, tuple)) and len(size) == 2:
        height, width = check.integers("size", size, low=1)
        return height, width
    raise ArgumentError("size", "[height, width], one number for both, or null", size)
