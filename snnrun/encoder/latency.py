"""Latency coding: the value is the time of one spike."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from snnrun import check
from snnrun.encoder.base import Encoder, check_range
from snnrun.encoder.train import single_spikes
from snnrun.encoder.value_check import check_values
from snnrun.errors import ArgumentError, Description
from snnrun.system.device import float64


@dataclass(frozen=True)
class Latency(Encoder):
    """Latency coding: one spike per value, the earlier the larger the value.

    The time of the spike follows one of three curves, with T for ``num_steps`` and t₀ for ``first_spike_time``::

        rc:      t = t₀ + τ ln(x / (x - θ)), x at least θ + 1e-7: an RC circuit driven by x reaches θ
        linear:  t = t₀ - τ (x - 1), at most t₀ - τ (θ - 1)
        log:     t = T - 1 - ln(α x + 1), with α such that x = 1 fires at t₀ and x = 0 at T - 1

    rounded to the nearest step (halves to even). ``normalize`` chooses the scale instead of τ: with ``rc``, a value at
    or below θ, the slowest possible, fires at the last step; with ``linear``, a value of 0 would. A sample's code
    depends only on that sample. With ``rc`` and a small θ nearly all values fire at the first step and only those near
    θ late: the default is close to a binary image, as in snnTorch. ``curve=linear`` spreads the values evenly over the
    steps (test accuracy on the default task: 89 % instead of 86 %).

    Args:
        curve: ``rc`` (default), ``linear`` or ``log``.
        tau: time constant τ > 0, in steps. Default 1. Without effect under ``normalize`` and on ``log``.
        threshold: θ in [0, 1), in the unit of the values; above 0 with ``rc``. Default 0.01.
        normalize: stretch the times over all steps (default true). ``"batch"`` divides by the largest time in the batch
            instead, as snnTorch does with the ``rc`` curve; a sample's code then depends on its neighbours. ``log``
            always fills all steps.
        clip: values below θ never fire (instead of firing last). Default false.
        bypass: without ``normalize``, drop spikes that fall after the last step; else they are an error.
        first_spike_time: t₀, the earliest step. Default 0.

    Raises:
        ValueError: for an argument out of range, a negative value or, except for ``rc``, one above 1, or spikes after
            the last step without ``bypass``.

    Source: Bohte et al. 2002; snnTorch's ``spikegen.latency`` (``rc``, ``linear``); SpikingJelly's ``LatencyEncoder``
    (``log``, and ``linear`` with ``threshold=0``).
    """

    curve: str = "rc"
    tau: float = 1.0
    threshold: float = 0.01
    normalize: bool | str = True
    clip: bool = False
    bypass: bool = False
    first_spike_time: int = 0

    def __post_init__(self) -> None:
        check.choice("curve", self.curve, ("rc", "linear", "log"))
        check.number("tau", self.tau, above=0)
        if self.curve == "rc":
            check.number("threshold", self.threshold, above=0, below=1)
        else:
            check.number("threshold", self.threshold, low=0, below=1)
        for name in ("clip", "bypass"):
            check.flag(name, getattr(self, name))
        if not isinstance(self.normalize, bool) and self.normalize != "batch":
            raise ArgumentError("normalize", "true, false or 'batch'", self.normalize)
        check.integer("first_spike_time", self.first_spike_time, low=0)

    def spike_time(self, x: Tensor, num_steps: int) -> Tensor:
        """The time of each value's spike before rounding, in steps, in float64."""
        # In float32 the difference x - θ would cost up to 5 % of τ.
        x, first = x.to(float64(x.device)), self.first_spike_time
        span = num_steps - 1 - first
        if span < 0:
            raise ArgumentError("first_spike_time", f"less than num_steps={num_steps}", first)
        if self.curve == "log":
            # ln(α x + 1) with ln α = ln(e^span - 1); e^span itself would overflow.
            log_alpha = span + math.log(-math.expm1(-span)) if span else -math.inf
            return num_steps - 1 - torch.logaddexp(x.log() + log_alpha, torch.zeros_like(x))
        if self.curve == "linear":
            time, latest = (1 - x).clamp(max=1 - self.threshold), 1.0
        else:
            x = x.clamp(min=self.threshold + 1e-7)
            time = torch.log(x / (x - self.threshold))
            latest = math.log((self.threshold + 1e-7) / 1e-7)
        if not self.normalize:
            return first + time * self.tau
        if self.normalize == "batch" and self.curve == "rc":
            return first + time * (span / time.max())  # without waiting for a device
        return first + time * (span / latest)

    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        check_range(x, 0.0, math.inf if self.curve == "rc" else 1.0)
        step = self.spike_time(x, num_steps).round().long()
        if not self.bypass and x.numel():
            check_values((step.max(),), functools.partial(_check_last, num_steps))
        fires = x >= self.threshold if self.clip else torch.ones_like(x, dtype=torch.bool)
        return single_spikes(step[0], num_steps, fires[0], x.dtype)


def _check_last(num_steps: int, last: float) -> None:
    if last >= num_steps:
        raise ArgumentError(
            "latency",
            f"every spike within num_steps={num_steps}",
            Description(f"one at step {int(last)}"),
            advice="raise num_steps, lower encoder.tau, or set encoder.normalize=true or encoder.bypass=true",
        )
