"""Still images with class labels: one uint8 tensor on the device, batched by index."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

import torch
from torch import Tensor

from snnrun import check
from snnrun.augmentation import NONE, Augmentation, augment
from snnrun.errors import ArgumentError, DataError
from snnrun.system.device import fits, upload
from snnrun.task.base import Batch, Data, Task
from snnrun.task.scan import Scan, scan_of
from snnrun.task.split import batches_of, stratified_split


class ImageSet(NamedTuple):
    """A whole set, on the CPU."""

    images: Tensor  # [N, *image_shape] uint8
    labels: Tensor  # [N] integers in [0, num_outputs)
    num_test: int  # the last num_test samples are the official test set; 0: there is none


class ImagePart:
    """The samples ``indices`` of a set.

    Args:
        images: ``[N, *shape]`` uint8, on the device of the batches or on the CPU; the parts of a set share this tensor.
        labels: ``[N]`` int64, on the device of the batches.
        indices: ``[n]`` int64, on the CPU: the samples of this part, in their fixed order.
        white: the value of ``images`` that becomes 1.0.
        augmentation: random changes to the images of a shuffled pass; images are then ``[C, H, W]``.
        stream: on the CPU; for their draws, batch by batch. A resumed epoch is drawn again from its begin.
        scan: makes a sequence of images, after their changes; None: they stay still.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        indices: Tensor,
        white: int,
        augmentation: Collection[Augmentation] = (),
        stream: torch.Generator | None = None,
        scan: Scan | None = None,
    ) -> None:
        self.images = images
        self.labels = labels
        self.indices = indices
        self.white = white
        self.augmentation = augmentation
        self.stream = stream
        self.scan = scan

    def __len__(self) -> int:
        return len(self.indices)

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """One pass; ``x [1, B, *shape]``, or what ``scan`` makes of it, in [0, 1]; ``target [B]``."""
        for indices in batches_of(self.indices, batch_size, generator):
            device = self.labels.device
            chosen = upload(indices, device)
            here = self.images.device == device
            x = self.images.index_select(0, chosen) if here else upload(self.images.index_select(0, indices), device)
            # A division is correctly rounded, unlike a product with the inverse: the bits of torchvision's ToTensor.
            x = x.float().div_(self.white)
            if generator is not None and self.stream is not None:
                x = augment(x, self.augmentation, self.stream)
            x = x.unsqueeze(0) if self.scan is None else self.scan(x)
            yield Batch(x, self.labels.index_select(0, chosen))


class StillOptions(TypedDict, total=False):
    """The options of every image set that do not concern time."""

    validation: float
    split_seed: int
    augmentation: Mapping[str, Augmentation]


class ImageOptions(StillOptions, total=False):
    """The options of every image set, for the ``**options`` of its class."""

    sequence: str | Sequence[int]
    permute_seed: int | None


