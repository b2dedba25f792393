"""The adaptive LIF of spiking recurrent networks: its threshold follows its rate, its time constants are learnt."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.neuron.decay import decay_by
from snnrun.neuron.distribution import Numbers, transform
from snnrun.neuron.izhikevich import AdaptiveState
from snnrun.neuron.recurrent import RecurrentNeuron, RecurrentOptions
from snnrun.neuron.value import Value


class AdaptiveThreshold(RecurrentNeuron):
    """Adaptive threshold: a LIF whose threshold follows its own rate, with learnt time constants.

    ::

        a[t] = ρ a[t-1] + (1 - ρ) s[t-1]               the rate of the neuron
        B[t] = θ + k a[t]                              its threshold
        u[t] = α v[t-1] + x[t] + W s[t-1]              integrate
        s[t] = H(u[t] - B[t])                          fire
        v[t] = u[t] - B[t] s[t]                        reset (subtract; see the options)

    with ``α = exp(-dt/|τ|)`` and ``ρ = exp(-dt/|τ_adapt|)``. W: recurrence, none by default. The rate of a neuron that
    fires at each step approaches 1. ``subtract`` subtracts the raised threshold B; with ``reset_timing=delayed`` it is
    the B of the step in which the reset lands. The gradient passes through the spikes in a. ``decay_input`` scales
    input and feedback by ``1 - α``, as published.

    The threshold of the neuron LSNN jumps by the same amount whatever τ_adapt is, and its reset subtracts θ.

    Membrane, threshold, k and input share one unit; τ, τ_adapt and dt share one unit of time. Membrane and a start
    at 0.

    Args:
        tau, tau_adapt: time constants of membrane and rate, above 0, numbers or one per neuron. Default 20 and 20.
        dt: length of a step > 0. Default 1.
        strength: k, at least 0: by how much the threshold of a neuron that always fires is raised. Default 1.8.
        decay_input: scale input and feedback by ``1 - α``. Default false.
        learn_tau: make both time constants parameters, in the unit of ``dt``. Default true.
        recurrence, recurrent_weight, kernel_size, autapses, recurrent_bias: the feedback ``W s``, see
            :class:`snnrun.neuron.RecurrentNeuron`. Default none.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range, or weights for a layer without a given shape.

    Source: Yin, Corradi & Bohté 2021, "Accurate and efficient time-domain classification with adaptive spiking
    recurrent neural networks". The code of Higuchi et al. 2024 has
    ``decay_input=true threshold=0.01 detach_reset=false``; the code of Yin et al. has ``reset_timing=delayed`` and
    other values.
    """

    def __init__(
        self,
        *,
        tau: Numbers = 20.0,
        tau_adapt: Numbers = 20.0,
        dt: float = 1.0,
        strength: float = 1.8,
        decay_input: bool = False,
        learn_tau: bool = True,
        recurrence: str = "none",
        **options: Unpack[RecurrentOptions],
    ) -> None:
        super().__init__(recurrence=recurrence, **options)
        self.dt = check.number("dt", dt, above=0)
        self.strength = check.number("strength", strength, low=0)
        self.decay_input = check.flag("decay_input", decay_input)
        self.tau = self._time("tau", tau, learn_tau)
        self.tau_adapt = self._time("tau_adapt", tau_adapt, learn_tau)

    def _time(self, name: str, value: Numbers, learn: bool) -> Value:
        # A learnt τ is a real number, since its sign does not matter.
        value = transform(name, value, lambda one: check.number(name, one, above=0))
        return self._value(name, value, "real", learn=learn)

    def step(self, x: Tensor, state: AdaptiveState) -> tuple[Tensor, AdaptiveState]:
        alpha, rho = decay_by(self.tau, self.dt), decay_by(self.tau_adapt, self.dt)
        rate = rho * state.adaptation + (1 - rho) * state.spikes
        threshold = self.raised(rate)
        drive = self.with_feedback(x, state)
        if self.decay_input:
            drive = (1 - alpha) * drive
        if self.delayed:
            u = self._reset(alpha * state.membrane + drive, state.spikes, threshold)
        else:
            u = alpha * self._reset(state.membrane, state.spikes, self.raised(state.adaptation)) + drive
        spikes = self.surrogate(u - threshold, inclusive=self.inclusive)
        return spikes, AdaptiveState(u, spikes, rate)

    def raised(self, rate: Tensor) -> Tensor:
        """B: the threshold of neurons with the rate a, ``[B, *N]``."""
        return self.threshold() + self.strength * rate

    def _reset(self, membrane: Tensor, spikes: Tensor, threshold: Tensor) -> Tensor:
        if self.reset == "subtract":
            return membrane - threshold * (spikes.detach() if self.detach_reset else spikes)
        return self.after_reset(membrane, spikes)

    def initial_state(self, x: Tensor) -> Any:
        return AdaptiveState(self.initial_membrane(x), torch.zeros_like(x), torch.zeros_like(x))
