"""Spoken words as spikes of a model of the inner ear: the Heidelberg sets, in HDF5 files."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from snnrun import check
from snnrun.augmentation import NONE, SequenceAugmentation
from snnrun.errors import DataError
from snnrun.task import binning
from snnrun.task.event_files import MissingPackage, read_error
from snnrun.task.events import EventSource, EventTask
from snnrun.task.frame_store import Chunk

_UNITS = 700
_TOGETHER = 64  # recordings read and binned at a time


class CochleaTask(EventTask):
    """Spikes of 700 units in an HDF5 file with ``spikes/times`` in s, ``spikes/units`` and ``labels``. Needs ``h5py``.

    Frames are ``[ceil(700 / pool)]``: neighbouring units are summed.

    Args:
        by: ``time`` or ``count``, see :class:`snnrun.task.EventTask`. Default ``time``.
        duration: seconds of the frames by time, from the beginning of the recording on; None: each recording up to its
            last spike.
        pool: number of units per input, from 1 to 700. Default 1.
        clip: whether a frame only has 0 or 1, for no spike or any. Default False.
        validation: share of the official training set for validation, in [0, 1).
        split_seed: seed of that split. Default 0.
        augmentation: random changes to training samples, by name and in that order; see the group ``augmentation``.
            Default none.
    """

    unit = 1.0
    start = 0.0
    suffix = ".h5"

    def __init__(
        self,
        *,
        by: str,
        duration: float | None,
        pool: int,
        clip: bool,
        validation: float | None,
        split_seed: int,
        augmentation: Mapping[str, SequenceAugmentation],
    ) -> None:
        super().__init__(
            by=by,
            duration=duration,
            clip=clip,
            validation=validation,
            split_seed=split_seed,
            augmentation=augmentation,
        )
        self.pool = check.integer("pool", pool, low=1, high=_UNITS)
        self.input_shape = (-(-_UNITS // self.pool),)

    def read(self, part: int, path: Path, num_steps: int) -> Iterator[Chunk]:
        try:
            import h5py
        except ImportError:
            raise MissingPackage(path, "HDF5", "h5py") from None
        try:
            with _unpack(path) as whole, h5py.File(whole, "r") as file:
                yield from self._chunks(part, path, file, num_steps)
        except OSError as error:
            if error.errno is not None:
                raise read_error(path, error) from None
            raise DataError(f"{path}: not a whole set in HDF5: {' '.join(str(error).split())}") from None  # h5py's own
        except (KeyError, RuntimeError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise DataError(f"{path}: not a whole set in HDF5: {' '.join(str(error).split())}") from None

    def _chunks(self, part: int, path: Path, file: Any, num_steps: int) -> Iterator[Chunk]:
        labels, times, units = np.asarray(file["labels"]), file["spikes/times"], file["spikes/units"]
        if labels.dtype.kind not in "ui" or not labels.shape == times.shape == units.shape or labels.ndim != 1:
            got = ", ".join(str(list(array.shape)) for array in (labels, times, units))
            raise DataError(f"{path}: expected a label, times and units for each recording, got shapes {got}")
        for start in range(0, len(labels), _TOGETHER):
            chosen = slice(start, start + _TOGETHER)
            some = list(zip(times[chosen], units[chosen], labels[chosen].tolist(), strict=True))
            for number, (t, u, label) in enumerate(some, start):
                self.label(label, f"{path}: recording {number}")
                if len(t) != len(u):
                    raise DataError(f"{path}: recording {number}: expected {len(t)} units, one a time, got {len(u)}")
            digests = [hashlib.sha256(np.concatenate([t, u], dtype="<f8").tobytes()).digest() for t, u, _ in some]
            names = [f"{number:09}" for number in range(start, start + len(some))]
            try:
                counts = self._bin([t for t, _, _ in some], [u for _, u, _ in some], num_steps, path)
            except DataError:  # one by one, to name the recording
                for number, (t, u, _) in enumerate(some, start):
                    self._bin([t], [u], num_steps, f"{path}: recording {number}")
                raise
            yield Chunk(names, part, [label for _, _, label in some], digests, counts)

    def _bin(self, times: list[Any], units: list[Any], num_steps: int, source: object) -> binning.Integers:
        cell = binning.cells([np.concatenate(units)], (_UNITS,), source) // self.pool
        return self.frames(np.concatenate(times), cell, num_steps, source, [len(one) for one in times])


class SHD(CochleaTask):
    """Spiking Heidelberg Digits: 10,420 recordings of the digits zero to nine in English and German, up to 1.4 s.

    Two of the twelve speakers occur only in the test set.

    Source: B. Cramer, Y. Stradmann, J. Schemmel and F. Zenke, The Heidelberg spiking data sets for the systematic
    evaluation of spiking neural networks, IEEE Transactions on Neural Networks and Learning Systems 33(7), 2022.
    """

    name = "shd"
    source = "SHD"
    num_outputs = 20
    classes = (
        *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
        *("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"),
    )
    sources: ClassVar[dict[str, EventSource]] = {
        "train": EventSource("train", (("shd_train.h5",), ("shd_train.h5.zip",))),
        "test": EventSource("test", (("shd_test.h5",), ("shd_test.h5.zip",))),
    }

    def __init__(
        self,
        *,
        by: str = "time",
        duration: float | None = 1.4,
        pool: int = 1,
        clip: bool = False,
        validation: float = 0.1,
        split_seed: int = 0,
        augmentation: Mapping[str, SequenceAugmentation] = NONE,
    ) -> None:
        super().__init__(
            by=by,
            duration=duration,
            pool=pool,
            clip=clip,
            validation=validation,
            split_seed=split_seed,
            augmentation=augmentation,
        )


class SSC(CochleaTask):
    """Spiking Speech Commands: 105,829 recordings of 35 English words, 1 s each, with an official validation set.

    Source: as for SHD; the words are from P. Warden, Speech commands: a dataset for limited-vocabulary speech
    recognition, arXiv:1804.03209, 2018.
    """

    name = "ssc"
    source = "SSC"
    num_outputs = 35
    sources: ClassVar[dict[str, EventSource]] = {
        "train": EventSource("train", (("ssc_train.h5",), ("ssc_train.h5.zip",))),
        "validation": EventSource("valid", (("ssc_valid.h5",), ("ssc_valid.h5.zip",))),
        "test": EventSource("test", (("ssc_test.h5",), ("ssc_test.h5.zip",))),
    }

    def __init__(
        self,
        *,
        by: str = "time",
        duration: float | None = 1.0,
        pool: int = 1,
        clip: bool = False,
        augmentation: Mapping[str, SequenceAugmentation] = NONE,
    ) -> None:
        super().__init__(
            by=by,
            duration=duration,
            pool=pool,
            clip=clip,
            validation=None,
            split_seed=0,
            augmentation=augmentation,
        )


@contextmanager
def _unpack(path: Path) -> Iterator[Path]:
    """The file, or within this context the unpacked content of a zip file, since HDF5 needs random access."""
    if path.suffix != ".zip":
        yield path
        return
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory(prefix=".unpacked-", dir=path.parent) as folder:
        names = [name for name in archive.namelist() if name.endswith(".h5") and not name.startswith("__MACOSX")]
        if len(names) != 1:
            raise DataError(f"{path}: expected one HDF5 file in it, got {names}")
        whole = Path(folder, "whole.h5")
        with archive.open(names[0]) as packed, whole.open("wb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)
        yield whole
