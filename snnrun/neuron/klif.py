"""The KLIF neuron: a leaky integrate-and-fire neuron that learns the scale of its membrane."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.neuron.base import State
from snnrun.neuron.leaky import LIF, LIFOptions


class KLIF(LIF):
    """K-based leaky integrate-and-fire: a LIF whose membrane is scaled by a learned k and rectified before it fires.

    ::

        g[t] = v_rest + β (v[t-1] - v_rest) + x[t]        integrate
        u[t] = max(k g[t], 0)                             scale
        s[t] = H(u[t] - θ)                                fire
        v[t] = u[t] - θ s[t]                              reset (subtract; see the options)

    With ``scale_reset`` the membrane returns to the scale of g: ``v = (u - θ s)/k``, and with a reset to zero
    ``v = (1 - s) u/k + v_reset s``.

    If k g is negative no gradient passes. An output neuron that begins so for every sample stays silent, and with a
    loss on spike counts its class is lost; ``readout=li loss=ce_membrane`` avoids this.

    Membrane, threshold and input share one unit. The membrane starts at ``v_rest``.

    Args:
        k: initial scale k > 0, a number or one per neuron. Default 1.
        scale_reset: undo the scale with the reset. Default false.
        learn_k: make k a parameter; it stays positive. Default true.
        **options: of the leak, see :class:`snnrun.neuron.LIF`, but that β is 0.8 if τ is None; and of every neuron.

    Raises:
        ValueError: for an argument out of range.

    Source: Jiang & Zhang 2023, "KLIF: an optimized spiking neuron unit for tuning surrogate gradient slope and membrane
    potential"; SpikingJelly's ``KLIFNode`` (``convention=spikingjelly``, ``tau=2``, ``integration=euler``,
    ``decay_input=true``, ``v_rest = v_reset``).
    """

    usual_beta = 0.8

    def __init__(
        self, *, k: float = 1.0, scale_reset: bool = False, learn_k: bool = True, **options: Unpack[LIFOptions]
    ) -> None:
        super().__init__(**options)
        self.k = self._value("k", k, "positive", learn=learn_k)
        self.scale_reset = check.flag("scale_reset", scale_reset)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        k = self.k()
        if self.delayed:
            # The reset lands on the scaled membrane, so θ is not scaled back.
            v = state.membrane / k if self.scale_reset else state.membrane
            u = super().after_reset(torch.relu(k * self.integrate(v, x)), state.spikes)
        else:
            u = torch.relu(k * self.integrate(self.after_reset(state.membrane, state.spikes), x))
        spikes = self.fire(u)
        return self.emit(spikes), State(u, spikes)

    def after_reset(self, membrane: Tensor, spikes: Tensor) -> Tensor:
        if not self.scale_reset:
            return super().after_reset(membrane, spikes)
        if self.reset == "subtract":
            return super().after_reset(membrane, spikes) / self.k()
        return super().after_reset(membrane / self.k(), spikes)  # v_reset is not scaled
