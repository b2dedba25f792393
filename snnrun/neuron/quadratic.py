"""The quadratic integrate-and-fire neuron, and the quadratic term that it shares with Izhikevich's neuron."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import Unpack

from snnrun import check
from snnrun.neuron.base import Neuron, NeuronOptions


class QuadraticNeuron(Neuron):
    """Base of the neurons whose membrane is driven by ``a0 (v - v_rest)(v - v_c)``."""

    def __init__(
        self,
        *,
        tau: float,
        dt: float,
        a0: float,
        v_rest: float,
        v_c: float,
        v_peak: float | None,
        **options: Unpack[NeuronOptions],
    ) -> None:
        super().__init__(**options)
        self.tau, self.dt = check.number("tau", tau, above=0), check.number("dt", dt, above=0)
        self.a0 = check.number("a0", a0, above=0)
        self.v_rest = check.number("v_rest", v_rest)
        self.v_c = check.number("v_c", v_c, above=self.v_rest)
        self.v_peak = None if v_peak is None else check.number("v_peak", v_peak, above=self.v_c)
        # Below this membrane an Euler step would overshoot: a lower membrane would end higher.
        self._lowest = (self.v_rest + self.v_c) / 2 - self.tau / (2 * self.a0 * self.dt)

    def drift(self, v: Tensor) -> Tensor:
        """``a0 (v - v_rest)(v - v_c)``, with v limited to the valid range of an Euler step."""
        peak = self.threshold() if self.v_peak is None else self.v_peak
        v = v.clamp(min=self._lowest).clamp(max=peak)
        return self.a0 * (v - self.v_rest) * (v - self.v_c)


class QIF(QuadraticNeuron):
    """Quadratic integrate-and-fire: above a critical membrane it grows to a spike by itself.

    ::

        u[t] = v[t-1] + dt/τ (x[t] + a0 (v[t-1] - v_rest)(v[t-1] - v_c))      integrate (Euler)
        s[t] = H(u[t] - θ)                                                    fire
        v[t] = u[t] - θ s[t]                                                  reset (subtract; see the options)

    Below ``v_c`` the membrane returns to ``v_rest``, above it grows without input. The quadratic term is evaluated at
    no more than ``v_peak``, where the upstroke is over (only a reset that subtracts, or none, leaves a membrane there),
    and at no less than ``(v_rest + v_c)/2 - τ/(2 a0 dt)``, where an Euler step begins to overshoot; so the membrane
    stays finite whatever the input.

    Membrane, threshold and input share one unit; τ and dt share one unit of time; a0 is per unit of the membrane.
    The membrane starts at ``v_rest``.

    Args:
        tau: time constant τ > 0. Default 2.
        dt: length of a step > 0, in the unit of τ. Default 1.
        a0: curvature > 0. Default 1.
        v_rest: resting membrane. Default 0.
        v_c: critical membrane > v_rest. Default 0.8.
        v_peak: membrane > v_c above which the quadratic term grows no more. Default null: the threshold.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Raises:
        ValueError: for an argument out of range.

    As published the reset is to a value: ``reset=zero`` with ``v_reset``.

    Source: Latham et al. 2000; Gerstner et al., Neuronal Dynamics, section 5.3; SpikingJelly's ``QIFNode``, which
    starts at ``v_reset`` (-0.1 by default) and has no ``v_peak``.
    """

    def __init__(
        self,
        *,
        tau: float = 2.0,
        dt: float = 1.0,
        a0: float = 1.0,
        v_rest: float = 0.0,
        v_c: float = 0.8,
        v_peak: float | None = None,
        **options: Unpack[NeuronOptions],
    ) -> None:
        super().__init__(tau=tau, dt=dt, a0=a0, v_rest=v_rest, v_c=v_c, v_peak=v_peak, **options)

    def integrate(self, v: Tensor, x: Tensor) -> Tensor:
        return v + (x + self.drift(v)) / (self.tau / self.dt)
