"""A read-out with neurons of its own, in every model."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import nn

from snnrun.model import MLP, ConvNet, Recurrent, Residual, neurons
from snnrun.neuron import LI, LIF

MODELS: list[Any] = [
    functools.partial(MLP, hidden=[6]),
    functools.partial(ConvNet, layers=["3c3"]),
    functools.partial(Recurrent, hidden=[6]),
    functools.partial(Residual, channels=[3]),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.func.__name__)
def test_only_the_output_layer_gets_it(model: Any) -> None:
    network = model((1, 8, 8), 4, functools.partial(LIF, 0.9), readout=functools.partial(LI, 0.9))
    kinds = {name: type(neuron) for name, neuron in neurons(network).items()}
    assert kinds.pop("output") is LI
    assert kinds
    assert set(kinds.values()) == {LIF}
    traces = network(torch.rand(5, 2, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert not traces["output"].spikes.any()
    traces["output"].membrane.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_neurons_are_found_by_their_layer() -> None:
    model = MLP((3,), 2, LIF, hidden=[4, 5])
    assert list(neurons(model)) == ["hidden1", "hidden2", "output"]
    assert neurons(nn.Sequential(nn.Linear(2, 2))) == {}
