"""Moving bars in an event camera: the direction is the class, and only the order in time reveals it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Generator, Tensor

from snnrun import check
from snnrun.augmentation import NONE, SequenceAugmentation, check_sequence_augmentations
from snnrun.errors import ArgumentError
from snnrun.task.augmented import augmented
from snnrun.task.base import Batch, Data, Task
from snnrun.task.generated import generate
from snnrun.task.noise import add_noise, most_noise

# Ranges as shares of the frame's size: the distance that a bar crosses, its length and its width.
_TRAVEL = (0.5, 1.0)
_LENGTH = (0.3, 0.8)
_WIDTH = (0.08, 0.25)
_CONTRAST = (1.0, 2.5)  # in thresholds of the sensor
_DIRECTIONS = ("right", "right down", "down", "left down", "left", "left up", "up", "right up")  # rows go down


class MovingBars(Task):
    """In which direction does a bar move? Events ``[T, B, 2, size, size]`` of a simulated event camera (DVS).

    A bar of log contrast ``c s`` crosses the frame at constant speed: s is 1 for a bright bar and -1 for a dark one,
    each with probability 1/2. r is its centre at mid-time, d the unit vector of the class; ξ and η are a pixel's
    distance from the centre along d and across it::

        m(t) = ramp(w/2 - |ξ - v (t - T/2)|) ramp(l/2 - |η|)         covered share of the pixel
        L(t) = c s m(t)                                              log intensity, in thresholds of the sensor
        q(t) = floor(L(t) + φ),   φ ~ U(0, 1) for each pixel         levels crossed
        ON(t) = [q(t) > q(t-1)]   OFF(t) = [q(t) < q(t-1)]           t = 1 … T

    with ``ramp(x) = clamp(x + 1/2, 0, 1)``, an edge of one pixel. Noise of the sensor is added: on average ``noise``
    events for each pixel and polarity in a sample, at random times. Events are 0 or 1: at most one for each pixel,
    polarity and step. In this model the levels are fixed: a film run backwards gives the same events backwards, with
    the polarities swapped.

    So a sample played backwards is an equally likely sample of a bar with the opposite direction and contrast: neither
    a single frame nor a sum over time distinguishes two opposite directions. A network that ignores the order of the
    frames sees the axis, not the direction, and is right for at most half of the samples.

    Uniformly drawn for each sample: class, s, r (both coordinates within the middle half of the frame), ``v T`` (0.5 to
    1 times ``size``), l (0.3 to 0.8 times), w (0.08 to 0.25 times), c (1 to 2.5 thresholds).

    Args:
        directions: classes: 4 (right, down, left, up) or 8 (with the diagonals between them, in that order). Default 4.
        size: height and width of the frame in pixels. Default 16.
        noise: events of noise for each pixel and polarity, over the whole sample. Default 0.02.
        train_samples: of an epoch, fresh in every epoch. Default 4000.
        validation_samples, test_samples: fixed by the run's seed. Default 500 and 1000.
        augmentation: random changes to training samples, by name and in that order; see the group ``augmentation``.
            Default none.

    Raises:
        ValueError: for an argument out of range.

    Source: the sensor of Lichtsteiner, Posch and Delbruck 2008, "A 128x128 120 dB 15 µs latency asynchronous temporal
    contrast vision sensor", without its memory: there the level of a pixel's last event is the reference for the next.
    """

    has_time = True
    has_accuracy = True

    def __init__(
        self,
        *,
        directions: int = 4,
        size: int = 16,
        noise: float = 0.02,
        train_samples: int = 4000,
        validation_samples: int = 500,
        test_samples: int = 1000,
        augmentation: Mapping[str, SequenceAugmentation] = NONE,
    ) -> None:
        if check.integer("directions", directions, low=4) not in (4, 8):
            raise ArgumentError("directions", "4 or 8", directions)
        self.num_outputs = directions
        self.classes = _DIRECTIONS[:: 8 // directions]
        self.directions = directions
        self.size = check.integer("size", size, low=8)
        self.input_shape = (2, self.size, self.size)
        self.noise = check.number("noise", noise, low=0, high=1)
        self.train_samples = check.integer("train_samples", train_samples, low=1)
        self.validation_samples = check.integer("validation_samples", validation_samples, low=1)
        self.test_samples = check.integer("test_samples", test_samples, low=1)
        self.augmentation = check_sequence_augmentations(augmentation)

    def load(self, data_dir: Path, num_steps: int, device: torch.device, generator: Generator) -> Data:
        """Three parts, each with a random stream seeded by ``generator``; reads nothing."""
        sizes = (self.train_samples, self.validation_samples, self.test_samples)
        # 8 numbers for the bar, one phase for each pixel, and the amount and places of the noise.
        num_draws = 9 + self.size**2 + most_noise(2 * self.size**2 * self.noise)
        data = generate(sizes, num_draws, lambda draws: self.make(draws, num_steps), device, generator)
        return augmented(data, self.augmentation, generator)

    def make(self, draws: Tensor, num_steps: int) -> Batch:
        """The samples of uniform draws ``[B, K]``."""
        pixels = self.size**2
        label, bright, row, column, travel, length, width, contrast, much = draws[:, :9].T
        target = (label * self.directions).long()
        angle = target * (2 * math.pi / self.directions)
        dx, dy = angle.cos(), angle.sin()  # rows go down
        middle = (self.size - 1) / 2
        x = torch.arange(self.size, dtype=draws.dtype, device=draws.device) - middle
        x0, y0 = (column - 0.5) * self.size / 2, (row - 0.5) * self.size / 2
        rows, columns = x[:, None] - y0[:, None, None], x[None, :] - x0[:, None, None]
        along = columns * dx[:, None, None] + rows * dy[:, None, None]  # [B, H, W], from the centre at mid-time
        across = rows * dx[:, None, None] - columns * dy[:, None, None]
        time = torch.arange(num_steps + 1, dtype=draws.dtype, device=draws.device) / num_steps - 0.5
        shift = time[:, None] * self._scale(travel, _TRAVEL)  # [T + 1, B]
        half = self._scale(length, _LENGTH)[:, None, None] / 2
        log_contrast = (bright < 0.5).to(draws.dtype) * 2 - 1
        log_contrast = log_contrast * (_CONTRAST[0] + contrast * (_CONTRAST[1] - _CONTRAST[0]))
        beside = (half - across.abs() + 0.5).clamp_(0, 1) * log_contrast[:, None, None]
        reach = self._scale(width, _WIDTH)[:, None, None] / 2 + 0.5
        levels = along - shift[:, :, None, None]
        levels = levels.abs_().neg_().add_(reach).clamp_(0, 1).mul_(beside)
        levels = levels.add_(draws[:, 9 : 9 + pixels].view(-1, self.size, self.size)).floor_()
        change = levels.diff(dim=0)
        events = torch.stack((change > 0, change < 0), dim=2).to(draws.dtype)
        add_noise(events, much, draws[:, 9 + pixels :], 2 * pixels * self.noise)
        return Batch(events, target)

    def _scale(self, draw: Tensor, of_size: tuple[float, float]) -> Tensor:
        low, high = of_size
        return self.size * (low + draw * (high - low))
