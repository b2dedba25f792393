"""Sequences of numbers of different lengths, with a class label each: padded to batches, or cut."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnrun import check
from snnrun.augmentation import SequenceAugmentation, check_sequence_augmentations
from snnrun.errors import DataError
from snnrun.system.device import fits, upload
from snnrun.task.augmented import augmented
from snnrun.task.base import Batch, Data, Task
from snnrun.task.split import batches_of, stratified_split

#: ``num_steps`` of a run whose batches are as long as their longest sample.
LONGEST = "max"


class SequenceSet(NamedTuple):
    """A whole set."""

    values: Sequence[NDArray[np.float32]]  # for each sample [L, *input_shape], L >= 1
    labels: Sequence[int]
    test: Sequence[bool]  # whether a sample is of the test set
    digest: str  # sha256 of the original data


class PaddedSequences:
    """Sequences one after the other in a single tensor, from which batches are padded.

    Args:
        values: for each sample ``[L, *N]``.
        num_steps: T of every batch: a longer sample is cut; or ``max``: T is the length of a batch's longest sample.
        device: of the batches; the values are stored there if they fit.
    """

    def __init__(self, values: Sequence[NDArray[np.float32]], num_steps: int | str, device: torch.device) -> None:
        lengths = torch.tensor([len(one) for one in values])
        self._starts = lengths.cumsum(0) - lengths
        self._steps = None if num_steps == LONGEST else int(num_steps)
        self._lengths = lengths if self._steps is None else lengths.clamp(max=self._steps)
        self._device = device
        flat = torch.from_numpy(np.concatenate(values))  # [sum of L, *N]
        self._values = flat.to(device) if fits(flat.nbytes, device) else flat

    @property
    def place(self) -> torch.device:
        """The device whose memory has the values."""
        return self._values.device

    @property
    def shortest(self) -> int:
        """The steps of the shortest sample."""
        return int(self._lengths.min())

    def batch(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """The samples ``chosen`` ``[B]``: ``[T, B, *N]``, 0 after the end of a sample, and their lengths ``[B]``."""
        lengths = self._lengths[chosen]
        step = torch.arange(int(lengths.max()) if self._steps is None else self._steps)[:, None]
        past = step >= lengths  # [T, B]
        rows = torch.where(past, 0, self._starts[chosen] + step).flatten()
        x = self._values.index_select(0, upload(rows, self.place))
        x = upload(x, self._device).view(*past.shape, *x.shape[1:])
        blank = upload(past, self._device).view(*past.shape, *[1] * (x.ndim - 2))
        return x.masked_fill_(blank, 0), lengths


class SequencePart:
    """The samples ``indices`` of a set.

    Args:
        sequences: all samples; the parts of a set share them.
        labels: ``[N]`` int64, of all samples, on the device of the batches.
        indices: ``[n]`` int64, on the CPU: the samples of this part, in their fixed order.
    """

    stream: torch.Generator | None = None

    def __init__(self, sequences: PaddedSequences, labels: Tensor, indices: Tensor) -> None:
        self.sequences = sequences
        self.labels = labels
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """One pass; ``x [T, B, *shape]``, ``target [B]`` and ``lengths [B]``."""
        for chosen in batches_of(self.indices, batch_size, generator):
            x, lengths = self.sequences.batch(chosen)
            yield Batch(x, self.labels.index_select(0, upload(chosen, self.labels.device)), lengths)


class SequenceTask(Task):
    """Name the class of a sequence. A set is a subclass with ``name``, ``input_shape``, ``num_outputs`` and ``read``.

    Batches have the length of each sample; see :class:`snnrun.task.Batch`. With a whole number as ``num_steps`` every
    batch has this many steps, and longer samples are cut; with ``max`` a batch has the steps of its longest sample.

    Args:
        validation: share of the samples outside the test set for validation, stratified by class, in [0, 1); 0: none.
        split_seed: seed of that split.
        augmentation: random changes to training samples, by name and in that order; see the group ``augmentation``.

    Raises:
        ValueError: for an argument out of range.
    """

    name: str
    """The task's name, for messages and for the manifest."""
    has_time = True
    has_accuracy = True
    has_lengths = True

    def __init__(self, *, validation: float, split_seed: int, augmentation: Mapping[str, SequenceAugmentation]) -> None:
        self.validation = check.number("validation", validation, low=0, below=1)
        self.has_validation = self.validation > 0
        self.split_seed = check.integer("split_seed", split_seed, low=0, high=2**63 - 1)
        self.augmentation = check_sequence_augmentations(augmentation)

    @abstractmethod
    def read(self, data_dir: Path) -> SequenceSet:
        """The whole set.

        Raises:
            DataError: it is missing or damaged.
        """

    def scale(self, values: Sequence[NDArray[np.float32]], train: Tensor) -> Sequence[NDArray[np.float32]]:
        """The values that the network receives; ``train``: indices of the training samples. Default: unchanged."""
        return values

    def load(self, data_dir: Path, num_steps: int | str, device: torch.device, generator: torch.Generator) -> Data:
        """Read the set, split it, and store it on the device if it fits there."""
        values, labels, is_test, digest = self.read(data_dir)
        label, test = torch.tensor(labels), torch.tensor(is_test)
        rest = (~test).nonzero().flatten()
        try:
            validation, train = stratified_split(label[rest], [self.validation], self.split_seed)
        except ValueError as error:
            raise DataError(f"{self.name}: {error}; choose another task.validation, or 0") from None
        sequences = PaddedSequences(self.scale(values, rest[train]), num_steps, device)
        label = label.to(device)
        data = Data(
            SequencePart(sequences, label, rest[train]),
            SequencePart(sequences, label, rest[validation]),
            SequencePart(sequences, label, test.nonzero().flatten()),
            hashes={self.name: digest},
            place=str(sequences.place),
            shortest=sequences.shortest,
        )
        return augmented(data, self.augmentation, generator)


def digest_of(values: Sequence[NDArray[np.generic]], labels: Sequence[int], names: Sequence[str] = ()) -> str:
    """The sha256 of samples with their shapes, labels and names."""
    digest = hashlib.sha256()
    for i, (one, label) in enumerate(zip(values, labels, strict=True)):
        name = names[i] if names else ""
        digest.update(f"{name} {label} {one.dtype} {list(one.shape)}\n".encode())
        digest.update(np.ascontiguousarray(one).data)
    return digest.hexdigest()
