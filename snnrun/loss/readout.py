"""Values that a loss reads from a record ``[T, B, C]``: counts, spike times, pooled neurons."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from snnrun.errors import ArgumentError


def spike_count(spikes: Tensor) -> Tensor:
    """Spikes of each neuron summed over time: ``[B, C]`` for ``[T, B, C]``."""
    return spikes.sum(0)


def pool(x: Tensor, population: int, *, mean: bool = False) -> Tensor:
    """The sum (or mean) over the ``population`` neurons of each class: ``[T, B, C]`` for ``[T, B, C population]``.

    The neurons of a class are adjacent.

    Raises:
        ValueError: if the neurons cannot be divided evenly.
    """
    if population == 1:
        return x
    if x.shape[2] % population:
        raise ArgumentError("population", f"a divisor of the {x.shape[2]} read-out neurons", population)
    groups = x.unflatten(2, (-1, population))
    return groups.mean(3) if mean else groups.sum(3)


def vote(x: Tensor, size: int) -> Tensor:
    """The mean over each group of ``size`` neighbours in the last axis: ``[*, C]`` for ``[*, C size]``.

    Source: SpikingJelly's ``VotingLayer``.
    """
    if x.shape[-1] % size:
        raise ArgumentError("size", f"a divisor of the {x.shape[-1]} neurons", size)
    return x.unflatten(-1, (-1, size)).mean(-1)


def spike_times(spikes: Tensor, number: int) -> Tensor:
    """The steps of the first ``number`` spikes of each neuron: ``[number, *N]`` for ``[T, *N]``, in its dtype.

    A missing spike counts as one at the last step, T - 1. The step is not differentiable in the spikes; its gradient is
    taken as -1 at that step, as if a stronger spike came earlier in proportion.
    Source: snnTorch's ``SpikeTime``.
    """
    times: Tensor = _SpikeTimes.apply(spikes, number)
    return times


def first_spike_time(spikes: Tensor) -> Tensor:
    """The step of each neuron's first spike, ``[*N]`` for ``[T, *N]``; T - 1 for a silent one. See ``spike_times``."""
    return spike_times(spikes, 1)[0]


def first_spike_index(spikes: Tensor) -> Tensor:
    """True at each neuron's first spike, ``[T, *N]`` for ``[T, *N]``; nowhere for a silent one.

    Source: SpikingJelly's ``first_spike_index``, with time last.
    """
    fired = spikes != 0
    return fired & (fired.cumsum(0) == 1)


class _SpikeTimes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spikes: Tensor, number: int) -> Tensor:
        fired = spikes != 0
        order = fired.cumsum(0)
        steps = []
        for n in range(1, number + 1):
            nth = (fired & (order == n)).to(torch.uint8)
            steps.append(torch.where(order[-1] >= n, nth.argmax(0), len(spikes) - 1))
        times = torch.stack(steps)
        ctx.save_for_backward(times)
        ctx.shape = spikes.shape
        return times.to(spikes.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (times,) = ctx.saved_tensors
        result = grad.new_zeros(ctx.shape)
        # One after the other: missing spikes share a step, and scatter_add is not deterministic on all devices.
        for step, nth in zip(times, grad, strict=True):
            result -= torch.zeros_like(result).scatter_(0, step[None], nth[None])
        return result, None
