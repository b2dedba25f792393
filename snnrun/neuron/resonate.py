"""The resonate-and-fire neuron: a damped oscillator that fires."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.errors import ArgumentError, Description
from snnrun.neuron.base import Neuron, NeuronOptions


class OscillatorState(NamedTuple):
    """A state whose membrane is the imaginary part of an oscillation."""

    membrane: Tensor  # [B, *N], the imaginary part v
    spikes: Tensor  # [B, *N], 0 or 1
    current: Tensor  # [B, *N], the real part c


class ResonateAndFire(Neuron):
    """Resonate-and-fire: a damped oscillator, most sensitive to input at its own frequency.

    ::

        c[t] = ρ (c[t-1] cos φ - v[t-1] sin φ) + x[t]     the real part takes the input
        u[t] = ρ (c[t-1] sin φ + v[t-1] cos φ)            the imaginary part is the membrane
        s[t] = H(u[t] - θ)                                fire
        v[t] = u[t] - θ s[t]                              reset (subtract; see the options); c is not reset

    with ``ρ = exp(-decay dt)`` and ``φ = ω dt``: the exact solution of ``dz/dt = (-decay + iω) z``, ``z = c + iv``.
    An input reaches the membrane one step later.

    Membrane, current, threshold and input share one unit; dt is in a unit of time, decay and ω in its inverse (ω in
    radians). Both parts start at 0.

    Args:
        decay: damping > 0. Default 0.2.
        omega: angular frequency ω > 0, with ``ω dt < π``: above it a step cannot follow the oscillation. Default 1.
        dt: length of a step > 0. Default 1.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`. With ``reset_timing=delayed`` the turn of the
            step in which the reset lands still sees the membrane of before.

    Raises:
        ValueError: for an argument out of range.

    As published a spike sets the whole state, current and membrane, to a fixed point; here, as in SpikingJelly, it
    resets the membrane alone.

    Source: Izhikevich 2001, "Resonate-and-fire neurons"; SpikingJelly's ``RAFNode`` (its ``b`` is ``-decay``).
    """

    def __init__(
        self, *, decay: float = 0.2, omega: float = 1.0, dt: float = 1.0, **options: Unpack[NeuronOptions]
    ) -> None:
        super().__init__(**options)
        self.decay, self.omega = check.number("decay", decay, above=0), check.number("omega", omega, above=0)
        self.dt = check.number("dt", dt, above=0)
        if omega * dt >= math.pi:
            raise ArgumentError(
                "omega", "omega * dt below π", Description(f"{omega * dt:g}"), advice="use a shorter step"
            )
        rho = math.exp(-decay * dt)
        self._cos, self._sin = rho * math.cos(omega * dt), rho * math.sin(omega * dt)

    def step(self, x: Tensor, state: OscillatorState) -> tuple[Tensor, OscillatorState]:
        c = state.current
        v = state.membrane if self.delayed else self.after_reset(state.membrane, state.spikes)
        u = self._sin * c + self._cos * v
        if self.delayed:
            u = self.after_reset(u, state.spikes)
        spikes = self.fire(u)
        return spikes, OscillatorState(u, spikes, self._cos * c - self._sin * v + x)

    def initial_state(self, x: Tensor) -> Any:
        return OscillatorState(self.initial_membrane(x), torch.zeros_like(x), torch.zeros_like(x))
