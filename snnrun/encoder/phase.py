"""Codes by the phase within a period."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from snnrun import check
from snnrun.encoder.base import Encoder, check_range
from snnrun.errors import ArgumentError
from snnrun.system.device import float64


@dataclass(frozen=True)
class WeightedPhase(Encoder):
    """Weighted phase coding: the bits of the value, the most significant first, again and again.

    ``x = Σ_k 2^-(k+1) s[k]`` over one period, ``k = 0 … K - 1``, rounded down to K bits; then ``s[t] = s[t mod K]``.

    ``period`` (K, default 8) is in steps, 1 to 30. Values are in [0, 1], limited to ``1 - 2^-K``, the largest number
    with K bits. The bits are plain spikes: synapses or a decoder must supply the weights ``2^-(k+1)`` of the code; for
    a layer that treats all steps alike, a number with more bits is larger.

    Source: Kim et al. 2018, "Deep neural networks with weighted spikes"; SpikingJelly's ``WeightedPhaseEncoder``, which
    rejects values above ``1 - 2^-K``.
    """

    period: int = 8

    def __post_init__(self) -> None:
        check.integer("period", self.period, low=1, high=30)

    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        check_range(x, 0.0, 1.0)
        number = (x.to(float64(x.device)) * 2**self.period).long().clamp(max=2**self.period - 1)
        phase = torch.arange(num_steps, device=x.device) % self.period
        bit = (self.period - 1 - phase).view(-1, *[1] * (x.dim() - 1))
        return ((number >> bit) & 1).to(x.dtype)


@dataclass(frozen=True)
class Periodic(Encoder):
    """Repeats a spike train: its first steps, again and again.

    ``y[t] = x[t mod P]``.

    ``period`` (P, in steps) is the whole length of the input by default (null); the input may be shorter than
    ``num_steps``, or longer.
    Source: SpikingJelly's ``PeriodicEncoder``.
    """

    takes_still = False
    takes_sequence = True
    any_length = True

    period: int | None = None

    def __post_init__(self) -> None:
        if self.period is not None:
            check.integer("period", self.period, low=1)

    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        period = len(x) if self.period is None else self.period
        if period > len(x):
            raise ArgumentError("period", f"at most the {len(x)} steps of the input", period)
        return x[torch.arange(num_steps, device=x.device) % period]
