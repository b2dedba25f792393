"""Real delays by linear interpolation."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from snnrun.delay.base import Delay, triangle


@dataclass(frozen=True, kw_only=True)
class LinearDelay(Delay):
    """Real delays: a spike arrives at the two steps around its delay, by linear interpolation.

    ::

        tap[l] = max(0, 1 - |l - d|)

    A whole delay is exactly a shift. Training and evaluation use the same taps. The gradient of a delay is the
    difference of the input at the two steps, so it feels spikes that are less than one step away.

    Args:
        of: ``synapse`` (default) or ``axon``.
        connections: ``input`` (default), ``recurrent`` or ``both``.
        maximum: D, the largest delay, in steps. Default 10.
        initial: delay at the begin, in steps: a number, ``uniform(low,high)`` or ``normal(mean,sd)``; null (default):
            ``uniform(0,D)``.
        learn: whether delays are learnt. Default true.

    Raises:
        ValueError: for an argument out of range.

    Source: Hassani et al. 2023, "Dilated convolution with learnable spacings" (DCLS, version v0); DelRec's
    ``synaptic_recdel`` with sigma = 0.
    """

    def taps(self, delay: Tensor, width: Tensor | None) -> Tensor:
        return triangle(self.lags(delay), delay, 1.0, self.maximum)
