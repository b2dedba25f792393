"""The balanced resonate-and-fire neuron: an oscillator without reset that a spike damps for a while."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.neuron.distribution import Numbers, transform
from snnrun.neuron.recurrent import RecurrentNeuron
from snnrun.surrogate import Surrogate

#: The least value under the root of p: with ω at its limit 1/dt an oscillation of 100,000 steps grows by 5 %.
LEAST = 1e-6


class ResonatorState(NamedTuple):
    """Real and imaginary part of an oscillation, the spikes, and the refractoriness after them; each ``[B, *N]``."""

    membrane: Tensor  # the real part u
    spikes: Tensor  # 0 or 1
    imaginary: Tensor  # v
    refractoriness: Tensor  # q


class BRF(RecurrentNeuron):
    """Balanced resonate-and-fire: an oscillator that a spike damps, and never resets.

    ::

        b[t] = p(ω) - |b_offset| - q[t-1],   p(ω) = (-1 + sqrt(1 - (ω dt)²)) / dt       damping
        u[t] = u[t-1] + dt (b[t] u[t-1] - |ω| v[t-1]) + x[t] + W s[t-1]                 the real part is the membrane
        v[t] = v[t-1] + dt (|ω| u[t-1] + b[t] v[t-1])                                   imaginary part
        s[t] = H(u[t] - θ - q[t-1])                                                     fire
        q[t] = γ q[t-1] + s[t]                                                          refractoriness

    W: recurrence, none by default. Without the divergence boundary p the Euler steps of an undamped oscillation would
    grow; with it they keep their size, and ``|b_offset|`` alone damps them. The gradient passes through s into q.
    ``balanced=false`` is the plain neuron: ``b = -|b_offset|``, and neither damping nor threshold depend on spikes.

    ``scale_input`` multiplies input and feedback by dt, as published; with a short step they must then be large to make
    the neuron fire.

    Membrane, threshold, q and input share one unit; dt is in a unit of time, ω, b_offset and q, where it damps, in its
    inverse (ω in radians). All start at 0.

    Args:
        omega: angular frequency ω, a number or one per neuron, with ``|ω| dt < 1``, above which p has no real value.
            Default 10. A learnt ω that passes the limit acts as ω = 1/dt: everything stays finite, and p and the
            oscillation pass no gradient to ω there.
        b_offset: damping, a number or one per neuron, in effect its absolute value. Default 1.
        dt: length of a step > 0. Default 0.01.
        gamma: γ in [0, 1], a number or one per neuron: decay of the refractoriness per step. Default 0.9.
        scale_input: multiply input and feedback by dt. Default false.
        balanced: the divergence boundary and the refractoriness. Default true; without it ω has no limit.
        learn_omega, learn_b_offset: make them parameters, real numbers. Default true.
        recurrence, recurrent_weight, kernel_size, autapses, recurrent_bias: the feedback ``W s``, see
            :class:`snnrun.neuron.RecurrentNeuron`. Default none.
        threshold, surrogate, fires_at, learn_threshold, per_neuron, shape: see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range, or weights for a layer without a given shape.

    Source: Higuchi et al. 2024, "Balanced resonate-and-fire neurons", with ``scale_input=true``,
    ``surrogate=multi_gaussian surrogate.shift=0``, and random ω and b_offset, as ``neuron.omega=uniform(5,10)``
    and ``neuron.b_offset=uniform(0,1)``; their code has 0.01 in p whatever dt is. Izhikevich 2001 for the plain neuron.
    """

    def __init__(
        self,
        *,
        omega: Numbers = 10.0,
        b_offset: Numbers = 1.0,
        dt: float = 0.01,
        gamma: Numbers = 0.9,
        scale_input: bool = False,
        balanced: bool = True,
        learn_omega: bool = True,
        learn_b_offset: bool = True,
        recurrence: str = "none",
        recurrent_weight: Numbers = 1.0,
        kernel_size: int = 3,
        autapses: bool = True,
        recurrent_bias: bool = False,
        threshold: Numbers = 1.0,
        surrogate: Surrogate | None = None,
        fires_at: str = ">",
        learn_threshold: bool = False,
        per_neuron: bool = False,
        shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            recurrence=recurrence,
            recurrent_weight=recurrent_weight,
            kernel_size=kernel_size,
            autapses=autapses,
            recurrent_bias=recurrent_bias,
            threshold=threshold,
            surrogate=surrogate,
            fires_at=fires_at,
            reset="none",
            learn_threshold=learn_threshold,
            per_neuron=per_neuron,
            shape=shape,
        )
        self.dt = check.number("dt", dt, above=0)
        self.scale_input = check.flag("scale_input", scale_input)
        self.balanced = check.flag("balanced", balanced)
        omega = transform("omega", omega, self._check_omega)
        self.omega = self._value("omega", omega, "real", learn=learn_omega)
        self.b_offset = self._value("b_offset", b_offset, "real", learn=learn_b_offset)
        self.gamma = self._value("gamma", gamma, "unit")

    def _check_omega(self, omega: float) -> float:
        number = check.number("omega", omega)
        if self.balanced and abs(number) * self.dt >= 1:
            raise ArgumentError(
                "omega", f"a number between -1/dt and 1/dt, {1 / self.dt:g}", omega, advice="use a shorter step"
            )
        return number

    def step(self, x: Tensor, state: ResonatorState) -> tuple[Tensor, ResonatorState]:
        u, v, q = state.membrane, state.imaginary, state.refractoriness
        omega, b = self.oscillation()
        if self.balanced:
            b = b - q
        x = self.with_feedback(x, state)
        membrane = u + self.dt * (b * u - omega * v) + (self.dt * x if self.scale_input else x)
        imaginary = v + self.dt * (omega * u + b * v)
        excess = membrane - self.threshold()
        spikes = self.surrogate(excess - q if self.balanced else excess, inclusive=self.inclusive)
        if self.balanced:
            q = self.gamma() * q + spikes
        return spikes, ResonatorState(membrane, spikes, imaginary, q)

    def oscillation(self) -> tuple[Tensor, Tensor]:
        """|ω| and the damping without its part that depends on spikes, each ``[]`` or ``[*N]``."""
        omega, offset = (torch.as_tensor(value()).abs() for value in (self.omega, self.b_offset))
        if not self.balanced:
            return omega, -offset
        omega = omega.clamp(max=1 / self.dt)
        turn = self.dt * omega
        # p in a form in which nothing cancels for a small ω.
        return omega, -omega * turn / (1 + (1 - turn * turn).clamp(min=LEAST).sqrt()) - offset

    def initial_state(self, x: Tensor) -> Any:
        zeros = torch.zeros_like(x)
        return ResonatorState(self.initial_membrane(x), zeros, zeros.clone(), zeros.clone())

    def extra_repr(self) -> str:
        return f"surrogate={self.surrogate}, fires_at={'>=' if self.inclusive else '>'}, balanced={self.balanced}"
