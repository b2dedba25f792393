"""Mean squared errors of counts, membranes and spike times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from snnrun import check
from snnrun.errors import ArgumentError, Description
from snnrun.loss.base import Loss, SampleLoss
from snnrun.loss.readout import spike_count, spike_times
from snnrun.loss.target import TargetEncoder, class_labels, one_hot


@dataclass(frozen=True, kw_only=True)
class MSECount(SampleLoss):
    """Mean squared error between spike counts and target counts, per time step.

    ``mean_{b,c} (Σ_t s[t, b, c] - n[b, c])² / T`` with ``n = correct_rate T`` for the neuron of the target class and
    ``incorrect_rate T`` for the others, rounded down; times the population.

    Args:
        correct_rate, incorrect_rate: shares of the steps, in [0, 1]. Default 1 and 0.
        accuracy: default ``count``. For the other options see ``SampleLoss``.

    Source: SLAYER (Shrestha & Orchard 2018); snnTorch's ``mse_count_loss``.
    """

    correct_rate: float = 1.0
    incorrect_rate: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check.number("correct_rate", self.correct_rate, low=0, high=1)
        check.number("incorrect_rate", self.incorrect_rate, low=0, high=1)

    def elements(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        steps, _, classes = spikes.shape
        # Whole spikes, rounded down: half a spike is impossible.
        on, off = (int(steps * rate * self.population) for rate in (self.correct_rate, self.incorrect_rate))
        count = one_hot(class_labels(target), classes, on=on, off=off, dtype=spikes.dtype)
        return (spike_count(spikes) - count) ** 2 / steps


@dataclass(frozen=True, kw_only=True)
class MSERate(MSECount):
    """Mean squared error between firing rates and target rates.

    ``mean_{b,c} (Σ_t s[t, b, c] / T - r[b, c])²`` with ``r = correct_rate`` for the neuron of the target class and
    ``incorrect_rate`` for the others; with a population, the mean rate of its neurons. ``MSECount`` is T times as much.

    Args:
        correct_rate, incorrect_rate: shares of the steps, in [0, 1]. Default 1 and 0.
        accuracy: default ``count``. For the other options see ``SampleLoss``.

    Source: SpikingJelly's tutorials, ``F.mse_loss`` of the firing rate and the one-hot label.
    """

    def elements(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        steps, _, classes = spikes.shape
        on, off = self.correct_rate, self.incorrect_rate
        rate = one_hot(class_labels(target), classes, on=on, off=off, dtype=spikes.dtype)
        return (spike_count(spikes) / (steps * self.population) - rate) ** 2


@dataclass(frozen=True, kw_only=True)
class MSEMembrane(SampleLoss):
    """Mean squared error between the membrane and a target at every step.

    ``mean_{t,b,c} (u[t, b, c] - y[t, b, c])²``. The target y is ``on_target`` for the neuron of the class and
    ``off_target`` for the others at every step; or the ``encoding`` of the labels; or, in place of labels, values
    ``[B, C]`` or ``[T, B, C]``.

    Args:
        on_target, off_target: in the unit of the membrane. Default 1 and 0. Without effect under ``encoding``.
        encoding: a target encoder such as ``RateTarget(interpolate=True)``, for targets that change with time; not a
            random one. Default null.
        accuracy: default ``membrane``. For the other options see ``SampleLoss``.

    Source: snnTorch's ``mse_membrane_loss``.
    """

    accuracy: str = "membrane"
    on_target: float = 1.0
    off_target: float = 0.0
    encoding: TargetEncoder | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check.number("on_target", self.on_target)
        check.number("off_target", self.off_target)
        if self.encoding is not None:
            check_encoding(self.encoding)

    def elements(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        steps, _, classes = membrane.shape
        if target is not None and target.is_floating_point():
            goal = target
        elif self.encoding is not None:
            goal = self.encoding(class_labels(target), classes, steps)
        else:
            goal = one_hot(class_labels(target), classes, on=self.on_target, off=self.off_target)
        if goal.shape not in (membrane.shape, membrane.shape[1:]):
            raise ArgumentError(
                "target", f"values [B, C] or [T, B, C], of shape {list(membrane.shape)}", list(goal.shape)
            )
        return ((membrane - goal.to(membrane.dtype)) ** 2).mean(0)


@dataclass(frozen=True, kw_only=True)
class MSETemporal(SampleLoss):
    """Mean squared error between spike times and target times, in units of the whole duration.

    ``mean_{b,c} ((t[b, c] - y[b, c]) / T)²`` over the steps ``t`` of the first spikes; T - 1 for a missing spike; see
    ``spike_times`` for the gradient. The target y is ``on_time`` for the neuron of the class and ``off_time`` for the
    others; or, in place of labels, times as values ``[B, C]`` or ``[F, B, C]``.

    Args:
        on_time: step of the right neuron's spike, or a list of steps for its first F spikes; a negative one counts from
            the end. Default 0.
        off_time: the same for the others. Default -1, the last step.
        tolerance: times within less than this many steps of their target cost nothing. Default 0.
        accuracy: default ``first_spike``. For the other options see ``SampleLoss``.

    Source: snnTorch's ``mse_temporal_loss``.
    """

    accuracy: str = "first_spike"
    on_time: int | Sequence[int] = 0
    off_time: int | Sequence[int] = -1
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        on, off = _times("on_time", self.on_time), _times("off_time", self.off_time)
        if len(on) != len(off):
            raise ArgumentError("off_time", f"as many times as on_time, {len(on)}", len(off))
        check.number("tolerance", self.tolerance, low=0)

    def elements(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        steps, samples, classes = spikes.shape
        if target is not None and target.is_floating_point():
            goal = target.view(-1, samples, classes).to(spikes.dtype)
        else:
            labels = class_labels(target)
            pairs = zip(_times("on_time", self.on_time), _times("off_time", self.off_time), strict=True)
            goal = torch.stack([one_hot(labels, classes, on=on, off=off, dtype=spikes.dtype) for on, off in pairs])
        goal = torch.where(goal < 0, steps + goal, goal)
        away = spike_times(spikes, len(goal)) - goal
        away = torch.where(away.detach().abs() < self.tolerance, 0.0, away)
        return ((away / steps) ** 2).transpose(0, 1).flatten(1)


@dataclass(frozen=True, kw_only=True)
class MeanSquare(Loss):
    """Square of the mean output: trains the whole layer towards silence; needs no labels.

    ``(mean_{t,b,c} s[t, b, c])²``.
    Source: the zero-target experiment of the integrate-and-fire blog series.
    """

    needs_labels = False
    joins_samples = True

    def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        return spikes.mean() ** 2


def check_encoding(encoding: object) -> None:
    """Raise ValueError unless ``encoding`` is a target encoder without randomness: a loss has no generator."""
    if not isinstance(encoding, TargetEncoder):
        raise ArgumentError("encoding", "a target encoder such as RateTarget()", encoding)
    if encoding.random:
        raise ArgumentError("encoding", "one without chance, with pattern 'regular'", Description("a random one"))


def _times(name: str, value: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        times = tuple(check.integer(f"{name}[{i}]", time) for i, time in enumerate(value))
        if not times:
            raise ArgumentError(name, "a step, or a list of steps", value)
        return times
    return (check.integer(name, value),)
