"""Regularisers: penalties for the activity of all layers. Any loss accepts several, by name.

``regulariser=<name>`` puts one into ``loss.regularisers``. To add one, write a class and
``conf/regulariser/<name>.yaml``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from snnrun import check
from snnrun.loss.padding import join_steps
from snnrun.task.base import steps_within


@dataclass(frozen=True, kw_only=True)
class Regulariser(ABC):
    """Base of all regularisers.

    Args:
        weight: factor of the penalty, at least 0. Default 1.
        layers: ``all`` (default), ``hidden`` (all but the read-out) or ``output``.
    """

    weight: float = 1.0
    layers: str = "all"

    def __post_init__(self) -> None:
        check.number("weight", self.weight, low=0)
        check.choice("layers", self.layers, ("all", "hidden", "output"))

    @abstractmethod
    def penalty(self, spikes: Tensor) -> Tensor:
        """The penalty, a scalar without the weight, of one layer's spikes ``[T, B, *N]``."""

    def padded_penalty(self, spikes: Tensor, lengths: Tensor) -> Tensor:
        """The penalty where samples end after ``lengths`` ``[B]`` steps: all steps that count, as one sample's."""
        return self.penalty(join_steps(spikes, lengths))

    def __call__(self, spikes: Mapping[str, Tensor], lengths: Tensor | None = None) -> Tensor:
        """``weight`` times the sum over the layers; ``spikes`` ``[T, B, *N]`` by layer, the read-out last.

        ``lengths``: the steps of each sample, ``[B]`` int64 on the CPU, if they differ.
        """
        trains = list(spikes.values())
        chosen = {"all": trains, "hidden": trains[:-1], "output": trains[-1:]}[self.layers]
        total = trains[-1].new_zeros(())
        for train in chosen:
            total = total + (self.penalty(train) if lengths is None else self.padded_penalty(train, lengths))
        return self.weight * total


@dataclass(frozen=True, kw_only=True)
class Sparsity(Regulariser):
    """Every spike costs the same.

    ``mean_{t,b,n} s[t, b, n]``, the layer's firing rate, for each layer; with ``sum`` the number of spikes
    ``Σ_{t,b,n} s[t, b, n]``, which grows with steps, batch and layer.

    Args:
        weight: factor of the penalty. Default 0.01.
        layers: ``all`` (default), ``hidden`` or ``output``.
        reduction: ``mean`` (default) or ``sum``.

    Source: snnTorch's ``l1_rate_sparsity`` (``sum``, weight 1e-5).
    """

    weight: float = 0.01
    reduction: str = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        check.choice("reduction", self.reduction, ("mean", "sum"))

    def penalty(self, spikes: Tensor) -> Tensor:
        return spikes.mean() if self.reduction == "mean" else spikes.sum()


@dataclass(frozen=True, kw_only=True)
class RateBounds(Regulariser):
    """Firing rates below a lower bound or above an upper one cost; those between are free.

    ``mean_i max(0, lower - r_i)^p + max(0, r_i - upper)^p`` for each layer, with the rate ``r_i`` in spikes per step:
    the mean over the steps and the axes that ``of`` leaves out.

    Args:
        lower, upper: the bounds, in spikes per step, ``0 <= lower <= upper``. Default 0.01 and 0.2. If they are equal,
            they are the target rate.
        of: ``neuron`` (default): the rate of each neuron over the batch; ``layer``: of the layer over neurons and
            batch; ``sample``: of each neuron in each sample.
        power: p, 1 or 2. Default 2.
        weight: factor of the penalty. Default 1.
        layers: ``all`` (default), ``hidden`` or ``output``.

    Raises:
        ValueError: for an argument out of range.

    Source: Zenke & Vogels 2021, "The remarkable robustness of surrogate gradient learning".
    """

    lower: float = 0.01
    upper: float = 0.2
    of: str = "neuron"
    power: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check.number("lower", self.lower, low=0)
        check.number("upper", self.upper, low=self.lower)
        check.choice("of", self.of, ("neuron", "layer", "sample"))
        check.integer("power", self.power, low=1, high=2)

    def penalty(self, spikes: Tensor) -> Tensor:
        axes = {"neuron": (0, 1), "layer": tuple(range(spikes.dim())), "sample": (0,)}[self.of]
        return self._beyond(spikes.mean(axes))

    def padded_penalty(self, spikes: Tensor, lengths: Tensor) -> Tensor:
        if self.of != "sample":
            return super().padded_penalty(spikes, lengths)
        within = steps_within(lengths, len(spikes), spikes.device)
        within, size = (each.reshape(*each.shape, *[1] * (spikes.dim() - 2)) for each in (within, within.sum(0)))
        return self._beyond((spikes * within).sum(0) / size)

    def _beyond(self, rate: Tensor) -> Tensor:
        beyond = torch.relu(self.lower - rate) + torch.relu(rate - self.upper)  # one of the two is 0
        return (beyond**self.power).mean()
