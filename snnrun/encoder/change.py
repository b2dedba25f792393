"""Codes of change."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from snnrun import check
from snnrun.encoder.base import Encoder


@dataclass(frozen=True)
class Delta(Encoder):
    """Delta modulation: a spike if the input has risen by at least the threshold since the previous step.

    ``s[t] = 1`` if ``x[t] - x[t-1] >= threshold``; with ``off_spike`` also ``s[t] = -1`` if
    ``x[t] - x[t-1] <= -threshold``. ``x[-1]`` is 0, or with ``padding`` the first value, so that the first step has no
    change.

    ``threshold`` (default 0.1), at least 0, is in the unit of the values.
    Source: snnTorch's ``spikegen.delta``.
    """

    takes_still = False
    takes_sequence = True

    threshold: float = 0.1
    padding: bool = False
    off_spike: bool = False

    def __post_init__(self) -> None:
        check.number("threshold", self.threshold, low=0)
        check.flag("padding", self.padding)
        check.flag("off_spike", self.off_spike)

    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        before = x[:1] if self.padding else torch.zeros_like(x[:1])
        change = torch.diff(x, dim=0, prepend=before)
        spikes = (change >= self.threshold).to(x.dtype)
        return spikes - (change <= -self.threshold).to(x.dtype) if self.off_spike else spikes
