"""Layers whose output returns as their input: the fused execution equals the loop of steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnrun.neuron import LIF, LSNN, RLIF, AdLIF, Neuron, RSynaptic
from snnrun.sequence import Feedback, fused_readout, resolve_backend
from snnrun.sequence.kernel import feedback_code, llvm
from snnrun.sequence.record.tracer import Unfusable, record
from snnrun.sequence.run import run_resolved
from support.catalogued import neurons, options, part

#: Neurons with weights from every neuron of the layer to every other.
OWN = ("rlif", "rsynaptic", "alif", "lsnn", "adex", "lif_current", "lif_refractory")
#: ``T``, samples, neurons: they fill vectors, blocks and groups of samples, or do not.
SHAPES = [(1, 1, 1), (6, 4, 5), (7, 9, 33), (3, 17, 24), (3, 15, 48), (4, 1, 130), (5, 3, 700)]
KERNELS = pytest.mark.parametrize("kernel", ["llvm", "torch"], indirect=True)


def make(name: str, size: int = 7, **changes: Any) -> Neuron:
    return neurons("neuron", name, shape=(size,), **changes).double()


def results(
    neuron: Neuron, x: Tensor, backend: str, feedback: Feedback | None = None, steps: int | None = None
) -> dict[str, Tensor]:
    """Trace, last state, and the gradient of everything by a loss in which everything has a part of its own."""
    generator = torch.Generator().manual_seed(5)
    x = x.clone().requires_grad_()
    first = neuron.initial_state(x[0])
    first = type(first)(*(value.detach().clone().requires_grad_() for value in first))
    trace, last = run_resolved(backend, neuron, x, first, steps=steps, feedback=feedback)
    if trace.fired is not None:
        assert torch.equal(trace.fired, (trace.spikes != 0).to(x.dtype).sum(0))
    found = {"spikes": trace.spikes, "membrane": trace.membrane}
    found |= {f"last.{name}": value for name, value in last._asdict().items()}
    loss = torch.stack([(torch.randn(v.shape, generator=generator, dtype=v.dtype) * v).sum() for v in found.values()])
    leaves = {"x": x, **{f"first.{k}": v for k, v in first._asdict().items()}, **dict(neuron.named_parameters())}
    if feedback is not None:
        leaves["feedback"] = feedback.weight
    grads = torch.autograd.grad(loss.sum(), list(leaves.values()), allow_unused=True, materialize_grads=True)
    return found | {f"gradient of {name}": grad for name, grad in zip(leaves, grads, strict=True)}


def agree(neuron: Neuron, x: Tensor, feedback: Feedback | None = None, *, steps: int | None = None) -> None:
    expected, actual = (results(neuron, x, backend, feedback, steps) for backend in ("reference", "fused"))
    assert bool(expected["spikes"].any()) or x.numel() < 10
    for name, value in expected.items():
        assert actual[name].shape == value.shape
        scale = max(1e-9, value.detach().abs().max().item())
        assert (actual[name] - value).abs().max().item() <= 1e-9 * scale, name


def sequence(steps: int = 7, samples: int = 3, size: int = 7, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(steps)
    return torch.randn(steps, samples, size, generator=generator, dtype=dtype) * 0.8 + 0.5


def weights(size: int = 7, dtype: torch.dtype = torch.float64) -> Feedback:
    generator = torch.Generator().manual_seed(size)
    weight = torch.randn(size, size, generator=generator, dtype=dtype) * 0.5 / size**0.5
    return Feedback(weight.requires_grad_())


@pytest.fixture
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "torch":
        monkeypatch.setattr(llvm, "supports", lambda x: False)


@KERNELS
@pytest.mark.parametrize("name", OWN)
def test_feedback_of_the_neuron(name: str, kernel: None) -> None:
    changed: tuple[dict[str, Any], ...] = ({}, {"autapses": False, "recurrent_bias": True, "learn": True})
    for changes in changed:
        neuron = make(name, recurrence="all_to_all", **changes)
        assert record(neuron).feedback is not None
        agree(neuron, sequence())
        agree(neuron, sequence(1), steps=6)


@KERNELS
@pytest.mark.parametrize("name", options("neuron"))
def test_feedback_of_the_layer(name: str, kernel: None) -> None:
    neuron, feedback = make(name, learn=True), weights()
    if resolve_backend(neuron, "auto", feedback) == "reference":
        assert resolve_backend(neuron, "auto") == "reference" or record(neuron).feedback is not None
        return
    agree(neuron, sequence(), feedback)
    agree(neuron, sequence(1), feedback, steps=6)


@pytest.mark.parametrize("convention", options("convention"))
@pytest.mark.parametrize("name", ["rlif", "lsnn"])
def test_conventions(name: str, convention: str) -> None:
    changed: tuple[dict[str, Any], ...] = ({}, {"detach_reset": False, "reset": "zero", "reset_timing": "delayed"})
    for changes in changed:
        agree(make(name, convention=convention, **changes), sequence())


@pytest.mark.parametrize("surrogate", [name for name in options("surrogate") if part("surrogate", name).is_step])
def test_surrogates(surrogate: str) -> None:
    neuron = RLIF(0.9, shape=(7,), surrogate=part("surrogate", surrogate), learn_beta=True).double()
    if surrogate == "squarewave_fourier_series":  # no program, so torch computes it; its terms are random in order
        assert resolve_backend(neuron, "auto") == "fused"
        return
    agree(neuron, sequence())


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize(("steps", "samples", "size"), SHAPES)
def test_shapes(steps: int, samples: int, size: int, wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a processor with vectors of 512 bits and on one without: the code for one also runs on the other."""
    monkeypatch.setattr(feedback_code, "has_wide_vectors", lambda: wide)
    agree(make("rlif", size, autapses=False), sequence(steps, samples, size))
    agree(LIF(0.9, shape=(size,)).double(), sequence(steps, samples, size), weights(size))
    image = RSynaptic(shape=(2, size, 1)).double()
    agree(image, sequence(steps, samples, 2 * size).unflatten(2, (2, size, 1)))


