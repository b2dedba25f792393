"""Predictions and scores: accuracy by count, by membrane, by first spike; R² for values."""

from __future__ import annotations

import torch
from torch import Tensor

from snnrun.loss.readout import first_spike_time, pool, spike_count
from snnrun.system.device import wide
from snnrun.task.base import NO_LABEL


def predict_by_count(spikes: Tensor, population: int = 1) -> Tensor:
    """The class ``[B]`` with the most spikes; among equals, also silent ones, the lowest index."""
    return scores_by_count(spikes, population).argmax(1)


def predict_by_membrane(membrane: Tensor, population: int = 1) -> Tensor:
    """The class ``[B]`` with the largest membrane summed over time; among equals the lowest index."""
    return scores_by_membrane(membrane, population).argmax(1)


def predict_by_max_membrane(membrane: Tensor, population: int = 1) -> Tensor:
    """The class ``[B]`` with the largest membrane at any step; among equals the lowest index."""
    return scores_by_max_membrane(membrane, population).argmax(1)


def predict_by_first_spike(spikes: Tensor, population: int = 1) -> Tensor:
    """The class ``[B]`` that fired first; among equals the lowest index. A silent one fires at the last step."""
    return scores_by_first_spike(spikes, population).argmax(1)


def scores_by_count(spikes: Tensor, population: int = 1) -> Tensor:
    """The spikes of each class, ``[B, C]``."""
    return spike_count(pool(spikes, population))


def scores_by_membrane(membrane: Tensor, population: int = 1) -> Tensor:
    """The membrane of each class summed over time, ``[B, C]``."""
    return pool(membrane, population).sum(0)


def scores_by_softmax(membrane: Tensor, population: int = 1) -> Tensor:
    """The softmax over the classes of each step's membranes, summed over time, ``[B, C]``."""
    return pool(membrane, population, mean=True).softmax(2).sum(0)


def scores_by_max_membrane(membrane: Tensor, population: int = 1) -> Tensor:
    """The largest membrane of each class, the mean of its neurons, ``[B, C]``."""
    return pool(membrane, population, mean=True).amax(0)


def scores_by_first_spike(spikes: Tensor, population: int = 1) -> Tensor:
    """The step of the first spike of each class, negative, so that the earliest is the largest: ``[B, C]``."""
    return -first_spike_time(pool(spikes, population))


def count_ties(scores: Tensor) -> Tensor:
    """The number of classes with the largest of the scores ``[B, C]``: ``[B]`` int64, 1 without a tie."""
    return (scores == scores.amax(1, keepdim=True)).sum(1).clamp(min=1)  # NaN does not even equal itself


def accuracy_by_count(spikes: Tensor, target: Tensor, population: int = 1) -> Tensor:
    """Share of samples whose most active class is the target."""
    return (predict_by_count(spikes, population) == target).double().mean()


def accuracy_by_membrane(membrane: Tensor, target: Tensor, population: int = 1) -> Tensor:
    """Share of samples whose largest membrane, summed over time, belongs to the target."""
    return (predict_by_membrane(membrane, population) == target).double().mean()


def accuracy_by_first_spike(spikes: Tensor, target: Tensor, population: int = 1) -> Tensor:
    """Share of samples whose class of the first spike is the target."""
    return (predict_by_first_spike(spikes, population) == target).double().mean()


def r2_score(prediction: Tensor, target: Tensor) -> Tensor:
    """R², the predicted share of the target's variance: the mean over the outputs of ``[samples, outputs]``.

    ``1 - Σ (y - ŷ)² / Σ (y - mean y)²``. An output with a constant target counts 1 if it is met, else 0.
    """
    return r2_of_sums(value_sums(prediction, target))


def outcome(prediction: Tensor, target: Tensor) -> Tensor:
    """A batch's contribution to the score of an epoch.

    The number of correct classes for labels ``[B]``; ``[2]``, this number and the number of labels, for labels
    ``[B, *]`` (a ``NO_LABEL`` is none); ``value_sums`` for values.
    """
    if prediction.is_floating_point():
        return value_sums(prediction, target)
    correct = (prediction == target).sum()
    return correct if target.dim() == 1 else torch.stack((correct, (target != NO_LABEL).sum()))


def value_sums(prediction: Tensor, target: Tensor) -> Tensor:
    """Per output the number of values, Σ y, Σ y² and Σ (y - ŷ)²: ``[4, outputs]``, wide, to be summed.

    A target that is not a number (NaN) is no value.
    """
    size = prediction.shape[-1]
    y_hat = wide(prediction.detach()).reshape(-1, size)
    y = wide(target).reshape(*target.shape, *[1] * (prediction.dim() - target.dim()))
    y = y.expand_as(prediction).reshape(-1, size)
    there = ~y.isnan()
    y, error = torch.where(there, y, 0.0), torch.where(there, y - y_hat, 0.0)
    return torch.stack([there.sum(0).to(y.dtype), y.sum(0), (y**2).sum(0), (error**2).sum(0)])


def r2_of_sums(sums: Tensor) -> Tensor:
    """R² from ``value_sums``."""
    number, total, squares, residual = sums
    spread = squares - total**2 / number
    # For a constant only rounding errors remain.
    constant = spread <= 1e-12 * squares
    met = (residual <= 1e-12 * squares).to(squares.dtype)
    return torch.where(constant, met, 1 - residual / torch.where(constant, 1.0, spread)).mean()
