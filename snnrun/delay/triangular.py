"""Delays with triangular taps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from snnrun import check
from snnrun.delay.base import WideDelay, triangle


@dataclass(frozen=True, kw_only=True)
class TriangularDelay(WideDelay):
    """Delays with a triangular kernel that becomes narrow during training (DCLS, DelRec).

    ::

        tap[l] = g[l] / Σ_k g[k]          g[l] = max(0, σ - |l - d|)
        tap[l] = g[l] / σ²                with scale=area

    σ is half of the base of the triangle, in steps. A delay feels spikes that are less than σ steps away. With σ = 1 it
    is the linear interpolation.

    Args:
        of: ``synapse`` (default) or ``axon``.
        connections: ``input`` (default), ``recurrent`` or ``both``.
        maximum: D, the largest delay, in steps. Default 10.
        initial: delay at the begin, in steps: a number, ``uniform(low,high)`` or ``normal(mean,sd)``; null (default):
            ``uniform(0,D)``.
        learn: whether delays are learnt. Default true.
        width: σ at the begin of the training, at least 1. Default 5.
        final_width: σ at the end, at least 1 and at most ``width``. Default 1.
        shrink: the share of the training until ``final_width`` is reached. Default 0.25.
        whole_steps: evaluate with delays rounded to whole steps. Default true.
        scale: ``sum`` (default): the taps add up to 1, as in DCLS; ``area``: they are divided by the area σ² of the
            triangle, as in DelRec, so that what lies outside of 0 … D is lost.

    Raises:
        ValueError: for an argument out of range.

    Source: Khalfaoui-Hassani et al. 2023, "Dilated convolution with learnable spacings: beyond bilinear interpolation"
    (DCLS, version max; σ = ``|SIG| + 1``); DelRec (alexmaxad/DelRec; σ = 1 + sigma) for recurrent delays.
    """

    least: ClassVar[float] = 1.0

    width: float = 5.0
    final_width: float = 1.0
    scale: str = "sum"

    def __post_init__(self) -> None:
        super().__post_init__()
        check.choice("scale", self.scale, ("sum", "area"))

    def taps(self, delay: Tensor, width: Tensor | None) -> Tensor:
        assert width is not None
        heights = triangle(self.lags(delay), delay, width, self.maximum)
        return heights / (heights.sum(-1, keepdim=True) if self.scale == "sum" else width.square())
