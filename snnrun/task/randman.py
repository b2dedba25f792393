"""Random manifolds: spike times on smooth random surfaces, one surface for each class."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from snnrun import check
from snnrun.task.base import Batch, Data, Task
from snnrun.task.generated import generate

_LEAST = 1e-3  # amplitude of the highest frequency
_MOST_FREQUENCIES = 1000
_POINTS = 2048  # of each manifold, for the range of its spike times


class Manifolds(NamedTuple):
    """The random functions of all classes; C classes, N units, D dimensions, K frequencies."""

    amplitude: Tensor  # [C, N, D, K], with the fall of the spectrum
    frequency: Tensor  # [C, N, D, K]
    phase: Tensor  # [C, N, D, K]
    low: Tensor  # [C, N], the range of a unit's function
    high: Tensor  # [C, N]

    def to(self, device: torch.device) -> Manifolds:
        """The same on another device."""
        return Manifolds(*(each.to(device) for each in self))

    def evaluate(self, x: Tensor, label: Tensor) -> Tensor:
        """``[B, N]``: the functions of the classes ``label`` ``[B]`` at coordinates ``x`` ``[B, D]``."""
        waves = self.frequency[label] * x[:, None, :, None] + self.phase[label]
        return ((2 * math.pi * waves).sin() * self.amplitude[label]).sum(3).prod(2)

    def times(self, x: Tensor, label: Tensor) -> Tensor:
        """``[B, N]`` in [0, 1]: the functions, scaled to their range."""
        low, high = self.low[label], self.high[label]
        return ((self.evaluate(x, label) - low) / (high - low)).clamp_(0, 1)


class Randman(Task):
    """On which of several random manifolds does a sample lie? One spike of each unit, ``[T, B, units]``.

    A class is a smooth random manifold: for each unit n a random function of ``dim`` coordinates. A sample draws its
    coordinates x uniformly in [0, 1], and every unit fires once, at its value::

        f[n](x) = prod_d sum_k θ[n,d,k] / (k + 1)^alpha · sin(2π (k χ[n,d,k] x[d] + φ[n,d,k]))      k = 1 … K
        t[n]    = floor(T · (f[n](x) - min f[n]) / (max f[n] - min f[n]))

    θ, χ and φ are drawn from [0, 1) once, by ``manifolds``. K is the frequency from which amplitudes are below 0.001,
    at most 1,000. The range of f is taken from 2,048 points; times beyond it are cut. Numbers of spikes carry nothing:
    only their times reveal the class. A small ``alpha`` or a large ``dim`` makes the task harder.

    Args:
        num_classes: number of manifolds. Default 10.
        units: N, inputs. Default 20.
        dim: dimensions of a manifold. Default 2.
        alpha: fall of the spectrum, the smoothness; from 0.5 to 9. Default 3.
        manifolds: seed of the manifolds; the same in every run, whatever its seed. Default 0.
        train_samples: of an epoch, fresh in every epoch. Default 4000.
        validation_samples, test_samples: fixed by the run's seed. Default 500 and 1000.

    Raises:
        ValueError: for an argument out of range.

    Source: Zenke and Vogels 2021, "The remarkable robustness of surrogate gradient learning for instilling complex
    function in spiking neural networks". There a set of 1,000 samples for each class is drawn once.
    """

    has_time = True
    has_accuracy = True

    def __init__(
        self,
        *,
        num_classes: int = 10,
        units: int = 20,
        dim: int = 2,
        alpha: float = 3.0,
        manifolds: int = 0,
        train_samples: int = 4000,
        validation_samples: int = 500,
        test_samples: int = 1000,
    ) -> None:
        self.num_outputs = check.integer("num_classes", num_classes, low=2)
        self.units = check.integer("units", units, low=1)
        self.input_shape = (self.units,)
        self.dim = check.integer("dim", dim, low=1)
        self.alpha = check.number("alpha", alpha, low=0.5, high=9)
        self.manifolds = check.integer("manifolds", manifolds, low=0, high=2**63 - 1)
        self.train_samples = check.integer("train_samples", train_samples, low=1)
        self.validation_samples = check.integer("validation_samples", validation_samples, low=1)
        self.test_samples = check.integer("test_samples", test_samples, low=1)

    def load(self, data_dir: Path, num_steps: int, device: torch.device, generator: Generator) -> Data:
        """Three parts, each with a random stream seeded by ``generator``; reads nothing."""
        sizes = (self.train_samples, self.validation_samples, self.test_samples)
        manifolds = self.draw().to(device)
        return generate(sizes, 1 + self.dim, lambda draws: self.make(draws, num_steps, manifolds), device, generator)

    def draw(self) -> Manifolds:
        """The manifolds of all classes, on the CPU."""
        generator = Generator().manual_seed(self.manifolds)
        most = math.ceil(_LEAST ** (-1 / self.alpha))
        number = torch.arange(1, min(most, _MOST_FREQUENCIES))
        shape = (3, self.num_outputs, self.units, self.dim, len(number))
        amplitude, frequency, phase = torch.rand(shape, generator=generator)
        amplitude, frequency = amplitude / (number + 1) ** self.alpha, frequency * number
        nothing = torch.zeros(self.num_outputs, self.units)
        manifolds = Manifolds(amplitude, frequency, phase, nothing, nothing)
        low, high = [], []
        for label in range(self.num_outputs):
            x = torch.rand((_POINTS, self.dim), generator=generator)
            pieces = [manifolds.evaluate(each, torch.full((len(each),), label)) for each in x.split(64)]
            least, most_of = torch.cat(pieces).aminmax(dim=0)
            low.append(least)
            high.append(most_of)
        return manifolds._replace(low=torch.stack(low), high=torch.stack(high))

    def make(self, draws: Tensor, num_steps: int, manifolds: Manifolds) -> Batch:
        """The samples of uniform draws ``[B, 1 + dim]``."""
        target = (draws[:, 0] * self.num_outputs).long()
        times = manifolds.times(draws[:, 1:], target)
        steps = (times * num_steps).long().clamp_(max=num_steps - 1)
        events = torch.zeros(num_steps, *steps.shape, dtype=draws.dtype, device=draws.device)
        return Batch(events.scatter_(0, steps[None], 1.0), target)
