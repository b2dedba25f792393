"""Regression: the target of the read-out is numbers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.loss.base import Loss


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
