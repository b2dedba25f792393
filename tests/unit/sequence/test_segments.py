"""``memory=low``: the same spikes and gradients, from less that is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnrun.errors import ArgumentError
from snnrun.model import MLP, ConvNet, ExecutionPlan, Layer, Norm, set_plan
from snnrun.neuron import IF, LI, PSN, Neuron
from snnrun.sequence import segments
from support.catalogued import neurons


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SMALLEST", 1)


NEURONS = ("lif", "synaptic", "alif", "rlif", "glif", "lif_refractory")


def outcome(layer: Layer, x: Tensor, memory: str) -> list[Tensor]:
    layer.set_plan(replace(layer.plan, memory=memory))
    leaf = x.clone().requires_grad_() if x.stride(0) else x
    generator = torch.Generator().manual_seed(3)
    torch.manual_seed(1)
    trace = layer(leaf, generator)
    weights = torch.randn(trace.spikes.shape, generator=generator, dtype=x.dtype)
    leaves = [leaf, *layer.parameters()] if leaf.requires_grad else list(layer.parameters())
    grads = torch.autograd.grad((weights * trace.spikes).sum(), leaves, allow_unused=True, materialize_grads=True)
    return [trace.spikes, *grads]


def agree(layer: Layer, x: Tensor) -> None:
    full, low = (outcome(layer.train().to(x.dtype), x, memory) for memory in ("full", "low"))
    assert full[0].any()
    for one, other in zip(full, low, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-9)


def sequence(steps: int, n: int = 6) -> Tensor:
    return 2 * torch.rand(steps, 3, n, generator=torch.Generator().manual_seed(steps), dtype=torch.float64)


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_same_results(neuron: str, backend: str) -> None:
    for steps in (1, 2, 8):
        made = neurons("neuron", neuron, shape=(5,), convention="spikingjelly", threshold=0.1)
        layer = Layer(nn.Linear(6, 5), made, plan=ExecutionPlan(backend))
        nn.init.uniform_(layer.synapse.weight, 0, 1)  # type: ignore[arg-type]
        agree(layer, sequence(steps))


def test_with_norm_dropout_and_a_constant_input() -> None:
    lif = neurons("neuron", "lif", shape=(5,), threshold=0.3)
    agree(Layer(nn.Linear(6, 5), lif, norm=Norm(5)), sequence(7))
    agree(Layer(nn.Linear(6, 5), lif, dropout=0.4), sequence(7))
    agree(Layer(nn.Linear(6, 5), lif), sequence(1).expand(7, 3, 6))


def test_what_is_drawn_at_random_is_drawn_again() -> None:
    noisy = neurons("neuron", "lif", shape=(5,), surrogate="logistic", threshold=0.3)
    layer = Layer(nn.Sequential(nn.Linear(6, 5), nn.Dropout(0.3)), noisy, plan=ExecutionPlan(memory="low")).train()
    seen: list[Tensor] = []
    layer.synapse.register_forward_hook(lambda *args: seen.append(args[-1].detach()))
    before = torch.get_rng_state()
    trace = layer(sequence(9).float())
    after, forwards = torch.get_rng_state(), len(seen)
    trace.spikes.sum().backward()
    assert forwards == 3
    assert len(seen) == forwards + 2  # not the last segment, which ran just before
    assert all(map(torch.equal, seen[: forwards - 1], reversed(seen[forwards:])))
    assert any(bool((one == 0).any()) for one in seen)
    assert torch.equal(torch.get_rng_state(), after)
    assert not torch.equal(before, after)


def test_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside its input and its spikes, a layer keeps the states of a few steps, and the last of its segments."""
    steps, batch, n = 100, 4, 50
    x = torch.rand(steps, batch, n)
    layer = Layer(nn.Linear(n, n), neurons("neuron", "lif", shape=(n,)))
    kept: dict[str, int] = {}

    def note(tensor: Any) -> Any:
        if tensor.data_ptr() != x.data_ptr() and tensor.dim() > 1 and tensor.shape[-1] == n:
            kept[memory] += tensor.numel()
        return tensor

    for memory in ("full", "low"):
        layer.set_plan(replace(layer.plan, memory=memory))
        kept[memory] = 0
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            layer(x)
    assert kept["full"] >= steps * batch * n
    states, length = 2 * 6, 17  # membrane and spike between six segments, the last ones twice
    assert kept["low"] <= (states + 2 * length + 1) * batch * n  # of a segment input and current; the weights


