"""Target encoding: class labels as target spike trains or membranes of a read-out layer.

A target encoder takes labels ``[B]`` and returns ``[T, B, C]``. It holds no state; random ones draw from the generator
that is passed in. ``levels`` and ``ramp`` turn any train into a membrane's target.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from snnrun import check
from snnrun.encoder import Latency
from snnrun.encoder.train import levels, ramp
from snnrun.errors import ArgumentError
from snnrun.system.device import constant

__all__ = [
    "LatencyTarget",
    "RateTarget",
    "TargetEncoder",
    "from_one_hot",
    "levels",
    "one_hot",
    "ramp",
    "regular_train",
]


def one_hot(
    labels: Tensor,
    num_classes: int,
    *,
    on: float = 1.0,
    off: float = 0.0,
    population: int = 1,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """``on`` for the neurons of each label's class, ``off`` for the others: ``[B, C population]`` for labels ``[B]``.

    The ``population`` neurons of a class are adjacent. ``on`` and ``off`` may be any numbers, in any order.

    Raises:
        ValueError: for labels that are not int64.
    """
    hot = F.one_hot(class_labels(labels), num_classes).repeat_interleave(population, -1)
    return torch.where(hot == 1, on, off).to(dtype)


def from_one_hot(hot: Tensor) -> Tensor:
    """The class ``[B]`` with the largest entry, for ``[B, C]``."""
    return hot.argmax(-1)


def class_labels(target: Tensor | None) -> Tensor:
    """``target`` if it is class labels, int64; else ValueError."""
    if target is None or target.dtype != torch.int64:
        raise ArgumentError("target", "class labels [B] of int64", None if target is None else target.dtype)
    return target


def step_labels(target: Tensor | None, record: Tensor) -> Tensor:
    """``target`` if it is a label for each step of a record ``[T, B, C]``, ``[B, T]`` of int64; else ValueError."""
    labels, expected = class_labels(target), [record.shape[1], record.shape[0]]
    if list(labels.shape) != expected:
        raise ArgumentError("target", f"a label for each step, {expected}", list(labels.shape))
    return labels


def regular_train(num_steps: int, rate: float, first_spike_time: int = 0) -> Tensor:
    """A train ``[T]`` of evenly spaced spikes: at the steps ``⌊t₀ + k / rate⌋``, k = 0, 1 …; silent for a rate of 0."""
    train = torch.zeros(num_steps)
    if rate > 0:
        times = torch.arange(first_spike_time, num_steps, 1 / rate, dtype=torch.float64)
        times = (times + 1e-9).long()  # k / rate may be just below a whole number
        train[times[times < num_steps]] = 1
    return train


@dataclass(frozen=True)
class TargetEncoder(ABC):
    """Base of all target encoders."""

    on_target: float = 1.0  # not `on`, which is true in YAML
    off_target: float = 0.0
    interpolate: bool = False

    def __post_init__(self) -> None:
        check.number("on_target", self.on_target)
        check.number("off_target", self.off_target)
        check.flag("interpolate", self.interpolate)

    @property
    def random(self) -> bool:
        """True if it needs a generator."""
        return False

    @abstractmethod
    def train(self, labels: Tensor, num_classes: int, num_steps: int, generator: Generator | None) -> Tensor:
        """Spikes ``[T, B, C]``, 0 or 1, for labels ``[B]``."""

    def __call__(self, labels: Tensor, num_classes: int, num_steps: int, generator: Generator | None = None) -> Tensor:
        """The target ``[T, B, C]``, float32, for labels ``[B]``.

        Raises:
            ValueError: for labels that are not int64, or a random one without a generator.
        """
        if self.random and generator is None:
            raise ArgumentError("generator", "a torch.Generator for a random target", None)
        train = self.train(class_labels(labels), num_classes, num_steps, generator)
        return (ramp if self.interpolate else levels)(train, self.on_target, self.off_target)


@dataclass(frozen=True)
class RateTarget(TargetEncoder):
    """Spikes at one rate for the neuron of the class, at another for the others.

    Args:
        correct_rate, incorrect_rate: spikes per step of the right neuron and of the others, in [0, 1]. Default 1 and 0.
        first_spike_time: t₀, the earliest step of a spike. Default 0.
        pattern: ``regular`` (default): spikes at ``⌊t₀ + k / rate⌋``; ``uniform``: as many spikes, each at a random
            step from t₀ on, duplicates merged; ``poisson``: a spike at each step with the rate as probability. The
            latter two are drawn separately for every neuron and sample.
        on_target, off_target: value at a spike, and elsewhere. Default 1 and 0: a spike train. Any others: a membrane.
        interpolate: rise in a line from ``off_target`` to ``on_target`` before each spike. Default false.

    Raises:
        ValueError: for an argument out of range.

    Source: snnTorch's ``targets_rate``, ``targets_convert``, which draw one pattern for the whole batch.
    """

    correct_rate: float = 1.0
    incorrect_rate: float = 0.0
    first_spike_time: int = 0
    pattern: str = "regular"

    def __post_init__(self) -> None:
        super().__post_init__()
        check.number("correct_rate", self.correct_rate, low=0, high=1)
        check.number("incorrect_rate", self.incorrect_rate, low=0, high=1)
        check.integer("first_spike_time", self.first_spike_time, low=0)
        check.choice("pattern", self.pattern, ("regular", "uniform", "poisson"))

    @property
    def random(self) -> bool:
        return self.pattern != "regular"

    def train(self, labels: Tensor, num_classes: int, num_steps: int, generator: Generator | None) -> Tensor:
        hot = F.one_hot(labels, num_classes) == 1
        rates = self.correct_rate, self.incorrect_rate
        regular = [regular_train(num_steps, rate, self.first_spike_time).tolist() for rate in rates]
        correct, incorrect = (constant(train, torch.float32, hot.device)[:, None, None] for train in regular)
        shape = (num_steps, *hot.shape)
        if self.pattern == "poisson":
            draws = torch.rand(shape, generator=generator, device=hot.device)
            correct, incorrect = ((draws < rate).float() for rate in rates)
        elif self.pattern == "uniform":
            low = min(self.first_spike_time, num_steps - 1)
            steps = torch.randint(low, num_steps, shape, generator=generator, device=hot.device)
            silence = torch.zeros(shape, device=hot.device)
            correct, incorrect = (silence.scatter(0, steps[: int(sum(train))], 1) for train in regular)
        train = torch.where(hot, correct, incorrect)
        return train * (torch.arange(num_steps, device=hot.device) >= self.first_spike_time)[:, None, None]


@dataclass(frozen=True)
class LatencyTarget(TargetEncoder):
    """One spike each: the neuron of the class fires first, the others last, or with ``clip`` never.

    The one-hot label, 1 for the class and 0 for the others, goes through a latency code.

    Args:
        code: the latency code. Default ``Latency()``: the first step and the last.
        on_target, off_target: value at a spike, and elsewhere. Default 1 and 0: a spike train. Any others: a membrane.
        interpolate: rise in a line from ``off_target`` to ``on_target`` before the spike. Default false.

    Source: snnTorch's ``targets_latency``, ``targets_convert(code="latency")``.
    """

    code: Latency = field(default_factory=Latency)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.code, Latency):
            raise ArgumentError("code", "a Latency encoder", self.code)

    def train(self, labels: Tensor, num_classes: int, num_steps: int, generator: Generator | None) -> Tensor:
        return self.code(one_hot(labels, num_classes)[None], num_steps)
