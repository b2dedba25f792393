"""What the peers' networks have in common."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from benchmarks.setting import Job, Weights


class Network(nn.Module):
    """Two linear layers with given weights; a subclass adds the neurons and runs them.

    ``forward`` takes images ``[B, 784]`` in [0, 1] and returns the read-out's membrane of every step, ``[T, B, 10]`` or
    a list of ``[B, 10]``.
    """

    def __init__(self, job: Job, weights: Weights, scale: float = 1.0) -> None:
        super().__init__()
        self.job = job
        self.linear1, self.linear2 = (_linear(weight * scale, bias * scale) for weight, bias in weights)

    def optimizer(self) -> Optimizer:
        """Adam, as torch makes it."""
        return Adam(self.parameters(), lr=self.job.lr)

    def loss(self, membranes: Tensor, target: Tensor) -> Tensor:
        """``Σ_t mean_b CE(u[t, b], target[b])``, the sum of every step's cross-entropy."""
        steps = len(membranes)
        return steps * F.cross_entropy(membranes.flatten(0, 1), target.repeat(steps))

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """The class of each image: the largest sum of the membrane over time."""
        membranes = self(x)
        return torch.as_tensor(sum(membranes)).argmax(1)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.load_state_dict({"weight": weight, "bias": bias})
    return linear
