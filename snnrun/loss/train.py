"""Losses that compare whole spike trains with a target train, or with the trains of the other samples."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.loss.base import LabelLoss, SampleLoss
from snnrun.loss.mean_square import check_encoding
from snnrun.loss.target import RateTarget, TargetEncoder, class_labels
from snnrun.system.device import float64


def van_rossum_distance(train: Tensor, other: Tensor, tau: float) -> Tensor:
    """Squared van Rossum distance of spike trains ``[T, *N]``, neuron by neuron: ``[*N]``.

    ``D² = 1/τ Σ_t (f[t] - g[t])²``, where f and g are the trains after a filter: ``f[t] = e^(-1/τ) f[t-1] + s[t]``.
    τ is in steps. A single early spike has the distance ``1 / (τ (1 - e^(-2/τ)))`` from silence: 1/2 for a large τ.
    """
    steps = len(train)
    t = torch.arange(steps, device=train.device, dtype=float64(train.device))
    delay = t[:, None] - t
    kernel = torch.where(delay >= 0, torch.exp(-delay.clamp(min=0) / tau), 0.0).to(train.dtype)
    difference = (train - other).reshape(steps, -1)  # the filter is linear
    return ((kernel @ difference) ** 2).sum(0).view(train.shape[1:]) / tau


@dataclass(frozen=True, kw_only=True)
class VanRossum(SampleLoss):
    """Van Rossum distance between the read-out's spike trains and target trains: each spike's time counts.

    ``mean_{b,c} 1/τ Σ_t (f[t, b, c] - g[t, b, c])²``, where f is the read-out's train and g the target's, each after an
    exponential filter, ``f[t] = e^(-1/τ) f[t-1] + s[t]``. In place of labels the target may be trains ``[T, B, C]``.

    Args:
        tau: τ > 0 of the filter, in steps. Short: coincidences count; long: the number of spikes. Default 5.
        encoding: makes trains of labels; not a random one. Default ``RateTarget(correct_rate=0.5)``.
        accuracy: default ``count``. For the other options see ``SampleLoss``.

    Source: van Rossum 2001, "A novel spike distance".
    """

    tau: float = 5.0
    encoding: TargetEncoder = field(default_factory=lambda: RateTarget(correct_rate=0.5))

    def __post_init__(self) -> None:
        super().__post_init__()
        check.number("tau", self.tau, above=0)
        check_encoding(self.encoding)

    def elements(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        if target is not None and target.is_floating_point():
            goal = target
        else:
            goal = self.encoding(class_labels(target), spikes.shape[2], len(spikes))
        if goal.shape != spikes.shape:
            raise ArgumentError("target", f"trains of shape {list(spikes.shape)}", list(goal.shape))
        return van_rossum_distance(spikes, goal.to(spikes.dtype), self.tau)


@dataclass(frozen=True, kw_only=True)
class SpikeSimilarity(LabelLoss):
    """Makes spike trains of the same class similar, and trains of different classes different.

    The mean over all pairs i, j of samples of a distance between ``p[i, j]``, the similarity of their trains
    ``x = s[:, i, :]``, and 1 if they share a class, else 0::

        linear:      p = x·y / (max(|x|, 1) max(|y|, 1)), the cosine, and 0 for a silent sample
        polynomial:  p = (x·y)^degree
        sigmoid:     p = sigmoid(alpha x·y)
        gaussian:    p = exp(-|x - y|² / (2 sigma²))

    Args:
        kernel: ``linear`` (default), ``polynomial``, ``sigmoid`` or ``gaussian``.
        distance: ``mse`` (default), ``l1``, or ``bce``, for similarities in [0, 1], that is not ``polynomial``.
        degree: of ``polynomial``, at least 1. Default 2.
        alpha: of ``sigmoid``. Default 0.1.
        sigma: of ``gaussian``, above 0. Default 5.
        accuracy, population, regularisers: see ``LabelLoss``.

    The target is class labels ``[B]``, or ``[B, C]`` of 0 and 1 if a sample may have several classes.
    Source: SpikingJelly's ``spike_similar_loss``, whose gradient for a silent sample is of the order of 1e8
    (it divides by ``|x| |y| + 1e-8``).
    """

    joins_samples = True

    kernel: str = "linear"
    distance: str = "mse"
    degree: int = 2
    alpha: float = 0.1
    sigma: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check.choice("kernel", self.kernel, ("linear", "polynomial", "sigmoid", "gaussian"))
        distances = ("mse", "l1") if self.kernel == "polynomial" else ("mse", "l1", "bce")
        check.choice("distance", self.distance, distances)
        check.integer("degree", self.degree, low=1)
        check.number("alpha", self.alpha)
        check.number("sigma", self.sigma, above=0)

    def similarity(self, spikes: Tensor) -> Tensor:
        """p, ``[B, B]``, for spikes ``[T, B, C]``."""
        x = spikes.transpose(0, 1).flatten(1)
        product = x @ x.T
        if self.kernel == "linear":
            # A train with a spike has at least length 1; a silent one must not blow up the gradient.
            length = x.norm(dim=1).clamp(min=1)
            return (product / (length[:, None] * length)).clamp(max=1)  # rounding may exceed 1, which bce rejects
        if self.kernel == "polynomial":
            return product**self.degree
        if self.kernel == "sigmoid":
            return torch.sigmoid(self.alpha * product)
        square = (x**2).sum(1)
        return torch.exp(-(square[:, None] + square - 2 * product).clamp(min=0) / (2 * self.sigma**2))

    def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        if target is not None and target.dim() == 2:
            shared = (target.to(spikes.dtype) @ target.to(spikes.dtype).T).clamp(max=1)
        else:
            labels = class_labels(target)
            shared = (labels[:, None] == labels).to(spikes.dtype)
        similarity = self.similarity(spikes)
        if self.distance == "mse":
            return F.mse_loss(similarity, shared)
        if self.distance == "l1":
            return F.l1_loss(similarity, shared)
        return F.binary_cross_entropy(similarity, shared)
