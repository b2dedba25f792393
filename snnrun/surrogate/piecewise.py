"""Piecewise surrogates with an edge: boxes, triangles, and others that are constant or zero far from the threshold."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from snnrun.surrogate.base import Surrogate


@dataclass(frozen=True)
class Triangular(Surrogate):
    """A triangle of height ``gamma`` that ends one unit away from the threshold.

    ::

        derivative  γ max(0, 1 - |x|)
        primitive   its integral, from 0 to γ

    Args:
        gamma: γ > 0, the height. Default 1.

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

    ::

        derivative  max(0, α - α² |x|)
        primitive   1/2 + αx - αx |αx| / 2 for |x| <= 1/α, beyond it 0 or 1

    Args:
        alpha: α > 0, the height; the triangle ends at ±1/α. Default 1.

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

    ::

        derivative  α for |x| < 1/(2α), else 0
        primitive   clip(αx + 1/2, 0, 1)

    Args:
        alpha: α > 0, the height, and inverse width. Default 1.

    Source: Wu et al. 2018, "Spatio-temporal backpropagation for training high-performance spiking neural networks";
    SpikingJelly's ``Rect``.
    """

    alpha: float = 1.0

    def derivative(self, x: Tensor) -> Tensor:
        return self.alpha * (x.abs() < 0.5 / self.alpha).to(x.dtype)

    def primitive(self, x: Tensor) -> Tensor:
        return (self.alpha * x + 0.5).clamp(0, 1)


@dataclass(frozen=True)
class PiecewiseLeakyReLU(Surrogate):
    """A box of area 1 around the threshold, and a small constant gradient everywhere else.

    ::

        derivative  1/(2w) for |x| < w, else c
        primitive   z/(2w) + 1/2 + c (x - z) with z = clip(x, -w, w)

    Args:
        w: half width of the box, positive. Default 1.
        c: gradient outside it, at least 0. Default 0.01.

    Source: Yin et al. 2017, "Algorithm and hardware design of discrete-time spiking neural networks based on back
    propagation with binary activations"; SpikingJelly's ``PiecewiseLeakyReLU``.
    """

    w: float = 1.0
    c: float = field(default=0.01, metadata={"low": 0})

    def derivative(self, x: Tensor) -> Tensor:
        return torch.full_like(x, self.c).masked_fill(x.abs() < self.w, 0.5 / self.w)

    def primitive(self, x: Tensor) -> Tensor:
        inside = x.clamp(-self.w, self.w)
        return inside / (2 * self.w) + 0.5 + self.c * (x - inside)


@dataclass(frozen=True)
class SparseFastSigmoid(Surrogate):
    """Fast sigmoid with a gradient only near the threshold, so that most of the backward pass is zero.

    ::

        derivative  1 / (1 + k |x|)² for |x| < B, else 0
        primitive   z / (1 + k |z|) with z = clip(x, -B, B)

    Args:
        slope: k > 0, inverse width; the height is always 1. Default 25.
        B: distance from the threshold beyond which the gradient is dropped, positive. Default 1.

    Source: Perez-Nieves & Goodman 2021, "Sparse spiking gradient descent"; snnTorch's ``SFS`` keeps the gradient for
    x > B instead, where the paper drops it.
    """

    slope: float = 25.0
    B: float = 1.0

    def derivative(self, x: Tensor) -> Tensor:
        return (x.abs() < self.B) / (1 + self.slope * x.abs()) ** 2

    def primitive(self, x: Tensor) -> Tensor:
        inside = x.clamp(-self.B, self.B)
        return inside / (1 + self.slope * inside.abs())
