"""A surrogate is the derivative that stands in for that of the step function, and its primitive to draw it.

Forwards a spike is the step of ``x = membrane - threshold``: exactly 0 or 1, in the dtype of ``x``. Backwards the
step's derivative, zero almost everywhere, is replaced by ``derivative(x)``. To add a surrogate, write a class with
these two functions and a file ``conf/surrogate/<name>.yaml`` that names it.

Every surrogate comes in module style, ``ATan(alpha=2.0)(x)``, and in function style, ``atan(x, 2.0)``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from snnrun import check


@dataclass(frozen=True)
class Surrogate(ABC):
    """Base of all surrogates: a step forwards, ``derivative`` backwards.

    The fields of a subclass are its shape parameters: positive numbers.
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            check.number(field.name, getattr(self, field.name), above=0)

    @abstractmethod
    def derivative(self, x: Tensor) -> Tensor:
        """What backward multiplies with, elementwise; ``x`` is membrane minus threshold, any shape."""

    @abstractmethod
    def primitive(self, x: Tensor) -> Tensor:
        """The function whose derivative is ``derivative``, elementwise."""

    def __call__(self, x: Tensor, *, inclusive: bool = False) -> Tensor:
        """Spikes for ``x``: 1 where ``x > 0`` (``inclusive``: where ``x >= 0``), else 0."""
        return _Step.apply(x, self, inclusive)