def test_the_membrane_is_not_kept_in_training_only() -> None:
    layer = Layer(nn.Linear(6, 5), neurons("neuron", "lif", shape=(5,)), plan=ExecutionPlan(memory="low"))
    assert layer.train()(sequence(8).float()).membrane.shape == (0, 3, 5)
    assert layer.eval()(sequence(8).float()).membrane.shape == (8, 3, 5)
    with torch.no_grad():
        assert layer.train()(sequence(8).float()).membrane.shape == (8, 3, 5)


def test_no_spikes_no_gradient() -> None:
    layer = Layer(nn.Linear(6, 5), LI(), plan=ExecutionPlan(memory="low")).train()
    layer(sequence(8).float()).spikes.sum().backward()
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in layer.parameters())


def test_neurons_that_need_all_steps_are_refused() -> None:
    with pytest.raises(ArgumentError, match="neuron=psn cannot be computed again piece by piece") as caught:
        Layer(nn.Linear(6, 5), PSN(8), plan=ExecutionPlan(memory="low"))
    assert (caught.value.name, caught.value.got, caught.value.advice) == ("memory", "low", "use memory=full")
    with pytest.raises(ValueError, match="memory: expected 'full' or 'low', got 'some'"):
        Layer(nn.Linear(6, 5), LI(), plan=ExecutionPlan(memory="some"))


@pytest.mark.parametrize(
    ("steps", "batch", "expected"),
    [
        (1, 1, [0, 1]),
        (2, 1, [0, 1, 2]),
        (25, 1, [0, 12, 25]),  # few numbers: two segments
        (24, 256, [0, 8, 16, 24]),  # 24 MiB: three
        (25, 4096, [0, 5, 10, 15, 20, 25]),  # √25
        (784, 4096, [0, 130, 261, 392, 522, 653, 784]),  # six
    ],
)
def test_the_bounds_of_segments(steps: int, batch: int, expected: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SMALLEST", 1 << 23)
    assert segments.bounds_for([IF(shape=(1024,))], torch.empty(1).expand(steps, batch, 2), steps) == expected


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("kind", ["mlp", "convnet", "norm", "constant", "dropout", "noise"])
def test_layers_run_a_segment_together(kind: str, backend: str) -> None:
    """The network gives the same counts, outputs and gradients, and a hidden layer records no spikes."""
    surrogate: dict[str, Any] = {"surrogate": "logistic"} if kind == "noise" else {}

    def neuron(shape: tuple[int, ...]) -> Neuron:
        return neurons("neuron", "lif", shape=shape, threshold=0.3, **surrogate)

    options: dict[str, Any] = {"dropout": 0.3} if kind == "dropout" else {}
    torch.manual_seed(0)
    model: nn.Module
    if kind in ("convnet", "norm"):
        options["norm"] = "batch" if kind == "norm" else "none"
        model = ConvNet((1, 8, 8), 3, neuron, layers=["4c3", "mp2", "5c3p1", "fc7"], **options).double().train()
    else:
        model = MLP((64,), 3, neuron, hidden=(9, 8, 7), **options).double().train()
    x = torch.rand(1 if kind == "constant" else 11, 2, 1, 8, 8, dtype=torch.float64)
    x = x.expand(11, *x.shape[1:])
    results = []
    for memory in ("full", "low"):
        set_plan(model, ExecutionPlan(backend, memory, membrane=False, spikes=False))
        torch.manual_seed(1)
        traces = model(x, torch.Generator().manual_seed(2))
        *hidden, output = traces.values()
        counts = [(each.spikes != 0).sum(0) if each.fired is None else each.fired for each in hidden]
        loss = (output.membrane * torch.arange(output.membrane.numel()).view(output.membrane.shape).sin()).sum()
        leaves = list(model.parameters())
        grads = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
        results.append([*counts, output.spikes, *grads])
        if memory == "low" and kind not in ("norm", "noise"):
            assert all(len(each.spikes) == 0 for each in hidden)
    assert all(each.any() for each in counts)
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(other.to(one), one, rtol=1e-9, atol=1e-9)


def test_a_second_backward_pass() -> None:
    """A graph that is kept can be differentiated again; the last segment runs once more then."""
    layer = Layer(nn.Linear(6, 5), neurons("neuron", "lif", shape=(5,)), plan=ExecutionPlan(memory="low")).train()
    spikes = layer(sequence(8).float()).spikes
    leaves = list(layer.parameters())
    weights = torch.rand(spikes.shape)
    first = torch.autograd.grad((weights * spikes).sum(), leaves, retain_graph=True)
    second = torch.autograd.grad((weights * spikes).sum(), leaves)
    assert all(map(torch.equal, first, second))
    assert all(each.any() for each in first)