@pytest.mark.parametrize("make", [RLIF, RSynaptic, LSNN, AdLIF])
def test_in_single_precision(make: Callable[..., Neuron]) -> None:
    torch.manual_seed(0)
    neuron = make(shape=(90,))
    feedback = None if record(neuron).feedback else weights(90, torch.float32)
    x = sequence(20, 11, 90, torch.float32)
    expected, actual = (results(neuron, x, backend, feedback) for backend in ("reference", "fused"))
    assert torch.equal(expected["spikes"], actual["spikes"]) and bool(expected["spikes"].any())
    for name, value in expected.items():
        assert (actual[name] - value).abs().max() <= 1e-5 * value.abs().max(), name


@pytest.mark.parametrize("bias", [True, False])
def test_the_number_of_threads_changes_no_bit(bias: bool) -> None:
    torch.manual_seed(0)
    neuron = RLIF(shape=(150,), recurrent_bias=bias, learn_beta=True)
    x = sequence(30, 27, 150, torch.float32)
    before, seen = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            seen.append(results(neuron, x, "fused"))
    finally:
        torch.set_num_threads(before)
    for other in seen[1:]:
        assert all(torch.equal(value, other[name]) for name, value in seen[0].items())


@pytest.mark.parametrize(("partial", "groups"), [(1, [16, 3]), (30 * 9 * 9, [8, 8, 3])])
def test_large_layers_have_few_partial_sums(partial: int, groups: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llvm, "PARTIAL", partial)
    size = llvm._group(19, 9)
    assert [min(size, 19 - first) for first in range(0, 19, size)] == groups
    agree(make("rlif", 9), sequence(6, 19, 9))


def test_a_sample_does_not_depend_on_the_others() -> None:
    neuron, x = RLIF(shape=(40,)), sequence(9, 19, 40, torch.float32)
    whole, _ = run_resolved("fused", neuron, x)
    for samples in (slice(0, 1), slice(3, 14), slice(8, 19)):
        some, _ = run_resolved("fused", neuron, x[:, samples])
        assert torch.equal(some.membrane, whole.membrane[:, samples])


def test_the_state_goes_on() -> None:
    neuron, x = make("rsynaptic"), sequence(9)
    whole, _ = run_resolved("fused", neuron, x)
    first, state = run_resolved("fused", neuron, x[:4])
    rest, _ = run_resolved("fused", neuron, x[4:], state)
    assert torch.equal(torch.cat([first.membrane, rest.membrane]), whole.membrane)


def test_the_loss_needs_nothing_of_the_spikes() -> None:
    """Gradients through the membrane alone, and none at all."""
    neuron, x = make("rlif"), sequence().requires_grad_()
    found = []
    for backend in ("reference", "fused"):
        trace, _ = run_resolved(backend, neuron, x)
        found.append(torch.autograd.grad(trace.membrane.square().sum(), [x, *neuron.parameters()]))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    with torch.no_grad():
        assert not run_resolved("fused", neuron, x)[0].spikes.requires_grad


def test_an_empty_batch() -> None:
    trace, _ = run_resolved("fused", RLIF(shape=(5,)), torch.zeros(4, 0, 5))
    assert trace.spikes.shape == (4, 0, 5)


class Other(RLIF):
    """Feeds back something else than its output."""

    def with_feedback(self, x: Tensor, state: Any) -> Tensor:
        return super().with_feedback(x, state._replace(spikes=1 - state.spikes))


def test_what_is_left_to_the_loop() -> None:
    for neuron in (Other(shape=(4,)), RLIF(shape=(4,), recurrence="convolution")):
        assert resolve_backend(neuron, "auto") == "reference"
    with pytest.raises(Unfusable):
        record(RLIF(shape=(4,)), weights(4))
    assert resolve_backend(RLIF(shape=(4,)), "auto", weights(4)) == "reference"


def test_a_product_of_the_read_out_is_not_in_the_same_pass() -> None:
    x = torch.rand(3, 2, 20, requires_grad=True)
    assert fused_readout.run(RLIF(shape=(20,)), x, 3, nn.Linear(20, 2).weight, None) is None


def test_no_second_derivative() -> None:
    neuron, x = make("rlif"), sequence().requires_grad_()
    trace, _ = run_resolved("fused", neuron, x)
    (grad,) = torch.autograd.grad((trace.spikes * x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()
