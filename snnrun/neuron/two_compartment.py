"""The two-compartment leaky integrate-and-fire neuron: a dendrite and a soma that drive each other."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.neuron.base import Neuron, NeuronOptions
from snnrun.neuron.distribution import Numbers


class TwoCompartmentState(NamedTuple):
    """Membrane of the soma, spikes, and potential of the dendrite, both before the reset; each ``[B, *N]``."""

    membrane: Tensor
    spikes: Tensor  # 0 or 1
    dendrite: Tensor


class TCLIF(Neuron):
    """Two-compartment LIF (TC-LIF): a dendrite takes the input and charges the soma, which inhibits the dendrite.

    ::

        d[t] = e[t-1] - β1 v[t-1] + x[t]              the dendrite
        u[t] = v[t-1] + β2 d[t]                       the soma, whose membrane fires
        s[t] = H(u[t] - θ)                            fire
        e[t] = d[t] - γ s[t]                          reset of the dendrite (with subtract only)
        v[t] = u[t] - θ s[t]                          reset (subtract; see the options)

    Neither compartment leaks: below the threshold the two exchange their charge in an oscillation that never fades, so
    an input is remembered for as long as a sequence lasts. The dendrite resets right after a spike with
    ``reset_timing=delayed`` too. ``detach_reset`` detaches both resets.

    Membrane, dendrite, threshold, γ and input share one unit. Both compartments start at 0.

    Args:
        beta1: β1 in [0, 1], coupling of the dendrite to the soma, a number or one per neuron. Default 0.5.
        beta2: β2 in [0, 1], coupling of the soma to the dendrite, likewise. Default 0.5.
        gamma: γ, what a spike takes off the dendrite, at least 0. Default 0.5.
        learn_beta1, learn_beta2: make them parameters; they stay in (0, 1). Default true.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range.

    Source: Zhang et al. 2024, "TC-LIF: A two-compartment spiking neuron model for long-term sequential modelling", with
    ``detach_reset=false``, ``surrogate=triangular``, and ``neuron.threshold=1.5`` for SHD; β1 there is ``-β1`` here. In
    their code both couplings are one for a layer.
    """

    def __init__(
        self,
        *,
        beta1: Numbers = 0.5,
        beta2: Numbers = 0.5,
        gamma: float = 0.5,
        learn_beta1: bool = True,
        learn_beta2: bool = True,
        **options: Unpack[NeuronOptions],
    ) -> None:
        super().__init__(**options)
        self.beta1 = self._value("beta1", beta1, "unit", learn=learn_beta1)
        self.beta2 = self._value("beta2", beta2, "unit", learn=learn_beta2)
        self.gamma = check.number("gamma", gamma, low=0)

    def step(self, x: Tensor, state: TwoCompartmentState) -> tuple[Tensor, TwoCompartmentState]:
        dendrite = state.dendrite
        if self.reset == "subtract":
            dendrite = dendrite - self.gamma * (state.spikes.detach() if self.detach_reset else state.spikes)
        dendrite = dendrite - self.beta1() * self.start(state) + x
        u = self.advance(state, lambda v: v + self.beta2() * dendrite)
        spikes = self.fire(u)
        return spikes, TwoCompartmentState(u, spikes, dendrite)

    def initial_state(self, x: Tensor) -> Any:
        return TwoCompartmentState(self.initial_membrane(x), torch.zeros_like(x), torch.zeros_like(x))
