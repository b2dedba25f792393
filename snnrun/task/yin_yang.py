"""The Yin-Yang set: points of the symbol, as spike times or as values."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.system.device import upload
from snnrun.task.arrays import ArrayPart
from snnrun.task.base import Data, Task

_RADIUS, _DOT = 0.5, 0.1
_INPUTS = 4
#: Samples and seed of the training, validation and test set, as published.
_PARTS = ((5000, 42), (1000, 41), (1000, 40))


class YinYang(Task):
    """In which part of the Yin-Yang symbol is a point: yin, yang or one of the dots? 5,000 + 1,000 + 1,000 points.

    A point (x, y) is in a circle of radius 1/2 around (1/2, 1/2). It has four inputs: x, y, 1 - x and 1 - y. The
    classes are equally likely, and a linear classifier is right for about 64 % of the points. The three sets are the
    published ones, to the last bit, whatever the seed of the run.

    As spikes, ``[T, B, 5]``, every input i fires once, and so does a fifth one, the same in all samples::

        t[i] = floor(T (early + x[i] (late - early)))       t[bias] = floor(T bias_time)

    As values the input is still, ``[1, B, 4]`` in [0, 1], for an encoder such as ``direct`` or ``latency``.

    Args:
        spikes: true for spike times (default), false for values.
        early: when an input of 0 fires, as a share of the sample. Default 0.0375.
        late: when an input of 1 fires. Default 0.5.
        bias_time: when the fifth input fires; null: there is none. Default 0.225.

    Raises:
        ValueError: for a share outside of [0, 1), or ``late`` not after ``early``.

    Source: Kriener, Göltz and Petrovici 2022, "The Yin-Yang dataset", NICE; the times as in Göltz et al. 2021, "Fast
    and energy-efficient neuromorphic deep learning with first-spike times" (0.15, 2 and 0.9 of 4 synaptic time
    constants).
    """

    name = "yin_yang"
    classes = ("yin", "yang", "dot")
    num_outputs = len(classes)
    has_accuracy = True

    def __init__(
        self, *, spikes: bool = True, early: float = 0.0375, late: float = 0.5, bias_time: float | None = 0.225
    ) -> None:
        self.has_time = check.flag("spikes", spikes)
        self.early = check.number("early", early, low=0, below=1)
        self.late = check.number("late", late, low=0, below=1)
        if self.late <= self.early:
            raise ArgumentError("late", "a time after early", (late, early), others=("early",))
        self.bias_time = None if bias_time is None else check.number("bias_time", bias_time, low=0, below=1)
        self.input_shape = (_INPUTS + (self.has_time and self.bias_time is not None),)

    def load(self, data_dir: Path, num_steps: int, device: torch.device, generator: Generator) -> Data:
        """Generate the three sets; ``generator`` is not needed."""
        digest = hashlib.sha256()
        parts = []
        for size, seed in _PARTS:
            points, labels = samples(size, seed)
            digest.update(points.tobytes())
            digest.update(labels.tobytes())
            inputs = self.spike_trains(points, num_steps) if self.has_time else torch.from_numpy(points).float()
            targets = upload(torch.from_numpy(labels), device)
            parts.append(ArrayPart(upload(inputs, device), targets, torch.arange(size), 1.0, self.has_time))
        train, validation, test = parts
        return Data(train, validation, test, hashes={self.name: digest.hexdigest()}, place=str(device))

    def spike_trains(self, points: np.ndarray, num_steps: int) -> Tensor:
        """``[N, T, 4]`` uint8 of points ``[N, 4]``, or ``[N, T, 5]`` with the bias."""
        times = self.early + points * (self.late - self.early)
        if self.bias_time is not None:
            times = np.column_stack([times, np.full(len(points), self.bias_time)])
        steps = torch.from_numpy(np.floor(num_steps * times).astype(np.int64))
        trains = torch.zeros(len(points), num_steps, times.shape[1], dtype=torch.uint8)
        return trains.scatter_(1, steps[:, None], 1)


def samples(size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points ``[size, 4]`` float64 and labels ``[size]`` int64, as published for this seed.

    For each sample a class is drawn, and then points of the square until one is in the circle and of this class.
    """
    random = np.random.RandomState(seed)  # its streams never change, and the published sets are of them
    points, labels = np.empty((size, _INPUTS)), np.empty(size, dtype=np.int64)
    for i in range(size):
        labels[i] = label = random.randint(3)
        while True:
            x, y = random.rand(2)
            if math.hypot(x - _RADIUS, y - _RADIUS) <= _RADIUS and label_of(x, y) == label:
                break
        points[i] = x, y, 1 - x, 1 - y
    return points, labels


def label_of(x: float, y: float) -> int:
    """The class of a point in the circle."""
    left = math.hypot(x - _RADIUS / 2, y - _RADIUS)
    right = math.hypot(x - 3 * _RADIUS / 2, y - _RADIUS)
    if min(left, right) < _DOT:
        return 2
    # The half circle around the left dot belongs to one class, around the right dot to the other.
    return int(left <= _RADIUS / 2 or (y > _RADIUS and right > _RADIUS / 2))
