"""The complementary leaky integrate-and-fire neuron."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.neuron.base import Neuron, NeuronOptions


class ComplementaryState(NamedTuple):
    """A state with the complementary potential."""

    membrane: Tensor  # [B, *N]
    spikes: Tensor  # [B, *N], 0 or 1
    complement: Tensor  # [B, *N], m


class CLIF(Neuron):
    """Complementary leaky integrate-and-fire: a second potential remembers spikes and deepens the reset.

    ::

        u[t] = (1 - 1/τ) v[t-1] + x[t]                    integrate
        s[t] = H(u[t] - θ)                                fire
        m[t] = m[t-1] σ(u[t]/τ) + s[t]                    complementary potential
        v[t] = u[t] - s[t] (θ + σ(m[t]))                  reset

    The second path through m keeps a gradient over time while the path through the membrane decays. It acts only on a
    reset that subtracts; with ``reset=zero`` or ``none`` this is a LIF.

    Membrane, threshold and input share one unit; τ is in time steps. Both potentials start at 0.

    Args:
        tau: time constant τ >= 1. Default 2.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`. ``detach_reset`` detaches the spike of the reset,
            not m.

    Raises:
        ValueError: for an argument out of range.

    Source: Huang et al. 2024, "CLIF: complementary leaky integrate-and-fire neuron for spiking neural networks";
    SpikingJelly's ``ComplementaryLIFNode`` (``convention=spikingjelly reset=subtract surrogate=rectangular``), which in
    eval mode has no gradient.
    """

    def __init__(self, tau: float = 2.0, **options: Unpack[NeuronOptions]) -> None:
        super().__init__(**options)
        self.tau = check.number("tau", tau, low=1)

    def step(self, x: Tensor, state: ComplementaryState) -> tuple[Tensor, ComplementaryState]:
        u = self.advance(state, lambda v: (1 - 1 / self.tau) * v + x)
        spikes = self.fire(u)
        m = state.complement * torch.sigmoid(u / self.tau) + spikes
        return spikes, ComplementaryState(u, spikes, m)

    def advance(self, state: ComplementaryState, integrate: Callable[[Tensor], Tensor]) -> Tensor:
        if self.delayed:
            return self.deeper(self.after_reset(integrate(state.membrane), state.spikes), state)
        return integrate(self.deeper(self.after_reset(state.membrane, state.spikes), state))

    def deeper(self, v: Tensor, state: ComplementaryState) -> Tensor:
        """The membrane ``v`` after the reset, less the complementary potential's part of the reset."""
        if self.reset != "subtract":
            return v
        s = state.spikes.detach() if self.detach_reset else state.spikes
        return v - s * torch.sigmoid(state.complement)

    def initial_state(self, x: Tensor) -> Any:
        return ComplementaryState(self.initial_membrane(x), torch.zeros_like(x), torch.zeros_like(x))
