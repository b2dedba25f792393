"""Encoders turn values into what the first layer receives at each time step: spikes, or a current.

An encoder takes a sequence ``[T', B, *N]``, where a still input (an image) is a sequence of one step, and returns
``[T, B, *N]``. It holds no state: the same input and generator give the same train, whatever came before and however
large the batch. ``takes_still`` and ``takes_sequence`` say which input it can code.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from snnrun import check


@dataclass(frozen=True)
class Encoder(ABC):
    """Base of all encoders."""

    takes_still: ClassVar[bool] = True
    takes_sequence: ClassVar[bool] = False

    @abstractmethod
    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        """``[num_steps, B, *N]`` for ``x`` ``[1 or num_steps, B, *N]``."""

    def __call__(self, x: Tensor, num_steps: int, generator: Generator | None = None) -> Tensor:
        """Encode ``x``, ``[1, B, *N]`` (still) or ``[num_steps, B, *N]`` (a sequence), to ``[num_steps, B, *N]``.

        Random encoders draw from ``generator``, which lives on the device of ``x``.

        Raises:
            ValueError: if the encoder does not take this kind of input, or the sequence has another length.
        """
        name = type(self).__name__
        check.integer("num_steps", num_steps, low=1)
        if x.dim() < 2:
            raise ValueError(f"x: expected [T, B, *N], got shape {list(x.shape)}")
        if x.shape[0] == 1 and not self.takes_still and num_steps > 1:
            raise ValueError(f"{name} needs input with a time axis of {num_steps} steps, got a still input")
        if x.shape[0] > 1 and not self.takes_sequence:
            raise ValueError(f"{name} codes still input, [1, B, *N], got a sequence of {x.shape[0]} steps")
        if x.shape[0] not in (1, num_steps):
            raise ValueError(f"x: expected 1 or num_steps={num_steps} time steps, got {x.shape[0]}")
        return self.encode(x, num_steps, generator)


@dataclass(frozen=True)
class Identity(Encoder):
    """Passes a sequence on as it is: for input that is a spike train already.

    ``y[t] = x[t]``.
    """

    takes_still = False
    takes_sequence = True

    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        return x


@dataclass(frozen=True)
class Direct(Encoder):
    """A constant current: the value itself at every step.

    ``y[t] = gain x + offset``. The result stands in memory once, with stride 0 in time; the first layer of a model
    sees this and computes its synapses once instead of T times.

    ``gain`` (default 1) and ``offset`` (default 0) are in the unit of the first layer's input.
    Source: Rueckauer et al. 2017, "Conversion of continuous-valued deep networks".
    """

    gain: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        check.number("gain", self.gain)
        check.number("offset", self.offset)

    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        return _affine(x, self.gain, self.offset).expand(num_steps, *x.shape[1:])


@dataclass(frozen=True)
class Rate(Encoder):
    """Rate coding: a spike at each step with a probability given by the value (a Bernoulli train).

    ``P(s[t] = 1) = clip(gain x + offset, 0, 1)``, independent at each step; for a sequence, of each step's value.

    ``gain`` (default 1) and ``offset`` (default 0) map values to probabilities; a value outside [0, 1] is clipped.
    Source: snnTorch's ``spikegen.rate``, which ignores both for input with a time axis.
    """

    takes_sequence = True

    gain: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        check.number("gain", self.gain)
        check.number("offset", self.offset)

    def probability(self, x: Tensor) -> Tensor:
        """The probability of a spike for each value."""
        return _affine(x, self.gain, self.offset).clamp(0, 1)

    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        draws = torch.rand((num_steps, *x.shape[1:]), generator=generator, dtype=x.dtype, device=x.device)
        return (draws < self.probability(x)).to(x.dtype)


@dataclass(frozen=True)
class Latency(Encoder):
    """Latency coding: one spike per value, the earlier the larger the value.

    The time at which an RC circuit driven by x reaches the threshold θ, or its linear stand-in::

        t = τ ln(x / (x - θ))        with x at least θ + 1e-7
        t = -τ (x - 1), at most -τ (θ - 1)        with linear

    rounded to the nearest step (halves to even). ``normalize`` chooses the scale instead of τ: with the logarithm, such
    that a value at or below θ, the slowest possible, fires at the last step; with ``linear``, that a value of 0 would.
    A sample's code depends on that sample alone.

    Args:
        tau: time constant τ > 0, in steps. Default 1. Without effect under ``normalize``.
        threshold: θ in (0, 1), in the unit of the values. Default 0.01.
        linear: the linear rule instead of the logarithmic one.
        normalize: stretch the times over all steps (default true). ``"batch"`` divides by the largest time in the batch
            instead, as snnTorch does with the logarithm; a sample's code then depends on its neighbours.
        clip: values below θ never fire (instead of firing last). Default false.
        bypass: without ``normalize``, drop spikes that fall after the last step; else they are an error.

    Raises:
        ValueError: for an argument out of range, a negative value or one above 1 with ``linear``, or spikes after the
            last step without ``bypass``.

    Source: Bohte et al. 2002; snnTorch's ``spikegen.latency``.
    """

    tau: float = 1.0
    threshold: float = 0.01
    linear: bool = False
    normalize: bool | str = True
    clip: bool = False
    bypass: bool = False

    def __post_init__(self) -> None:
        check.number("tau", self.tau, above=0)
        check.number("threshold", self.threshold, above=0, below=1)
        for name in ("linear", "clip", "bypass"):
            check.flag(name, getattr(self, name))
        if not isinstance(self.normalize, bool) and self.normalize != "batch":
            raise ValueError(f"normalize: expected true, false or 'batch', got {self.normalize!r}")

    def spike_time(self, x: Tensor, num_steps: int) -> Tensor:
        """The time of each value's spike before rounding, in steps, in float64."""
        # In float32 the difference x - θ would cost up to 5 % of τ.
        x = x.double()
        if self.linear:
            time, latest = (1 - x).clamp(max=1 - self.threshold), 1.0
        else:
            x = x.clamp(min=self.threshold + 1e-7)
            time = torch.log(x / (x - self.threshold))
            latest = math.log((self.threshold + 1e-7) / 1e-7)
        if not self.normalize:
            return time * self.tau
        if self.normalize == "batch" and not self.linear:
            latest = time.max().item()
        return time * ((num_steps - 1) / latest)

    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        if x.numel() and (x.min() < 0 or (self.linear and x.max() > 1)):
            raise ValueError(f"x: expected values in [0, 1], got {x.min():g} to {x.max():g}; scale the input first")
        step = self.spike_time(x, num_steps).round().long()
        late = step >= num_steps
        if late.any() and not self.bypass:
            raise ValueError(
                f"latency: expected every spike within num_steps={num_steps}, got one at step {int(step.max())}; "
                "raise num_steps, lower encoder.tau, or set encoder.normalize=true or encoder.bypass=true"
            )
        fires = ~late if not self.clip else ~late & (x >= self.threshold)
        train = torch.zeros((num_steps, *x.shape[1:]), dtype=x.dtype, device=x.device)
        return train.scatter_(0, step.clamp(max=num_steps - 1), fires.to(x.dtype))


@dataclass(frozen=True)
class Delta(Encoder):
    """Delta modulation: a spike where the input has risen by at least the threshold since the step before.

    ``s[t] = 1`` where ``x[t] - x[t-1] >= threshold``; with ``off_spike`` also ``s[t] = -1`` where
    ``x[t] - x[t-1] <= -threshold``. ``x[-1]`` is 0, or with ``padding`` the first value, so that no change is seen at
    the first step.

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


def _affine(x: Tensor, gain: float, offset: float) -> Tensor:
    return x if gain == 1 and offset == 0 else gain * x + offset
