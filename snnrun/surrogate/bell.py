"""Smooth surrogates with light tails: bells that decay exponentially or faster, and a wave."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from snnrun import check
from snnrun.surrogate.base import Surrogate


@dataclass(frozen=True)
class Sigmoid(Surrogate):
    """Derivative of the logistic function of slope ``alpha``.

    ::

        derivative  α σ(αx) (1 - σ(αx))
        primitive   σ(αx)

    Args:
        alpha: α > 0, four times the height at the threshold, and inverse width. Default 4.

    Source: Neftci et al. 2019, "Surrogate gradient learning in spiking neural networks"; SpikingJelly's ``Sigmoid``,
    snnTorch's ``sigmoid`` (there with α = 25).
    """

    alpha: float = 4.0

    def derivative(self, x: Tensor) -> Tensor:
        # σ(z)σ(-z) underflows to 0 in the tails, where exp(-z)/(1 + exp(-z))² would be inf/inf.
        z = self.alpha * x
        return self.alpha * torch.sigmoid(z) * torch.sigmoid(-z)

    def primitive(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.alpha * x)


@dataclass(frozen=True)
class Tanh(Surrogate):
    """Derivative of the hyperbolic tangent, with height 1.

    ::

        derivative  1 - tanh²(αx)
        primitive   tanh(αx) / α

    Args:
        alpha: α > 0, inverse width. Default 1; Norse leaves it to the caller.

    Source: Norse's ``heavi_tanh_fn``, which documents 1/2 + tanh(αx)/2: that has 2/α times this primitive's rise.
    """

    alpha: float = 1.0

    def derivative(self, x: Tensor) -> Tensor:
        # = 4 σ(2z) σ(-2z), which stays precise where 1 - tanh² cancels.
        z = 2 * self.alpha * x
        return 4 * torch.sigmoid(z) * torch.sigmoid(-z)

    def primitive(self, x: Tensor) -> Tensor:
        return torch.tanh(self.alpha * x) / self.alpha


@dataclass(frozen=True)
class PiecewiseExp(Surrogate):
    """An exponential on either side of the threshold, of area 1.

    ::

        derivative  α/2 exp(-α|x|)
        primitive   exp(αx)/2 for x < 0, else 1 - exp(-αx)/2

    Args:
        alpha: α > 0, twice the height, and inverse width. Default 1.

    Source: Shrestha & Orchard 2018, "SLAYER: Spike layer error reassignment in time"; SpikingJelly's ``PiecewiseExp``.
    """

    alpha: float = 1.0

    def derivative(self, x: Tensor) -> Tensor:
        return self.alpha / 2 * torch.exp(-self.alpha * x.abs())

    def primitive(self, x: Tensor) -> Tensor:
        tail = torch.exp(-self.alpha * x.abs()) / 2
        return torch.where(x < 0, tail, 1 - tail)


@dataclass(frozen=True)
class SpikeRateEscape(Surrogate):
    """An exponential on either side of the threshold (the escape rate of a noisy neuron), of height ``slope``.

    ::

        derivative  k exp(-β|x|)
        primitive   sign(x) k/β (1 - exp(-β|x|))

    Args:
        beta: β > 0, inverse width. Default 1.
        slope: k > 0, the height. Default 25.

    Source: Gerstner & Kistler 2002, "Spiking neuron models"; snnTorch's ``spike_rate_escape``, which subtracts the
    threshold twice, so that its maximum lies one unit above the threshold. The surrogate of SLAYER with ``alpha`` and
    ``c`` is this one with ``beta=alpha`` and ``slope=c*alpha/2``.
    """

    beta: float = 1.0
    slope: float = 25.0

    def derivative(self, x: Tensor) -> Tensor:
        return self.slope * torch.exp(-self.beta * x.abs())

    def primitive(self, x: Tensor) -> Tensor:
        return -self.slope / self.beta * x.sign() * torch.expm1(-self.beta * x.abs())


@dataclass(frozen=True)
class Erf(Surrogate):
    """A Gaussian bell of area 1, by its height: the derivative of the error function.

    ::

        derivative  α/√π exp(-(αx)²)
        primitive   erfc(-αx) / 2

    Args:
        alpha: α > 0, √π times the height, and inverse width. Default 2.

    Source: Esser et al. 2015, "Backpropagation for energy-efficient neuromorphic computing"; SpikingJelly's ``Erf``.
    """

    alpha: float = 2.0

    def derivative(self, x: Tensor) -> Tensor:
        return self.alpha / math.sqrt(math.pi) * torch.exp(-((self.alpha * x) ** 2))

    def primitive(self, x: Tensor) -> Tensor:
        return torch.special.erfc(-self.alpha * x) / 2


@dataclass(frozen=True)
class Erfc(Surrogate):
    """A Gaussian bell of one height, 2/√π, for every width.

    ::

        derivative  2/√π exp(-(αx)²)
        primitive   erf(αx) / α

    Args:
        alpha: α > 0, inverse width. Default 1; Norse leaves it to the caller.

    Source: Norse's ``heavi_erfc_fn``, which documents 1/2 + erfc(αx)/2: it means erf, and 2/α times this primitive's
    rise.
    """

    alpha: float = 1.0

    def derivative(self, x: Tensor) -> Tensor:
        return 2 / math.sqrt(math.pi) * torch.exp(-((self.alpha * x) ** 2))

    def primitive(self, x: Tensor) -> Tensor:
        return torch.erf(self.alpha * x) / self.alpha


@dataclass(frozen=True)
class Gaussian(Surrogate):
    """A Gaussian bell of area 1, by its standard deviation.

    ::

        derivative  N(x; 0, σ²) = exp(-x² / (2σ²)) / (σ √(2π))
        primitive   Φ(x/σ), the normal distribution function

    Args:
        sigma: σ > 0, the standard deviation, in the unit of the membrane. Default 0.5.

    Source: Yin et al. 2021, "Accurate and efficient time-domain classification with adaptive spiking recurrent neural
    networks".
    """

    sigma: float = 0.5

    def derivative(self, x: Tensor) -> Tensor:
        return _normal(x, 0.0, self.sigma)

    def primitive(self, x: Tensor) -> Tensor:
        return _normal_integral(x, 0.0, self.sigma)


@dataclass(frozen=True)
class MultiGaussian(Surrogate):
    """A Gaussian bell minus two wide ones beside it: neurons far from their threshold get a negative gradient.

    ::

        derivative  γ [(1 + h) N(x; 0, σ²) - h N(x; dσ, (sσ)²) - h N(x; -dσ, (sσ)²)]
        primitive   the same with Φ((x - μ)/σ) for N(x; μ, σ²); it rises by γ (1 - h) in all

    Args:
        sigma: σ > 0, standard deviation of the middle bell, in the unit of the membrane. Default 0.5.
        h: share of the outer bells, at least 0. Default 0.15.
        s: their width as a multiple of σ, positive. Default 6.
        gamma: γ > 0, a factor for the whole. Default 0.5, as in the authors' code.
        shift: d, distance of the outer bells from the threshold as a multiple of σ, at least 0. Default 1. With 0 both
            lie at the threshold, as in the code of Higuchi et al. 2024.

    Source: Yin et al. 2021, "Accurate and efficient time-domain classification with adaptive spiking recurrent neural
    networks".
    """

    sigma: float = 0.5
    h: float = field(default=0.15, metadata={"low": 0})
    s: float = 6.0
    gamma: float = 0.5
    shift: float = field(default=1.0, metadata={"low": 0})

    def derivative(self, x: Tensor) -> Tensor:
        mean, wide = self.shift * self.sigma, self.s * self.sigma
        outer = _normal(x, mean, wide) + _normal(x, -mean, wide)
        return self.gamma * ((1 + self.h) * _normal(x, 0.0, self.sigma) - self.h * outer)

    def primitive(self, x: Tensor) -> Tensor:
        mean, wide = self.shift * self.sigma, self.s * self.sigma
        outer = _normal_integral(x, mean, wide) + _normal_integral(x, -mean, wide)
        return self.gamma * ((1 + self.h) * _normal_integral(x, 0.0, self.sigma) - self.h * outer)


def _normal(x: Tensor, mean: float, deviation: float) -> Tensor:
    return torch.exp(-(((x - mean) / deviation) ** 2) / 2) / (deviation * math.sqrt(2 * math.pi))


def _normal_integral(x: Tensor, mean: float, deviation: float) -> Tensor:
    return torch.special.erfc((mean - x) / (deviation * math.sqrt(2))) / 2


@dataclass(frozen=True)
class SquarewaveFourierSeries(Surrogate):
    """The first terms of a square wave's Fourier series: a gradient that swings between signs and never dies out.

    ::

        derivative  4/T Σ cos((2i - 1) ω x)                      with ω = 2π/T, i = 1 … n - 1
        primitive   1/2 + 2/π Σ sin((2i - 1) ω x) / (2i - 1)

    Args:
        n: one more than the number of terms, at least 2. Default 2.
        T_period: T > 0, the period, in the unit of the membrane. Default 8.

    Source: SpikingJelly's ``SquarewaveFourierSeries``.
    """

    n: int = 2
    T_period: float = 8.0

    def __post_init__(self) -> None:
        check.integer("n", self.n, low=2)
        check.number("T_period", self.T_period, above=0)

    def derivative(self, x: Tensor) -> Tensor:
        return 4 / self.T_period * torch.stack([torch.cos(c * x) for _, c in self._terms()]).sum(0)

    def primitive(self, x: Tensor) -> Tensor:
        return 0.5 + 2 / math.pi * torch.stack([torch.sin(c * x) / k for k, c in self._terms()]).sum(0)

    def _terms(self) -> list[tuple[int, float]]:
        return [(k, k * 2 * math.pi / self.T_period) for k in range(1, 2 * self.n - 2, 2)]