class ImageTask(Task):
    """Name the class of an image. A set is a subclass with ``name``, ``input_shape`` and ``read``.

    ``input_shape`` of the class is the shape of an image. With ``sequence`` it is the shape of a step instead, in the
    instance alone: ``read`` uses ``image_shape``.

    The parts are stratified by class. If there is an official test set, ``validation`` is a share of the other
    images; else ``validation`` and ``test`` are shares of all images.

    Args:
        validation: share for validation, in [0, 1); 0 for none, so that all else is for training. Default 0.1.
        test: share for the test, in (0, 1); None if there is an official test set. Default 0.2.
        split_seed: seed of the split; it does not follow the seed of the run, so that runs with several seeds
            are compared on the same test images. Default 0.
        augmentation: random changes to training images, by name and in that order; see the group ``augmentation``.
            Default none.
        sequence: how an image becomes a sequence: ``pixel`` by pixel (T = H W steps of C values), ``row`` by row
            (T = H, C W values), ``column`` by column (T = W, C H values), or by blocks ``[h, w]`` (T = H W / (h w),
            C h w values), all in reading order. The run's ``num_steps`` must be T, and the encoder must take a
            sequence, such as ``encoder=none``. Default none: images are still.
        permute_seed: seed of a permutation of the pixels, the same for all images and independent of the run's seed;
            pixels are permuted before they are put into steps. Default null: no permutation.

    Raises:
        ValueError: a share out of range, shares that leave no training samples, an invalid augmentation or sequence.
    """

    name: str
    """The task's name, for messages and for the manifest."""
    white: int = 255
    """The pixel value that becomes 1.0."""
    num_outputs = 10
    has_time = False
    has_accuracy = True
    image_shape: tuple[int, ...]
    """``(C, H, W)`` of an image, whatever ``sequence`` is; set by ``__init__`` from ``input_shape``."""

    def __init__(
        self,
        *,
        validation: float = 0.1,
        test: float | None = 0.2,
        split_seed: int = 0,
        augmentation: Mapping[str, Augmentation] = NONE,
        sequence: str | Sequence[int] = "none",
        permute_seed: int | None = None,
    ) -> None:
        self.validation = check.number("validation", validation, low=0, below=1)
        self.has_validation = self.validation > 0
        self.test = None if test is None else check.number("test", test, above=0, below=1)
        self.split_seed = check.integer("split_seed", split_seed, low=0, high=2**63 - 1)
        if self.test is not None and self.validation + self.test >= 1:
            raise ArgumentError(
                "validation", "a sum below 1, the rest is trained on", (validation, test), others=("test",)
            )
        if not isinstance(augmentation, Mapping) or not all(isinstance(a, Augmentation) for a in augmentation.values()):
            raise ArgumentError("augmentation", "augmentations by name", augmentation)
        self.augmentation = dict(augmentation)
        self.image_shape = self.input_shape
        self.scan = scan_of(sequence, permute_seed, self.image_shape)
        if self.scan is not None:
            self.input_shape, self.length = self.scan.input_shape, self.scan.length
            self.has_time = self.length is not None

    @abstractmethod
    def read(self, data_dir: Path) -> ImageSet:
        """The whole set.

        Raises:
            DataError: it is missing or damaged.
        """

    def load(self, data_dir: Path, num_steps: int, device: torch.device, generator: torch.Generator) -> Data:
        """Read the set, hash it, split it, and store it on the device if it fits there."""
        self.check_length(num_steps)
        images, labels, num_test = self.read(data_dir)
        digest = hashlib.sha256(images.contiguous().numpy().data)
        digest.update(labels.to(torch.uint8 if self.num_outputs <= 256 else torch.int64).contiguous().numpy().data)

        train, validation, test = self._split(labels, num_test)
        stored = images.to(device) if fits(images.nbytes, device) else images
        labels = labels.to(device, torch.int64)
        # A separate stream, so that the order of images and the spikes do not depend on the augmentation.
        stream = None
        if self.augmentation:
            seed = int(torch.randint(0, 2**63 - 1, (), generator=generator))
            stream = torch.Generator().manual_seed(seed)
        scan = self.scan.to(device) if self.scan else None
        return Data(
            train=ImagePart(stored, labels, train, self.white, self.augmentation.values(), stream, scan),
            validation=ImagePart(stored, labels, validation, self.white, scan=scan),
            test=ImagePart(stored, labels, test, self.white, scan=scan),
            hashes={self.name: digest.hexdigest()},
            place=str(stored.device),
        )

    def _split(self, labels: Tensor, num_test: int) -> tuple[Tensor, Tensor, Tensor]:
        num_rest = len(labels) - num_test
        try:
            if self.test is None:
                validation, train = stratified_split(labels[:num_rest], [self.validation], self.split_seed)
                return train, validation, torch.arange(num_rest, len(labels))
            test, validation, train = stratified_split(labels, [self.test, self.validation], self.split_seed)
            return train, validation, test
        except ValueError as error:
            raise DataError(f"{self.name}: {error}; choose smaller shares, or a set with more images") from None
