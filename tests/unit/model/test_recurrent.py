"""Recurrent layers: the sequence equals a loop written by hand, and each model learns."""

from __future__ import annotations

import copy
import functools
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnrun.model import ConvNet, ExecutionPlan, Layer, Recurrent, Residual
from snnrun.neuron import IF, LIF, PSN, Lapicque, Neuron
from snnrun.report import summary
from snnrun.task import Digits
from support.refusals import refuses


def recurrent(neuron: Any = LIF, backend: str = "auto", **options: Any) -> Recurrent:
    torch.manual_seed(0)
    return Recurrent((2, 3), 3, functools.partial(neuron, threshold=0.3), backend, **{"hidden": [7, 5], **options})


def inputs(steps: int = 9) -> Tensor:
    return torch.rand(steps, 2, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class Tanh(Neuron):
    """Not linear, with a state that starts elsewhere."""

    def integrate(self, v: Tensor, x: Tensor) -> Tensor:
        return torch.tanh(0.8 * v + x)


@pytest.mark.parametrize("neuron", [IF, LIF, Lapicque, Tanh])
def test_a_recurrent_network_equals_the_loop_by_hand(neuron: Any) -> None:
    model = recurrent(neuron).double()
    layers: Any = model.layers
    states: dict[str, Any] = {}
    last: dict[str, Tensor] = {}
    outputs = []
    for x in inputs().flatten(2):
        for name in ("hidden1", "hidden2"):
            layer = layers[name]
            current = x @ layer.synapse.weight.T + layer.synapse.bias
            if name in last:
                current = current + last[name] @ layer.recurrence.weight.T
            x, states[name] = layer.neuron.step(current, states.get(name) or layer.neuron.initial_state(current))
            last[name] = x
        current = x @ layers["output"].synapse.weight.T + layers["output"].synapse.bias
        neurons = layers["output"].neuron
        x, states["output"] = neurons.step(current, states.get("output") or neurons.initial_state(current))
        outputs.append(x)
    expected, traces = torch.stack(outputs), model(inputs())
    assert list(traces) == ["hidden1", "hidden2", "output"]
    assert torch.equal(traces["output"].spikes, expected)
    assert expected.sum() > 5
    for name, parameter in model.named_parameters():
        sums = traces["output"].spikes.sum(), expected.sum()
        one, other = (torch.autograd.grad(total, parameter, retain_graph=True)[0] for total in sums)
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
        assert one.any(), name


def test_without_recurrent_weights_it_is_a_feed_forward_layer() -> None:
    synapse, recurrence = nn.Linear(6, 4).double(), nn.Linear(4, 4, bias=False).double()
    x = inputs().flatten(2)
    layer = Layer(synapse, LIF(threshold=0.2), recurrence=recurrence)
    trace = layer(x)
    nn.init.zeros_(recurrence.weight)
    plain = Layer(synapse, LIF(threshold=0.2), plan=ExecutionPlan("reference"))(x)
    assert torch.equal(layer(x).spikes, plain.spikes)
    assert torch.equal(layer(x).membrane, plain.membrane)
    assert not torch.equal(trace.membrane, plain.membrane)
    assert torch.equal(trace.membrane[0], plain.membrane[0])


def test_a_recurrent_model_is_a_value() -> None:
    model, x = recurrent(), inputs().float()
    expected = model(x)["output"]
    fresh = recurrent()
    fresh.load_state_dict(model.state_dict())
    model(x[:, :1])
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), fresh, model):
        assert torch.equal(twin(x)["output"].membrane, expected.membrane)
    text = summary(model, x)
    assert f"Total params: {sum(p.numel() for p in model.parameters()):,}" in text
    assert "recursive" not in text


def test_initial_weights_of_all_layers() -> None:
    torch.manual_seed(0)
    model = Recurrent((300,), 50, LIF, hidden=[200], weight_init="normal(0.5)")
    for name, value in model.named_parameters():
        if value.dim() == 2:  # 10,000 weights and more
            assert value.std().item() * value.shape[1] ** 0.5 == pytest.approx(0.5, rel=0.03), name
            assert value.abs().max().item() * value.shape[1] ** 0.5 > 1.5, "normal, not uniform"


def test_dropout_autocast_and_backends() -> None:
    model, x = recurrent(dropout=0.5), inputs().float()
    with torch.autocast("cpu", torch.bfloat16):
        traces = [model(x, torch.Generator().manual_seed(seed)) for seed in (0, 0, 2)]
    assert {t.dtype for trace in traces[0].values() for t in trace[:2]} == {torch.float32}
    assert torch.equal(traces[0]["output"].membrane, traces[1]["output"].membrane)
    assert not torch.equal(traces[0]["output"].membrane, traces[2]["output"].membrane)
    assert torch.equal(traces[0]["hidden1"].membrane, traces[2]["hidden1"].membrane)
    backends = [layer.backend for layer in model.modules() if isinstance(layer, Layer)]
    assert backends == ["fused", "fused", "fused"]


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"neuron": functools.partial(PSN, num_steps=9)}, ("neuron", "neuron=psn", "model=mlp")),
        ({"backend": "fast"}, ("backend", "fast", "'auto'")),
        ({"hidden": []}, ("hidden", [], "at least one hidden layer", "model=mlp")),
        ({"hidden": [3, 0]}, ("hidden[1]", 0, "whole number of at least 1")),
        ({"bias": 0}, ("bias", 0, "true or false")),
        ({"weight_init": "normal(0)"}, ("weight_init", "normal(0)", "normal(k)", "k above 0")),
        ({"weight_init": "normal"}, ("weight_init", "normal", "'default'")),
        ({"weight_init": "normal(x)"}, ("weight_init", "normal(x)", "normal(k)", "k above 0")),
        ({"hidden": [1], "dropout": 2}, ("dropout", 2, "at least 0 and below 1")),
    ],
)
def test_bad_arguments_are_refused_by_name(options: dict[str, Any], refusal: tuple[Any, ...]) -> None:
    with refuses(*refusal) as error:
        recurrent(**options)
    assert error.value.argument in options


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Recurrent, {"hidden": [40]}),
        (ConvNet, {"layers": ["6c3", "mp2"]}),
        (ConvNet, {"layers": ["6c3", "mp2"], "norm": "batch", "neurons": "before_pool"}),
        (ConvNet, {"layers": ["6c3", "mp2"], "norm": "tdbn", "dropout": 0.1}),
        (Residual, {"channels": [4, 8]}),
        (Residual, {"channels": [4], "connect": "iand", "norm": "tdbn"}),
    ],
)
def test_every_model_learns_the_digits(kind: Any, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = kind((1, 8, 8), 10, functools.partial(LIF, 0.9), **options)
    data = Digits().load(None, 4, torch.device("cpu"), torch.Generator())  # type: ignore[arg-type]
    x, target, _ = next(data.train.batches(64))
    assert target is not None
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(12):
        traces = model(x.expand(4, *x.shape[1:]), torch.Generator().manual_seed(3))
        loss = nn.functional.cross_entropy(traces["output"].membrane.sum(0), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert losses[-1] < 0.75 * losses[0]
