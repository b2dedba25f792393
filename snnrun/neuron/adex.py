"""The adaptive exponential integrate-and-fire neuron."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.neuron.decay import decay_of
from snnrun.neuron.distribution import Numbers
from snnrun.neuron.synaptic import AdaptingOptions, CurrentLIF


class AdExState(NamedTuple):
    """Membrane before the reset, spikes, current, and the adaptation after its jump; each ``[B, *N]``."""

    membrane: Tensor
    spikes: Tensor
    current: Tensor
    adaptation: Tensor


class AdEx(CurrentLIF):
    """Adaptive exponential LIF (AdEx): an exponential upstroke near the threshold, and an adaptation current.

    ::

        i[t] = (1 - dt/τ_syn) i[t-1] + x[t] + W s[t-1]           current (W: recurrence, none by default)
        e[t] = ΔT exp((v[t-1] - v_T) / ΔT)                       upstroke
        u[t] = v[t-1] + dt/τ_mem (v_rest - v[t-1] + e[t] + i[t] - w[t-1])                     integrate
        s[t] = H(u[t] - θ)                                                                    fire
        w[t] = w[t-1] + dt/τ_adapt (a (v[t-1] - v_rest) - w[t-1]) + b s[t]                    adapt
        v[t] = u[t] - θ s[t]                                     reset (subtract; see the options)

    The upstroke uses ``min(v, θ)``: a membrane beyond the threshold (with ``reset=none``, ``subtract`` or a delayed
    reset) would otherwise overflow. ``detach_reset`` detaches the jump of w as well.

    Membrane, threshold, ΔT, v_T, currents and input share one unit; τ and dt share one unit of time, such as ms. The
    membrane starts at ``v_rest``, the currents at 0. At rest the upstroke lifts the membrane a little.

    Args:
        a: adaptation to the membrane, dimensionless. Default 4.
        b: increase of the adaptation per spike. Default 0.02.
        delta_T: ΔT > 0, sharpness of the upstroke. Default 0.5.
        v_T: membrane at which the upstroke begins. Default null: the threshold.
        tau_adapt: time constant of the adaptation, at least dt. Default 500.
        tau_mem, tau_syn, dt, integration, v_rest, learn_alpha, learn_beta, recurrence, recurrent_weight, kernel_size,
            autapses, recurrent_bias: see :class:`snnrun.neuron.CurrentLIF`; the input is always scaled by ``dt/τ_mem``.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range, or a ``v_T`` so far below the threshold that the upstroke overflows.

    As published the reset is to a value: ``reset=zero`` with ``v_reset``.

    Source: Brette & Gerstner 2005, "Adaptive exponential integrate-and-fire model"; Norse's ``LIFAdExCell`` and
    ``LIFAdExRecurrentCell`` (``convention=norse``, and ``recurrence=all_to_all autapses=false``).
    """

    def __init__(
        self,
        *,
        a: float = 4.0,
        b: float = 0.02,
        delta_T: float = 0.5,
        v_T: float | None = None,
        tau_adapt: Numbers = 500.0,
        **options: Unpack[AdaptingOptions],
    ) -> None:
        super().__init__(decay_input=True, **options)
        self.a, self.b = check.number("a", a), check.number("b", b)
        self.delta_T = check.number("delta_T", delta_T, above=0)
        self.v_T = None if v_T is None else check.number("v_T", v_T)
        self.rho = self._value("rho", decay_of("tau_adapt", tau_adapt, self.dt, self.integration), "unit")
        # Values of e^20 ΔT are far beyond any threshold, and far below the limit of every dtype.
        highest = float(torch.as_tensor(self.threshold()).detach().max())
        if self.v_T is not None and highest - self.v_T > 20 * self.delta_T:
            raise ArgumentError("v_T", f"at least threshold - 20 delta_T = {highest - 20 * delta_T:g}", v_T)

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        current = self.alpha() * state.current + self.with_feedback(x, state)
        v = self.start(state)
        drive = self.upstroke(v) + current - state.adaptation
        u = self.land(self.integrate(v, drive), state)
        spikes = self.fire(u)
        towards = self.a * (v - self.v_rest)
        w = state.adaptation + (1 - self.rho()) * (towards - state.adaptation)
        jump = self.b * (spikes.detach() if self.detach_reset else spikes)
        return spikes, AdExState(u, spikes, current, w + jump)

    def upstroke(self, v: Tensor) -> Tensor:
        """The exponential current ``[B, *N]`` of the membrane ``v``."""
        threshold = self.threshold()
        # A number becomes a tensor on the device, without a copy that waits for it.
        is_tensor = isinstance(threshold, Tensor)
        most = threshold.to(v.dtype) if is_tensor else torch.full((), threshold, dtype=v.dtype, device=v.device)
        capped = torch.minimum(v, most)
        return self.delta_T * torch.exp((capped - (threshold if self.v_T is None else self.v_T)) / self.delta_T)

    def initial_state(self, x: Tensor) -> Any:
        inner = super().initial_state(x)
        return AdExState(inner.membrane, inner.spikes, inner.current, torch.zeros_like(x))
