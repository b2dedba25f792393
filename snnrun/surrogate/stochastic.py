"""Random surrogates: the spike, or the gradient, is drawn at each call, from the generator passed to it.

They have no state: the same ``x`` and the same state of the generator give the same spikes and gradients. All draws
happen forwards, one number in [0, 1) for each element of ``x``; so a second derivative uses the same draw.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from snnrun.surrogate.base import Surrogate
from snnrun.surrogate.bell import Tanh
from snnrun.surrogate.tail import Circ


@dataclass(frozen=True)
class RandomSurrogate(Surrogate):
    """Base of the random surrogates."""

    def noise(self, x: Tensor, generator: Generator | None) -> Tensor:
        # The few bits of half precision would make small probabilities 0.
        dtype = torch.float32 if x.dtype.itemsize < 4 else x.dtype
        return torch.rand(x.shape, generator=generator, dtype=dtype, device=x.device)


@dataclass(frozen=True)
class BernoulliSurrogate(RandomSurrogate):
    """Base of the surrogates with random spikes: 1 with ``probability(x)``, else 0; ``inclusive`` has no effect."""

    @abstractmethod
    def probability(self, x: Tensor) -> Tensor:
        """The probability of a spike, elementwise, in [0, 1]."""

    def spikes(self, x: Tensor, noise: Tensor | None, inclusive: bool) -> Tensor:
        assert noise is not None
        return (noise < self.probability(x)).to(x.dtype)


@dataclass(frozen=True)
class PoissonPass(BernoulliSurrogate):
    """A spike with probability ``x``; the gradient passes unchanged.

    ::

        spike       P(s = 1) = clip(x, 0, 1)
        derivative  1
        primitive   x

    A neuron with ``x = u - θ`` is thus silent up to its threshold and certain to fire one unit above it.

    Source: SpikingJelly's ``PoissonPass``, which raises for x outside [0, 1].
    """

    def probability(self, x: Tensor) -> Tensor:
        return x.clamp(0, 1)

    def derivative(self, x: Tensor) -> Tensor:
        return torch.ones_like(x)

    def primitive(self, x: Tensor) -> Tensor:
        return x


@dataclass(frozen=True)
class Logistic(BernoulliSurrogate, Tanh):
    """A spike with a probability that rises as the logistic function; the gradient is the same as for ``Tanh``.

    ::

        spike       P(s = 1) = 1/2 + tanh(αx)/2
        derivative  1 - tanh²(αx)
        primitive   tanh(αx) / α

    Since the probability is never 0, a neuron without input may fire too.

    Args:
        alpha: α > 0, inverse width. Default 1; Norse leaves it to the caller.

    Source: Norse's ``logistic_fn``.
    """

    def probability(self, x: Tensor) -> Tensor:
        return torch.sigmoid(2 * self.alpha * x)


@dataclass(frozen=True)
class CircDist(BernoulliSurrogate, Circ):
    """A spike with a probability that rises slowly, with heavy tails; the gradient is the same as for ``Circ``.

    ::

        spike       P(s = 1) = 1/2 + x / (2 √(x² + α²))
        derivative  (1 + (x/α)²)^(-3/2)
        primitive   x / √(1 + (x/α)²)

    Since the probability is never 0, a neuron without input may fire too.

    Args:
        alpha: α > 0, the width, in the unit of the membrane. Default 1; Norse leaves it to the caller.

    Source: Norse's ``circ_dist_fn``.
    """

    def probability(self, x: Tensor) -> Tensor:
        return 0.5 + self.primitive(x) / (2 * self.alpha)


@dataclass(frozen=True)
class StochasticSpikeOperator(RandomSurrogate):
    """A neuron that fires passes the gradient unchanged, every other neuron a random share of it.

    ::

        gradient    1 for x > 0, else (U - 1/2 + μ) σ² with U uniform in [0, 1)
        derivative  its expectation: 1 for x > 0, else μ σ²

    A random gradient has no primitive.

    Args:
        mean: μ, shifts the share. Default 0.
        variance: σ², scales it, at least 0. Default 0.2. (Both are the peer's names; the variance is σ⁴/12.)

    Source: snnTorch's ``SSO``.
    """

    mean: float = field(default=0.0, metadata={"low": None})
    variance: float = field(default=0.2, metadata={"low": 0})

    def derivative(self, x: Tensor) -> Tensor:
        return torch.full_like(x, self.mean * self.variance).masked_fill(x > 0, 1)

    def gradient(self, x: Tensor, noise: Tensor | None) -> Tensor:
        assert noise is not None
        return ((noise - 0.5 + self.mean) * self.variance).to(x.dtype).masked_fill(x > 0, 1)
