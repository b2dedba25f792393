"""Delays with Gaussian taps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from snnrun.delay.base import WideDelay


@dataclass(frozen=True, kw_only=True)
class GaussianDelay(WideDelay):
    """Delays with a Gaussian kernel that becomes narrow during training (DCLS).

    ::

        tap[l] = g[l] / Σ_k g[k]          g[l] = exp(-((l - d) / σ)² / 2)

    σ is the standard deviation, in steps. Every delay feels every spike within D steps, more or less.

    Args:
        of: ``synapse`` (default) or ``axon``.
        connections: ``input`` (default), ``recurrent`` or ``both``.
        maximum: D, the largest delay, in steps. Default 10.
        initial: delay at the begin, in steps: a number, ``uniform(low,high)`` or ``normal(mean,sd)``; null (default):
            ``uniform(0,D)``.
        learn: whether delays are learnt. Default true.
        width: σ at the begin of the training, at least 0.1. Default 5; the source has half of D.
        final_width: σ at the end, at least 0.1 and at most ``width``. Default 0.5, as the source.
        shrink: the share of the training until ``final_width`` is reached. Default 0.25, as the source.
        whole_steps: evaluate with delays rounded to whole steps. Default true, as the source.

    Raises:
        ValueError: for an argument out of range.

    Source: Hammouamri, Khalfaoui-Hassani and Masquelier 2024, "Learning delays in spiking neural networks using
    dilated convolutions with learnable spacings"; there σ is ``|SIG| + 0.27``, and shrinks after each epoch.
    """

    least: ClassVar[float] = 0.1

    width: float = 5.0
    final_width: float = 0.5

    def taps(self, delay: Tensor, width: Tensor | None) -> Tensor:
        assert width is not None
        distance = (self.lags(delay) - delay[..., None]) / width
        return torch.softmax(-distance.square() / 2, -1)
