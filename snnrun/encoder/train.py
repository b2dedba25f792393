"""Spike trains from spike times, and functions of a train."""

from __future__ import annotations

import torch
from torch import Tensor


def single_spikes(step: Tensor, num_steps: int, fires: Tensor, dtype: torch.dtype) -> Tensor:
    """A train ``[T, *N]`` with a spike at ``step`` (``[*N]``, int64) for each neuron that ``fires``, if within T."""
    train = torch.zeros((num_steps, *step.shape), dtype=dtype, device=step.device)
    fires = fires & (step >= 0) & (step < num_steps)
    return train.scatter_(0, step.clamp(0, num_steps - 1)[None], fires.to(dtype)[None])


def first_spikes(train: Tensor) -> Tensor:
    """``train`` ``[T, *N]`` with only the first spike of each neuron."""
    return train * ((train != 0).cumsum(0) == 1)


def delay(train: Tensor, steps: int) -> Tensor:
    """``train`` ``[T, *N]`` later by ``steps`` silent steps; spikes after the last step are cut."""
    if steps == 0:
        return train
    steps = min(steps, train.shape[0])
    return torch.cat([torch.zeros_like(train[:steps]), train[: train.shape[0] - steps]])


def levels(train: Tensor, on: float = 1.0, off: float = 0.0) -> Tensor:
    """``on`` at each spike of ``train``, ``off`` elsewhere: a target for a membrane."""
    return torch.where(train != 0, on, off).to(train.dtype)


def ramp(train: Tensor, on: float = 1.0, off: float = 0.0) -> Tensor:
    """A membrane that would fire ``train`` ``[T, *N]``: rises in a line from ``off`` to ``on`` at each spike.

    The line starts at the step after the previous spike, or at step 0; after the last spike it stays at ``off``. A
    spike right after another, or at step 0, is a single step of ``on``.
    Source: snnTorch's ``rate_interpolate`` and ``latency_interpolate``.
    """
    num_steps = train.shape[0]
    fired = train != 0
    t = torch.arange(num_steps, device=train.device).view(-1, *[1] * (train.dim() - 1)).expand(train.shape)
    upcoming = torch.where(fired, t, num_steps).flip(0).cummin(0).values.flip(0)
    last = torch.where(fired, t, -1).cummax(0).values
    start = torch.cat([torch.full_like(last[:1], -1), last[:-1]]) + 1
    share = (t - start).to(train.dtype) / (upcoming - start).clamp(min=1)
    share = torch.where(fired, 1.0, torch.where(upcoming == num_steps, 0.0, share))
    return (off + (on - off) * share).to(train.dtype)
