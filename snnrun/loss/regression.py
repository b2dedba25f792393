"""Regression: the target of the read-out is numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.loss.base import Loss
from snnrun.loss.padding import Record


@dataclass(frozen=True, kw_only=True)
class MSE(Loss):
    """Mean squared error of values read from the output layer, for regression; scored by R².

    ``mean_{b,c} (ŷ[b, c] - y[b, c])²``, where ŷ is read from the record by ``readout``:

    - ``mean``, ``last``, ``max``: the membrane's mean over time, the last one, the largest
    - ``rate``: spikes per step
    - ``every_step``: the membrane of every step, each of which must meet the target

    Args:
        readout: default ``mean``.
        regularisers: see ``Loss``.

    The target is values ``[B, C]``, or ``[B]`` for one output; with ``every_step`` also ``[T, B, C]``.
    """

    needs_labels = False
    needs_values = True

    readout: str = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        check.choice("readout", self.readout, ("mean", "last", "max", "rate", "every_step"))

    def predict(self, spikes: Tensor, membrane: Tensor) -> Tensor:
        """ŷ, ``[B, C]``; ``[T, B, C]`` for ``every_step``."""
        if self.readout == "rate":
            return spikes.mean(0)
        if self.readout == "last":
            return membrane[-1]
        if self.readout == "max":
            return membrane.amax(0)
        return membrane if self.readout == "every_step" else membrane.mean(0)

    def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        prediction = self.predict(spikes, membrane)
        if target is None or not target.is_floating_point():
            raise ArgumentError("target", "values [B, C]", None if target is None else target.dtype)
        goal = target[:, None] if target.dim() == 1 else target
        if goal.shape not in (prediction.shape, prediction.shape[-2:]):
            raise ArgumentError("target", f"values of shape {list(prediction.shape)}", list(target.shape))
        return ((prediction - goal.to(prediction.dtype)) ** 2).mean()


@dataclass(frozen=True, kw_only=True)
class MSESteps(Loss):
    """Mean squared error of the read-out's membrane at every step, for tasks with values for each step.

    ``mean_{b,t,c} (u[t, b, c] - y[b, t, c])²`` over the values that are there; scored by R². ``target`` is
    ``[B, T, C]``, NaN where a step has no value.

    Args:
        skip_steps: number of steps at the begin that do not count in the loss; they do in R². Default 0.
        regularisers: see ``Loss``.
    """

    needs_labels = False
    needs_values = True
    needs_steps = True

    skip_steps: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check.integer("skip_steps", self.skip_steps, low=0)

    def predict(self, spikes: Tensor, membrane: Tensor) -> Tensor:
        """The membrane, ``[B, T, C]``."""
        return membrane.movedim(0, 1)

    def of_records(self, records: Iterable[Record]) -> Tensor:
        errors, sizes = zip(*(self._sums(*record) for record in records), strict=True)
        return torch.stack(errors).sum() / torch.stack(sizes).sum().clamp(min=1)

    def __call__(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> Tensor:
        error, size = self._sums(spikes, membrane, target)
        return error / size.clamp(min=1)

    def _sums(self, spikes: Tensor, membrane: Tensor, target: Tensor | None) -> tuple[Tensor, Tensor]:
        """The sum of the squared errors, and their number."""
        prediction = self.predict(spikes, membrane)
        if target is None or not target.is_floating_point():
            raise ArgumentError("target", "values [B, T, C]", None if target is None else target.dtype)
        if target.shape != prediction.shape:
            raise ArgumentError("target", f"values of shape {list(prediction.shape)}", list(target.shape))
        if self.skip_steps >= target.shape[1]:
            raise ArgumentError("skip_steps", f"less than the {target.shape[1]} steps", self.skip_steps)
        prediction, target = prediction[:, self.skip_steps :], target[:, self.skip_steps :].to(prediction.dtype)
        there = ~target.isnan()
        # A step without a value has the gradient 0, not NaN.
        error = torch.where(there, prediction - torch.where(there, target, 0.0), 0.0)
        return (error**2).sum(), there.sum()
