"""Losses and accuracies: pure functions of what the read-out layer did.

A loss takes spikes ``[T, B, C]``, membranes ``[T, B, C]`` and targets ``[B]`` (class labels, int64) and returns a
scalar; ``predict`` says which class it takes the record for. To add one, write a class and ``conf/loss/<name>.yaml``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from snnrun import check


def spike_count(spikes: Tensor) -> Tensor:
    """Spikes of each neuron summed over time: ``[B, C]`` for ``[T, B, C]``."""
    return spikes.sum(0)


def predict_by_count(spikes: Tensor) -> Tensor:
    """The class ``[B]`` of the neuron that fired most; among equals, silent ones included, the lowest index."""
    return spike_count(spikes).argmax(1)


def predict_by_membrane(membrane: Tensor) -> Tensor:
    """The class ``[B]`` of the neuron with the largest membrane summed over time; among equals the lowest index."""
    return membrane.sum(0).argmax(1)


def accuracy_by_count(spikes: Tensor, target: Tensor) -> Tensor:
    """Share of samples whose most active neuron is that of the target."""
    return (predict_by_count(spikes) == target).double().mean()


def accuracy_by_membrane(membrane: Tensor, target: Tensor) -> Tensor:
    """Share of samples whose largest membrane, summed over time, is that of the target."""
    return (predict_by_membrane(membrane) == target).double().mean()


@dataclass(frozen=True)
class Loss(ABC):
    """Base of all losses.

    ``accuracy`` (``count`` or ``membrane``) says which record decides the predicted class.
    """

    needs_labels: ClassVar[bool] = True

    accuracy: str = "count"

    def __post_init__(self) -> None:
        check.choice("accuracy", self.accuracy, ("count", "membrane"))

    @abstractmethod
    def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        """The loss, a scalar."""

    def predict(self, spikes: Tensor, membrane: Tensor) -> Tensor:
        """The predicted class of each sample, ``[B]``."""
        return predict_by_count(spikes) if self.accuracy == "count" else predict_by_membrane(membrane)


@dataclass(frozen=True)
class CECount(Loss):
    """Cross-entropy on the spike count: the count of each neuron is its logit.

    ``mean_b CE(Σ_t s[t, b], target[b])``.
    Source: snnTorch's ``ce_count_loss``.
    """

    def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        return F.cross_entropy(spike_count(spikes), _labels(target))


@dataclass(frozen=True)
class CERate(Loss):
    """Cross-entropy on the spikes of every step, averaged over the steps.

    ``mean_t mean_b CE(s[t, b], target[b])``: asks the right neuron to fire at every step, the others never.
    Source: snnTorch's ``ce_rate_loss``; SpikingJelly's ``temporal_efficient_training_cross_entropy``.
    """

    def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        return _ce_every_step(spikes, target)


@dataclass(frozen=True)
class CEMembrane(Loss):
    """Cross-entropy on the membrane of the read-out: the membrane summed over time is the logit.

    ``mean_b CE(Σ_t u[t, b], target[b])``; with ``every_step`` instead the sum over the steps of each step's
    cross-entropy, ``Σ_t mean_b CE(u[t, b], target[b])``.

    Source: snnTorch's tutorial 5 (``every_step``).
    """

    accuracy: str = "membrane"
    every_step: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check.flag("every_step", self.every_step)

    def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        if self.every_step:
            return membrane.shape[0] * _ce_every_step(membrane, target)
        return F.cross_entropy(membrane.sum(0), _labels(target))


@dataclass(frozen=True)
class MSECount(Loss):
    """Mean squared error between spike counts and target counts, per time step.

    ``mean_{b,c} (Σ_t s[t, b, c] - n[b, c])² / T`` with ``n = correct_rate T`` for the neuron of the target class and
    ``incorrect_rate T`` for the others. Both rates are shares of the steps, in [0, 1]; defaults 1 and 0.
    Source: snnTorch's ``mse_count_loss``.
    """

    correct_rate: float = 1.0
    incorrect_rate: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check.number("correct_rate", self.correct_rate, low=0, high=1)
        check.number("incorrect_rate", self.incorrect_rate, low=0, high=1)

    def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        steps, _, classes = spikes.shape
        one_hot = F.one_hot(_labels(target), classes).to(spikes.dtype)
        # Whole spikes, rounded down: half a spike cannot be asked for.
        correct, incorrect = int(steps * self.correct_rate), int(steps * self.incorrect_rate)
        return F.mse_loss(spike_count(spikes), incorrect + (correct - incorrect) * one_hot) / steps


@dataclass(frozen=True)
class MeanSquare(Loss):
    """Square of the mean output: trains the whole layer towards silence; needs no labels.

    ``(mean_{t,b,c} s[t, b, c])²``.
    Source: the zero-target experiment of the integrate-and-fire blog series.
    """

    needs_labels = False

    def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        return spikes.mean() ** 2


def _ce_every_step(logits: Tensor, target: Tensor | None) -> Tensor:
    labels = _labels(target)
    return F.cross_entropy(logits.flatten(0, 1), labels.repeat(logits.shape[0]))


def _labels(target: Tensor | None) -> Tensor:
    if target is None or target.dtype != torch.int64:
        raise ValueError(
            f"target: expected class labels [B] of int64, got {'none' if target is None else target.dtype}"
        )
    return target
