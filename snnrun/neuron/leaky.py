"""The leaky integrate-and-fire neuron, by decay factor or by time constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from snnrun import check
from snnrun.neuron.base import Linear, LinearNeuron, State
from snnrun.neuron.decay import check_decay, factor


class LIF(LinearNeuron):
    """Leaky integrate-and-fire: a membrane that adds up its input and leaks towards rest.

    ::

        u[t] = v_rest + β (v[t-1] - v_rest) + x[t]        integrate
        s[t] = H(u[t] - θ)                                fire
        v[t] = u[t] - θ s[t]                              reset (subtract; see the options)

    with ``β = exp(-dt/τ)`` where τ is given. ``decay_input`` scales the input by ``1 - β``, so that a constant input I
    drives the membrane towards ``v_rest + I`` whatever the leak.

    Membrane, threshold and input share one unit; τ and dt share one unit of time. The membrane starts at ``v_rest``.

    Args:
        beta: β in [0, 1], a number or one per neuron: what a step leaves of the membrane. Default 0.95 if τ is None.
        tau: time constant τ > 0, instead of ``beta``.
        dt: length of a step, in the unit of τ. Default 1.
        integration: how τ becomes β: ``exact``, ``exp(-dt/τ)``, or ``euler``, ``1 - dt/τ`` (needs ``dt <= τ``).
        decay_input: scale the input by ``1 - β``. Default false.
        v_rest: where the membrane leaks to. Default 0.
        learn_beta: make β a parameter; it stays in (0, 1).
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range, or both ``beta`` and ``tau``.

    Source: Gerstner et al., Neuronal Dynamics, section 1.3. snnTorch's ``Leaky`` is ``convention=snntorch``;
    SpikingJelly's ``LIFNode`` is ``convention=spikingjelly`` with ``tau``, ``integration=euler``, ``decay_input=true``
    and ``v_rest = v_reset``; Norse's ``LIFBoxCell`` the same with ``convention=norse``.
    """

    #: β where neither it nor τ is given.
    usual_beta = 0.95

    def __init__(
        self,
        beta: float | Sequence[float] | None = None,
        *,
        tau: float | Sequence[float] | None = None,
        dt: float = 1.0,
        integration: str = "exact",
        decay_input: bool = False,
        v_rest: float = 0.0,
        learn_beta: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_decay(dt, integration)
        beta = factor(("beta", "tau"), (beta, tau), self.usual_beta, dt, integration)
        self.beta = self._value("beta", beta, "unit", learn=learn_beta)
        self.decay_input = check.flag("decay_input", decay_input)
        self.v_rest = check.number("v_rest", v_rest)

    def linear(self) -> Linear:
        beta = self.beta()
        return Linear(
            decay=beta,
            gain=1 - beta if self.decay_input else 1.0,
            offset=(1 - beta) * self.v_rest if self.v_rest else 0.0,
        )

    def initial_state(self, x: Tensor) -> State:
        return State(torch.full_like(x, self.v_rest), torch.zeros_like(x))
