"""The integer leaky integrate-and-fire neuron: graded spikes, several at once."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.neuron.leaky import LIF, LIFOptions


class ILIF(LIF):
    """Integer leaky integrate-and-fire: a LIF that fires up to D spikes in one step.

    ::

        u[t] = v_rest + β (v[t-1] - v_rest) + x[t]                   integrate
        s[t] = Σ H(u[t]/θ - (n - 1/2)), n = 1 … D                    fire: u/θ rounded, within 0 and D
        v[t] = u[t] - θ s[t]                                         reset (subtract; see the options)

    A spike is a whole number from 0 to D: the first fires at θ/2. Exactly half way it is rounded up with
    ``fires_at=">="``, else down. Backwards each of the D steps has the surrogate's gradient, in units of θ; with
    ``surrogate=rectangular`` they join to the straight-through estimator of the paper, 1 within 0 and Dθ. With
    ``reset=zero`` any spike resets to ``v_reset``.

    Membrane, threshold and input share one unit. The membrane starts at ``v_rest``.

    Args:
        max_spikes: D >= 1. Default 4.
        **options: of the leak, see :class:`snnrun.neuron.LIF` (the paper has ``beta=0.25``), and of every neuron.

    Raises:
        ValueError: for an argument out of range.

    Source: Luo et al. 2024, "Integer-valued training and spike-driven inference spiking neural network for
    high-performance and energy-efficient object detection"; SpikingJelly's ``ILIFNode``, which rounds halves to even.
    """

    def __init__(self, *, max_spikes: int = 4, **options: Unpack[LIFOptions]) -> None:
        super().__init__(**options)
        self.max_spikes = check.integer("max_spikes", max_spikes, low=1)

    def fire(self, membrane: Tensor) -> Tensor:
        z = membrane / self.threshold()
        spikes = self.surrogate(z - 0.5, inclusive=self.inclusive)
        for n in range(1, self.max_spikes):
            spikes = spikes + self.surrogate(z - (n + 0.5), inclusive=self.inclusive)
        return spikes

    def after_reset(self, membrane: Tensor, spikes: Tensor) -> Tensor:
        if self.reset == "zero":
            spikes = torch.clamp(spikes, max=1)
        return super().after_reset(membrane, spikes)
