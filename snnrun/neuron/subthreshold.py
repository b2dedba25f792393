"""Adaptive leaky integrate-and-fire neurons whose adaptation follows the membrane below the threshold too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.neuron.base import Neuron, NeuronOptions
from snnrun.neuron.distribution import Numbers
from snnrun.neuron.izhikevich import AdaptiveState
from snnrun.neuron.recurrent import RecurrentNeuron, RecurrentOptions
from snnrun.neuron.value import Range


class _Adapting(Neuron):
    """The common step; a subclass has the decays, the couplings and the drive of the membrane.

    Args:
        decay_input: for ``drive``.
        symplectic: the membrane takes the new adaptation, else the one of the step before.
        **options: of every neuron.
    """

    def __init__(self, *, decay_input: bool, symplectic: bool, **options: Unpack[NeuronOptions]) -> None:
        super().__init__(**options)
        self.decay_input = check.flag("decay_input", decay_input)
        self.symplectic = check.flag("symplectic", symplectic)

    def decays(self) -> tuple[Tensor | float, Tensor | float]:
        """β and ρ, each a number, ``[]`` or ``[*N]``."""
        raise NotImplementedError(f"{type(self).__name__} must define decays()")

    def couplings(self) -> tuple[Tensor | float, Tensor | float]:
        """The couplings of the adaptation to the membrane and to the spikes, likewise."""
        raise NotImplementedError(f"{type(self).__name__} must define couplings()")

    def drive(self, x: Tensor, w: Tensor, beta: Tensor | float) -> Tensor:
        """What is added to ``β v``, for the input ``x`` and the adaptation ``w``; all ``[B, *N]``."""
        raise NotImplementedError(f"{type(self).__name__} must define drive(x, w, beta)")

    def step(self, x: Tensor, state: AdaptiveState) -> tuple[Tensor, AdaptiveState]:
        (beta, rho), (a, b) = self.decays(), self.couplings()
        seen = state.membrane if self.delayed else self.after_reset(state.membrane, state.spikes)
        w = rho * state.adaptation + (1 - rho) * (a * seen + b * state.spikes)
        drive = self.drive(x, w if self.symplectic else state.adaptation, beta)
        u = self.advance(state, lambda v: beta * v + drive)
        spikes = self.fire(u)
        return spikes, AdaptiveState(u, spikes, w)

    def initial_state(self, x: Tensor) -> Any:
        return AdaptiveState(self.initial_membrane(x), torch.zeros_like(x), torch.zeros_like(x))


class AdLIF(_Adapting):
    """Adaptive leaky integrate-and-fire: an adaptation current that follows the membrane below the threshold too.

    ::

        w[t] = ρ w[t-1] + (1 - ρ)(a v[t-1] + b s[t-1])    adapt
        u[t] = β v[t-1] + x[t] - w[t]                     integrate
        s[t] = H(u[t] - θ)                                fire
        v[t] = u[t] - θ s[t]                              reset (subtract; see the options)

    w is updated first, and the membrane uses the new one (the symplectic order), so the pair of Euler steps is stable
    for strong coupling. With ``symplectic=false`` the membrane uses ``w[t-1]`` (Euler's forward order). With a > 0 the
    membrane overshoots and oscillates; at rest under a constant input it is ``x/(1 - β + a)``. ``decay_input`` scales
    ``x - w`` by ``1 - β``: then it is ``x/(1 + a)``. With ``reset_timing=delayed`` w uses the membrane before the
    reset.

    Membrane, threshold, input and w share one unit. Membrane and w start at 0.

    Args:
        beta: β in [0, 1], a number or one per neuron: decay of the membrane per step. Default 0.9.
        rho: ρ in [0, 1]: decay of the adaptation per step. Default 0.97.
        a: coupling of the adaptation to the membrane, at least 0. Default 0.2.
        b: coupling to the spikes, at least 0. Default 2.
        decay_input: scale input and adaptation by ``1 - β``, as published. Default false.
        symplectic: the membrane takes the new adaptation. Default true.
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
        symplectic: bool = True,
        learn_beta: bool = False,
        learn_rho: bool = False,
        learn_adaptation: bool = False,
        **options: Unpack[NeuronOptions],
    ) -> None:
        super().__init__(decay_input=decay_input, symplectic=symplectic, **options)
        self.beta = self._value("beta", beta, "unit", learn=learn_beta)
        self.rho = self._value("rho", rho, "unit", learn=learn_rho)
        self.a = self._coupling("a", a, check.flag("learn_adaptation", learn_adaptation))
        self.b = self._coupling("b", b, learn_adaptation)

    def _coupling(self, name: str, value: float | str, learn: bool) -> Any:
        if not isinstance(value, str) and check.number(name, value, low=0) == 0 and not learn:
            return _zero  # not in the interval of positive values
        return self._value(name, value, "positive", learn=learn)

    def decays(self) -> tuple[Tensor | float, Tensor | float]:
        return self.beta(), self.rho()

    def couplings(self) -> tuple[Tensor | float, Tensor | float]:
        return self.a(), self.b()

    def drive(self, x: Tensor, w: Tensor, beta: Tensor | float) -> Tensor:
        return (1 - beta if self.decay_input else 1.0) * (x - w)


