"""The integrate-and-fire neuron: it adds up its input until it fires."""

from __future__ import annotations

from typing_extensions import Unpack

from snnrun.neuron.base import LinearNeuron, LinearUpdate, NeuronOptions


class IF(LinearNeuron):
    """Integrate-and-fire: a membrane that adds up its input and forgets nothing.

    ::

        u[t] = v[t-1] + x[t]              integrate
        s[t] = H(u[t] - θ)                fire
        v[t] = u[t] - θ s[t]              reset (subtract; see the options)

    Membrane, threshold and input share one unit. The membrane starts at 0.

    Args:
        **options: of every neuron, see :class:`snnrun.neuron.Neuron`.

    Source: Lapicque 1907 without the leak; SpikingJelly's ``IFNode`` (with ``>=`` and reset to zero).
    """

    def __init__(self, **options: Unpack[NeuronOptions]) -> None:
        super().__init__(**options)

    def linear(self) -> LinearUpdate:
        return LinearUpdate(decay=1.0)
