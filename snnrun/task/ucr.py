"""Time series of the UCR and UEA archives, from files in their own format."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from snnrun import check
from snnrun.augmentation import NONE, SequenceAugmentation
from snnrun.errors import ArgumentError, DataError
from snnrun.task.download import search_text
from snnrun.task.events import path_exists
from snnrun.task.sequences import SequenceSet, SequenceTask, digest_of
from snnrun.task.ts_file import Header, Series, read_header, read_series

_ORIGIN = "timeseriesclassification.com"


class UCR(SequenceTask):
    """Which class has a time series? A set of the UCR or UEA archive: ``[T, B, D]`` for D dimensions, of any length.

    A set NAME is two files, ``NAME_TRAIN.ts`` and ``NAME_TEST.ts``. They are searched in ``<data_dir>/NAME``,
    ``<data_dir>/ucr/NAME`` and ``<data_dir>/ucr``. If they are missing there, and the package aeon is
    installed (``pip install --no-deps aeon``), its files are used; it has some sets, such as JapaneseVowels.

    Args:
        dataset: NAME of the set, such as ``JapaneseVowels``. Default null, which must be set.
        normalise: True: ``(x - m) / s``, with mean m and standard deviation s of each dimension over all steps of the
            training samples, without the validation samples. False: the values of the file. Default True.
        missing: missing values: ``refuse`` them, or ``interpolate`` on a line between the steps before and after; at
            the beginning and end of a series the nearest value. Default refuse.
        validation: share of the training file for validation, in [0, 1); 0: none. Default 0.1.
        split_seed: seed of that split. Default 0.
        augmentation: random changes to training samples, by name and in that order; see the group ``augmentation``.
            Default none.
        data_dir: the run's own ``data_dir``. Default data.

    Raises:
        ValueError: for an argument out of range.
        DataError: the files are missing or damaged, or are of no classification task.

    Source: H. A. Dau et al., The UCR time series archive, IEEE/CAA Journal of Automatica Sinica 6(6), 2019; A. Bagnall
    et al., The UEA multivariate time series classification archive, arXiv:1811.00075, 2018.
    """

    name = "ucr"

    def __init__(
        self,
        *,
        dataset: str | None = None,
        normalise: bool = True,
        missing: str = "refuse",
        validation: float = 0.1,
        split_seed: int = 0,
        augmentation: Mapping[str, SequenceAugmentation] = NONE,
        data_dir: str = "data",
    ) -> None:
        super().__init__(validation=validation, split_seed=split_seed, augmentation=augmentation)
        if dataset is not None and (not isinstance(dataset, str) or not re.fullmatch(r"\w[\w.-]*", dataset)):
            raise ArgumentError("dataset", "the name of a set, such as JapaneseVowels", dataset)
        self.dataset, self.data_dir = dataset, data_dir
        self.normalise = check.flag("normalise", normalise)
        self.missing = check.choice("missing", missing, ("refuse", "interpolate"))
        # Without a set, a shape so that the rest of a config can be checked.
        self._header = Header(("1", "2"), 1)
        if dataset is not None:
            self._header = self._read_header(self._files()[0])
        self.classes = self._header.classes
        self.num_outputs = len(self.classes)
        self.input_shape = (self._header.dimensions,)

    def read(self, data_dir: Path) -> SequenceSet:
        """The training file, then the test file."""
        values: list[NDArray[np.float32]] = []
        labels: list[int] = []
        test: list[bool] = []
        for is_test, path in enumerate(self._files()):
            begin = len(values)
            try:
                for series in read_series(path, self._header):
                    values.append(self._without_gaps(series))
                    labels.append(self.classes.index(series.label))
                    test.append(bool(is_test))
            except DataError as error:
                raise DataError(f"{self.name}: {error}") from None
            if len(values) == begin:
                raise DataError(f"{self.name}: {path}: expected series after @data, got none")
        return SequenceSet(values, labels, test, digest_of(values, labels))

    def scale(self, values: Sequence[NDArray[np.float32]], train: Tensor) -> Sequence[NDArray[np.float32]]:
        """The values, normalised by mean and deviation of the training samples."""
        if not self.normalise:
            return values
        steps = np.concatenate([values[i] for i in train.tolist()], dtype=np.float64)
        mean, deviation = steps.mean(0), steps.std(0)
        deviation[deviation == 0] = 1
        return [((one - mean) / deviation).astype(np.float32) for one in values]

    def _read_header(self, path: Path) -> Header:
        try:
            return read_header(path)
        except DataError as error:
            raise DataError(f"{self.name}: {error}") from None

    def _without_gaps(self, series: Series) -> NDArray[np.float32]:
        """The values, with missing ones as ``missing`` has it."""
        gaps = np.isnan(series.values)
        if not gaps.any():
            return series.values
        step, dimension = (int(i) for i in np.argwhere(gaps)[0])
        if self.missing == "refuse":
            raise DataError(
                f"{series.source}: expected all values, got none for step {step + 1} of dimension {dimension + 1}; "
                "set task.missing=interpolate"
            )
        steps = np.arange(len(gaps))
        values = series.values.copy()
        for i, (column, gap) in enumerate(zip(values.T, gaps.T, strict=True), 1):
            if gap.all():
                raise DataError(f"{series.source}: expected a value of dimension {i} at one step at least, got none")
            column[gap] = np.interp(steps[gap], steps[~gap], column[~gap])
        return values

    def _files(self) -> tuple[Path, Path]:
        """The training file and the test file."""
        if self.dataset is None:
            raise DataError(f"{self.name}: expected task.dataset, the name of a set, as in task.dataset=JapaneseVowels")
        root = Path(self.data_dir).expanduser()
        folders = [root / self.dataset, root / self.name / self.dataset, root / self.name]
        packaged = aeon_data()
        for folder in [*folders, *([] if packaged is None else [packaged / self.dataset])]:
            paths = (folder / f"{self.dataset}_TRAIN.ts", folder / f"{self.dataset}_TEST.ts")
            if all(map(path_exists, paths)):
                return paths
        extra = "the package aeon, which is installed, does not have it"
        if packaged is None:
            extra = "the package aeon, which has a few sets, is not installed: pip install --no-deps aeon"
        raise DataError(
            f"{self.name}: there is no set {self.dataset} (task.dataset)\n{search_text(root, folders)}\n"
            f"Put {self.dataset}_TRAIN.ts and {self.dataset}_TEST.ts into one of them; they are at {_ORIGIN}\n"
            f"Also, {extra}"
        )


def aeon_data() -> Path | None:
    """The folder of the sets in the package aeon, which is not imported; None if it is missing."""
    spec = find_spec("aeon")
    for place in (spec and spec.submodule_search_locations) or ():
        folder = Path(place, "datasets", "data")
        if folder.is_dir():
            return folder
    return None
