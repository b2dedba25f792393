"""Batch normalisation over time and batch, and what tdBN makes of it; norms of fully connected layers."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnrun.encoder import Direct
from snnrun.model import MLP, ConvNet, ExecutionPlan, Norm, Recurrent, set_plan
from snnrun.model.norm import norm_maker
from snnrun.neuron import LIF
from support.refusals import refuses


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 2


@pytest.mark.parametrize("shape", [(4, 5, 3), (4, 5, 3, 6, 2)])
def test_one_mean_and_variance_per_channel_over_time_batch_and_space(shape: tuple[int, ...]) -> None:
    norm, x = Norm(3, 0.5).double(), random(*shape)
    y, axes = norm(x), [0, 1, *range(3, len(shape))]
    torch.testing.assert_close(y.mean(axes), torch.zeros(3, dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(y.std(axes, correction=0), torch.full((3,), 0.5, dtype=torch.float64), rtol=1e-5, atol=0)
    torch.testing.assert_close(norm.running_mean, 0.1 * x.mean(axes))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * x.var(axes))


def test_otherwise_the_running_means_are_used_and_nothing_changes() -> None:
    norm = Norm(3, 2.0).double()
    x = random(4, 5, 3)
    for _ in range(200):
        norm(x)
    state = {name: value.clone() for name, value in norm.state_dict().items()}
    y = norm.eval()(x)
    expected = 2 * (x - x.mean((0, 1))) / (x.var((0, 1)) + norm.epsilon).sqrt()
    torch.testing.assert_close(y, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(norm(x[:1]), y[:1])  # each step for itself
    assert all(torch.equal(value, state[name]) for name, value in norm.state_dict().items())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batch", [3, 1])  # of a single value there is no variance to take
def test_a_constant_input_is_normalised_as_its_copies(training: bool, batch: int) -> None:
    image = random(1, batch, 3).requires_grad_()
    results = []
    for x in (Direct()(image, 7), image.repeat(7, 1, 1)):
        norm = Norm(3).double().train(training)
        y = norm(x)
        gradients = torch.autograd.grad((y * random(7, batch, 3)).sum(), [image, norm.weight, norm.bias])
        results.append([y, *gradients, norm.running_mean, norm.running_var])
        assert (y.stride(0) == 0) == (x.stride(0) == 0 and (batch > 1 or not training))
    for once, copies in zip(*results, strict=True):
        torch.testing.assert_close(once, copies, rtol=1e-9, atol=1e-9)


def test_tdbn_gives_the_current_the_spread_of_the_threshold() -> None:
    neuron = LIF(threshold=[0.3, 0.5], learn_threshold=True, shape=(2,))
    norm = norm_maker("tdbn", 0.5)(2, neuron)
    assert isinstance(norm, Norm)
    assert norm.scale == pytest.approx(0.5 * 0.4)
    assert norm(random(4, 9, 2).float()).std((0, 1)).tolist() == pytest.approx([0.2, 0.2], rel=0.02)
    plain = norm_maker("batch", 0.5)(2, neuron)
    assert isinstance(plain, Norm)
    assert plain.scale == 1
    assert norm_maker("none", 0.5)(2, neuron) is None


def test_bad_arguments_are_refused_by_name() -> None:
    with refuses("norm", "layer", "'none' or 'batch' or 'tdbn'"):
        norm_maker("layer", 1.0)
    with refuses("tdbn_alpha", 0, "above 0"):
        norm_maker("tdbn", 0)
    neuron = LIF()
    del neuron.threshold
    with refuses("norm", "tdbn", "neuron=lif") as error:
        norm_maker("tdbn", 1.0)(2, neuron)
    assert (error.value.name, error.value.got, error.value.advice) == ("norm", "tdbn", "use norm=batch")


FLAT = ["batch", "tdbn", "layer"]


def network(kind: Any, norm: str, backend: str = "auto", **options: Any) -> Any:
    torch.manual_seed(0)
    make = functools.partial(LIF, threshold=0.5)
    return kind((2, 3), 3, make, backend, hidden=[7, 5], norm=norm, **options).double()


@pytest.mark.parametrize("backend", ["reference", "fused"])
@pytest.mark.parametrize("norm", FLAT)
@pytest.mark.parametrize("kind", [MLP, Recurrent])
def test_the_hidden_currents_are_normalised(kind: Any, norm: str, backend: str) -> None:
    model = network(kind, norm, backend, tdbn_alpha=0.7)
    layer, x = model.layers["hidden1"], random(6, 4, 6)
    current = layer.current_of(x)
    axis: Any = 2 if norm == "layer" else (0, 1)
    spread = 0.35 if norm == "tdbn" else 1.0  # α θ
    deviation = current.std(axis, correction=0)
    torch.testing.assert_close(current.mean(axis), torch.zeros_like(deviation), atol=1e-9, rtol=0)
    torch.testing.assert_close(deviation, torch.full_like(deviation, spread), rtol=1e-3, atol=0)
    assert [each.norm is None for each in model.layers.values()] == [False, False, True]
    assert [each.synapse.bias is None for each in model.layers.values()] == [True, True, False]


def test_layer_norm_is_torchs_at_each_step() -> None:
    layer, x = network(MLP, "layer").layers["hidden1"], random(6, 4, 6)
    by_hand = [nn.functional.layer_norm(each @ layer.synapse.weight.T, (7,)) for each in x]
    torch.testing.assert_close(layer.current_of(x), torch.stack(by_hand))


@pytest.mark.parametrize("norm", FLAT)
@pytest.mark.parametrize("kind", [MLP, Recurrent])
def test_the_executions_agree(kind: Any, norm: str) -> None:
    x, results = random(9, 4, 2, 3), []
    for backend in ("reference", "fused"):
        model = network(kind, norm, backend)
        traces = model(x)
        sum((trace.spikes.mean() for trace in traces.values()), torch.zeros(())).backward()
        results.append([*(trace.spikes for trace in traces.values()), *(p.grad for p in model.parameters())])
    assert results[0][0].any()
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("norm", FLAT)
def test_a_constant_input_equals_its_copies(norm: str) -> None:
    image = random(1, 4, 6)
    once, copies = (
        network(MLP, norm).layers["hidden1"].current_of(x) for x in (Direct()(image, 7), image.repeat(7, 1, 1))
    )
    assert len(once) == 1
    torch.testing.assert_close(once.expand(copies.shape), copies)


@pytest.mark.parametrize("norm", FLAT)
def test_memory_low_gives_the_same(norm: str) -> None:
    results = []
    for memory in ("full", "low"):
        model = network(MLP, norm)
        set_plan(model, ExecutionPlan("auto", memory=memory))
        traces = model(random(9, 4, 2, 3))
        output = traces["output"].spikes
        output.mean().backward()
        results.append([output, *(p.grad for p in model.parameters())])
    assert results[0][0].any()
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_no_layer_norm_of_images() -> None:
    with refuses("norm", "layer", "'tdbn'"):
        ConvNet((1, 8, 8), 3, LIF, norm="layer")
