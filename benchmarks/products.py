"""The floor: the matrix products of the same work, by torch's own kernels, and nothing else."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from benchmarks.device import synchronize
from benchmarks.setting import Job

SPIKING = 0.1  # share of ones in the stand-ins for spikes; no kernel looks at it


class Products:
    """The products of a training step of the job: forward, gradients of the weights, gradient of the hidden spikes.

    A constant input needs those of its first layer for one step instead of T.
    """

    def __init__(self, job: Job, dtype: torch.dtype) -> None:
        rows = job.steps * job.batch
        first = rows if job.input == "rate" else job.batch
        self.steps = job.images // job.batch
        self.device = job.device

        def on_device(tensor: Tensor) -> Tensor:
            return tensor.to(job.device, dtype)

        self._x = on_device(_spikes(first, 784) if job.input == "rate" else torch.rand(first, 784))
        self._hidden = on_device(_spikes(rows, job.hidden))
        self._gradient1, self._gradient2 = on_device(torch.randn(first, job.hidden)), on_device(torch.randn(rows, 10))
        self._weight1, self._weight2 = on_device(torch.randn(job.hidden, 784)), on_device(torch.randn(10, job.hidden))

    def epoch(self) -> float:
        """Seconds for as many steps as an epoch has."""
        synchronize(self.device)
        begin = time.perf_counter()
        for _ in range(self.steps):
            forward_and_weight(self._x, self._weight1, self._gradient1)
            forward_and_weight(self._hidden, self._weight2, self._gradient2)
            self._gradient2 @ self._weight2
        synchronize(self.device)
        return time.perf_counter() - begin


def forward_and_weight(x: Tensor, weight: Tensor, gradient: Tensor | None = None) -> None:
    """``x Wᵀ`` and the gradient of W for ``gradient``, by default the product itself, which has the right shape."""
    y = x @ weight.T
    (y if gradient is None else gradient).T @ x


def _spikes(rows: int, columns: int) -> Tensor:
    return (torch.rand(rows, columns) < SPIKING).float()