class SEAdLIF(RecurrentNeuron, _Adapting):
    """SE-adLIF: the adaptive LIF in symplectic Euler steps, with time constants and couplings learnt within ranges.

    ::

        w[t] = ρ w[t-1] + (1 - ρ) q (a v[t-1] + b s[t-1])            adapt
        u[t] = β v[t-1] + x[t] + W s[t-1] - (1 - β) w[t]             integrate
        s[t] = H(u[t] - θ)                                           fire
        v[t] = u[t] - θ s[t]                                         reset (subtract; see the options)

    with ``β = exp(-dt/τ)`` and ``ρ = exp(-dt/τ_w)``. W: recurrence, none by default. The gradient passes through the
    spikes in w. ``decay_input`` scales input and feedback by ``1 - β`` too, as published; they must then be large to
    make the neuron fire. ``symplectic=false`` is EF-adLIF, Euler's forward steps: the membrane uses ``w[t-1]``, and a
    strong coupling makes it unstable. With ``reset_timing=delayed`` w uses the membrane before the reset.

    Membrane, threshold, input and w share one unit; τ, τ_w and dt share one unit of time. Membrane and w start at 0.

    Learnt values stay in their ranges: a value that a step of the optimizer takes beyond an end is moved to this end.
    A learnt τ is stored as its share of the range, from 0 to 1, so that one learning rate suits both time constants.

    Args:
        tau, tau_w: time constants of membrane and adaptation, numbers or one per neuron. Default 15 and 180.
        tau_range, tau_w_range: least and greatest value of each, above 0. Default 5 to 25, and 60 to 300.
        dt: length of a step > 0. Default 1.
        a: coupling of the adaptation to the membrane, in [0, 1], a number or one per neuron. Default 0.5.
        b: coupling to the spikes, in [0, 2], likewise. Default 1.
        q: factor of both couplings > 0. Default 120.
        decay_input: scale input and feedback by ``1 - β``. Default false.
        symplectic: the membrane takes the new adaptation. Default true.
        learn_tau: make both time constants parameters. Default true.
        learn_adaptation: make a and b parameters. Default true.
        recurrence, recurrent_weight, kernel_size, autapses, recurrent_bias: the feedback ``W s``, see
            :class:`snnrun.neuron.RecurrentNeuron`. Default none.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range, or weights for a layer without a given shape.

    Source: Baronig et al. 2025, "Advancing spatio-temporal processing through adaptation in spiking neural networks",
    with ``decay_input=true reset=zero recurrence=all_to_all``, random values (``neuron.tau=uniform(5,25)``,
    ``neuron.tau_w=uniform(60,300)``, ``neuron.a=uniform(0,1)``, ``neuron.b=uniform(0,2)``) and the surrogate of SLAYER,
    ``surrogate=spike_rate_escape surrogate.beta=5 surrogate.slope=1`` (there ``alpha=5``, ``c=0.4``).
    """

    def __init__(
        self,
        *,
        tau: Numbers = 15.0,
        tau_w: Numbers = 180.0,
        tau_range: Sequence[float] = (5.0, 25.0),
        tau_w_range: Sequence[float] = (60.0, 300.0),
        dt: float = 1.0,
        a: Numbers = 0.5,
        b: Numbers = 1.0,
        q: float = 120.0,
        decay_input: bool = False,
        symplectic: bool = True,
        learn_tau: bool = True,
        learn_adaptation: bool = True,
        recurrence: str = "none",
        **options: Unpack[RecurrentOptions],
    ) -> None:
        super().__init__(recurrence=recurrence, decay_input=decay_input, symplectic=symplectic, **options)
        self.dt, self.q = check.number("dt", dt, above=0), check.number("q", q, above=0)
        self.tau = self._value("tau", tau, _range("tau_range", tau_range), learn=learn_tau)
        self.tau_w = self._value("tau_w", tau_w, _range("tau_w_range", tau_w_range), learn=learn_tau)
        self.a = self._value("a", a, Range(0.0, 1.0), learn=learn_adaptation)
        self.b = self._value("b", b, Range(0.0, 2.0), learn=learn_adaptation)

    def decays(self) -> tuple[Tensor | float, Tensor | float]:
        return _decay(self.tau(), self.dt), _decay(self.tau_w(), self.dt)

    def couplings(self) -> tuple[Tensor | float, Tensor | float]:
        return self.q * self.a(), self.q * self.b()

    def drive(self, x: Tensor, w: Tensor, beta: Tensor | float) -> Tensor:
        return (1 - beta) * (x - w) if self.decay_input else x - (1 - beta) * w


def _range(name: str, ends: Sequence[float]) -> Range:
    expected = "two numbers above 0, the lower one first"
    if isinstance(ends, str) or not isinstance(ends, Sequence) or len(ends) != 2:
        raise ArgumentError(name, expected, ends)
    low, high = (check.number(name, end, above=0) for end in ends)
    if not low < high:
        raise ArgumentError(name, expected, ends)
    return Range(low, high, share=True)


def _decay(tau: Tensor | float, dt: float) -> Tensor | float:
    return torch.exp(-dt / tau) if isinstance(tau, Tensor) else math.exp(-dt / tau)


def _zero() -> float:
    return 0.0
