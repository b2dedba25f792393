"""Encoders turn values into the input of the first layer at each time step: spikes, or a current.

An encoder takes a sequence ``[T', B, *N]``, where a still input (an image) is a sequence of one step, and returns
``[T, B, *N]``. It holds no state: the same input and generator give the same train, independent of earlier calls and
of the batch size. ``takes_still`` and ``takes_sequence`` state the allowed input, ``output_shape`` the new ``*N``. To
add one, write a class and ``conf/encoder/<name>.yaml``.
"""

from snnrun.encoder.base import Encoder
from snnrun.encoder.burst import Burst
from snnrun.encoder.change import Delta
from snnrun.encoder.direct import Direct, Identity
from snnrun.encoder.first_spike import FirstSpike, TimeToFirstSpike
from snnrun.encoder.latency import Latency
from snnrun.encoder.membrane import IntegrateFire, LIFCurrent, LIFLatency
from snnrun.encoder.phase import Periodic, WeightedPhase
from snnrun.encoder.population import DeterministicPopulation, LatencyPopulation, Population
from snnrun.encoder.rank import RankOrder
from snnrun.encoder.rate import Poisson, Rate

__all__ = [
    "Burst",
    "Delta",
    "DeterministicPopulation",
    "Direct",
    "Encoder",
    "FirstSpike",
    "Identity",
    "IntegrateFire",
    "LIFCurrent",
    "LIFLatency",
    "Latency",
    "LatencyPopulation",
    "Periodic",
    "Poisson",
    "Population",
    "RankOrder",
    "Rate",
    "TimeToFirstSpike",
    "WeightedPhase",
]
