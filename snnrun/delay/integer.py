"""Delays of whole steps."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from snnrun.delay.base import Delay, triangle


@dataclass(frozen=True, kw_only=True)
class IntegerDelay(Delay):
    """Delays of whole steps: the input is shifted, exactly.

    ::

        tap[l] = 1 if l = round(d), else 0
        ∂tap[l] / ∂d = -1 at l = floor(d), +1 at l = floor(d) + 1, else 0

    d is a real number, which is rounded for the shift. It learns by the gradient of the linear interpolation (a
    straight-through estimate), and the shift changes when d passes a half step.

    Args:
        of: ``synapse`` (default) or ``axon``.
        connections: ``input`` (default), ``recurrent`` or ``both``.
        maximum: D, the largest delay, in steps. Default 10.
        initial: delay at the begin, in steps: a number, ``uniform(low,high)`` or ``normal(mean,sd)``; null (default):
            ``uniform(0,D)``.
        learn: whether delays are learnt. Default true.

    Raises:
        ValueError: for an argument out of range.

    Source: Bengio et al. 2013, "Estimating or propagating gradients through stochastic neurons" (straight-through).
    """

    def taps(self, delay: Tensor, width: Tensor | None) -> Tensor:
        between = triangle(self.lags(delay), delay, 1.0, self.maximum)
        return self.shift(delay) + (between - between.detach())
