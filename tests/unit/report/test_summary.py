"""The summary says what the model is, and the model and the random numbers do not notice."""

from __future__ import annotations

import copy
import gc
import random
import re
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snnrun.report import summary


class Trace(NamedTuple):
    spikes: Tensor
    membrane: Tensor


class Cell(nn.Module):
    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(0.9))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, current: Tensor) -> Trace:
        self.calls += 1
        torch.rand(3)  # a part that draws from the global stream, against the rules
        return Trace((current > 0).float(), self.beta * current)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.synapse1 = nn.Linear(300, 500)
        self.hidden1 = Cell()
        self.dropout = nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(500)
        self.synapse2 = nn.Linear(500, 4)
        self.output = Cell()

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Trace]:
        trace = self.hidden1(self.synapse1(x))
        spikes = self.norm(self.dropout(trace.spikes).flatten(0, 1)).unflatten(0, x.shape[:2])
        return {"hidden1": trace, "output": self.output(self.synapse2(spikes))}


class Constant(nn.Module):
    """A parameter of a neuron that is not learnt: a module that takes nothing and returns a plain number."""

    def forward(self) -> float:
        return 0.9


class StepOnly(nn.Module):
    """A neuron that is used by its methods, not called: its parameters count all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.beta, self.threshold = Constant(), nn.Parameter(torch.ones(7))

    def step(self, current: Tensor) -> Trace:
        return Trace((current > self.threshold).float(), self.beta() * current)


class StepOnlyNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.synapse, self.neuron = nn.Linear(3, 7), StepOnly()

    def forward(self, x: Tensor) -> dict[str, Trace]:
        # A constant input, whose stride in time is 0, is multiplied once.
        current = self.synapse(x[:1]).expand(len(x), -1, -1) if x.stride(0) == 0 else self.synapse(x)
        return {"output": self.neuron.step(current)}


class Conv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.synapse = nn.Conv2d(2, 3, 3)

    def forward(self, x: Tensor) -> dict[str, Trace]:
        current = self.synapse(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return {"output": Trace(current, current)}


def legacy_state() -> list[int]:
    state: Any = np.random.get_state()
    return list(state[1])


def test_counts_parameters_and_true_mult_adds() -> None:
    text = summary(Net(), torch.zeros(10, 3, 300))
    own, norm = 150_500 + 500 * 4 + 4 + 2, 2 * 500
    assert f"Total params: {own + norm:,}" in text
    assert "Linear (synapse1)" in text and "150,500" in text and "[10, 3, 500]" in text
    per_step = 300 * 500 + 500 * 4
    assert "Parameters by group: " in text
    assert f"Synaptic mult-adds per sample: {10 * per_step:,} in 10 steps, {per_step:,} per step" in text


def test_counts_a_convolution() -> None:
    text = summary(Conv(), torch.zeros(5, 2, 2, 8, 8))
    per_step = 6 * 6 * 3 * (2 * 3 * 3)
    assert f"{5 * per_step:,} in 5 steps, {per_step:,} per step" in text


def test_neurons_with_plain_numbers_and_without_a_call() -> None:
    text = summary(StepOnlyNet(), torch.zeros(5, 2, 3))
    assert "Total params: 35" in text and "Linear (synapse)" in text
    assert "105 in 5 steps, 21 per step" in text


def test_work_that_is_saved_is_not_counted() -> None:
    assert "21 in 5 steps, 4 per step" in summary(StepOnlyNet(), torch.zeros(1, 2, 3).expand(5, 2, 3))


def test_a_model_that_fails_is_named_and_torchinfo_stays_as_it_was() -> None:
    from torchinfo.layer_info import LayerInfo

    before = LayerInfo.calculate_size
    with pytest.raises(RuntimeError, match="torchinfo"):
        summary(StepOnlyNet(), torch.zeros(5, 2, 4))
    assert LayerInfo.calculate_size is before


def test_units_are_letters() -> None:
    text = summary(Net(), torch.zeros(2, 3, 300))
    assert "Units." not in text
    assert re.search(r"^Total mult-adds \(M\): [\d.]+$", text, re.MULTILINE)


@pytest.mark.parametrize("training", [True, False])
def test_nothing_changes_bit_for_bit(training: bool) -> None:
    model = Net().train(training)
    model.dropout.eval()  # modes may differ within a model
    example = torch.rand(2, 3, 300)
    sum(trace.membrane.sum() for trace in model(example).values()).backward()
    tensors = copy.deepcopy(model.state_dict())
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    modes = [module.training for module in model.modules()]
    original, states = example.clone(), (torch.get_rng_state(), random.getstate(), legacy_state())

    summary(model, example)

    assert torch.equal(torch.get_rng_state(), states[0])
    assert (random.getstate(), legacy_state()) == states[1:]
    assert torch.equal(example, original)
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, tensors[name]), name
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert (parameter.grad is None) == (gradient is None)
        assert parameter.grad is None or gradient is None or torch.equal(parameter.grad, gradient)
    assert torch.is_grad_enabled()


def test_the_copy_does_not_stay_in_memory() -> None:
    model = Net()
    summary(model, torch.zeros(2, 3, 300))
    gc.collect()
    assert sum(type(thing) is Net for thing in gc.get_objects()) == 1
