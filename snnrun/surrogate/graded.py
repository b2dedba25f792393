"""Graded surrogates: the output of a neuron is a number of spikes, not one spike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.surrogate.base import Surrogate


@dataclass(frozen=True)
class MultiLevelSpikeCount(Surrogate):
    """Several spikes in one step: ``x`` rounded to a count; the gradient passes unless the count is cut off.

    ::

        spikes      round(clip(x, 0, max)), halves to even; `inclusive` has no effect
        derivative  1 for a <= x <= b, else 0
        primitive   clip(x, 0, max)

    With ``spiking=False`` the gradient is the primitive's, for any window.

    Args:
        max_spike_count: max, the largest count, at least 1. Default 4.
        grad_window: ``[a, b]`` with a <= b, in the unit of the membrane. Default None: ``[0, max]``.

    Source: Luo et al. 2024, "Integer-valued training and spike-driven inference spiking neural network for
    high-performance and energy-efficient object detection" (there with max = 4); SpikingJelly's
    ``MultiLevelSpikeCount``.
    """

    max_spike_count: int = 4
    grad_window: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check.integer("max_spike_count", self.max_spike_count, low=1)
        if self.grad_window is not None:
            # A list from a file could not be hashed.
            object.__setattr__(self, "grad_window", _window(self.grad_window))

    def spikes(self, x: Tensor, noise: Tensor | None, inclusive: bool) -> Tensor:
        return self.primitive(x).round()

    def derivative(self, x: Tensor) -> Tensor:
        low, high = self.grad_window or (0.0, self.max_spike_count)
        return ((x >= low) & (x <= high)).to(x.dtype)

    def primitive(self, x: Tensor) -> Tensor:
        return x.clamp(0, self.max_spike_count)

    def smooth(self, x: Tensor) -> Tensor:
        return self.primitive(x)  # by autograd, since `derivative` may have another window


def _window(value: object) -> tuple[float, float]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise ArgumentError("grad_window", "two numbers such as [0, 4], or null", value)
    low = check.number("grad_window[0]", value[0])
    return low, check.number("grad_window[1]", value[1], low=low)
