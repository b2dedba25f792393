"""Recordings of events with class labels: binned into frames once, cached, and converted to dense batches."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnrun import check
from snnrun.augmentation import SequenceAugmentation, check_sequence_augmentations
from snnrun.errors import ArgumentError, DataError
from snnrun.system.device import upload
from snnrun.task import binning
from snnrun.task.augmented import augmented
from snnrun.task.base import Batch, Data, Task
from snnrun.task.download import place, search_text
from snnrun.task.event_download import download_events
from snnrun.task.event_files import MissingPackage, files_of
from snnrun.task.frame_store import Chunk, FrameStore, load_frames
from snnrun.task.split import batches_of, stratified_split

PARTS = ("train", "validation", "test")


class EventPart:
    """The recordings ``indices`` of a set.

    Args:
        store: the frames of all recordings; the parts of a set share it.
        labels: ``[N]`` int64, of all recordings, on the device.
        indices: ``[n]`` int64, on the CPU: the recordings of this part, in their fixed order.
        shape: of a frame.
    """

    stream: torch.Generator | None = None

    def __init__(self, store: FrameStore, labels: Tensor, indices: Tensor, shape: tuple[int, ...]) -> None:
        self.store = store
        self.labels = labels
        self.indices = indices
        self.shape = shape

    def __len__(self) -> int:
        return len(self.indices)

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """One pass; ``x [T, B, *shape]`` numbers of events, ``target [B]``."""
        for chosen in batches_of(self.indices, batch_size, generator):
            x = self.store.dense(chosen, self.labels.device)
            labels = self.labels.index_select(0, upload(chosen, self.labels.device))
            yield Batch(x.view(*x.shape[:2], *self.shape), labels)


@dataclass(frozen=True)
class EventSource:
    """The files of one part of a set: the first existing one of ``places``, each one or more names in one folder."""

    prefix: str  # of tonic's attributes, such as "train"
    places: tuple[tuple[str, ...], ...]


class EventTask(Task):
    """Name the class of a recording of events. A set is a subclass with ``name``, ``source``, ``sources``, ``suffix``.

    Args:
        by: how events become T = ``num_steps`` frames: ``count`` (equal numbers of events) or ``time`` (equal spans of
            time); see ``snnrun.task.binning.steps``.
        duration: only by time: seconds of the T frames, for every recording; later events are left out, and a shorter
            recording ends with empty frames. None: each recording lasts T frames.
        clip: True: a frame has 0 or 1, for no event or any. False: the number of events. Default False, as in the
            published results.
        validation: share of the official training set for validation, in [0, 1); of all recordings if there is no
            official test set. 0 for none, so that all else is for training; None if there is an official one.
        split_seed: seed of the split.
        augmentation: random changes to training samples, by name and in that order; see the group ``augmentation``.

    Raises:
        ValueError: an option out of range, or a duration for frames by count.
    """

    name: ClassVar[str]
    """The task's name, for messages, for the manifest, and of a folder for its files."""
    source: ClassVar[str]
    """tonic's name of the set: a class in ``tonic.datasets``, and its folder."""
    sources: ClassVar[dict[str, EventSource]]
    """Its official parts: ``train``, and ``validation`` and ``test`` if it has them."""
    suffix: ClassVar[str | tuple[str, ...]]
    """Suffix of the files of recordings."""
    start: ClassVar[float | None] = None
    """The time when recordings begin; None: with their first event."""
    unit: ClassVar[float] = 1e-6
    """Seconds in the unit of the files' times."""
    has_time = True
    has_accuracy = True

    def __init__(
        self,
        *,
        by: str,
        duration: float | None,
        clip: bool,
        validation: float | None,
        split_seed: int,
        augmentation: Mapping[str, SequenceAugmentation],
    ) -> None:
        self.by = check.choice("by", by, binning.WAYS)
        self.duration = None if duration is None else check.number("duration", duration, above=0)
        if by == "count" and duration is not None:
            raise ArgumentError("duration", "null for frames by count", duration, advice="choose by=time")
        self.clip = check.flag("clip", clip)
        self.validation = None if validation is None else check.number("validation", validation, low=0, below=1)
        self.has_validation = validation != 0
        self.test: float | None = None
        """Share for the test, if there is no official test set."""
        self.split_seed = check.integer("split_seed", split_seed, low=0, high=2**63 - 1)
        self.augmentation = check_sequence_augmentations(augmentation)

    @abstractmethod
    def read(self, part: int, path: Path, num_steps: int) -> Iterator[Chunk]:
        """The frames of all recordings of a file, an archive or a folder.

        Raises:
            DataError: a file is damaged or invalid; it names the file.
        """

    def load(self, data_dir: Path, num_steps: int, device: torch.device, generator: torch.Generator) -> Data:
        """Find or download the set, bin and cache it or use the cache, and split it."""
        files = self._find(data_dir)
        identity = {
            "set": self.name,
            "files": [
                [part, *stat] for part, paths in files.items() for path in paths for stat in self.file_stats(path)
            ],
            "shape": [num_steps, *self.input_shape],
            "options": {"by": self.by, "duration": self.duration, "clip": self.clip},
        }

        def read() -> Iterator[Chunk]:
            for part, paths in files.items():
                empty = True
                for path in paths:
                    for chunk in self._with_advice(self.read(PARTS.index(part), path, num_steps)):
                        empty = False
                        yield chunk._replace(counts=chunk.counts.clip(max=1)) if self.clip else chunk
                if empty:
                    raise DataError(f"{self.name}: no recording in {', '.join(map(str, paths))}")

        size = int(np.prod(self.input_shape))
        try:
            store = load_frames(data_dir, self.name, identity, size, read)
            parts = self._split(store)
        except DataError as error:
            raise DataError(f"{self.name}: {error}") from None
        labels = store.labels.to(device)
        train, validation, test = (EventPart(store, labels, indices, self.input_shape) for indices in parts)
        data = Data(train, validation, test, hashes={self.name: store.digest}, place=str(store.store(device)))
        return augmented(data, self.augmentation, generator)

    def frames(
        self,
        times: NDArray[np.generic],
        cell: binning.Integers,
        num_steps: int,
        source: object,
        lengths: Sequence[int] | None = None,
    ) -> binning.Integers:
        """Frames by the options: ``[T, *input_shape]``, or ``[N, T, *input_shape]`` with ``lengths``."""
        duration = None if self.duration is None else self.duration / self.unit
        start = self.start if self.by == "time" else None
        step = binning.steps(times, num_steps, self.by, duration=duration, start=start, lengths=lengths, source=source)
        return binning.frames(step, cell, num_steps, self.input_shape, lengths=lengths)

    def label(self, label: int, source: object) -> int:
        """The label, if it is valid."""
        if not 0 <= label < self.num_outputs:
            raise DataError(f"{source}: expected a label from 0 to {self.num_outputs - 1}, got {label}")
        return label

    @staticmethod
    def _with_advice(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        try:
            yield from chunks
        except MissingPackage:
            raise
        except DataError as error:
            raise DataError(f"{error}\nReplace that file, or remove it to have the set downloaded again.") from None

    def file_stats(self, path: Path) -> list[tuple[str, int, int]]:
        """Name, size and modification time of every file in ``path`` that is read."""
        return files_of(path, self.suffix)

    def _find(self, data_dir: Path) -> dict[str, list[Path]]:
        folders = [data_dir / self.source, data_dir / self.name]
        for folder in folders:
            if paths := self._in(folder):
                return paths
        fault = download_events(self.source, data_dir, [source.prefix for source in self.sources.values()])
        # Search again instead of trusting the download: only complete files count as data.
        if fault is None and (paths := self._in(folders[0])):
            return paths
        places = "; ".join(" or ".join(", ".join(names) for names in source.places) for source in self.sources.values())
        raise DataError(
            f"{self.name}: the data is missing, and downloading it failed: {fault or 'files are missing'}\n"
            f"{search_text(data_dir, folders)}\n"
            f"Put into {place(data_dir, self.name)}: {places}\n"
            "Or choose a task of made-up events, which works offline: task=moving_bars, task=spoken_tones"
        )

    def _in(self, folder: Path) -> dict[str, list[Path]]:
        """The files of each part in a folder; empty unless all parts are there."""
        part_paths = {}
        for part, source in self.sources.items():
            for names in source.places:
                paths = [folder / name for name in names]
                # `Path.exists` raises if a folder may not be entered.
                if all(path_exists(path) for path in paths):
                    part_paths[part] = paths
                    break
            else:
                return {}
        return part_paths

    def _split(self, store: FrameStore) -> tuple[Tensor, Tensor, Tensor]:
        train, validation, test = ((store.parts == part).nonzero().flatten() for part in range(3))
        shares = [share for share in (self.test, self.validation) if share is not None]
        if not shares:
            return train, validation, test
        try:
            *some, rest = (train[chosen] for chosen in stratified_split(store.labels[train], shares, self.split_seed))
        except ValueError as error:
            raise DataError(f"{error}; choose smaller shares, or a set with more recordings") from None
        if self.test is not None:
            test = some.pop(0)
        if self.validation is not None:
            validation = some.pop(0)
        return rest, validation, test


def path_exists(path: Path) -> bool:
    """True if there is a file or folder; False without permission to look."""
    try:
        return path.exists()
    except OSError:
        return False
