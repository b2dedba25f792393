"""Smooth surrogates with heavy tails: they decay as a power of the distance, so that far neurons still learn."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from snnrun.surrogate.base import Surrogate


@dataclass(frozen=True)
class ATan(Surrogate):
    """Arc tangent: a wide bell with heavy tails, so that neurons far from their threshold still learn.

    ::

        derivative  α/2 / (1 + (π/2 αx)²)
        primitive   arctan(π/2 αx) / π + 1/2

    Args:
        alpha: α > 0, twice the height at the threshold, and inverse width. Default 2.

    Source: Fang et al. 2021, "Incorporating learnable membrane time constant to enhance learning of spiking neural
    networks"; SpikingJelly's ``ATan``, snnTorch's ``atan``.
    """

    alpha: float = 2.0

    def derivative(self, x: Tensor) -> Tensor:
        return (self.alpha / 2) / (1 + (math.pi / 2 * self.alpha * x) ** 2)

    def primitive(self, x: Tensor) -> Tensor:
        return torch.atan(math.pi / 2 * self.alpha * x) / math.pi + 0.5


@dataclass(frozen=True)
class FastSigmoid(Surrogate):
    """Derivative of the fast sigmoid ``x / (1 + |x|)``: cheap, with heavy tails.

    ::

        derivative  1 / (1 + k|x|)²
        primitive   x / (1 + k|x|)

    Args:
        slope: k > 0, inverse width; the height is always 1. Default 25.

    Source: Zenke & Ganguli 2018, "SuperSpike: Supervised learning in multilayer spiking neural networks"; snnTorch's
    ``fast_sigmoid``, Norse's ``super_fn`` (there with k = 100, which its backward ignores).
    """

    slope: float = 25.0

    def derivative(self, x: Tensor) -> Tensor:
        return 1 / (1 + self.slope * x.abs()) ** 2

    def primitive(self, x: Tensor) -> Tensor:
        return x / (1 + self.slope * x.abs())


@dataclass(frozen=True)
class SuperSpike(Surrogate):
    """Fast sigmoid of width 1 and height ``alpha``.

    ::

        derivative  α / (1 + |x|)²
        primitive   αx / (1 + |x|)

    Args:
        alpha: α > 0, the height. Default 1.

    Source: SpikingJelly's ``SuperSpike``. In the paper that it cites, Zenke & Ganguli 2018, α is the inverse width: for
    that take :class:`FastSigmoid`.
    """

    alpha: float = 1.0

    def derivative(self, x: Tensor) -> Tensor:
        return self.alpha / (1 + x.abs()) ** 2

    def primitive(self, x: Tensor) -> Tensor:
        return self.alpha * (x / (1 + x.abs()))


@dataclass(frozen=True)
class SoftSign(Surrogate):
    """Fast sigmoid of area 1.

    ::

        derivative  α / (2 (1 + α|x|)²)
        primitive   1/2 + αx / (2 (1 + α|x|))

    Args:
        alpha: α > 0, twice the height, and inverse width. Default 2.

    Source: Neftci et al. 2019, "Surrogate gradient learning in spiking neural networks"; SpikingJelly's ``SoftSign``.
    """

    alpha: float = 2.0

    def derivative(self, x: Tensor) -> Tensor:
        return self.alpha / 2 / (1 + self.alpha * x.abs()) ** 2

    def primitive(self, x: Tensor) -> Tensor:
        return 0.5 + x / (2 * (1 / self.alpha + x.abs()))


@dataclass(frozen=True)
class QPseudoSpike(Surrogate):
    """A bell of area 1 and height 1 with a choice of tails, from heavy to nearly exponential.

    ::

        derivative  (1 + 2|x| / (α - 1))^(-α)
        primitive   t/2 for x < 0, else 1 - t/2, with t = (1 + 2|x| / (α - 1))^(1 - α)

    Args:
        alpha: α > 1, the power with which the tails fall (q in the paper). Default 2.

    Source: Herranz-Celotti & Rouat 2022, "Surrogate gradients design"; SpikingJelly's ``QPseudoSpike``.
    """

    alpha: float = field(default=2.0, metadata={"above": 1})

    def derivative(self, x: Tensor) -> Tensor:
        return (1 + 2 / (self.alpha - 1) * x.abs()) ** -self.alpha

    def primitive(self, x: Tensor) -> Tensor:
        tail = (1 + 2 / (self.alpha - 1) * x.abs()) ** (1 - self.alpha) / 2
        return torch.where(x < 0, tail, 1 - tail)


@dataclass(frozen=True)
class Circ(Surrogate):
    """Derivative of the sine of the angle of ``x`` as seen from the distance ``alpha``; its height is 1.

    ::

        derivative  (1 + (x/α)²)^(-3/2)
        primitive   x / √(1 + (x/α)²)

    Args:
        alpha: α > 0, the width, in the unit of the membrane. Default 1; Norse leaves it to the caller.

    Source: Norse's ``heavi_circ_fn``, which documents 1/2 + x / (2 √(x² + α²)): that has 1/(2α) times this primitive's
    rise.
    """

    alpha: float = 1.0

    def derivative(self, x: Tensor) -> Tensor:
        return (1 + (x / self.alpha) ** 2) ** -1.5

    def primitive(self, x: Tensor) -> Tensor:
        # The root without a square that overflows.
        return x / torch.hypot(x / self.alpha, torch.ones_like(x))


@dataclass(frozen=True)
class NonzeroSignLogAbs(Surrogate):
    """A logarithm on either side of the threshold: tails that decay only as 1/|x|, and a primitive without bounds.

    ::

        derivative  α / (1 + α|x|)
        primitive   sign(x) ln(1 + α|x|)

    Args:
        alpha: α > 0, the height, and inverse width. Default 1.

    Source: SpikingJelly's ``NonzeroSignLogAbs``.
    """

    alpha: float = 1.0

    def derivative(self, x: Tensor) -> Tensor:
        return self.alpha / (1 + self.alpha * x.abs())

    def primitive(self, x: Tensor) -> Tensor:
        return x.sign() * torch.log1p(self.alpha * x.abs())


@dataclass(frozen=True)
class FakeNumericalGradient(Surrogate):
    """The step's difference quotient, spike over distance to the threshold, limited to ``alpha``.

    ::

        derivative  min(α, 1/|x|)
        primitive   z + sign(x) ln(α max(|x|, 1/α)) with z = clip(αx, -1, 1)

    Args:
        alpha: α > 0, the height, reached at |x| <= 1/α. Default 0.3.

    Source: SpikingJelly's ``FakeNumericalGradient``, which has no primitive, and a gradient of -inf at x = -0.
    """

    alpha: float = 0.3

    def derivative(self, x: Tensor) -> Tensor:
        return 1 / x.abs().clamp(min=1 / self.alpha)

    def primitive(self, x: Tensor) -> Tensor:
        z = self.alpha * x
        return z.clamp(-1, 1) + x.sign() * z.abs().clamp(min=1).log()
