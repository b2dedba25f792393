"""Adaptive neurons: every spike makes the next one harder, by a raised threshold or by an inhibiting current."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.neuron.decay import decay_of
from snnrun.neuron.distribution import Numbers
from snnrun.neuron.synaptic import AdaptingOptions, CurrentLIF


class LSNNState(NamedTuple):
    """Membrane before the reset, spikes, current, and the threshold after its jump; each ``[B, *N]``."""

    membrane: Tensor
    spikes: Tensor
    current: Tensor
    threshold: Tensor


class ALIFState(NamedTuple):
    """Membrane before the reset, spikes, current, and the adaptation after its jump; each ``[B, *N]``."""

    membrane: Tensor
    spikes: Tensor
    current: Tensor
    adaptation: Tensor


class _Options(AdaptingOptions, total=False):
    decay_input: bool


class _Adaptive(CurrentLIF):
    """The common base of LSNN and ALIF: the adaptation's decay and jump, and the delay of the input."""

    def __init__(
        self,
        *,
        tau_adapt: Numbers = 200.0,
        jump: Numbers = 0.2,
        delay_input: bool = False,
        **options: Unpack[_Options],
    ) -> None:
        super().__init__(**options)
        self.rho = self._value("rho", decay_of("tau_adapt", tau_adapt, self.dt, self.integration), "unit")
        self.jump = self._value("jump", jump, "real")
        self.delay_input = check.flag("delay_input", delay_input)

    def jumps(self, spikes: Tensor) -> Tensor:
        return self.jump() * (spikes.detach() if self.detach_reset else spikes)


class LSNN(_Adaptive):
    """Adaptive threshold (LSNN): every spike raises the neuron's threshold, which then relaxes.

    ::

        i[t] = (1 - dt/τ_syn) i[t-1] + x[t] + W s[t-1]           current (W: recurrence, none by default)
        u[t] = v[t-1] + dt/τ_mem (v_rest - v[t-1] + i[t])        integrate
        B[t] = b[t-1] + dt/τ_adapt (θ - b[t-1])                  the threshold relaxes
        s[t] = H(u[t] - B[t])                                    fire
        b[t] = B[t] + jump s[t]                                  the threshold jumps
        v[t] = u[t] - θ s[t]                                     reset (subtract; see the options)

    ``subtract`` subtracts θ, not the raised threshold, as in e-prop. ``detach_reset`` detaches the jump as well.

    Membrane, threshold, jump, current and input share one unit; τ and dt share one unit of time, such as ms. The
    membrane starts at ``v_rest``, the threshold at θ.

    Args:
        tau_adapt: time constant of the threshold, at least dt. Default 200.
        jump: increase of the threshold per spike. Default 0.2. (Norse: ``tau_adapt=800 jump=1.8``, after which a
            neuron is nearly silent for a long time.)
        delay_input: the membrane integrates ``i[t-1]``, so that an input acts one step later. Default false.
        tau_mem, tau_syn, dt, integration, v_rest, decay_input, learn_alpha, learn_beta, recurrence, recurrent_weight,
            kernel_size, autapses, recurrent_bias: see :class:`snnrun.neuron.CurrentLIF`.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range.

    Source: Bellec et al. 2018, "Long short-term memory and learning-to-learn in networks of spiking neurons"; Norse's
    ``LSNNCell`` and ``LSNNRecurrentCell`` (``convention=norse delay_input=true``).
    """

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        current = self.alpha() * state.current + self.with_feedback(x, state)
        drive = state.current if self.delay_input else current
        u = self.advance(state, lambda v: self.integrate(v, drive))
        threshold = self.rho() * state.threshold + (1 - self.rho()) * self.threshold()
        spikes = self.surrogate(u - threshold, inclusive=self.inclusive)
        return spikes, LSNNState(u, spikes, current, threshold + self.jumps(spikes))

    def initial_state(self, x: Tensor) -> Any:
        inner = super().initial_state(x)
        return LSNNState(inner.membrane, inner.spikes, inner.current, torch.zeros_like(x) + self.threshold())


class ALIF(_Adaptive):
    """Adaptive LIF (ALIF): every spike adds to a slow current that inhibits the membrane.

    ::

        i[t] = (1 - dt/τ_syn) i[t-1] + x[t] + W s[t-1]                    current (W: recurrence, none by default)
        u[t] = v[t-1] + dt/τ_mem (v_rest - v[t-1] + i[t] - b[t-1])        integrate
        s[t] = H(u[t] - θ)                                                fire
        b[t] = (1 - dt/τ_adapt) b[t-1] + jump s[t]                        the adaptation jumps
        v[t] = u[t] - (θ - v_reset) s[t]                                  reset (subtract; see the options)

    ``subtract`` subtracts ``θ - v_reset``; with the default ``v_reset = 0`` that is θ. ``detach_reset`` detaches the
    jump as well. The name is also used for the neuron LSNN.

    Membrane, threshold, jump, currents and input share one unit; τ and dt share one unit of time, such as ms. The
    membrane starts at ``v_rest``, the currents at 0.

    Args:
        tau_adapt: time constant of the adaptation, at least dt. Default 200.
        jump: increase of the adaptation per spike. Default 0.2. (Norse: ``tau_adapt=800 jump=1.8``.)
        delay_input: the membrane integrates ``i[t-1]``, so that an input acts one step later. Default false.
        tau_mem, tau_syn, dt, integration, v_rest, decay_input, learn_alpha, learn_beta, recurrence, recurrent_weight,
            kernel_size, autapses, recurrent_bias: see :class:`snnrun.neuron.CurrentLIF`.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range.

    Source: Benda & Herz 2003, "A universal model for spike-frequency adaptation"; Norse's ``ada_lif_step``
    (``reset=subtract detach_reset=false delay_input=true recurrence=all_to_all``).
    """

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        current = self.alpha() * state.current + self.with_feedback(x, state)
        drive = (state.current if self.delay_input else current) - state.adaptation
        u = self.advance(state, lambda v: self.integrate(v, drive))
        spikes = self.fire(u)
        return spikes, ALIFState(u, spikes, current, self.rho() * state.adaptation + self.jumps(spikes))

    def after_reset(self, membrane: Tensor, spikes: Tensor) -> Tensor:
        after = super().after_reset(membrane, spikes)
        if self.reset == "subtract":
            return after + (spikes.detach() if self.detach_reset else spikes) * self.v_reset
        return after

    def initial_state(self, x: Tensor) -> Any:
        inner = super().initial_state(x)
        return ALIFState(inner.membrane, inner.spikes, inner.current, torch.zeros_like(x))
