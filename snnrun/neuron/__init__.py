"""Neurons: each a small file that states its equation; ``base`` is the contract."""

from snnrun.neuron.base import Linear, LinearNeuron, Neuron, State
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
from snnrun.neuron.parallel import PSN, MaskedPSN, SequenceNeuron, SlidingPSN
from snnrun.neuron.parametric import PLIF
from snnrun.neuron.quadratic import QIF
from snnrun.neuron.resonate import ResonateAndFire
from snnrun.neuron.subthreshold import AdLIF

__all__ = [
    "CLIF",
    "EIF",
    "GLIF",
    "IF",
    "ILIF",
    "KLIF",
    "LIAF",
    "LIF",
    "PLIF",
    "PSN",
    "QIF",
    "AdLIF",
    "CubaLIF",
    "Izhikevich",
    "Lapicque",
    "Linear",
    "LinearNeuron",
    "MaskedPSN",
    "Neuron",
    "ResonateAndFire",
    "SequenceNeuron",
    "SlidingPSN",
    "State",
]
