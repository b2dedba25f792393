"""Neurons: each a small file that states its equation; ``base`` is the contract."""

from snnrun.neuron.adaptive import ALIF, LSNN
from snnrun.neuron.adex import AdEx
from snnrun.neuron.alpha import Alpha
from snnrun.neuron.base import Linear, LinearNeuron, Neuron, State
from snnrun.neuron.integrate_and_fire import IF
from snnrun.neuron.lapicque import Lapicque
from snnrun.neuron.leaky import LIF
from snnrun.neuron.lstm import SLSTM, SConv2dLSTM
from snnrun.neuron.readout import LI, CurrentLI
from snnrun.neuron.recurrent import RLIF, Recurrent
from snnrun.neuron.refractory import Refractory, RefractoryAdEx, RefractoryLIF
from snnrun.neuron.synaptic import CurrentLIF, RSynaptic, Synaptic

__all__ = [
    "ALIF",
    "IF",
    "LI",
    "LIF",
    "LSNN",
    "RLIF",
    "SLSTM",
    "AdEx",
    "Alpha",
    "CurrentLI",
    "CurrentLIF",
    "Lapicque",
    "Linear",
    "LinearNeuron",
    "Neuron",
    "RSynaptic",
    "Recurrent",
    "Refractory",
    "RefractoryAdEx",
    "RefractoryLIF",
    "SConv2dLSTM",
    "State",
    "Synaptic",
]
