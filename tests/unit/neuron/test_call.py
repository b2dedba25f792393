"""A neuron that is called runs over a sequence, alone and in ``nn.Sequential``; clumsy calls get an answer."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from snnrun.config.catalogue import Catalogue
from snnrun.neuron import LI, LIF, PSN, LinearNeuron, LinearUpdate
from snnrun.sequence import run
from support.catalogued import part

X = torch.rand(7, 3, 4, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", Catalogue().groups["neuron"])
def test_every_neuron_can_be_called(name: str) -> None:
    shape = (4, 3, 3) if name == "sconv2dlstm" else (4,)
    options = {"num_steps": 7} if name in ("psn", "masked_psn", "glif") else {}
    neuron = part("neuron", name)(shape=shape, **options)
    x = torch.rand(7, 2, *shape, generator=torch.Generator().manual_seed(3))
    expected, _ = run(neuron, x)
    assert torch.equal(neuron(x), expected.spikes)


def test_a_readout_gives_its_membrane() -> None:
    expected, _ = run(LI(0.5), X)
    assert torch.equal(LI(0.5)(X), expected.membrane)


def test_in_a_sequential_model_gradients_reach_the_weights() -> None:
    model = nn.Sequential(nn.Linear(4, 5), LIF(0.9), nn.Linear(5, 2), LIF(0.9))
    out = model(10 * X)
    assert out.shape == (7, 3, 2)
    assert set(out.unique().tolist()) <= {0, 1}
    out.sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model[0].parameters())


class Own(LinearNeuron):
    """A user's neuron."""

    def linear(self) -> LinearUpdate:
        return LinearUpdate(decay=0.5)


@pytest.mark.parametrize("neuron", [LIF(0.5), Own(), PSN(7)], ids=["LIF", "own", "PSN"])
@pytest.mark.parametrize(
    ("arguments", "name", "advice"),
    [
        ((X.numpy(),), "x", "torch.from_numpy"),
        (([[[1.0]]],), "x", "torch.tensor(x)"),
        (("text",), "x", "got str"),
        ((X > 0,), "x", "got torch.bool; use x.float()"),
        ((X.long(),), "x", "got torch.int64; use x.float()"),
        ((X.to(torch.complex64),), "x", "got torch.complex64"),
        ((X[0],), "x", "[3, 4]"),
        ((X, torch.zeros(3, 4)), "state", "step(x, state)"),
    ],
    ids=["numpy", "list", "text", "bool", "integers", "complex", "one step", "state"],
)
def test_calls_that_are_refused_with_advice(neuron: Any, arguments: Any, name: str, advice: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: .*{re.escape(advice)}"):
        neuron(*arguments)


@pytest.mark.parametrize("neuron", [LIF(0.5), Own()], ids=["LIF", "own"])
@pytest.mark.parametrize(
    ("arguments", "name", "advice"),
    [
        ((X[0],), "state", "initial_state"),
        ((X[0], None), "state", "initial_state"),
        ((X[0], torch.zeros(3, 4)), "state", "Tensor"),
        ((np.zeros((3, 4)), None), "x", "torch.from_numpy"),
    ],
    ids=["nothing", "None", "tensor", "numpy"],
)
def test_steps_that_are_refused_with_advice(neuron: Any, arguments: Any, name: str, advice: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: .*{re.escape(advice)}"):
        neuron.step(*arguments)


def test_run_requires_a_tensor_too() -> None:
    with pytest.raises(ValueError, match=r"^x: .*torch\.from_numpy"):
        run(LIF(), X.numpy())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^x: .* got torch\.bool; use x\.float\(\)"):
        run(LIF(), X > 0)
    with pytest.raises(ValueError, match=r"^state: .*Tensor.*initial_state"):
        run(LIF(), X, torch.zeros(3, 4))
