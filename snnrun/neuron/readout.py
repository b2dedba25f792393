"""Read-outs that never fire: a loss uses their last, largest or mean membrane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from snnrun.neuron.distribution import Numbers
from snnrun.neuron.leaky import LIF
from snnrun.neuron.synaptic import CurrentLIF


class LI(LIF):
    """Leaky integrator: a read-out that never fires, with the membrane as its output.

    ::

        u[t] = v_rest + β (u[t-1] - v_rest) + x[t]        integrate
        s[t] = 0

    with ``β = exp(-dt/τ)`` if τ is given. With β = 1 it sums its input. A loss on spikes gives it no gradient: use one
    on the membrane. As a hidden layer it passes nothing on.

    Membrane and input share one unit; τ and dt share one unit of time. The membrane starts at ``v_rest``.

    Args:
        beta: β in [0, 1], a number or one per neuron: decay of the membrane per step. Default 0.95 if τ is None.
        tau: time constant τ > 0, instead of ``beta``.
        dt: length of a step, in the unit of τ. Default 1.
        integration: how τ becomes β: ``exact``, ``exp(-dt/τ)``, or ``euler``, ``1 - dt/τ`` (needs ``dt <= τ``).
        decay_input: scale the input by ``1 - β``, so that u is a running mean. Default false.
        v_rest: where the membrane leaks to. Default 0.
        learn_beta: make β a parameter; it stays in (0, 1).
        learn_tau: make τ itself a parameter, see :class:`snnrun.neuron.LIF`. Default false.
        per_neuron: give each neuron its own copy of β or τ.
        shape: ``*N`` of the layer. Models pass it.

    Raises:
        ValueError: for an argument out of range, or both ``beta`` and ``tau``.

    Source: Norse's ``LIBoxCell`` (``tau``, ``integration=euler``, ``decay_input=true``).
    """

    spiking = False

    def __init__(
        self,
        beta: Numbers | None = None,
        *,
        tau: Numbers | None = None,
        dt: float = 1.0,
        integration: str = "exact",
        decay_input: bool = False,
        v_rest: float = 0.0,
        learn_beta: bool = False,
        learn_tau: bool = False,
        per_neuron: bool = False,
        shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            beta,
            tau=tau,
            dt=dt,
            integration=integration,
            decay_input=decay_input,
            v_rest=v_rest,
            learn_beta=learn_beta,
            learn_tau=learn_tau,
            per_neuron=per_neuron,
            shape=shape,
            reset="none",
        )

    def fire(self, membrane: Tensor) -> Tensor:
        return torch.zeros_like(membrane)


class CurrentLI(CurrentLIF):
    """Current-based leaky integrator: a read-out that never fires, behind a synaptic current.

    ::

        i[t] = (1 - dt/τ_syn) i[t-1] + x[t]                      current
        u[t] = u[t-1] + dt/τ_mem (v_rest - u[t-1] + i[t])        integrate
        s[t] = 0

    Its membrane is its output; a loss on spikes gives it no gradient. As a hidden layer it passes nothing on.

    Membrane, current and input share one unit; τ and dt share one unit of time, such as ms. The membrane starts at
    ``v_rest``, the current at 0.

    Args:
        tau_mem, tau_syn: time constants, at least dt. Default 10 and 5.
        dt: length of a step. Default 1.
        integration: ``euler`` (default, as published) or ``exact``, with ``exp(-dt/τ)`` for ``1 - dt/τ``.
        decay_input: scale the current by ``dt/τ_mem``. Default true.
        v_rest: where the membrane leaks to. Default 0.
        learn_alpha, learn_beta: make the decay of the current or of the membrane a parameter; it stays in (0, 1).
        per_neuron: give each neuron its own copy of the decays.
        shape: ``*N`` of the layer. Models pass it.

    Raises:
        ValueError: for an argument out of range.

    Source: Norse's ``LICell``, whose i is ours after the decay.
    """

    spiking = False

    def __init__(
        self,
        *,
        tau_mem: Numbers = 10.0,
        tau_syn: Numbers = 5.0,
        dt: float = 1.0,
        integration: str = "euler",
        decay_input: bool = True,
        v_rest: float = 0.0,
        learn_alpha: bool = False,
        learn_beta: bool = False,
        per_neuron: bool = False,
        shape: Sequence[int] | None = None,
    ) -> None:
        options: dict[str, Any] = {"learn_alpha": learn_alpha, "learn_beta": learn_beta, "per_neuron": per_neuron}
        super().__init__(
            tau_mem=tau_mem,
            tau_syn=tau_syn,
            dt=dt,
            integration=integration,
            decay_input=decay_input,
            v_rest=v_rest,
            shape=shape,
            reset="none",
            **options,
        )

    def fire(self, membrane: Tensor) -> Tensor:
        return torch.zeros_like(membrane)
