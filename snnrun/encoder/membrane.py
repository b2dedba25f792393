"""Codes by a neuron: a membrane is driven by the value and fires."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from snnrun import check
from snnrun.encoder.base import Encoder
from snnrun.encoder.train import first_spikes


@dataclass(frozen=True)
class IntegrateFire(Encoder):
    """Regular firing at a rate given by the value: each value drives an integrate-and-fire neuron.

    ::

        u[t] = v[t-1] + gain x[t]
        s[t] = 1 if u[t] >= θ
        v[t] = u[t] - θ s[t]

    so that a constant x gives ``gain x / θ`` spikes per step, one at most, evenly spaced: the rate of ``Rate`` without
    chance.

    ``gain`` (default 1) and ``threshold`` (θ > 0, default 1) are in the unit of the values.
    Source: the deterministic half of SpikingJelly's ``PopSpikeEncoderDeterministic``, with θ = 0.999.
    """

    takes_sequence = True

    gain: float = 1.0
    threshold: float = 1.0

    def __post_init__(self) -> None:
        check.number("gain", self.gain)
        check.number("threshold", self.threshold, above=0)

    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        current = (self.gain * _at_least_single(x)).expand(num_steps, *x.shape[1:])
        v, spikes = torch.zeros_like(current[0]), []
        for i in current:
            u = v + i
            s = (u >= self.threshold).to(u.dtype)
            v = u - self.threshold * s
            spikes.append(s.to(x.dtype))
        return torch.stack(spikes)


@dataclass(frozen=True)
class LIFCurrent(Encoder):
    """A constant current into a leaky integrate-and-fire neuron, which fires faster for larger values.

    ::

        u[t] = v[t-1] + dt/τ (v_rest - v[t-1] + gain x)
        s[t] = 1 if u[t] > θ
        v[t] = u[t], or v_reset after a spike

    The neuron fires only if ``gain x`` is above ``θ - v_rest``; then the interval between spikes tends to
    ``τ ln((gain x + v_rest - v_reset) / (gain x + v_rest - θ))`` as dt goes to 0.

    Args:
        gain: in membrane units per unit of value. Default 4, so that pixels above 1/4 fire (Norse: 1, for currents).
        tau: membrane time constant, in the unit of ``dt``. Default 10.
        dt: length of a step, at most ``tau``. Default 1.
        threshold: θ, above ``v_rest`` and ``v_reset``. Default 1.
        v_rest: the membrane without input. Default 0.
        v_reset: the membrane after a spike. Default 0.

    Source: Norse's ``constant_current_lif_encode``.
    """

    gain: float = 4.0
    tau: float = 10.0
    dt: float = 1.0
    threshold: float = 1.0
    v_rest: float = 0.0
    v_reset: float = 0.0

    def __post_init__(self) -> None:
        check.number("gain", self.gain)
        check.number("tau", self.tau, above=0)
        check.number("dt", self.dt, above=0, high=self.tau)
        check.number("v_rest", self.v_rest)
        check.number("v_reset", self.v_reset)
        check.number("threshold", self.threshold, above=max(self.v_rest, self.v_reset))

    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        current = self.gain * _at_least_single(x[0]) + self.v_rest
        v, spikes = torch.zeros_like(current), []
        for _ in range(num_steps):
            u = v + self.dt / self.tau * (current - v)
            s = u > self.threshold
            v = torch.where(s, self.v_reset, u)
            spikes.append(s.to(x.dtype))
        return torch.stack(spikes)


@dataclass(frozen=True)
class LIFLatency(LIFCurrent):
    """The first spike of a leaky integrate-and-fire neuron that a constant current drives.

    Like ``LIFCurrent``, with its arguments, but each neuron is silent after its first spike, at about
    ``t = -τ ln(1 - (θ - v_rest) / (gain x))``.
    Source: Norse's ``spike_latency_lif_encode``.
    """

    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        return first_spikes(super().encode(x, num_steps, generator))


def _at_least_single(x: Tensor) -> Tensor:
    # Sums over many steps of bfloat16 would lose small values altogether.
    return x.to(torch.promote_types(x.dtype, torch.float32))
