"""Lapicque's neuron: the leaky integrator as an electric circuit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from typing_extensions import Unpack

from snnrun import check
from snnrun.errors import ArgumentError
from snnrun.neuron.base import LinearNeuron, LinearUpdate, NeuronOptions


class Lapicque(LinearNeuron):
    """Lapicque's RC circuit: a current charges a capacitor that leaks through a resistor.

    ::

        u[t] = v[t-1] + dt/C (x[t] - v[t-1]/R)            integrate (euler)
        s[t] = H(u[t] - θ)                                fire
        v[t] = u[t] - θ s[t]                              reset (subtract; see the options)

    ``integration=exact`` holds the current over the step: ``u = β v + R (1 - β) x`` with ``β = exp(-dt/(RC))``.

    Units: x in ampere, R in ohm, C in farad, dt in seconds, membrane and threshold in volt (or any consistent set).
    The membrane starts at 0.

    Args:
        R: resistance > 0. Default 5.
        C: capacitance > 0. Default 1e-3.
        dt: length of a step > 0. Default 1e-3.
        integration: ``euler`` (default, as published; needs ``dt <= R C``) or ``exact``.
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    With ``reset=zero`` and ``reset_timing=delayed``, the step in which the reset lands loses its input as well: the
    capacitor is held. This is what snnTorch's ``Lapicque`` does, and differs from :class:`snnrun.neuron.LIF`.

    Raises:
        ValueError: for an argument out of range.

    Source: Lapicque 1907; snnTorch's ``Lapicque`` (``convention=snntorch``) and its tutorial 2.
    """

    reset_drops_input = True
    units: ClassVar[Mapping[str, str]] = {"time": "s", "input": "A", "membrane": "V"}

    def __init__(
        self,
        *,
        R: float = 5.0,
        C: float = 1e-3,
        dt: float = 1e-3,
        integration: str = "euler",
        **options: Unpack[NeuronOptions],
    ) -> None:
        super().__init__(**options)
        self.R, self.C = check.number("R", R, above=0), check.number("C", C, above=0)
        self.dt = check.number("dt", dt, above=0)
        self.integration = check.choice("integration", integration, ("exact", "euler"))
        if integration == "euler" and dt > R * C:
            raise ArgumentError(
                "dt",
                f"at most R*C = {R * C:g} with integration=euler",
                dt,
                advice="use a shorter step or integration=exact",
            )

    def linear(self) -> LinearUpdate:
        if self.integration == "euler":
            return LinearUpdate(decay=1 - self.dt / (self.R * self.C), gain=self.dt / self.C)
        beta = math.exp(-self.dt / (self.R * self.C))
        return LinearUpdate(decay=beta, gain=self.R * (1 - beta))
