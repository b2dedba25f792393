"""Neurons: each a small file that states its equation; ``base`` is the contract."""

from snnrun.neuron.base import Linear, LinearNeuron, Neuron, State
from snnrun.neuron.integrate_and_fire import IF
from snnrun.neuron.lapicque import Lapicque
from snnrun.neuron.leaky import LIF

__all__ = ["IF", "LIF", "Lapicque", "Linear", "LinearNeuron", "Neuron", "State"]
