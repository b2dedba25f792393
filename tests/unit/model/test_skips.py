"""Skips: a layer gets the spikes of all hidden layers before it, as their sum or side by side."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.delay import LinearDelay
from snnrun.model import MLP, ExecutionPlan, Layer, Recurrent, set_plan
from snnrun.neuron import LIF
from support.refusals import refuses

STEPS, BATCH, INPUTS, SIZE, CLASSES = 9, 3, 7, 5, 4
KINDS = (MLP, Recurrent)


def network(kind: type[MLP | Recurrent], skips: str, backend: str = "auto", **options: Any) -> MLP | Recurrent:
    torch.manual_seed(0)
    neuron = functools.partial(LIF, 0.8, threshold=0.3)
    settings = {"hidden": [SIZE] * 3, "weight_init": "normal(2)", **options}
    return kind((INPUTS,), CLASSES, neuron, backend, skips=skips, **settings).double()


def sequence() -> Tensor:
    return torch.rand(STEPS, BATCH, INPUTS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def step_by_step(model: MLP | Recurrent, x: Tensor, skips: str) -> Tensor:
    """The definition, one step of the whole network after the other."""
    states: dict[str, Any] = {}
    before: dict[str, Tensor] = {}
    outputs = []
    for x_t in x:
        spikes: list[Tensor] = []
        value = x_t
        for name, layer in model.layers.items():
            assert isinstance(layer, Layer)
            if spikes:
                value = sum(spikes[1:], spikes[0]) if skips == "add" else torch.cat(spikes, dim=1)
            current = layer.synapse(value)
            if layer.recurrence is not None and name in before:
                current = current + layer.recurrence(before[name])
            s, states[name] = layer.neuron.step(current, states.get(name) or layer.neuron.initial_state(current))
            before[name] = s
            spikes.append(s)
        outputs.append(spikes[-1])
    return torch.stack(outputs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("skips", ["add", "concat"])
@pytest.mark.parametrize(
    "plan", [ExecutionPlan("reference"), ExecutionPlan(), ExecutionPlan(spikes=False, membrane=False)]
)
def test_a_network_with_skips_equals_the_definition(
    kind: type[MLP | Recurrent], skips: str, plan: ExecutionPlan
) -> None:
    model, x = network(kind, skips), sequence()
    set_plan(model, plan)
    expected = step_by_step(model, x, skips)
    traces = model(x)
    assert torch.equal(traces["output"].spikes, expected)
    assert 5 < expected.sum() < expected.numel()
    parameters = list(model.parameters())
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for gradient, by_steps in zip(
        torch.autograd.grad((traces["output"].spikes * weights).sum(), parameters),
        torch.autograd.grad((expected * weights).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(gradient, by_steps, rtol=1e-10, atol=1e-12)
        assert gradient.any()


def test_low_memory_has_the_same_gradients() -> None:
    x, results = sequence(), []
    for memory in ("full", "low"):
        model = network(MLP, "concat")
        set_plan(model, ExecutionPlan(memory=memory, membrane=False, spikes=False))
        results.append(torch.autograd.grad(model(x)["output"].spikes.sum(), list(model.parameters())))
    for full, low in zip(*results, strict=True):
        torch.testing.assert_close(low, full, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_sizes_of_the_synapses(kind: type[MLP | Recurrent]) -> None:
    def inputs(skips: str, hidden: list[int], **options: Any) -> list[int]:
        layers = network(kind, skips, hidden=hidden, **options).layers.values()
        synapses = [layer.synapse for layer in layers if isinstance(layer, Layer)]
        return [synapse.in_features for synapse in synapses if isinstance(synapse, torch.nn.Linear)]

    assert inputs("none", [3, 5, 2]) == [INPUTS, 3, 5, 2]
    assert inputs("concat", [3, 5, 2]) == [INPUTS, 3, 8, 10]
    assert inputs("concat", [3, 5, 2], delay=LinearDelay(maximum=4), dropout=0.5, norm="batch") == [INPUTS, 3, 8, 10]
    assert inputs("add", [5, 5]) == [INPUTS, 5, 5]
    with refuses("hidden", [3, 5, 2], "equal"):
        network(kind, "add", hidden=[3, 5, 2])
    with refuses("skips", "dense", "concat"):
        network(kind, "dense")


def test_a_silent_layer_lets_the_spikes_before_it_pass() -> None:
    model = network(MLP, "add", bias=False)
    layer = model.layers["hidden2"]
    assert isinstance(layer, Layer) and isinstance(layer.synapse, torch.nn.Linear)
    with torch.no_grad():
        layer.synapse.weight.zero_()
    shallow = network(MLP, "none", bias=False, hidden=[SIZE] * 2)
    shallow.layers["hidden1"].load_state_dict(model.layers["hidden1"].state_dict())
    shallow.layers["hidden2"].load_state_dict(model.layers["hidden3"].state_dict())
    x = sequence()
    traces = model(x)
    assert not traces["hidden2"].spikes.any()
    assert torch.equal(traces["hidden3"].spikes, shallow(x)["hidden2"].spikes)
