"""Izhikevich's neuron: quadratic, with an adaptation current."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.neuron.base import NeuronOptions
from snnrun.neuron.quadratic import QuadraticNeuron


class AdaptiveState(NamedTuple):
    """A state with an adaptation current."""

    membrane: Tensor  # [B, *N]
    spikes: Tensor  # [B, *N], 0 or 1
    adaptation: Tensor  # [B, *N], w


class Izhikevich(QuadraticNeuron):
    """Izhikevich's neuron: a quadratic membrane and an adaptation current that each spike raises.

    ::

        u[t] = v[t-1] + dt/τ (x[t] + a0 (v[t-1] - v_rest)(v[t-1] - v_c) - w[t-1])   integrate (Euler)
        s[t] = H(u[t] - θ)                                                          fire
        w[t] = w[t-1] + dt/τ_w (a (u[t] - v_rest) - w[t-1]) + b s[t]                adapt
        v[t] = u[t] - θ s[t]                                   reset (subtract; see the options)

    The quadratic term is limited as in :class:`snnrun.neuron.QIF`. ``w`` sees the membrane before the reset, and keeps
    the gradient of its jump ``b s`` with ``detach_reset`` too: it is no reset.

    Membrane, threshold, input, w and b share one unit; τ, τ_w and dt share one unit of time. The membrane starts at
    ``v_rest``, w at 0.

    Args:
        tau: time constant τ > 0. Default 2.
        dt: length of a step, in (0, τ_w]. Default 1.
        a0: curvature > 0. Default 1.
        v_rest: resting membrane. Default 0.
        v_c: critical membrane > v_rest. Default 0.8.
        v_peak: membrane > v_c above which the quadratic term grows no more. Default null: the threshold.
        tau_w: time constant of the adaptation > 0. Default 10.
        a: coupling of the adaptation to the membrane. Default 0.1.
        b: increase of the adaptation per spike. Default 0.2.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range.

    As published the reset is to a value, ``reset=zero`` with ``v_reset`` (there c), and the letters differ: there a is
    the rate of w (here ``dt/tau_w``), b the coupling (here a) and d the jump (here b).

    Source: Izhikevich 2003, "Simple model of spiking neurons"; SpikingJelly's ``IzhikevichNode``, which starts at
    ``v_reset`` and ``w_rest``, and by default does not adapt (a = b = 0).
    """

    def __init__(
        self,
        *,
        tau: float = 2.0,
        dt: float = 1.0,
        a0: float = 1.0,
        v_rest: float = 0.0,
        v_c: float = 0.8,
        v_peak: float | None = None,
        tau_w: float = 10.0,
        a: float = 0.1,
        b: float = 0.2,
        **options: Unpack[NeuronOptions],
    ) -> None:
        super().__init__(tau=tau, dt=dt, a0=a0, v_rest=v_rest, v_c=v_c, v_peak=v_peak, **options)
        self.tau_w = check.number("tau_w", tau_w, above=0)
        check.number("dt", dt, above=0, high=self.tau_w)
        self.a, self.b = check.number("a", a), check.number("b", b)

    def step(self, x: Tensor, state: AdaptiveState) -> tuple[Tensor, AdaptiveState]:
        w = state.adaptation
        u = self.advance(state, lambda v: v + self.dt / self.tau * (x + self.drift(v) - w))
        spikes = self.fire(u)
        w = w + self.dt / self.tau_w * (self.a * (u - self.v_rest) - w) + self.b * spikes
        return spikes, AdaptiveState(u, spikes, w)

    def initial_state(self, x: Tensor) -> Any:
        return AdaptiveState(self.initial_membrane(x), torch.zeros_like(x), torch.zeros_like(x))
