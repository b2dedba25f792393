"""Input without a code: a spike train unchanged, or a value as a constant current."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator, Tensor

from snnrun import check
from snnrun.encoder.base import Encoder, affine


@dataclass(frozen=True)
class Identity(Encoder):
    """Passes a sequence on unchanged: for input that is already a spike train.

    ``y[t] = x[t]``.
    """

    takes_still = False
    takes_sequence = True

    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        return x


@dataclass(frozen=True)
class Direct(Encoder):
    """A constant current: the value itself at every step.

    ``y[t] = gain x + offset``. The result is in memory once, with stride 0 in time; the first layer of a model detects
    this and computes its synapses once instead of T times.

    ``gain`` (default 1) and ``offset`` (default 0) are in the unit of the first layer's input.
    Source: Rueckauer et al. 2017, "Conversion of continuous-valued deep networks".
    """

    gain: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        check.number("gain", self.gain)
        check.number("offset", self.offset)

    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        return affine(x, self.gain, self.offset).expand(num_steps, *x.shape[1:])
