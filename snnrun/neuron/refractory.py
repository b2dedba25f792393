"""Refractoriness: for some steps after a spike the membrane is held and there is no spike. A mixin, and two neurons."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from snnrun import check
from snnrun.neuron.adex import AdEx
from snnrun.neuron.base import Neuron
from snnrun.neuron.synaptic import CurrentLIF


class RefractoryLIFState(NamedTuple):
    """Membrane compared with the threshold, spikes, current, membrane held, and steps left; each ``[B, *N]``."""

    membrane: Tensor
    spikes: Tensor
    current: Tensor
    held: Tensor
    refractory: Tensor


class RefractoryAdExState(NamedTuple):
    """Membrane compared with the threshold, spikes, current, adaptation, membrane held, steps left; ``[B, *N]``."""

    membrane: Tensor
    spikes: Tensor
    current: Tensor
    adaptation: Tensor
    held: Tensor
    refractory: Tensor


class Refractory(Neuron):
    """Holds the membrane for ``refractory`` steps after a spike; first base of a refractory neuron.

    ::

        u'[t], s'[t]                                     membrane and spike of the neuron itself, from v[t-1]
        m[t] = H(r[t-1])                                 1 while it is refractory, with the neuron's surrogate
        s[t] = (1 - m[t]) s'[t]
        v[t] = v[t-1] if m[t] else u'[t] after the reset of s'[t]
        r[t] = refractory if s[t] else max(r[t-1] - m[t], 0)

    The recorded membrane is ``u'``: in the refractory period one step from the held membrane, which may be above the
    threshold. With a delayed reset the membrane after the reset is held.
    A subclass names its ``state_type``: the fields of the neuron's own state, then ``held`` and ``refractory``.

    Args:
        refractory: steps without a spike after a spike, a whole number >= 0. Default 5.
        **options: of the neuron.

    Source: Norse's ``LIFRefracCell`` and ``LIFAdExRefracCell``.
    """

    state_type: type[Any]

    def __init__(self, *args: Any, refractory: int = 5, **options: Any) -> None:
        super().__init__(*args, **options)
        self.refractory = check.integer("refractory", refractory, low=0)

    def start(self, state: Any) -> Tensor:
        return state.held

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        fired, after = super().step(x, state)
        u = after.membrane
        if self.delayed:
            moved, rest = u, self.after_reset(state.held, state.spikes)
        else:
            moved, rest = self.after_reset(u, fired), state.held
        # The gate is open or shut, also for a surrogate with random or graded spikes.
        r = state.refractory
        m = self.surrogate(r) if self.surrogate.is_step else (r > 0).to(r.dtype)
        spikes = (1 - m) * fired
        held = (1 - m) * moved + m * rest
        fresh = self.at_most_one(spikes)
        left = (1 - fresh) * torch.relu(r - m) + fresh * self.refractory
        return spikes, self.state_type(u, spikes, *after[2:], held, left)

    def initial_state(self, x: Tensor) -> Any:
        inner = super().initial_state(x)
        return self.state_type(*inner, held=inner.membrane, refractory=torch.zeros_like(x))


class RefractoryLIF(Refractory, CurrentLIF):
    """Refractory LIF: current-based LIF with a rest of some steps after each spike.

    ::

        i[t] = (1 - dt/τ_syn) i[t-1] + x[t] + W s[t-1]           current, goes on meanwhile (W: recurrence)
        u[t] = v[t-1] + dt/τ_mem (v_rest - v[t-1] + i[t])        integrate
        s[t] = H(u[t] - θ), 0 while it is refractory             fire
        v[t] = u[t] - θ s[t], or v[t-1] while it is refractory   reset (subtract; see the options), or hold

    The recorded membrane is u, which may lie above the threshold without a spike while the neuron is refractory. The
    surrogate's gradient also flows back through the refractory period.

    Membrane, threshold, current and input share one unit; τ and dt share one unit of time, such as ms. The membrane
    starts at ``v_rest``, the current at 0, not refractory.

    Args:
        refractory: steps without a spike after a spike, a whole number >= 0. Default 5.
        tau_mem, tau_syn, dt, integration, v_rest, decay_input, learn_alpha, learn_beta, recurrence, recurrent_weight,
            kernel_size, autapses, recurrent_bias: see :class:`snnrun.neuron.CurrentLIF`.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range.

    Source: Gerstner et al., Neuronal Dynamics, section 1.3; Norse's ``LIFRefracCell`` and ``LIFRefracRecurrentCell``
    (``convention=norse``, and ``recurrence=all_to_all autapses=false`` with the reset detached).
    """

    state_type = RefractoryLIFState


class RefractoryAdEx(Refractory, AdEx):
    """Refractory AdEx: adaptive exponential LIF that rests for some steps after each spike.

    ::

        i[t] = (1 - dt/τ_syn) i[t-1] + x[t] + W s[t-1]           current, goes on meanwhile (W: recurrence)
        e[t] = ΔT exp((v[t-1] - v_T) / ΔT)                       upstroke
        u[t] = v[t-1] + dt/τ_mem (v_rest - v[t-1] + e[t] + i[t] - w[t-1])                     integrate
        s'[t] = H(u[t] - θ), and s[t] = s'[t], or 0 while it is refractory                    fire
        w[t] = w[t-1] + dt/τ_adapt (a (v[t-1] - v_rest) - w[t-1]) + b s'[t]                   adapt
        v[t] = u[t] - θ s[t], or v[t-1] while it is refractory   reset (subtract; see the options), or hold

    The adaptation jumps with ``s'``, that is also for spikes that refractoriness suppresses, as in Norse. See also AdEx
    and RefractoryLIF.

    Membrane, threshold, ΔT, v_T, currents and input share one unit; τ and dt share one unit of time, such as ms.

    Args:
        refractory: steps without a spike after a spike, a whole number >= 0. Default 5.
        a, b, delta_T, v_T, tau_adapt: see :class:`snnrun.neuron.AdEx`.
        tau_mem, tau_syn, dt, integration, v_rest, learn_alpha, learn_beta, recurrence, recurrent_weight, kernel_size,
            autapses, recurrent_bias: see :class:`snnrun.neuron.CurrentLIF`.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range.

    Source: Norse's ``LIFAdExRefracCell`` and ``LIFAdExRefracRecurrentCell`` (``convention=norse``).
    """

    state_type = RefractoryAdExState
