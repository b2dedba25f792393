"""Population codes: each value drives several neurons with different receptive fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from snnrun import check
from snnrun.encoder.base import Encoder
from snnrun.encoder.latency import Latency
from snnrun.encoder.membrane import IntegrateFire
from snnrun.encoder.rate import Rate
from snnrun.errors import ArgumentError, Description
from snnrun.system.device import constant


@dataclass(frozen=True)
class Population(Encoder):
    """Population coding: neurons with Gaussian receptive fields, each firing at the rate of its response.

    The m neurons of a value x respond with ``a_i = exp(-(x - μ_i)² / (2σ²))``, in (0, 1]; ``code`` turns the responses
    into a train. Input ``[*, N_1, N_2 …]`` becomes ``[*, N_1 m, N_2 …]``, with neuron i of feature (or image channel)
    n at ``n m + i``; the model gets the shape from ``output_shape``. Centres and widths, for values from a to b::

        span:   μ_i = a + i (b - a) / (m - 1)               σ = (b - a) / (m - 1)
        inset:  μ_i = a + (i - 1/2) (b - a) / (m - 2)       σ = (b - a) / (1.5 (m - 2))        i = 0 … m - 1

    ``span`` has the first and last centre at the ends of the range, ``inset`` half a distance outside.

    Args:
        neurons: m, at least 2, or 3 for ``inset``. Default 8.
        low, high: a and b, the range of the values. Default 0 and 1.
        layout: ``span`` (default) or ``inset``.
        width: σ, in the unit of the values; null (default): as above.
        code: the encoder of the responses. Default ``Rate()``: a Bernoulli train. ``Direct()`` passes them on.

    Source: Bohte et al. 2002 (``inset``); SpikingJelly's ``PopSpikeEncoderRandom``, ``PopEncoder`` (code ``Direct``)
    and ``GaussianTuning``; Norse's ``population_encode`` (``low=0``, ``high=scale``, ``width=scale^-1/2``, where the
    scale is by default the largest value of the batch).
    """

    neurons: int = 8
    low: float = 0.0
    high: float = 1.0
    layout: str = "span"
    width: float | None = None
    code: Encoder = field(default_factory=Rate)

    def __post_init__(self) -> None:
        check.choice("layout", self.layout, ("span", "inset"))
        check.integer("neurons", self.neurons, low=3 if self.layout == "inset" else 2)
        check.number("low", self.low)
        check.number("high", self.high, above=self.low)
        if self.width is not None:
            check.number("width", self.width, above=0)
        if not isinstance(self.code, Encoder):
            raise ArgumentError("code", "an encoder such as Rate()", self.code)

    @property
    def takes_still(self) -> bool:  # type: ignore[override]
        return self.code.takes_still

    @property
    def takes_sequence(self) -> bool:  # type: ignore[override]
        return self.code.takes_sequence

    def output_shape(self, input_shape: Sequence[int]) -> tuple[int, ...]:
        first, *rest = input_shape
        return self.code.output_shape((first * self.neurons, *rest))

    def centres(self) -> tuple[float, ...]:
        """μ of the m neurons."""
        distance, start = self._distance(), self.low
        if self.layout == "inset":
            start -= distance / 2
        return tuple(start + i * distance for i in range(self.neurons))

    def response(self, x: Tensor) -> Tensor:
        """``[*, N_1 m, N_2 …]`` in (0, 1] for values ``x`` ``[T, B, N_1, N_2 …]``."""
        if x.dim() < 3:
            raise ArgumentError("x", "[T, B, *N] with a feature axis", Description(f"shape {list(x.shape)}"))
        centres = constant(self.centres(), x.dtype, x.device).view(-1, *[1] * (x.dim() - 3))
        width = self.width
        if width is None:
            width = self._distance() / (1.5 if self.layout == "inset" else 1.0)
        return torch.exp(-0.5 * ((x.unsqueeze(3) - centres) / width) ** 2).flatten(2, 3)

    def encode(self, x: Tensor, num_steps: int, generator: Generator | None) -> Tensor:
        return self.code(self.response(x), num_steps, generator)

    def _distance(self) -> float:
        return (self.high - self.low) / (self.neurons - (2 if self.layout == "inset" else 1))


@dataclass(frozen=True)
class DeterministicPopulation(Population):
    """Population coding without chance: each response drives an integrate-and-fire neuron.

    Like ``Population``, with its arguments; ``code`` is by default ``IntegrateFire(threshold=0.999)``.
    Source: SpikingJelly's ``PopSpikeEncoderDeterministic``.
    """

    code: Encoder = field(default_factory=lambda: IntegrateFire(threshold=0.999))


@dataclass(frozen=True)
class LatencyPopulation(Population):
    """Population coding by time: each neuron fires once, the earlier the stronger its response.

    Like ``Population``, with its arguments; ``layout`` is by default ``inset``, and ``code`` the linear latency
    ``t = (T - 1) (1 - a)``, with which responses below 1 % never fire.
    Source: Bohte et al. 2002; SpikingJelly's ``GaussianTuning``, which does not round the times.
    """

    layout: str = "inset"
    code: Encoder = field(default_factory=lambda: Latency(curve="linear", threshold=0.01, clip=True))
