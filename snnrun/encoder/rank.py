"""Rank order coding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from snnrun import check
from snnrun.encoder.base import Encoder
from snnrun.encoder.train import single_spikes


@dataclass(frozen=True)
class RankOrder(Encoder):
    """Rank order coding: one spike per value, in the order of the values within a sample, the largest first.

    ``t = ⌊T r / n⌋`` for the value that r of the sample's n values exceed; equal values fire together. Only the order
    counts: any increasing function of the values gives the same train.

    ``threshold`` (default 0), in the unit of the values: values at or below it never fire.
    Source: Thorpe & Gautrais 1998, "Rank order coding".
    """

    threshold: float = 0.0

    def __post_init__(self) -> None:
        check.number("threshold", self.threshold)

    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        values = x[0].flatten(1)  # [B, n]
        ascending = values.sort(1).values
        not_above = torch.searchsorted(ascending, values.contiguous(), right=True)
        size = values.shape[1]
        step = (size - not_above) * num_steps // max(size, 1)
        return single_spikes(step.view(x.shape[1:]), num_steps, x[0] > self.threshold, x.dtype)
