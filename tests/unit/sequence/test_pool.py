"""Neurons with a maximum pool of their spikes in one pass: against the neurons and then torch's pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from snnrun.model import ConvNet, ExecutionPlan, set_plan
from snnrun.neuron import IF, LIF, Neuron, Synaptic
from snnrun.sequence import fused_pool, run
from snnrun.sequence.kernel import llvm, pool_code
from snnrun.surrogate import ATan

# T, B, C, H, W and the size of a window: whole windows, a rest below and to the right, few and many channels.
SHAPES = [
    (4, 2, 3, 8, 8, 2),
    (5, 3, 16, 7, 9, 2),
    (3, 2, 17, 7, 10, 3),
    (1, 1, 1, 32, 32, 2),
    (3, 2, 130, 5, 5, 2),
    (4, 2, 2, 9, 9, 4),
    (2, 1, 300, 6, 6, 3),
    (2, 2, 3, 2, 40, 2),
]
NEURONS: dict[str, Callable[[], Neuron]] = {
    "lif": lambda: LIF(0.9, surrogate=ATan()),
    "if": lambda: IF(fires_at=">=", reset="zero", detach_reset=False),
    "synaptic": lambda: Synaptic(0.9, 0.8),
    "learnable": lambda: LIF(0.9, learn_beta=True, learn_threshold=True),
}


def images(*shape: int, dtype: torch.dtype = torch.float32, channels_last: bool = False) -> Tensor:
    x = 1.5 * torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=dtype)
    return x.movedim(2, -1).contiguous().movedim(-1, 2) if channels_last else x


def both(neuron: Neuron, x: Tensor, steps: int, size: int) -> tuple[list[Tensor], list[Tensor]]:
    """Pooled spikes, counts and all gradients, in one pass and one after the other."""
    results = []
    for together in (True, False):
        mine = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
        if together:
            pass_of_both = fused_pool.run(neuron, mine, steps, size)
            assert pass_of_both is not None
            pooled, fired = pass_of_both
        else:
            spikes = run(neuron, mine, steps=steps, membrane=False)[0].spikes
            pooled, fired = max_pool2d(spikes.flatten(0, 1), size).unflatten(0, (steps, -1)), spikes.sum(0)
        grad = torch.randn(pooled.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
        gradients = torch.autograd.grad(pooled, [mine, *neuron.parameters()], grad)
        results.append([pooled.detach(), fired.detach(), *gradients])
    return results[0], results[1]


CASES = [(name, shape) for name in NEURONS for shape in (SHAPES if name == "lif" else SHAPES[1:2])]


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize(("name", "shape"), CASES)
def test_like_the_neurons_and_then_the_pool(
    name: str, shape: tuple[int, ...], wide: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_code, "has_wide_vectors", lambda: wide)
    llvm._compile.cache_clear()
    steps, *image, size = shape
    for dtype in (torch.float32, torch.float64):
        for constant in (False, True):
            x = images(1 if constant else steps, *image, dtype=dtype, channels_last=wide)
            (pooled, fired, *gradients), (their_pooled, their_fired, *others) = both(NEURONS[name](), x, steps, size)
            assert torch.equal(pooled, their_pooled)
            assert torch.equal(fired, their_fired)
            for ours, theirs in zip(gradients, others, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-5 if dtype == torch.float32 else 1e-12, atol=1e-6)
    llvm._compile.cache_clear()


def test_strips_of_a_row_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = both(LIF(0.9), images(4, 2, 3, 6, 33), 4, 2)
    monkeypatch.setattr(llvm, "WINDOWS", 1)
    strips, expected = both(LIF(0.9), images(4, 2, 3, 6, 33), 4, 2)
    for ours, before, theirs in zip(strips, whole, expected, strict=True):
        assert torch.equal(ours, before)
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(threads: int) -> None:
    x, before = images(5, 16, 8, 14, 14), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone, _ = both(LIF(0.9, learn_beta=True), x, 5, 2)
        torch.set_num_threads(threads)
        shared, _ = both(LIF(0.9, learn_beta=True), x, 5, 2)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(alone, shared, strict=True))


def test_a_window_without_spikes_sends_its_gradient_to_its_first_neuron() -> None:
    x = torch.full((1, 1, 16, 4, 4), 0.1).requires_grad_()
    result = fused_pool.run(LIF(0.9, surrogate=ATan()), x, 1, 2)
    assert result is not None and not result[0].any()
    (grad,) = torch.autograd.grad(result[0].sum(), x)
    assert (grad[..., ::2, ::2] > 0).all()
    assert not grad[..., 1::2, :].any() and not grad[..., :, 1::2].any()


@pytest.mark.parametrize(
    "x",
    [
        images(2, 1, 16, 8, 8),  # without a gradient
        images(2, 1, 1, 4, 4).requires_grad_(),  # a row of windows smaller than a vector
        images(2, 1, 16, 1, 8).requires_grad_(),  # smaller than a window
        images(2, 3, 16).requires_grad_(),  # no images
        images(2, 0, 16, 8, 8).requires_grad_(),
        images(2, 1, 16, 8, 8).bfloat16().requires_grad_(),
    ],
)
def test_what_it_leaves_to_others(x: Tensor) -> None:
    assert fused_pool.run(LIF(0.9), x, len(x), 2) is None


def network(layers: list[str], backend: str) -> nn.Module:
    torch.manual_seed(0)
    options: dict[str, Any] = {"layers": layers, "neurons": "before_pool", "norm": "batch", "bias": False}
    model = ConvNet((2, 13, 13), 3, lambda shape: LIF(0.8, shape=shape), backend, **options)
    set_plan(model, ExecutionPlan(backend, membrane=False, spikes=False))
    return model


@pytest.mark.parametrize("layers", [["16c3p1", "mp2", "17c3", "mp2"], ["16c3p1", "mp3s2", "mp2"], ["16c3p1", "ap2"]])
def test_networks_like_their_reference(layers: list[str]) -> None:
    x = 2 * torch.rand(4, 3, 2, 13, 13, generator=torch.Generator().manual_seed(1))
    results = []
    for backend in ("fused", "reference"):
        model = network(layers, backend)
        traces = model(x)
        traces["output"].spikes.sum().backward()
        results.append((traces["output"].spikes, *(parameter.grad for parameter in model.parameters())))
    for ours, theirs in zip(*results, strict=True):
        assert ours is not None and theirs is not None
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_spikes_are_recorded_if_they_are_needed() -> None:
    x = 2 * torch.rand(4, 3, 2, 13, 13, generator=torch.Generator().manual_seed(1))
    model = network(["16c3p1", "mp2"], "fused")
    traces = model(x)
    assert traces["hidden1"].spikes.shape[0] == 0
    assert traces["hidden1"].fired.shape == (3, 16, 13, 13)
    set_plan(model, ExecutionPlan("fused"))
    recorded = model(x)
    assert torch.equal(recorded["hidden1"].spikes.sum(0), traces["hidden1"].fired)
    assert torch.equal(recorded["output"].spikes, traces["output"].spikes)
