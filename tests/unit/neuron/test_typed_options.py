"""The names in ``**options: Unpack[...]`` are the arguments of the classes that take them; mypy compares the types."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from snnrun.neuron import LIF, CurrentLIF, Neuron, NeuronOptions, RecurrentNeuron, SequenceNeuron, Synaptic
from snnrun.neuron.adaptive import _Options
from snnrun.neuron.base import OtherOptions
from snnrun.neuron.leaky import LeakOptions, LIFOptions
from snnrun.neuron.parallel import SequenceOptions
from snnrun.neuron.recurrent import RecurrentOptions
from snnrun.neuron.synaptic import AdaptingOptions, CurrentOptions


def own(kind: type) -> set[str]:
    """The arguments of a class, without those that it takes for its base classes."""
    parameters = inspect.signature(kind).parameters.values()
    return {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}


GRADED_SPIKES = {"graded_spikes_factor", "learn_graded_spikes_factor"}
EVERY = own(Neuron)
#: By its time constants only.
CURRENT = EVERY | own(RecurrentNeuron) | own(Synaptic) - {"alpha", "beta"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (NeuronOptions, EVERY),
        (OtherOptions, EVERY - {"threshold"}),
        (SequenceOptions, own(SequenceNeuron)),
        (LIFOptions, EVERY | own(LIF)),
        (LeakOptions, (EVERY | own(LIF)) - GRADED_SPIKES),
        (CurrentOptions, CURRENT - own(CurrentLIF)),
        (AdaptingOptions, CURRENT - {"decay_input"}),
        (_Options, CURRENT),
        (RecurrentOptions, EVERY | own(RecurrentNeuron) - {"recurrence"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_names_are_those_of_the_signatures(options: Any, expected: set[str]) -> None:
    assert set(options.__annotations__) == expected
    assert not options.__required_keys__


def test_an_option_that_is_none_is_refused_where_it_is_called() -> None:
    options: dict[str, Any] = {"thresold": 1.0}
    with pytest.raises(TypeError, match="thresold"):
        LIF(**options)
