"""The exponential integrate-and-fire neuron."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.neuron.base import Neuron, NeuronOptions


class EIF(Neuron):
    """Exponential integrate-and-fire: a leaky membrane with an exponential upstroke near its spike.

    ::

        u[t] = v[t-1] + dt/τ (x[t] - (v[t-1] - v_rest) + Δ exp((v[t-1] - v_T)/Δ))      integrate (Euler)
        s[t] = H(u[t] - θ)                                                             fire
        v[t] = u[t] - θ s[t]                                       reset (subtract; see the options)

    The exponential is evaluated at no more than ``v_peak``, where the upstroke is over (only a reset that subtracts, or
    none, leaves a membrane there); so the membrane stays finite whatever the input.

    Membrane, threshold and input share one unit; τ and dt share one unit of time. The membrane starts at ``v_rest``.

    Args:
        tau: time constant τ > 0. Default 2.
        dt: length of a step, in (0, τ]. Default 1.
        delta_T: Δ > 0, how sharp the upstroke is. Default 0.1: with 1, SpikingJelly's default, it fires without input.
        v_T: membrane at which the upstroke begins (the rheobase threshold). Default 0.8.
        v_rest: resting membrane. Default 0.
        v_peak: membrane above which the exponential grows no more. Default null: the threshold.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range.

    As published the reset is to a value: ``reset=zero`` with ``v_reset``.

    Source: Fourcaud-Trocmé et al. 2003; Gerstner et al., Neuronal Dynamics, section 5.2; SpikingJelly's ``EIFNode``
    (``v_T`` is its ``theta_rh``), which starts at ``v_reset`` (-0.1 by default) and has no ``v_peak``.
    """

    def __init__(
        self,
        *,
        tau: float = 2.0,
        dt: float = 1.0,
        delta_T: float = 0.1,
        v_T: float = 0.8,
        v_rest: float = 0.0,
        v_peak: float | None = None,
        **options: Unpack[NeuronOptions],
    ) -> None:
        super().__init__(**options)
        self.tau = check.number("tau", tau, above=0)
        self.dt = check.number("dt", dt, above=0, high=self.tau)
        self.delta_T = check.number("delta_T", delta_T, above=0)
        self.v_T = check.number("v_T", v_T)
        self.v_rest = check.number("v_rest", v_rest)
        self.v_peak = None if v_peak is None else check.number("v_peak", v_peak, above=self.v_T)

    def integrate(self, v: Tensor, x: Tensor) -> Tensor:
        peak = self.threshold() if self.v_peak is None else self.v_peak
        rise = self.delta_T * torch.exp((v.clamp(max=peak) - self.v_T) / self.delta_T)
        return v + self.dt / self.tau * (x - (v - self.v_rest) + rise)
