"""Neurons: each a small file with its equation; ``base`` is the interface."""

from snnrun.neuron.adaptive import ALIF, LSNN
from snnrun.neuron.adaptive_threshold import AdaptiveThreshold
from snnrun.neuron.adex import AdEx
from snnrun.neuron.alpha import Alpha
from snnrun.neuron.base import LinearNeuron, LinearUpdate, Neuron, NeuronOptions, State
from snnrun.neuron.complementary import CLIF
from snnrun.neuron.cuba_lif import CubaLIF
from snnrun.neuron.exponential import EIF
from snnrun.neuron.gated import GLIF
from snnrun.neuron.graded import ILIF
from snnrun.neuron.integrate_and_fire import IF
from snnrun.neuron.izhikevich import Izhikevich
from snnrun.neuron.klif import KLIF
from snnrun.neuron.lapicque import Lapicque
from snnrun.neuron.leaky import LIF
from snnrun.neuron.liaf import LIAF
from snnrun.neuron.lstm import SLSTM, SConv2dLSTM
from snnrun.neuron.parallel import PSN, MaskedPSN, SequenceNeuron, SlidingPSN
from snnrun.neuron.parametric import PLIF
from snnrun.neuron.quadratic import QIF
from snnrun.neuron.readout import LI, CurrentLI
from snnrun.neuron.recurrent import RLIF, RecurrentNeuron
from snnrun.neuron.refractory import Refractory, RefractoryAdEx, RefractoryLIF
from snnrun.neuron.resonate import ResonateAndFire
from snnrun.neuron.resonator import BRF
from snnrun.neuron.state_space import CSiLIF, SiLIF
from snnrun.neuron.subthreshold import AdLIF, SEAdLIF
from snnrun.neuron.synaptic import CurrentLIF, RSynaptic, Synaptic
from snnrun.neuron.two_compartment import TCLIF

__all__ = [
    "ALIF",
    "BRF",
    "CLIF",
    "EIF",
    "GLIF",
    "IF",
    "ILIF",
    "KLIF",
    "LI",
    "LIAF",
    "LIF",
    "LSNN",
    "PLIF",
    "PSN",
    "QIF",
    "RLIF",
    "SLSTM",
    "TCLIF",
    "AdEx",
    "AdLIF",
    "AdaptiveThreshold",
    "Alpha",
    "CSiLIF",
    "CubaLIF",
    "CurrentLI",
    "CurrentLIF",
    "Izhikevich",
    "Lapicque",
    "LinearNeuron",
    "LinearUpdate",
    "MaskedPSN",
    "Neuron",
    "NeuronOptions",
    "RSynaptic",
    "RecurrentNeuron",
    "Refractory",
    "RefractoryAdEx",
    "RefractoryLIF",
    "ResonateAndFire",
    "SConv2dLSTM",
    "SEAdLIF",
    "SequenceNeuron",
    "SiLIF",
    "SlidingPSN",
    "State",
    "Synaptic",
]
