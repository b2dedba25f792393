"""Augmentations of sequences: events, or values over time."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from snnrun import check
from snnrun.augmentation.base import whole
from snnrun.errors import ArgumentError
from snnrun.system.device import upload


@dataclass(frozen=True)
class SequenceAugmentation(ABC):
    """Base of all augmentations of sequences. The label and the length of a sample stay as they are."""

    @abstractmethod
    def num_draws(self, steps: int, cells: int) -> int:
        """Number of random numbers of a sample of T = ``steps``; ``cells``: inputs at a step, the product of ``*N``."""

    @abstractmethod
    def apply(self, x: Tensor, draws: Tensor, lengths: Tensor) -> Tensor:
        """The changed sequences, of the same shape, dtype and device.

        Args:
            x: ``[T, B, *N]``, 0 after the end of a sample.
            draws: ``[B, num_draws]``, uniform in [0, 1); on the CPU.
            lengths: ``[B]`` int64, from 1 to T; on the CPU.
        """


@dataclass(frozen=True)
class ShiftTime(SequenceAugmentation):
    """Shifts a sample in time. What leaves the sample is lost, and the steps that become free are 0.

    ::

        y[t] = x[t - d], or 0 outside 0 … L - 1        d uniform in -steps … steps, L: length of the sample

    Args:
        steps: largest shift, at least 1. Default 5.

    Raises:
        ValueError: for steps below 1.
    """

    steps: int = 5

    def __post_init__(self) -> None:
        check.integer("steps", self.steps, low=1)

    def num_draws(self, steps: int, cells: int) -> int:
        return 1

    def apply(self, x: Tensor, draws: Tensor, lengths: Tensor) -> Tensor:
        shift = whole(draws[:, 0], 2 * self.steps + 1) - self.steps
        step = torch.arange(len(x))[:, None]
        origin = step - shift  # [T, B]
        inside = (origin >= 0) & (origin < lengths) & (step < lengths)
        moved = x[upload(origin.clamp(0, len(x) - 1), x.device), torch.arange(x.shape[1], device=x.device)]
        return moved.masked_fill_(_wide(~inside, x), 0)


@dataclass(frozen=True)
class ShiftChannels(SequenceAugmentation):
    """Shifts a sample along its last axis: the channels of a cochlea, or the columns of a camera.

    ::

        y[t, …, c] = x[t, …, c - k], or 0 outside 0 … C - 1        k uniform in -channels … channels

    Args:
        channels: largest shift, at least 1. Default 5.

    Raises:
        ValueError: for channels below 1.
    """

    channels: int = 5

    def __post_init__(self) -> None:
        check.integer("channels", self.channels, low=1)

    def num_draws(self, steps: int, cells: int) -> int:
        return 1

    def apply(self, x: Tensor, draws: Tensor, lengths: Tensor) -> Tensor:
        shift = whole(draws[:, 0], 2 * self.channels + 1) - self.channels
        origin = torch.arange(x.shape[-1]) - shift[:, None]  # [B, C]
        outside = (origin < 0) | (origin >= x.shape[-1])
        shape = (x.shape[1], *[1] * (x.ndim - 3), x.shape[-1])
        index = upload(origin.clamp(0, x.shape[-1] - 1), x.device).view(shape).expand(x.shape)
        return x.gather(-1, index).masked_fill_(upload(outside, x.device).view(shape), 0)


@dataclass(frozen=True)
class DropEvents(SequenceAugmentation):
    """Sets each input at each step to 0 with probability p, independently.

    All events of an input at a step go together.

    Args:
        p: probability, in [0, 1). Default 0.1.

    Raises:
        ValueError: for a probability out of range.
    """

    p: float = 0.1

    def __post_init__(self) -> None:
        check.number("p", self.p, low=0, below=1)

    def num_draws(self, steps: int, cells: int) -> int:
        return steps * cells

    def apply(self, x: Tensor, draws: Tensor, lengths: Tensor) -> Tensor:
        return x.masked_fill(upload(_time_first(draws < self.p, x), x.device), 0)


@dataclass(frozen=True)
class DropChannels(SequenceAugmentation):
    """Sets each input to 0 at all steps with probability p, independently: a channel or a pixel that is broken.

    Args:
        p: probability, in [0, 1). Default 0.1.

    Raises:
        ValueError: for a probability out of range.
    """

    p: float = 0.1

    def __post_init__(self) -> None:
        check.number("p", self.p, low=0, below=1)

    def num_draws(self, steps: int, cells: int) -> int:
        return cells

    def apply(self, x: Tensor, draws: Tensor, lengths: Tensor) -> Tensor:
        return x.masked_fill(upload(draws < self.p, x.device).view(x.shape[1:]), 0)


@dataclass(frozen=True)
class JitterTime(SequenceAugmentation):
    """Moves the events of each input at each step by a few steps, independently; for events, not for other values.

    ::

        t' = clip(t + d, 0, L - 1)        d uniform in -steps … steps, for each t and input; L: length of the sample

    Events that meet at one step are added. All events of an input at a step move together.

    Args:
        steps: largest move, at least 1. Default 1.

    Raises:
        ValueError: for steps below 1.
    """

    steps: int = 1

    def __post_init__(self) -> None:
        check.integer("steps", self.steps, low=1)

    def num_draws(self, steps: int, cells: int) -> int:
        return steps * cells

    def apply(self, x: Tensor, draws: Tensor, lengths: Tensor) -> Tensor:
        step = torch.arange(len(x)).view(-1, *[1] * (x.ndim - 1))
        target = step + _time_first(whole(draws, 2 * self.steps + 1) - self.steps, x)
        last = lengths.view(1, -1, *[1] * (x.ndim - 2)) - 1
        move = upload(torch.minimum(target.clamp_(min=0), last) - step, x.device)
        jittered = torch.zeros_like(x)
        # One sum for each move, in a fixed order: the same on every device.
        for d in range(-min(self.steps, len(x) - 1), min(self.steps, len(x) - 1) + 1):
            moving = torch.where(move == d, x, 0)
            jittered[max(d, 0) : len(x) + min(d, 0)] += moving[max(-d, 0) : len(x) - max(d, 0)]
        return jittered


@dataclass(frozen=True)
class CutMix(SequenceAugmentation):
    """Replaces a piece of a sample by the same steps of another sample of the batch. The label stays.

    ::

        y[t] = x'[t] for t in a … a + w - 1, else x[t]        w uniform in 0 … longest L, a uniform in 0 … L - w

    ``x'`` is any sample of the batch, and 0 after its end. At least half of a sample is its own, since ``longest`` is
    at most a half. Unlike other augmentations, this one depends on the batch.

    Args:
        p: probability that a sample is changed, in [0, 1]. Default 0.5.
        longest: largest piece as a share of the length L, in (0, 0.5]. Default 0.3.

    Raises:
        ValueError: for a value out of range.

    Source: S. Yun et al., CutMix: regularization strategy to train strong classifiers with localizable features,
    arXiv:1905.04899, 2019, for images, with a label in the shares of both samples.
    """

    p: float = 0.5
    longest: float = 0.3

    def __post_init__(self) -> None:
        check.number("p", self.p, low=0, high=1)
        check.number("longest", self.longest, above=0, high=0.5)

    def num_draws(self, steps: int, cells: int) -> int:
        return 4

    def apply(self, x: Tensor, draws: Tensor, lengths: Tensor) -> Tensor:
        chosen, size, place, other = draws.unbind(1)
        width = whole(size, (self.longest * lengths).long() + 1)
        begin = whole(place, lengths - width + 1)
        step = torch.arange(len(x))[:, None]
        piece = (step >= begin) & (step < begin + width) & (chosen < self.p)  # [T, B]
        others = upload(whole(other, x.shape[1]), x.device)
        return torch.where(_wide(piece, x), x[:, others], x)


def augment_sequences(
    x: Tensor, lengths: Tensor | None, augmentations: Collection[SequenceAugmentation], generator: Generator
) -> Tensor:
    """One augmentation after the other; ``x`` is ``[T, B, *N]``, and ``lengths`` None if all samples have T steps.

    All numbers of a sample are drawn together, from ``generator`` on the CPU, sample by sample: with a fixed T they are
    the same on every device and for every batch size.
    """
    steps, batch = x.shape[:2]
    cells = math.prod(x.shape[2:])
    sizes = [augmentation.num_draws(steps, cells) for augmentation in augmentations]
    draws = torch.rand(batch, sum(sizes), generator=generator)
    lengths = torch.full((batch,), steps) if lengths is None else lengths
    for augmentation, own in zip(augmentations, draws.split(sizes, dim=1), strict=True):
        x = augmentation.apply(x, own, lengths)
    return x


def check_sequence_augmentations(augmentation: object) -> dict[str, SequenceAugmentation]:
    """The augmentations of a task of sequences, by name.

    Raises:
        ArgumentError: another kind of value, or an augmentation of images.
    """
    if not isinstance(augmentation, Mapping) or not all(
        isinstance(a, SequenceAugmentation) for a in augmentation.values()
    ):
        names = "shift_time, shift_channels, drop_events, drop_channels, jitter_time or cut_mix"
        raise ArgumentError("augmentation", f"augmentations of sequences by name ({names})", augmentation)
    return dict(augmentation)


def _time_first(draws: Tensor, x: Tensor) -> Tensor:
    """``[B, T * cells]`` as ``[T, B, *N]``."""
    return draws.view(x.shape[1], len(x), *x.shape[2:]).transpose(0, 1)


def _wide(mask: Tensor, x: Tensor) -> Tensor:
    """``[T, B]`` on the CPU, on the device of ``x`` and with as many axes."""
    return upload(mask, x.device).view(*mask.shape, *[1] * (x.ndim - 2))
