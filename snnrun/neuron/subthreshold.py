"""The adaptive leaky integrate-and-fire neuron whose adaptation follows the membrane below the threshold too."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.neuron.base import Neuron, NeuronOptions
from snnrun.neuron.distribution import Numbers
from snnrun.neuron.izhikevich import AdaptiveState


class AdLIF(Neuron):
    """Adaptive leaky integrate-and-fire: an adaptation current that follows the membrane below the threshold too.

    ::

        w[t] = ρ w[t-1] + (1 - ρ)(a v[t-1] + b s[t-1])    adapt
        u[t] = β v[t-1] + x[t] - w[t]                     integrate
        s[t] = H(u[t] - θ)                                fire
        v[t] = u[t] - θ s[t]                              reset (subtract; see the options)

    w is updated first, and the membrane uses the new one (the symplectic order), so the pair of Euler steps is stable
    for strong coupling. With a > 0 the membrane overshoots and oscillates; at rest under a constant input it is
    ``x/(1 - β + a)``. ``decay_input`` scales ``x - w`` by ``1 - β``: then it is ``x/(1 + a)``. With
    ``reset_timing=delayed`` w uses the membrane before the reset.

    Membrane, threshold, input and w share one unit. Membrane and w start at 0.

    Args:
        beta: β in [0, 1], a number or one per neuron: decay of the membrane per step. Default 0.9.
        rho: ρ in [0, 1]: decay of the adaptation per step. Default 0.97.
        a: coupling of the adaptation to the membrane, at least 0. Default 0.2.
        b: coupling to the spikes, at least 0. Default 2.
        decay_input: scale input and adaptation by ``1 - β``, as published. Default false.
        learn_beta, learn_rho: make them parameters; they stay in (0, 1).
        learn_adaptation: make a and b parameters; they must be positive and stay so.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range.

    Source: Bittar & Garner 2022, "A surrogate gradient spiking baseline for speech command recognition" (there without
    the factor ``1 - ρ``); Baronig et al. 2025, "Advancing spatio-temporal processing through adaptation in spiking
    neural networks".
    """

    def __init__(
        self,
        *,
        beta: Numbers = 0.9,
        rho: Numbers = 0.97,
        a: float | str = 0.2,
        b: float | str = 2.0,
        decay_input: bool = False,
        learn_beta: bool = False,
        learn_rho: bool = False,
        learn_adaptation: bool = False,
        **options: Unpack[NeuronOptions],
    ) -> None:
        super().__init__(**options)
        self.beta = self._value("beta", beta, "unit", learn=learn_beta)
        self.rho = self._value("rho", rho, "unit", learn=learn_rho)
        self.decay_input = check.flag("decay_input", decay_input)
        self.a = self._coupling("a", a, check.flag("learn_adaptation", learn_adaptation))
        self.b = self._coupling("b", b, learn_adaptation)

    def _coupling(self, name: str, value: float | str, learn: bool) -> Any:
        if not isinstance(value, str) and check.number(name, value, low=0) == 0 and not learn:
            return _zero  # not in the interval of positive values
        return self._value(name, value, "positive", learn=learn)

    def step(self, x: Tensor, state: AdaptiveState) -> tuple[Tensor, AdaptiveState]:
        beta, rho = self.beta(), self.rho()
        seen = state.membrane if self.delayed else self.after_reset(state.membrane, state.spikes)
        w = rho * state.adaptation + (1 - rho) * (self.a() * seen + self.b() * state.spikes)
        gain = 1 - beta if self.decay_input else 1.0
        u = self.advance(state, lambda v: beta * v + gain * (x - w))
        spikes = self.fire(u)
        return spikes, AdaptiveState(u, spikes, w)

    def initial_state(self, x: Tensor) -> Any:
        return AdaptiveState(self.initial_membrane(x), torch.zeros_like(x), torch.zeros_like(x))


def _zero() -> float:
    return 0.0
