"""Codes with at most one spike per neuron."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from snnrun import check
from snnrun.encoder.base import Encoder
from snnrun.encoder.train import first_spikes
from snnrun.system.device import float64


@dataclass(frozen=True)
class TimeToFirstSpike(Encoder):
    """Time to first spike: one spike as soon as the value passes a decaying threshold.

    ``s[t] = 1`` at the first step with ``x >= θ e^(-t / τ)``, that is at ``t = ⌈τ ln(θ / x)⌉``; never for ``x <= 0``,
    nor after the last step.

    Args:
        tau: time constant τ > 0 of the threshold, in steps. Default 5.
        threshold: θ > 0, the threshold at step 0, in the unit of the values. Default 1.

    Source: Park et al. 2020, "T2FSNN: deep spiking neural networks with time-to-first-spike coding".
    """

    tau: float = 5.0
    threshold: float = 1.0

    def __post_init__(self) -> None:
        check.number("tau", self.tau, above=0)
        check.number("threshold", self.threshold, above=0)

    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        t = torch.arange(num_steps, dtype=float64(x.device), device=x.device).view(-1, *[1] * (x.dim() - 1))
        threshold = (self.threshold * torch.exp(-t / self.tau)).to(x.dtype)
        return first_spikes(((x >= threshold) & (x > 0)).to(x.dtype))


@dataclass(frozen=True)
class FirstSpike(Encoder):
    """Keeps the first spike of each neuron of a spike train, and drops the others.

    ``y[t] = x[t]`` if ``x[t'] = 0`` for all ``t' < t``, else 0.
    Source: Van Rullen & Thorpe 2001; Norse's ``spike_latency_encode``.
    """

    takes_still = False
    takes_sequence = True

    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        return first_spikes(x)
