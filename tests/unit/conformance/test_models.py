"""What every model in ``conf/`` promises, with every neuron and every read-out."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from snnrun.config.build import build
from snnrun.model import Layer
from snnrun.neuron import LIAF
from snnrun.sequence import Trace
from support.catalogued import config_of, neurons, options, part

STEPS = 8
#: Small and quick; a model has some of these.
TINY: dict[str, Any] = {"hidden": [6], "layers": ["3c3p1", "mp2"], "channels": [3, 4]}
EVERY = [
    pytest.param(model, group, option, id=f"{model}-{option}")
    for group in ("neuron", "readout")
    for option in options(group)
    for model in options("model")
]
PRODUCT = pytest.mark.parametrize(("model", "group", "option"), EVERY)
MODELS = options("model")
#: Every neuron, each with one model; the models take turns, so that each has several. A layer cannot feed back what
#: needs all steps at once.
TURNS = pytest.mark.parametrize(
    ("model", "group", "option"),
    [
        pytest.param(model, group, option, id=f"{model}-{option}")
        for i, (group, option) in enumerate((group, each) for group in ("neuron", "readout") for each in options(group))
        for turn in [MODELS[i % len(MODELS)]]
        for model in ["mlp" if turn == "recurrent" and option in ("psn", "masked_psn") else turn]
    ],
)


def network(model: str, group: str, option: str, seed: int = 0, **changes: Any) -> nn.Module:
    """A tiny network of such neurons, or with such a read-out behind LIF neurons."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        kinds: dict[str, Any] = {"neuron": lambda shape: neurons("neuron", "lif", shape, learn=False)}
        kinds[group] = lambda shape: neurons(group, option, shape)
        net: nn.Module = build(config_of("model", model, **TINY, **changes), "model")(
            input_shape=(1, 8, 8), num_outputs=4, backend="auto", **kinds
        )
    return net.eval()  # or a norm would keep the means of what it sees


def images(batch: int = 6) -> Tensor:
    return 30 * torch.rand(STEPS, batch, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def equal(first: dict[str, Trace], second: dict[str, Trace]) -> bool:
    pairs = zip(first.values(), second.values(), strict=True)
    return first.keys() == second.keys() and all(
        torch.equal(a.spikes, b.spikes) and torch.equal(a.membrane, b.membrane) for a, b in pairs
    )


def scalar(traces: dict[str, Trace]) -> Tensor:
    return sum(trace.spikes.mean() + trace.membrane.mean() for trace in traces.values())  # type: ignore[return-value]


@PRODUCT
def test_forwards_and_backwards(model: str, group: str, option: str) -> None:
    """In float32 with products in bfloat16."""
    if model == "recurrent" and neurons(group, option).needs_all_steps:
        with pytest.raises(ValueError, match="the layer's spikes return as its input"):
            network(model, group, option)
        return
    trains_on(network(model, group, option), torch.float32, torch.bfloat16)


@TURNS
def test_in_other_precisions(model: str, group: str, option: str) -> None:
    for dtype in (torch.float32, torch.float64):
        trains_on(network(model, group, option), dtype, dtype)


def trains_on(model: nn.Module, dtype: torch.dtype, products: torch.dtype) -> None:
    model.to(dtype).train()
    with torch.autocast("cpu", torch.bfloat16, enabled=products is torch.bfloat16):
        traces = model(images().to(dtype))
    assert list(traces)[-1] == "output"
    assert traces["output"].spikes.shape == (STEPS, 6, 4)
    assert {t.dtype for trace in traces.values() for t in trace[:2]} == {dtype}
    assert any(bool(trace.spikes.any()) for trace in traces.values())
    scalar(traces).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
    assert any(bool(p.grad.any()) for p in model.parameters() if p.grad is not None)


@TURNS
def test_silent_input_stays_silent(model: str, group: str, option: str) -> None:
    net = network(model, group, option, bias=False)
    for neuron in net.modules():
        if isinstance(neuron, LIAF):  # it passes on f(u), which is silent where f(0) = 0: not with its sigmoid
            neuron.activation = "relu"
    assert not any(bool(trace.spikes.any()) for trace in net(torch.zeros_like(images())).values())


@TURNS
@torch.no_grad()
def test_a_model_is_its_weights_and_keeps_nothing(model: str, group: str, option: str) -> None:
    net, x = network(model, group, option), images()
    expected = net(x)
    for name, trace in net(x[:, 3:5]).items():  # another batch size, and then back: nothing to reset
        torch.testing.assert_close(trace.membrane, expected[name].membrane[:, 3:5], rtol=1e-4, atol=1e-4)
    other = network(model, group, option, seed=1)
    other.load_state_dict(net.state_dict())
    for twin in (net, copy.deepcopy(net), pickle.loads(pickle.dumps(other)), other):
        assert equal(twin(x), expected)


@TURNS
def test_one_model_is_used_twice_in_one_graph(model: str, group: str, option: str) -> None:
    net, other, x = network(model, group, option), network(model, group, option, seed=1), images(2)
    leaves = {name: value.detach().clone().requires_grad_() for name, value in other.named_parameters()}
    with_leaves = functional_call(net, leaves, (x,))
    assert equal(with_leaves, other(x))
    both = torch.autograd.grad(scalar(net(x)) + scalar(with_leaves), [*net.parameters(), *leaves.values()])
    alone = [torch.autograd.grad(scalar(each(x)), list(each.parameters())) for each in (net, other)]
    for gradient, expected in zip(both, (*alone[0], *alone[1]), strict=True):
        torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("model", options("model"))
def test_a_model_has_layers_with_a_backend(model: str) -> None:
    net = network(model, "neuron", "lif")
    layers = [layer for layer in net.modules() if isinstance(layer, Layer)]
    assert layers
    assert {layer.backend for layer in layers} <= {"fused", "reference"}
    assert part("model", model).func is type(net)
