"""Sets recorded with event cameras: pixels that report when they get brighter or darker."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from snnrun import check
from snnrun.augmentation import NONE, SequenceAugmentation
from snnrun.errors import ArgumentError, DataError
from snnrun.task import binning
from snnrun.task.event_files import DECODERS, Recording, files_of, members
from snnrun.task.events import EventSource, EventTask
from snnrun.task.frame_store import Chunk
from snnrun.task.gestures import gestures

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_ORIGINAL = "DvsGesture"  # the folder in its authors' archive


class CameraTask(EventTask):
    """A set with one file per recording: a subclass with ``name``, ``source``, ``sources`` and ``suffix``.

    Frames are ``[2, size, size]``: one channel for each polarity. Pixel x of a sensor of S pixels becomes pixel
    ``floor(x size / S)``: if S is a multiple of ``size``, squares of pixels are summed.

    Args:
        by: ``count`` or ``time``, see :class:`snnrun.task.EventTask`. Default ``count``.
        duration: seconds of the frames by time; None: the length of each recording. Default None.
        size: pixels of a frame's side, from 1 to the sensor's; None: the sensor's. Default None.
        clip: whether a frame only has 0 or 1, for no event or any. Default False.
        validation: share of the official training set for validation, in [0, 1). Default 0.1.
        split_seed: seed of that split. Default 0.
        augmentation: random changes to training samples, by name and in that order; see the group ``augmentation``.
            Default none.
    """

    sensor: ClassVar[int]
    """Pixels of the sensor's side."""

    def __init__(
        self,
        *,
        by: str = "count",
        duration: float | None = None,
        size: int | None = None,
        clip: bool = False,
        validation: float = 0.1,
        split_seed: int = 0,
        augmentation: Mapping[str, SequenceAugmentation] = NONE,
    ) -> None:
        super().__init__(
            by=by,
            duration=duration,
            clip=clip,
            validation=validation,
            split_seed=split_seed,
            augmentation=augmentation,
        )
        self.size = self.sensor if size is None else check.integer("size", size, low=1, high=self.sensor)
        self.input_shape = (2, self.size, self.size)

    def read(self, part: int, path: Path, num_steps: int) -> Iterator[Chunk]:
        for suffix in self.suffixes():
            for name, source, content in members(path, suffix):
                recording = DECODERS[suffix](content, source)
                label = self.label(self.class_of(name, source), source)
                yield self.chunk(recording, label, name, part, hashlib.sha256(content).digest(), num_steps, source)

    def chunk(
        self, recording: Recording, label: int, name: str, part: int, digest: bytes, num_steps: int, source: str
    ) -> Chunk:
        """The frames of one recording.

        Raises:
            DataError: it has no events.
        """
        if not len(recording.t):
            raise DataError(f"{source}: expected events, got none")
        counts = self.frames(recording.t, self.cells(recording, source), num_steps, source)
        return Chunk([name], part, [label], [digest], counts[None])

    def cells(self, recording: Recording, source: object) -> binning.Integers:
        """The cell of each event: checked on the sensor, then reduced to the frame."""
        sensor = (2, self.sensor, self.sensor)
        flat = binning.cells((recording.p, recording.y, recording.x), sensor, source)
        if self.size == self.sensor:
            return flat
        row, x = divmod(flat, self.sensor)
        p, y = divmod(row, self.sensor)
        return (p * self.size + y * self.size // self.sensor) * self.size + x * self.size // self.sensor

    def class_of(self, name: str, source: object) -> int:
        """The class of the recording ``<folder>/<file>``: the name of the folder as a number."""
        return _number(name.rpartition("/")[0], source)

    @classmethod
    def suffixes(cls) -> tuple[str, ...]:
        return (cls.suffix,) if isinstance(cls.suffix, str) else cls.suffix


class NMNIST(CameraTask):
    """N-MNIST: MNIST's 70,000 digits on a screen, recorded by a 34x34 camera in three quick movements of 0.1 s.

    Source: G. Orchard, A. Jayawant, G. K. Cohen and N. Thakor, Converting static image datasets to spiking neuromorphic
    datasets using saccades, Frontiers in Neuroscience 9:437, 2015.
    """

    name = "nmnist"
    source = "NMNIST"
    sensor = 34
    num_outputs = 10
    suffix = ".bin"
    sources: ClassVar[dict[str, EventSource]] = {
        "train": EventSource("train", (("train.zip",), ("Train",))),
        "test": EventSource("test", (("test.zip",), ("Test",))),
    }


class DVSGesture(CameraTask):
    """DVS Gesture: 1,342 recordings of 11 hand and arm gestures by 29 people, 128x128 pixels, about 6 s each.

    Files may be tonic's, with one gesture per recording and times rounded to milliseconds, or the authors', a folder
    ``DvsGesture`` with AEDAT 3.1, labels and lists of the training and test recordings.

    Source: A. Amir et al., A low power, fully event-based gesture recognition system, CVPR 2017.
    """

    name = "dvs_gesture"
    source = "DVSGesture"
    sensor = 128
    num_outputs = 11
    classes = (
        *("hand clapping", "right hand wave", "left hand wave", "right arm clockwise", "right arm counter-clockwise"),
        *("left arm clockwise", "left arm counter-clockwise", "arm roll", "air drums", "air guitar", "other gestures"),
    )
    suffix = ".npy"
    sources: ClassVar[dict[str, EventSource]] = {
        "train": EventSource("train", (("ibmGestureTrain.tar.gz",), ("ibmGestureTrain",), (_ORIGINAL,))),
        "test": EventSource("test", (("ibmGestureTest.tar.gz",), ("ibmGestureTest",), (_ORIGINAL,))),
    }

    def read(self, part: int, path: Path, num_steps: int) -> Iterator[Chunk]:
        if path.name != _ORIGINAL:
            yield from super().read(part, path, num_steps)
            return
        for name, begin, end, label, recording, whole in gestures(path, "train" if part == 0 else "test"):
            source = f"{path / name} ({begin} to {end} µs)"
            chosen = (recording.t >= begin) & (recording.t < end)
            cut = Recording(*(column[chosen] for column in recording))
            digest = hashlib.sha256(whole + f"{begin} {end}".encode()).digest()
            yield self.chunk(cut, self.label(label - 1, source), f"{name} {begin:012}", part, digest, num_steps, source)

    def file_stats(self, path: Path) -> list[tuple[str, int, int]]:
        return files_of(path, (".aedat", ".csv", ".txt")) if path.name == _ORIGINAL else super().file_stats(path)

    def class_of(self, name: str, source: object) -> int:
        """The class of ``user01_led/7.npy`` is 7."""
        return _number(name.rpartition("/")[2].removesuffix(".npy"), source)


class CIFAR10DVS(CameraTask):
    """CIFAR10-DVS: 10,000 images of CIFAR-10 moved on a screen, 128x128 pixels, 1,000 of each class; no official split.

    Files may be tonic's (AEDAT 4) or the authors' (AEDAT 2).

    Args:
        test: share for the test, in (0, 1). Default 0.1.

    Source: H. Li, H. Liu, X. Ji, G. Li and L. Shi, CIFAR10-DVS: an event-stream dataset for object classification,
    Frontiers in Neuroscience 11:309, 2017.
    """

    name = "cifar10_dvs"
    source = "CIFAR10DVS"
    sensor = 128
    num_outputs = 10
    classes = _CIFAR10
    suffix = (".aedat4", ".aedat")
    sources: ClassVar[dict[str, EventSource]] = {
        "train": EventSource("", (("CIFAR10DVS.zip",), tuple(f"{name}.zip" for name in _CIFAR10), _CIFAR10))
    }

    def __init__(
        self,
        *,
        by: str = "count",
        duration: float | None = None,
        size: int | None = None,
        clip: bool = False,
        validation: float = 0.1,
        test: float = 0.1,
        split_seed: int = 0,
        augmentation: Mapping[str, SequenceAugmentation] = NONE,
    ) -> None:
        super().__init__(
            by=by,
            duration=duration,
            size=size,
            clip=clip,
            validation=validation,
            split_seed=split_seed,
            augmentation=augmentation,
        )
        self.test = check.number("test", test, above=0, below=1)
        if validation + test >= 1:
            raise ArgumentError(
                "validation", "a sum below 1, the rest is trained on", (validation, test), others=("test",)
            )

    def class_of(self, name: str, source: object) -> int:
        """The class of ``airplane/cifar10_airplane_0.aedat`` is 0."""
        folder = name.rpartition("/")[0]
        if folder not in _CIFAR10:
            raise DataError(f"{source}: expected a folder named {', '.join(_CIFAR10)}, got {folder!r}")
        return _CIFAR10.index(folder)


def _number(word: str, source: object) -> int:
    if not word.isdecimal():
        raise DataError(f"{source}: expected a name with the number of a class, got {word!r}")
    return int(word)
