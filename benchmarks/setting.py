"""The job that is measured: a task, a network and how it is trained, the same for everyone."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

Weights = list[tuple[Tensor, Tensor]]  # per layer: weight [n_out, n_in] and bias [n_out]


@dataclass(frozen=True)
class Job:
    """A 784-hidden-10 MLP of LIF neurons on MNIST digits, trained by the cross-entropy of its membrane at every step.

    ``input``: ``constant``, the image at every step, or ``rate``, a Bernoulli train with the pixels as probabilities.
    """

    input: str
    steps: int = 25
    batch: int = 128
    hidden: int = 1000
    beta: float = 0.95
    lr: float = 5e-4
    images: int = 4096
    epochs: int = 5
    seeds: tuple[int, ...] = (0, 1, 2)
