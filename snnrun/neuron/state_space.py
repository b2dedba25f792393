"""Neurons of state-space models: linear states that fire and reset. Their decay rates are learnt."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.neuron.base import Neuron, NeuronOptions
from snnrun.neuron.distribution import Numbers
from snnrun.neuron.izhikevich import AdaptiveState
from snnrun.neuron.value import Range


class ComplexState(NamedTuple):
    """Twice the real and the imaginary part of a complex state, and the spikes; each ``[B, *N]``."""

    membrane: Tensor  # twice the real part
    spikes: Tensor  # 0 or 1
    imaginary: Tensor  # twice the imaginary part


class SiLIF(Neuron):
    """SiLIF: an adaptive LIF with the discretisation of a state-space model, whose rates and time step are learnt.

    ::

        w[t] = ρ w[t-1] + a u[t-1] + b s[t-1]             adapt
        u[t] = β v[t-1] + x[t] - (1 - β) w[t]             integrate
        s[t] = H(u[t] - θ)                                fire
        v[t] = u[t] - θ s[t]                              reset (subtract; see the options)

    with ``β = exp(-λ Δ)`` and ``ρ = exp(-λ_w Δ)``: the time step Δ is common to both rates. w takes the membrane before
    the reset, and has no factor ``1 - ρ``. ``decay_input`` scales the input by ``1 - β`` too, as published; it must
    then be large, or behind a norm, to make the neuron fire.

    Membrane, threshold, input and w share one unit; Δ is in a unit of time, λ and λ_w in its inverse. Membrane and w
    start at 0. λ, λ_w and Δ are learnt as their logarithms, so they stay positive. Learnt a and b stay in their ranges:
    a value that a step of the optimizer takes beyond an end is moved to this end.

    Args:
        decay: λ > 0, decay rate of the membrane, a number or one per neuron. Default 50.
        decay_w: λ_w > 0, decay rate of the adaptation, likewise. Default 5.
        delta: Δ > 0, the time step, likewise. Default 0.004.
        a: coupling of the adaptation to the membrane, in [0, 1], likewise. Default 0.5.
        b: coupling to the spikes, in [0, 2], likewise. Default 1.
        decay_input: scale the input by ``1 - β``. Default false.
        learn_decay: make λ and λ_w parameters. Default true.
        learn_delta: make Δ a parameter. Default true.
        learn_adaptation: make a and b parameters. Default true.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range.

    Source: Fabre et al. 2025, "Structured state space model dynamics and parametrization for spiking neural networks",
    with ``decay_input=true detach_reset=false``, ``surrogate=rectangular`` and random values:
    ``neuron.decay=log_uniform(10,250)``, ``neuron.decay_w=log_uniform(2.5,10)``, ``neuron.a=uniform(0,1)`` and
    ``neuron.b=uniform(0,2)``. Their membranes, w and spikes start at random numbers in [0, 1), and a or b beyond its
    range stays there without gradient.
    """

    def __init__(
        self,
        *,
        decay: Numbers = 50.0,
        decay_w: Numbers = 5.0,
        delta: Numbers = 0.004,
        a: Numbers = 0.5,
        b: Numbers = 1.0,
        decay_input: bool = False,
        learn_decay: bool = True,
        learn_delta: bool = True,
        learn_adaptation: bool = True,
        **options: Unpack[NeuronOptions],
    ) -> None:
        super().__init__(**options)
        self.decay = self._value("decay", decay, "positive", learn=learn_decay)
        self.decay_w = self._value("decay_w", decay_w, "positive", learn=learn_decay)
        self.delta = self._value("delta", delta, "positive", learn=learn_delta)
        self.decay_input = check.flag("decay_input", decay_input)
        self.a = self._value("a", a, Range(0.0, 1.0), learn=learn_adaptation)
        self.b = self._value("b", b, Range(0.0, 2.0), learn=learn_adaptation)

    def step(self, x: Tensor, state: AdaptiveState) -> tuple[Tensor, AdaptiveState]:
        delta = self.delta()
        beta, rho = _exp(-self.decay() * delta), _exp(-self.decay_w() * delta)
        w = rho * state.adaptation + self.a() * state.membrane + self.b() * state.spikes
        drive = (1 - beta) * (x - w) if self.decay_input else x - (1 - beta) * w
        u = self.advance(state, lambda v: beta * v + drive)
        spikes = self.fire(u)
        return spikes, AdaptiveState(u, spikes, w)

    def initial_state(self, x: Tensor) -> Any:
        return AdaptiveState(self.initial_membrane(x), torch.zeros_like(x), torch.zeros_like(x))


class CSiLIF(Neuron):
    """C-SiLIF: a complex state that turns and decays, as in a diagonal state-space model, and fires by its real part.

    ::

        z[t] = exp((-λ + iω) Δ) (z[t-1] - θ/2 s[t-1]) + g x[t]       the state turns, decays and takes the input
        u[t] = 2 Re z[t]                                             the membrane
        s[t] = H(u[t] - θ)                                           fire

        in real numbers, with n = 2 Im z, ρ = exp(-λΔ) and φ = ωΔ:
        u[t] = ρ (cos φ v[t-1] - sin φ n[t-1]) + 2 g x[t]
        n[t] = ρ (sin φ v[t-1] + cos φ n[t-1])
        v[t] = u[t] - θ s[t]                                         reset (subtract; see the options); n is not reset

    The factor 2 stands for the complex conjugate of the state, which has the same real part.

    Membrane, n and threshold share one unit, which g makes of the unit of the input; Δ is in a unit of time, λ and ω in
    its inverse (ω in radians). Both parts start at 0. λ and Δ are learnt as their logarithms, so they stay positive.

    Args:
        decay: λ > 0, the decay rate, a number or one per neuron. Default 0.5.
        omega: angular frequency ω, a real number, likewise. Default π.
        delta: Δ > 0, the time step, likewise. Default 0.1.
        gain: g, a real number, likewise. Default 0.5.
        learn_decay, learn_omega, learn_delta, learn_gain: make them parameters. Default true.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`. With ``reset_timing=delayed`` n takes the
            membrane before the reset.

    Raises:
        ValueError: for an argument out of range.

    Source: Fabre et al. 2025, "Structured state space model dynamics and parametrization for spiking neural networks",
    with ``detach_reset=false``, ``surrogate=rectangular`` and random values: ``neuron.delta=log_uniform(0.01,0.5)`` and
    ``neuron.gain=uniform(0,1)``. Their states and spikes start at random numbers in [0, 1).
    """

    def __init__(
        self,
        *,
        decay: Numbers = 0.5,
        omega: Numbers = math.pi,
        delta: Numbers = 0.1,
        gain: Numbers = 0.5,
        learn_decay: bool = True,
        learn_omega: bool = True,
        learn_delta: bool = True,
        learn_gain: bool = True,
        **options: Unpack[NeuronOptions],
    ) -> None:
        super().__init__(**options)
        self.decay = self._value("decay", decay, "positive", learn=learn_decay)
        self.omega = self._value("omega", omega, "real", learn=learn_omega)
        self.delta = self._value("delta", delta, "positive", learn=learn_delta)
        self.gain = self._value("gain", gain, "real", learn=learn_gain)

    def step(self, x: Tensor, state: ComplexState) -> tuple[Tensor, ComplexState]:
        real, imaginary = self.turn()
        v, n = self.start(state), state.imaginary
        u = self.land(real * v - imaginary * n + 2 * self.gain() * x, state)
        spikes = self.fire(u)
        return spikes, ComplexState(u, spikes, imaginary * v + real * n)

    def turn(self) -> tuple[Tensor | float, Tensor | float]:
        """Real and imaginary part of ``exp((-λ + iω) Δ)``, each a number, ``[]`` or ``[*N]``."""
        decay, omega, delta = self.decay(), self.omega(), self.delta()
        size, angle = _exp(-decay * delta), omega * delta
        if isinstance(angle, Tensor):
            return size * torch.cos(angle), size * torch.sin(angle)
        return size * math.cos(angle), size * math.sin(angle)

    def initial_state(self, x: Tensor) -> Any:
        return ComplexState(self.initial_membrane(x), torch.zeros_like(x), torch.zeros_like(x))


def _exp(exponent: Tensor | float) -> Tensor | float:
    return torch.exp(exponent) if isinstance(exponent, Tensor) else math.exp(exponent)
