"""Neurons and a product with few outputs in one pass: what they give apart, with nothing recorded."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnrun.model import MLP, ConvNet, ExecutionPlan, Layer, set_plan
from snnrun.model.chain import through
from snnrun.neuron import LIF, Neuron
from snnrun.sequence import fused_readout, resolve_backend, run
from support.catalogued import neurons, options, part

FUSED = [name for name in options("neuron") if resolve_backend(neurons("neuron", name), "auto") == "fused"]
#: Their output is no bare spike.
APART = {"adex_refractory", "ilif", "liaf", "lif_refractory", "rlif", "rsynaptic"}


def make(name: str, size: int, **changes: Any) -> Neuron:
    # A learnt size of the spikes makes them other than 0 and 1, which this pass leaves to others.
    return neurons("neuron", name, shape=(size,), learn_graded_spikes_factor=False, **changes).double()


def apart(neuron: Neuron, x: Tensor, steps: int, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    trace, _ = run(neuron, x, steps=steps, backend="reference")
    return nn.functional.linear(trace.spikes, weight, bias), trace.spikes.sum(0)


def agree(
    neuron: Neuron, size: int, steps: int, samples: int, outputs: int, *, constant: bool = False, bias: bool = True
) -> None:
    """For the outputs, the counts, and the gradients of input, weights, bias and all that the neuron learns."""
    generator = torch.Generator().manual_seed(steps + samples)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    x = (0.6 * random(1 if constant else steps, samples, size) + 0.4).requires_grad_()
    weight, given = random(outputs, size).requires_grad_(), random(steps, samples, outputs)
    offset = random(outputs).requires_grad_() if bias else None
    leaves = [x, weight, *([] if offset is None else [offset]), *neuron.parameters()]
    seen = []
    for way in (apart, fused_readout.run):
        found = way(neuron, x, steps, weight, offset)
        assert found is not None
        seen.append([*found, *torch.autograd.grad(found[0], leaves, given, allow_unused=True, materialize_grads=True)])
    for expected, actual in zip(*seen, strict=True):
        assert actual.shape == expected.shape
        assert (actual - expected).abs().max() <= 1e-9 * max(1.0, expected.abs().max().item())


@pytest.mark.parametrize("name", FUSED)
def test_every_neuron(name: str) -> None:
    for convention in ("snntorch", "spikingjelly"):
        neuron = make(name, 19, convention=convention, learn=True)
        x = torch.ones(1, 1, 19, dtype=torch.float64, requires_grad=True)
        if fused_readout.run(neuron, x, 2, torch.ones(2, 19, dtype=torch.float64), None) is None:
            assert name in APART
        else:
            agree(neuron, 19, 7, 3, 4)


@pytest.mark.parametrize(
    ("steps", "samples", "size", "outputs"),
    [(1, 1, 8, 1), (3, 2, 9, 2), (4, 8, 16, 3), (5, 9, 23, 10), (2, 17, 517, 16), (400, 2, 300, 7)],
)
def test_shapes(steps: int, samples: int, size: int, outputs: int) -> None:
    """Neurons that fill vectors and blocks, or do not, samples that fill a part, or do not, and many steps."""
    for constant in (False, True):
        agree(make("lif", size, learn=True), size, steps, samples, outputs, constant=constant, bias=not constant)


@pytest.mark.parametrize("surrogate", options("surrogate"))
def test_surrogates(surrogate: str) -> None:
    spike = part("surrogate", surrogate)
    if not spike.is_step:
        return
    neuron = LIF(0.9, shape=(12,), surrogate=spike, detach_reset=False, learn_beta=True).double()
    x = torch.ones(1, 1, 12, dtype=torch.float64, requires_grad=True)
    if fused_readout.run(neuron, x, 2, torch.ones(2, 12).double(), None) is None:
        assert surrogate in ("custom", "squarewave_fourier_series")
    else:
        agree(neuron, 12, 6, 3, 4)


def test_in_single_precision_as_near_as_apart() -> None:
    x = torch.rand(25, 8, 1000, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weight = (torch.rand(10, 1000, generator=torch.Generator().manual_seed(1)) - 0.5).requires_grad_()
    neuron = make("lif", 1000)
    exact = apart(neuron.double(), x.double(), 25, weight.double(), None)[0]
    neuron.float()
    found = fused_readout.run(neuron, x, 25, weight, None)
    assert found is not None
    torch.testing.assert_close(found[0].double(), exact, rtol=1e-5, atol=1e-5 * exact.abs().max().item())


def test_where_it_cannot_be() -> None:
    neuron, weight = make("lif", 16), torch.ones(2, 16, dtype=torch.float64)
    x = torch.ones(3, 2, 16, dtype=torch.float64, requires_grad=True)
    assert fused_readout.run(neuron, x, 3, weight, None) is not None
    assert fused_readout.run(neuron, x.detach(), 3, weight, None) is None  # no gradient
    assert fused_readout.run(neuron, x[:, :0], 3, weight, None) is None  # no sample
    assert fused_readout.run(neuron, x, 3, torch.ones(17, 16, dtype=torch.float64), None) is None  # many outputs
    assert fused_readout.run(neuron, x, 3, weight.float(), None) is None
    few = torch.ones(3, 2, 7, dtype=torch.float64, requires_grad=True)
    assert fused_readout.run(make("lif", 7), few, 3, weight[:, :7], None) is None  # less than a vector


def test_the_number_of_threads_changes_no_bit() -> None:
    neuron = make("lif", 700).float()
    x = torch.rand(30, 21, 700, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weight = torch.rand(10, 700, generator=torch.Generator().manual_seed(1)).requires_grad_()
    before, seen = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            y, fired = fused_readout.run(neuron, x, 30, weight, None) or (x, x)
            seen.append([y, fired, *torch.autograd.grad(y.square().sum(), [x, weight, *neuron.parameters()])])
    finally:
        torch.set_num_threads(before)
    for other in seen[1:]:
        assert all(map(torch.equal, seen[0], other))


def network(kind: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)

    def neuron(shape: tuple[int, ...]) -> Neuron:
        return LIF(0.9, shape=shape, threshold=0.2, learn_beta=True)

    if kind == "mlp":
        return MLP((30,), 4, neuron, hidden=(40, 33), **options).double()
    return ConvNet((1, 9, 9), 4, neuron, layers=("3c3", "mp2", "fc20"), **options).double()


@pytest.mark.parametrize("kind", ["mlp", "convnet"])
@pytest.mark.parametrize("constant", [False, True])
def test_a_model_trains_alike_with_and_without(kind: str, constant: bool) -> None:
    model = network(kind).train()
    shape = (1 if constant else 6, 5, *((30,) if kind == "mlp" else (1, 9, 9)))
    x = torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).expand(6, *shape[1:])
    seen = []
    for spikes in (True, False):
        set_plan(model, ExecutionPlan(membrane=False, spikes=spikes))
        traces = model(x)
        names = list(traces)
        assert len(traces[names[-2]].spikes) == (
            6 if spikes else 0
        )  # the last hidden layer, the only one with few outputs
        counts = [trace.spikes.sum(0) if len(trace.spikes) else trace.fired for trace in traces.values()]
        loss = (traces["output"].membrane ** 2).sum()
        seen.append([*counts, traces["output"].spikes, *torch.autograd.grad(loss, list(model.parameters()))])
    assert all(count.any() for count in seen[0][:2])
    for one, other in zip(*seen, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-9)


def test_a_layer_keeps_its_spikes_where_they_are_wanted() -> None:
    x = torch.rand(4, 2, 30, dtype=torch.float64)

    def recorded(model: nn.Module) -> int:
        return len(next(iter(through(model.layers, x).values())).spikes)  # type: ignore[arg-type]

    def small(backend: str = "auto", **options: Any) -> nn.Module:
        model = MLP((30,), 4, lambda shape: LIF(0.9, shape=shape), hidden=(40,), **options).double().train()
        set_plan(model, ExecutionPlan(backend, membrane=False, spikes=False))
        return model

    assert recorded(small()) == 0
    assert recorded(small().eval()) == 4
    assert recorded(small(backend="reference")) == 4
    assert recorded(small(dropout=0.5)) == 4  # of what the read-out sees
    with torch.no_grad():
        assert recorded(small()) == 4
    with torch.autocast("cpu", torch.bfloat16):
        assert recorded(small()) == 0
    lone = Layer(nn.Linear(30, 4), LIF(0.9, shape=(4,)))
    assert lone.plan.spikes and lone.plan.membrane
