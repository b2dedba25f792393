"""One-sided surrogates: the gradient passes above the threshold and, with a leak, below it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from snnrun.surrogate.base import Surrogate


@dataclass(frozen=True)
class Heaviside(Surrogate):
    """The step itself: every neuron that fires passes the gradient unchanged, every other neuron passes none.

    ::

        derivative  1 for x > 0, else 0
        primitive   max(x, 0)

    Source: the zero-target experiment of the integrate-and-fire blog series; snnTorch's ``heaviside``.
    """

    def derivative(self, x: Tensor) -> Tensor:
        return (x > 0).to(x.dtype)

    def primitive(self, x: Tensor) -> Tensor:
        return x.clamp(min=0)


@dataclass(frozen=True)
class StraightThrough(Surrogate):
    """The gradient passes as if the step were the identity.

    ::

        derivative  1
        primitive   x

    Source: Bengio et al. 2013, "Estimating or propagating gradients through stochastic neurons"; snnTorch's
    ``straight_through_estimator``, SpikingJelly's ``DeterministicPass``.
    """

    def derivative(self, x: Tensor) -> Tensor:
        return torch.ones_like(x)

    def primitive(self, x: Tensor) -> Tensor:
        return x


@dataclass(frozen=True)
class LeakyKReLU(Surrogate):
    """Leaky rectifier with a different slope on either side.

    ::

        derivative  k for x >= 0, else leak
        primitive   k x for x >= 0, else leak x

    Args:
        leak: slope below the threshold, at least 0. Default 0.
        k: slope at and above it, positive. Default 1.

    Source: SpikingJelly's ``LeakyKReLU``.
    """

    leak: float = field(default=0.0, metadata={"low": 0})
    k: float = 1.0

    def derivative(self, x: Tensor) -> Tensor:
        return torch.full_like(x, self.leak).masked_fill(x >= 0, self.k)

    def primitive(self, x: Tensor) -> Tensor:
        return self.k * x.clamp(min=0) + self.leak * x.clamp(max=0)


@dataclass(frozen=True)
class LeakySpikeOperator(Surrogate):
    """A neuron that fires passes the gradient unchanged, every other neuron a small constant share of it.

    ::

        derivative  1 for x > 0, else k
        primitive   x for x > 0, else k x

    Args:
        slope: k, at least 0. Default 0.1.

    Source: snnTorch's ``LSO`` (which raises there).
    """

    slope: float = field(default=0.1, metadata={"low": 0})

    def derivative(self, x: Tensor) -> Tensor:
        return torch.full_like(x, self.slope).masked_fill(x > 0, 1)

    def primitive(self, x: Tensor) -> Tensor:
        return x.clamp(min=0) + self.slope * x.clamp(max=0)


@dataclass(frozen=True)
class LogTailedReLU(Surrogate):
    """Leaky rectifier whose gradient falls as 1/x further than one unit above the threshold.

    ::

        derivative  α for x <= 0, 1 for 0 < x <= 1, 1/x for x > 1
        primitive   α x,          x,                1 + ln x

    Args:
        alpha: α, slope below the threshold, at least 0. Default 0.

    Source: Cai et al. 2017, "Deep learning with low precision by half-wave Gaussian quantization"; SpikingJelly's
    ``LogTailedReLU``.
    """

    alpha: float = field(default=0.0, metadata={"low": 0})

    def derivative(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, 1 / x.clamp(min=1), self.alpha)

    def primitive(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x.clamp(max=1) + x.clamp(min=1).log(), self.alpha * x)


@dataclass(frozen=True)
class S2NN(Surrogate):
    """Logistic below the threshold; above it the gradient decays slowly, like the derivative of a logarithm.

    ::

        derivative  α σ(αx) (1 - σ(αx)) for x < 0, else β / (1 + x)
        primitive   σ(αx)               for x < 0, else β ln(1 + x) + 1/2

    Args:
        alpha: α > 0, inverse width below the threshold. Default 4.
        beta: β > 0, the height at the threshold and above it. Default 1.

    Source: Suetake et al. 2022, "S3NN: Time step reduction of spiking surrogate gradients for training energy efficient
    single-step spiking neural networks"; SpikingJelly's ``S2NN``, whose primitive has ln(1 + x + 1e-5) instead, which
    is not quite the integral of its gradient.
    """

    alpha: float = 4.0
    beta: float = 1.0

    def derivative(self, x: Tensor) -> Tensor:
        z = self.alpha * x
        return torch.where(x < 0, self.alpha * torch.sigmoid(z) * torch.sigmoid(-z), self.beta / (1 + x.clamp(min=0)))

    def primitive(self, x: Tensor) -> Tensor:
        return torch.where(x < 0, torch.sigmoid(self.alpha * x), self.beta * x.clamp(min=0).log1p() + 0.5)
