"""Burst coding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from snnrun import check
from snnrun.encoder.base import Encoder, check_range


@dataclass(frozen=True)
class Burst(Encoder):
    """Burst coding: a burst at the beginning, with more and closer spikes for larger values.

    A value x in [0, 1] gives n spikes at steps 0, d, 2 d … (n - 1) d, up to the last step::

        n = ⌈x max_spikes⌉
        d = ⌈max_interval - x (max_interval - min_interval)⌉

    Args:
        max_spikes: spikes of a value of 1. Default 5.
        min_interval: steps from spike to spike of a value of 1, at least 1. Default 2.
        max_interval: the same for the smallest values, at least ``min_interval``. Default 8.

    Raises:
        ValueError: for an argument out of range, or values outside [0, 1].

    Source: Guo et al. 2021, "Neural coding in spiking neural networks: a comparative study".
    """

    max_spikes: int = 5
    min_interval: int = 2
    max_interval: int = 8

    def __post_init__(self) -> None:
        check.integer("max_spikes", self.max_spikes, low=1)
        check.integer("min_interval", self.min_interval, low=1)
        check.integer("max_interval", self.max_interval, low=self.min_interval)

    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        check_range(x, 0.0, 1.0)
        count = (x * self.max_spikes).ceil().long()
        interval = (self.max_interval - x * (self.max_interval - self.min_interval)).ceil().long()
        t = torch.arange(num_steps, device=x.device).view(-1, *[1] * (x.dim() - 1))
        return ((t % interval == 0) & (t // interval < count)).to(x.dtype)
