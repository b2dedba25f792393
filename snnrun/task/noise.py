"""The noise of event sensors: events at random places and times."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from snnrun.system.device import constant, float64


def most_noise(mean: float) -> int:
    """The largest number of noise events in a sample with ``mean`` on average; more are practically impossible.

    Six standard deviations above the mean and six more events, which a Poisson variable exceeds less than once in 10^7.
    """
    return math.ceil(mean + 6 * math.sqrt(mean) + 6) if mean > 0 else 0


def add_noise(events: Tensor, much: Tensor, places: Tensor, mean: float) -> None:
    """Set a Poisson number of values of each sample of ``events`` ``[T, B, *N]`` to 1, in place.

    Args:
        much: ``[B]`` uniform draws that become the numbers.
        places: ``[B, most_noise(mean)]`` uniform draws that become the places; only the first ones are used.
        mean: of the number in one sample.
    """
    num_steps, num_samples = events.shape[:2]
    most = places.shape[1]
    if not most:
        return
    n = torch.arange(most, dtype=torch.float64)
    below = (n * math.log(mean) - mean - torch.lgamma(n + 1)).exp().cumsum(0)  # P(number <= n)
    kind = float64(much.device)
    number = torch.searchsorted(constant(below.tolist(), kind, much.device), much.to(kind), right=True)
    per_step = events[0, 0].numel()
    place = (places * (num_steps * per_step)).long().clamp_(max=num_steps * per_step - 1)
    step, where = place // per_step, place % per_step
    sample = torch.arange(num_samples, device=events.device)[:, None]
    mask = torch.arange(most, device=events.device) < number[:, None]
    flat = (step * num_samples + sample) * per_step + where
    # With 0 for places that are not used, since a selection of the others would wait for the device.
    events.view(-1).scatter_reduce_(0, flat.flatten(), mask.to(events.dtype).flatten(), "amax")
