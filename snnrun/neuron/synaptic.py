"""Neurons with a synaptic current: the membrane integrates a current that decays by itself."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.neuron.base import Neuron, NeuronOptions
from snnrun.neuron.decay import check_decay, factor
from snnrun.neuron.distribution import Numbers
from snnrun.neuron.recurrent import RecurrentNeuron, RecurrentOptions


class SynapticState(NamedTuple):
    """Membrane before the reset, spikes, and the current into that membrane; each ``[B, *N]``."""

    membrane: Tensor
    spikes: Tensor
    current: Tensor


class Synaptic(Neuron):
    """Synaptic LIF: an input jumps onto a current that decays, and the current charges the leaky membrane.

    ::

        i[t] = α i[t-1] + x[t]                                   current, never reset
        u[t] = v_rest + β (v[t-1] - v_rest) + i[t]               integrate
        s[t] = H(u[t] - θ)                                       fire
        v[t] = u[t] - θ s[t]                                     reset (subtract; see the options)

    With ``τ_syn`` and ``τ_mem``: ``α = exp(-dt/τ_syn)``, ``β = exp(-dt/τ_mem)``. ``decay_input`` scales the current by
    ``1 - β``. With α = 0 this is LIF.

    Membrane, threshold, current and input share one unit; τ and dt share one unit of time. The membrane starts at
    ``v_rest``, the current at 0.

    Args:
        alpha: α in [0, 1], a number or one per neuron: decay of the current per step. Default 0.5.
        beta: β in [0, 1], a number or one per neuron: decay of the membrane per step. Default 0.8.
        tau_syn, tau_mem: time constants > 0, instead of ``alpha`` and ``beta``.
        dt: length of a step, in the unit of the time constants. Default 1.
        integration: how a τ becomes a decay: ``exact``, ``exp(-dt/τ)``, or ``euler``, ``1 - dt/τ`` (needs ``dt <= τ``).
        decay_input: scale the current by ``1 - β``. Default false.
        v_rest: where the membrane leaks to. Default 0.
        learn_alpha, learn_beta: make the decay a parameter; it stays in (0, 1).
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    A constant input of 1 drives the membrane to ``1/((1 - α)(1 - β))``: 10 by default. Decays nearer 1 need a weaker
    input, or ``decay_input=true``; with α = 0.9 and β = 0.95 the factor is 200, and a layer fires at random from the
    first step on.

    With ``reset=zero`` and ``reset_timing=delayed``, the step in which the reset lands adds no current to the
    membrane, as in snnTorch; the current itself goes on. This differs from LIF.

    Raises:
        ValueError: for an argument out of range, or both a decay and its time constant.

    Source: snnTorch's ``Synaptic`` (``convention=snntorch``); Zenke & Ganguli 2018.
    """

    def __init__(
        self,
        alpha: Numbers | None = None,
        beta: Numbers | None = None,
        *,
        tau_syn: Numbers | None = None,
        tau_mem: Numbers | None = None,
        dt: float = 1.0,
        integration: str = "exact",
        decay_input: bool = False,
        v_rest: float = 0.0,
        learn_alpha: bool = False,
        learn_beta: bool = False,
        **options: Unpack[NeuronOptions],
    ) -> None:
        super().__init__(**options)
        check_decay(dt, integration)
        self.dt, self.integration = dt, integration
        alpha = factor(("alpha", "tau_syn"), (alpha, tau_syn), 0.5, dt, integration)
        beta = factor(("beta", "tau_mem"), (beta, tau_mem), 0.8, dt, integration)
        self.alpha = self._value("alpha", alpha, "unit", learn=learn_alpha)
        self.beta = self._value("beta", beta, "unit", learn=learn_beta)
        self.decay_input = check.flag("decay_input", decay_input)
        self.v_rest = check.number("v_rest", v_rest)

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        current = self.alpha() * state.current + x
        u = self.advance(state, lambda v: self.integrate(v, current))
        spikes = self.fire(u)
        return spikes, SynapticState(u, spikes, current)

    def integrate(self, v: Tensor, x: Tensor) -> Tensor:
        """The leaky membrane ``[B, *N]`` one step on, driven by the current ``x``."""
        beta = self.beta()
        gain = 1 - beta if self.decay_input else 1.0
        return beta * v + gain * x + (1 - beta) * self.v_rest

    def initial_state(self, x: Tensor) -> Any:
        return SynapticState(self.initial_membrane(x), torch.zeros_like(x), torch.zeros_like(x))


class RSynaptic(RecurrentNeuron, Synaptic):
    """Recurrent synaptic LIF: its spikes come back onto the synaptic current one step later.

    ::

        i[t] = α i[t-1] + x[t] + W s[t-1]                        current with feedback
        u[t] = v_rest + β (v[t-1] - v_rest) + i[t]               integrate
        s[t] = H(u[t] - θ)                                       fire
        v[t] = u[t] - θ s[t]                                     reset (subtract; see the options)

    Membrane, threshold, current, input and weights share one unit. The membrane starts at ``v_rest``, the current at
    0, without spikes.

    Args:
        recurrence, recurrent_weight, kernel_size, autapses, recurrent_bias: the feedback ``W s``, see
            :class:`snnrun.neuron.RecurrentNeuron`. Default all to all, without bias.
        alpha, beta, tau_syn, tau_mem, dt, integration, decay_input, v_rest, learn_alpha, learn_beta: see
            :class:`snnrun.neuron.Synaptic`.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range, or weights for a layer without a given shape.

    Source: snnTorch's ``RSynaptic`` (``convention=snntorch``; its all-to-all and convolutional feedback has a bias).
    """


class CurrentOptions(RecurrentOptions, total=False):
    """The ``**options`` of :class:`CurrentLIF`; see :class:`Synaptic` and :class:`RecurrentNeuron`."""

    dt: float
    v_rest: float
    learn_alpha: bool
    learn_beta: bool


class AdaptingOptions(CurrentOptions, total=False):
    """The ``**options`` of a current-based neuron with an adaptation, without ``decay_input``."""

    tau_mem: Numbers
    tau_syn: Numbers
    integration: str
    recurrence: str


class CurrentLIF(RecurrentNeuron, Synaptic):
    """Current-based LIF in physical time: two time constants, and a membrane that relaxes towards its drive.

    ::

        i[t] = (1 - dt/τ_syn) i[t-1] + x[t] + W s[t-1]           current (W: recurrence, none by default)
        u[t] = v[t-1] + dt/τ_mem (v_rest - v[t-1] + i[t])        integrate
        s[t] = H(u[t] - θ)                                       fire
        v[t] = u[t] - θ s[t]                                     reset (subtract; see the options)

    This is Synaptic given by time constants, with the membrane's input scaled by ``dt/τ_mem``. With
    ``integration=exact`` the factors are ``exp(-dt/τ)`` and ``1 - exp(-dt/τ_mem)``.

    Membrane, threshold, current and input share one unit; τ and dt share one unit of time, such as ms. The membrane
    starts at ``v_rest``, the current at 0.

    Args:
        tau_mem, tau_syn: time constants, at least dt. Default 10 and 5.
        dt: length of a step. Default 1.
        integration: ``euler`` (default, as published) or ``exact``.
        v_rest: where the membrane leaks to. Default 0.
        decay_input: scale the current by ``dt/τ_mem``. Default true.
        recurrence, recurrent_weight, kernel_size, autapses, recurrent_bias: see :class:`snnrun.neuron.RecurrentNeuron`.
            Default none.
        learn_alpha, learn_beta: make the decay of the current or of the membrane a parameter; it stays in (0, 1).
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range, or weights for a layer without a given shape.

    Source: Norse's ``LIFCell`` (``convention=norse``; its i is ours after the decay) and ``LIFRecurrentCell``
    (``recurrence=all_to_all autapses=false``, with the reset detached). Norse counts in seconds.
    """

    def __init__(
        self,
        *,
        tau_mem: Numbers = 10.0,
        tau_syn: Numbers = 5.0,
        integration: str = "euler",
        decay_input: bool = True,
        recurrence: str = "none",
        **options: Unpack[CurrentOptions],
    ) -> None:
        super().__init__(
            tau_mem=tau_mem,
            tau_syn=tau_syn,
            integration=integration,
            decay_input=decay_input,
            recurrence=recurrence,
            **options,
        )