class _Step(torch.autograd.Function):
    """The step function whose backward is a surrogate; it can be differentiated again, and vmapped."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, surrogate: Surrogate, inclusive: bool) -> Tensor:
        return (x >= 0 if inclusive else x > 0).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, ctx.surrogate, _ = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        return grad * ctx.surrogate.derivative(x), None, None


@dataclass(frozen=True)
class Heaviside(Surrogate):
    """The step itself: every neuron that fires passes the gradient on unchanged, every other passes none.

    derivative: ``H(x)`` (0 at x = 0); primitive: ``max(x, 0)``.
    Source: the zero-target experiment of the integrate-and-fire blog series; snnTorch's ``heaviside``.
    """

    def derivative(self, x: Tensor) -> Tensor:
        return (x > 0).to(x.dtype)

    def primitive(self, x: Tensor) -> Tensor:
        return x.clamp(min=0)


@dataclass(frozen=True)
class StraightThrough(Surrogate):
    """The gradient passes as if the step were the identity.

    derivative: 1; primitive: ``x``.
    Source: Bengio et al. 2013, "Estimating or propagating gradients through stochastic neurons".
    """

    def derivative(self, x: Tensor) -> Tensor:
        return torch.ones_like(x)

    def primitive(self, x: Tensor) -> Tensor:
        return x


@dataclass(frozen=True)
class ATan(Surrogate):
    """Arc tangent: a wide bell with heavy tails, so that neurons far from their threshold still learn.

    derivative: ``(α/2) / (1 + (π/2 α x)²)``; primitive: ``arctan(π/2 α x) / π + 1/2``.
    ``alpha`` (default 2): height ``α/2`` at the threshold, and inverse width.
    Source: Fang et al. 2021, "Incorporating learnable membrane time constant"; SpikingJelly's ``ATan``.
    """

    alpha: float = 2.0

    def derivative(self, x: Tensor) -> Tensor:
        return (self.alpha / 2) / (1 + (math.pi / 2 * self.alpha * x) ** 2)

    def primitive(self, x: Tensor) -> Tensor:
        return torch.atan(math.pi / 2 * self.alpha * x) / math.pi + 0.5


@dataclass(frozen=True)
class Sigmoid(Surrogate):
    """Derivative of the logistic function of slope ``alpha``.

    derivative: ``α σ(αx) (1 - σ(αx))``; primitive: ``σ(αx)``.
    ``alpha`` (default 4): four times the height at the threshold, and inverse width.
    Source: Neftci et al. 2019, "Surrogate gradient learning in spiking neural networks"; SpikingJelly's ``Sigmoid``.
    """

    alpha: float = 4.0

    def derivative(self, x: Tensor) -> Tensor:
        # σ(z)σ(-z) underflows to 0 in the tails, where exp(-z)/(1 + exp(-z))² would be inf/inf.
        z = self.alpha * x
        return self.alpha * torch.sigmoid(z) * torch.sigmoid(-z)

    def primitive(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.alpha * x)


@dataclass(frozen=True)
class FastSigmoid(Surrogate):
    """Derivative of the fast sigmoid ``x / (1 + |x|)``: cheap, with heavy tails.

    derivative: ``1 / (1 + k|x|)²``; primitive: ``x / (1 + k|x|)``.
    ``slope`` k (default 25): inverse width; the height is always 1.
    Source: Zenke & Ganguli 2018, "SuperSpike"; snnTorch's ``fast_sigmoid``.
    """

    slope: float = 25.0

    def derivative(self, x: Tensor) -> Tensor:
        return 1 / (1 + self.slope * x.abs()) ** 2

    def primitive(self, x: Tensor) -> Tensor:
        return x / (1 + self.slope * x.abs())


@dataclass(frozen=True)
class Triangular(Surrogate):
    """A triangle of height ``gamma`` that ends one unit away from the threshold.

    derivative: ``γ max(0, 1 - |x|)``; primitive: its integral, from 0 to γ.
    ``gamma`` (default 1): the height.
    Source: Bellec et al. 2018, "Long short-term memory and learning-to-learn in networks of spiking neurons" (there
    with γ = 0.3); Norse's ``triangle``. snnTorch's ``triangular`` is no triangle and is not followed.
    """

    gamma: float = 1.0

    def derivative(self, x: Tensor) -> Tensor:
        return self.gamma * (1 - x.abs()).clamp(min=0)

    def primitive(self, x: Tensor) -> Tensor:
        inside = x.clamp(-1, 1)
        return self.gamma * (0.5 + inside - inside * inside.abs() / 2)


@dataclass(frozen=True)
class PiecewiseQuadratic(Surrogate):
    """A triangle of area 1: its primitive is a smooth step made of two parabolas.

    derivative: ``max(0, α - α²|x|)``; primitive: ``1/2 + αx - (αx)|αx|/2`` for ``|x| <= 1/α``, else 0 or 1.
    ``alpha`` (default 1): the height; the triangle ends at ``±1/α``.
    Source: Esser et al. 2016, "Convolutional networks for fast, energy-efficient neuromorphic computing";
    SpikingJelly's ``PiecewiseQuadratic``.
    """

    alpha: float = 1.0

    def derivative(self, x: Tensor) -> Tensor:
        return (self.alpha - self.alpha**2 * x.abs()).clamp(min=0)

    def primitive(self, x: Tensor) -> Tensor:
        z = (self.alpha * x).clamp(-1, 1)
        return 0.5 + z - z * z.abs() / 2


@dataclass(frozen=True)
class Rectangular(Surrogate):
    """A box of area 1 around the threshold.

    derivative: ``α`` where ``|x| < 1/(2α)``, else 0; primitive: ``clip(αx + 1/2, 0, 1)``.
    ``alpha`` (default 1): the height, and inverse width.
    Source: Wu et al. 2018, "Spatio-temporal backpropagation"; SpikingJelly's ``Rect``.
    """

    alpha: float = 1.0

    def derivative(self, x: Tensor) -> Tensor:
        return self.alpha * (x.abs() < 0.5 / self.alpha).to(x.dtype)

    def primitive(self, x: Tensor) -> Tensor:
        return (self.alpha * x + 0.5).clamp(0, 1)


def _function(surrogate: type[Surrogate]) -> Callable[..., Tensor]:
    """The function style of a surrogate: ``f(x, *shape parameters)``."""

    def spikes(x: Tensor, *parameters: float, inclusive: bool = False, **named: float) -> Tensor:
        return surrogate(*parameters, **named)(x, inclusive=inclusive)

    spikes.__name__ = spikes.__qualname__ = surrogate.__name__.lower()
    spikes.__doc__ = f"Function style of :class:`{surrogate.__name__}`.\n\n{surrogate.__doc__}"
    return spikes


heaviside = _function(Heaviside)
straight_through = _function(StraightThrough)
atan = _function(ATan)
sigmoid = _function(Sigmoid)
fast_sigmoid = _function(FastSigmoid)
triangular = _function(Triangular)
piecewise_quadratic = _function(PiecewiseQuadratic)
rectangular = _function(Rectangular)
