"""Heartbeats: the waves of an electrocardiogram, labelled at each step, as spikes."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from snnrun import check
from snnrun.errors import ArgumentError, DataError
from snnrun.system.device import upload
from snnrun.task.arrays import ArrayPart, put
from snnrun.task.base import NO_LABEL, Data, Task
from snnrun.task.download import search_text
from snnrun.task.split import stratified_split

_STEPS, _CHANNELS = 1301, 4
_FILES = ("QTDB_train.mat", "QTDB_test.mat")
_ORIGIN = "github.com/AdaptiveAILab/brf-neurons (experiments/ecg/data) and byin-cwi/Efficient-spiking-networks"


class ECG(Task):
    """Which wave of the heartbeat is it, at each step? The QT database as spikes ``[T, B, 4]``, T = 1,301.

    The two leads of an electrocardiogram, level-crossing coded: each has a channel for rising and one for falling
    voltage, whose values are -1, 0 or 1. A step has one of six labels: P, PQ, QR, RS, ST or TP; about 8 % of the steps
    have none, and count neither in the loss nor in the accuracy. 618 sequences are for training and validation, 141 for
    the test.

    The files ``QTDB_train.mat`` and ``QTDB_test.mat`` (MATLAB 5) are searched in ``<data_dir>/ecg_qtdb`` and in
    ``data_dir``. Published scores often count the steps without a label as the first class, and leave out the last
    step: ``unlabelled=first`` with ``num_steps=1300`` does so.

    Args:
        unlabelled: ``none`` (default): steps without a label do not count; ``first``: their label is the first class.
        validation: share of the training sequences for validation, in [0, 1); 0: none. Default 0.1.
        split_seed: seed of that split. Default 0.
        num_steps: the run's own ``num_steps``, at most 1,301: the first steps of each sequence. Default 25.

    Raises:
        ValueError: for an argument out of range.
        DataError: the files are missing or damaged.

    Source: Laguna et al. 1997, "A database for evaluation of algorithms for measurement of QT"; as spikes by Yin,
    Corradi and Bohté 2021, "Accurate and efficient time-domain classification with adaptive spiking recurrent neural
    networks".
    """

    name = "ecg_qtdb"
    input_shape = (_CHANNELS,)
    classes = ("P", "PQ", "QR", "RS", "ST", "TP")
    num_outputs = len(classes)
    has_time = True
    has_accuracy = True
    has_steps = True

    def __init__(
        self, *, unlabelled: str = "none", validation: float = 0.1, split_seed: int = 0, num_steps: int = 25
    ) -> None:
        self.unlabelled = check.choice("unlabelled", unlabelled, ("none", "first"))
        self.validation = check.number("validation", validation, low=0, below=1)
        self.has_validation = self.validation > 0
        self.split_seed = check.integer("split_seed", split_seed, low=0, high=2**63 - 1)
        if check.integer("num_steps", num_steps, low=1) > _STEPS:
            raise ArgumentError("num_steps", f"at most {_STEPS}, the steps of a sequence", num_steps)
        self.num_steps = num_steps

    def load(self, data_dir: Path, num_steps: int, device: torch.device, generator: torch.Generator) -> Data:
        """Read both files and split the training sequences."""
        folders = [data_dir / self.name, data_dir]
        folder = next((each for each in folders if all((each / name).is_file() for name in _FILES)), None)
        if folder is None:
            raise DataError(
                f"{self.name}: the data is missing\n{search_text(data_dir, folders)}\n"
                f"Put these two files into one of those folders: {', '.join(_FILES)}; they lie at {_ORIGIN}\n"
                "Or choose a task that needs no files: task=spoken_tones"
            )
        (x, y), (test_x, test_y) = (self._read(folder / name) for name in _FILES)
        digest = hashlib.sha256()
        for array in (x, y.numpy(), test_x, test_y.numpy()):
            digest.update(np.ascontiguousarray(array).tobytes())
        try:
            held_out, train = stratified_split(torch.zeros(len(x)), [self.validation], self.split_seed)
        except ValueError as error:
            raise DataError(f"{self.name}: {error}; choose another share") from None
        (inputs, test_inputs), place = put([x[:, :num_steps], test_x[:, :num_steps]], device)
        targets, test_targets = (upload(labels[:, :num_steps], device) for labels in (y, test_y))
        return Data(
            ArrayPart(inputs, targets, train, 1.0, time=True),
            ArrayPart(inputs, targets, held_out, 1.0, time=True),
            ArrayPart(test_inputs, test_targets, torch.arange(len(test_x)), 1.0, time=True),
            hashes={self.name: digest.hexdigest()},
            place=str(place),
        )

    def _read(self, path: Path) -> tuple[np.ndarray, Tensor]:
        """Inputs ``[N, T, 4]`` int16 and labels ``[N, T]`` int64."""
        from scipy.io import loadmat

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of other variables in the file
                arrays = loadmat(path, variable_names=["x", "y"])
            x, y = arrays["x"], arrays["y"]
        except Exception as error:  # what scipy's reader raises on a damaged file is not documented
            what = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{path}: expected a MATLAB file with the arrays x and y, got: {what}") from None
        for name, array, size in (("x", x, _CHANNELS), ("y", y, len(self.classes))):
            expected = f"{name} of numbers [N, {_STEPS}, {size}]"
            if array.ndim != 3 or array.shape[1:] != (_STEPS, size) or array.dtype.kind not in "iuf" or not len(array):
                raise DataError(f"{path}: expected {expected}, got {array.dtype} {list(array.shape)}")
        if len(x) != len(y):
            raise DataError(f"{path}: expected as many labels y as sequences x, {len(x)}, got {len(y)}")
        if len(wrong := np.argwhere(~np.isin(x, (-1, 0, 1)))):
            raise DataError(f"{path}: x{wrong[0].tolist()}: expected -1, 0 or 1, got {x[tuple(wrong[0])]:g}")
        counts = np.isin(y, (0, 1)).all(2) * y.sum(2)
        if len(wrong := np.argwhere((counts > 1) | ~np.isin(y, (0, 1)).all(2))):
            raise DataError(f"{path}: y{wrong[0].tolist()}: expected at most one label, as a 1 among 0")
        if len(empty := np.flatnonzero(~counts.any(1))):
            raise DataError(f"{path}: y[{int(empty[0])}]: expected a label at one step at least, got none")
        missing = 0 if self.unlabelled == "first" else NO_LABEL
        labels = np.where(counts == 1, y.argmax(2), missing).astype(np.int64)
        return x.astype(np.int16), torch.from_numpy(labels)
