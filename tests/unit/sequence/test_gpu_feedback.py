"""Layers whose output returns as their input, on a GPU without one: all steps in one call of one kernel.

Weights are multiples of 1/64, so that the sums of the weights of spikes are exact. Their order then changes no spike,
and the spikes must equal the reference's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.neuron import IF, LIF, LSNN, RLIF, AdEx, Izhikevich, Neuron, RSynaptic, Synaptic
from snnrun.sequence import Feedback, fused_feedback, resolve_backend
from snnrun.sequence.kernel import triton
from snnrun.sequence.kernel.kernel import Kernel
from snnrun.sequence.kernel.triton import TARGETS
from snnrun.sequence.run import run_resolved
from support.catalogued import neurons, options
from support.gpu import interpret, registers

#: Neurons with weights from every neuron of the layer to every other.
OWN = ("rlif", "rsynaptic", "alif", "lsnn", "adex", "lif_current", "lif_refractory")
#: The common ones, in a recurrent layer or with feedback of their own.
COMMON: dict[str, Callable[[int], Neuron]] = {
    "if": lambda n: IF(shape=(n,)),
    "lif": lambda n: LIF(0.9, shape=(n,), learn_beta=True),
    "synaptic": lambda n: Synaptic(0.9, 0.8, shape=(n,)),
    "rlif": lambda n: RLIF(0.9, shape=(n,), learn_beta=True, recurrent_bias=True),
    "rsynaptic": lambda n: RSynaptic(0.9, 0.8, shape=(n,)),
    "lsnn": lambda n: LSNN(shape=(n,), recurrence="all_to_all"),
    "adex": lambda n: AdEx(shape=(n,), recurrence="all_to_all"),
    "izhikevich": lambda n: Izhikevich(shape=(n,)),
}
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> list[Kernel]:
    """The kernels that the interpreter has run."""
    return interpret(monkeypatch)


def grid(size: tuple[int, ...], scale: float, dtype: torch.dtype) -> Tensor:
    """Random multiples of 1/64."""
    generator = torch.Generator().manual_seed(len(size) + size[0])
    return (torch.randn(size, generator=generator, dtype=torch.float64) * scale * 64).round().div(64).to(dtype)


def weights(n: int, dtype: torch.dtype, *, bias: bool = False) -> Feedback:
    scale = 0.7 / n**0.5
    weight = grid((n, n), scale, dtype).requires_grad_()
    return Feedback(weight, grid((n,), 0.1, dtype).requires_grad_() if bias else None)


def own(name: str, n: int, dtype: torch.dtype, **changes: Any) -> Neuron:
    neuron = neurons("neuron", name, shape=(n,), **changes).to(dtype)
    return on_grid(neuron, n)


def on_grid(neuron: Neuron, n: int) -> Neuron:
    """The neuron with weights on the grid."""
    feedback = neuron.feedback
    assert isinstance(feedback, torch.nn.Linear)
    with torch.no_grad():
        feedback.weight.copy_(grid((n, n), 0.7 / n**0.5, feedback.weight.dtype))
        if feedback.bias is not None:
            feedback.bias.copy_(grid((n,), 0.1, feedback.bias.dtype))
    return neuron


def sequence(steps: int, samples: int, n: int, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(steps)
    return (0.8 * torch.randn(steps, samples, n, generator=generator, dtype=torch.float64) + 0.5).to(dtype)


def results(
    neuron: Neuron,
    x: Tensor,
    backend: str,
    feedback: Feedback | None = None,
    *,
    steps: int | None = None,
    membrane: bool = True,
) -> dict[str, Tensor]:
    """Trace, last state, and the gradient of a loss in which each of their numbers has a weight of its own."""
    x = x.clone().requires_grad_()
    first = neuron.initial_state(x[0])
    first = type(first)(*(value.detach().clone().requires_grad_() for value in first))
    trace, last = run_resolved(backend, neuron, x, first, steps=steps, feedback=feedback, membrane=membrane)
    outcome = {"spikes": trace.spikes, "membrane": trace.membrane}
    outcome |= {f"last {name}": value for name, value in last._asdict().items()}
    loss = torch.stack([(torch.arange(v.numel()).view(v.shape).sin() * v).sum() for v in outcome.values()]).sum()
    leaves = {"x": x, **{f"first {k}": v for k, v in first._asdict().items()}, **dict(neuron.named_parameters())}
    if feedback is not None:
        leaves |= {name: value for name, value in feedback._asdict().items() if value is not None}
    grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    if trace.fired is not None:
        outcome["fired"] = trace.fired
    return outcome | {f"gradient of {name}": grad for name, grad in zip(leaves, grads, strict=True)}


def agree(
    neuron: Neuron,
    x: Tensor,
    feedback: Feedback | None = None,
    *,
    steps: int | None = None,
    membrane: bool = True,
    spikes: bool = True,
) -> None:
    tolerance = 1e-5 if x.dtype == torch.float32 else 1e-9
    expected, actual = (
        results(neuron, x, backend, feedback, steps=steps, membrane=membrane) for backend in ("reference", "fused")
    )
    is_analog = bool(((expected["spikes"] != 0) & (expected["spikes"] != 1)).any())  # as of liaf and the read-outs
    assert torch.equal(actual["spikes"], expected["spikes"]) or is_analog
    assert bool(expected["spikes"].any()) or not spikes
    for name, value in expected.items():
        scale = max([1e-9, *value.detach().abs().flatten().tolist()])
        assert actual[name].shape == value.shape
        assert all(each <= tolerance * scale for each in (actual[name] - value).abs().flatten().tolist()), name


@pytest.mark.parametrize(("name", "dtype"), [("lif", torch.float32), ("lif", torch.float64), ("plif", torch.float64)])
def test_a_recurrent_layer(name: str, dtype: torch.dtype, kernels: list[Kernel]) -> None:
    """The gradient of plif needs the feedback itself."""
    neuron, feedback = neurons("neuron", name, shape=(7,)).to(dtype), weights(7, dtype, bias=True)
    agree(neuron, sequence(5, 2, 7, dtype), feedback)
    agree(neuron, 3 * sequence(1, 2, 7, dtype), feedback, steps=5)
    assert [kernel.backwards for kernel in kernels] == [False, True] * 2
    assert all(kernel.feedback is not None for kernel in kernels)


@pytest.mark.parametrize("name", ["rlif", "lsnn"])
def test_neurons_with_feedback_of_their_own(name: str, kernels: list[Kernel]) -> None:
    neuron = own(name, 7, torch.float32, recurrence="all_to_all", autapses=False, recurrent_bias=True, learn=True)
    agree(neuron, sequence(5, 2, 7, torch.float32), membrane=False)
    assert len(kernels) == 2


@pytest.mark.long
@DTYPES
@pytest.mark.parametrize("convention", options("convention"))
@pytest.mark.parametrize("name", OWN)
def test_every_neuron_with_feedback_of_its_own(
    name: str, convention: str, dtype: torch.dtype, kernels: list[Kernel]
) -> None:
    for changes in ({}, {"autapses": False, "recurrent_bias": True, "learn": True}, {"detach_reset": False}):
        neuron = own(name, 7, dtype, recurrence="all_to_all", convention=convention, **changes)
        for membrane in (True, False):
            agree(neuron, sequence(5, 2, 7, dtype), membrane=membrane)
        agree(neuron, 3 * sequence(1, 2, 7, dtype), steps=5, membrane=False, spikes=False)
    assert len(kernels) == 18


@pytest.mark.long
@DTYPES
@pytest.mark.parametrize("name", options("neuron"))
def test_every_neuron_in_a_recurrent_layer(name: str, dtype: torch.dtype, kernels: list[Kernel]) -> None:
    if resolve_backend(neurons("neuron", name, shape=(7,)), "auto", weights(7, dtype)) == "reference":
        pytest.skip("the neuron has no fused execution, or feedback of its own")
    for changes in ({}, {"convention": "snntorch"}, {"reset": "zero", "detach_reset": False}):
        neuron = neurons("neuron", name, shape=(7,), **changes).to(dtype)
        agree(neuron, 2 * sequence(5, 2, 7, dtype), weights(7, dtype, bias=True), membrane=not changes, spikes=False)
        agree(neuron, 3 * sequence(1, 2, 7, dtype), weights(7, dtype), steps=5, spikes=False)


@pytest.mark.parametrize(
    ("steps", "samples", "n"),
    [(1, 1, 1), (1, 3, 7), (3, 1, 8), (2, 2, 16), (2, 1, 19)],
)
def test_sizes(steps: int, samples: int, n: int, kernels: list[Kernel]) -> None:
    x = sequence(steps, samples, n, torch.float64)
    agree(on_grid(RLIF(0.9, shape=(n,)).double(), n), x, membrane=False, spikes=n > 1)
    assert len(kernels) == 2


@pytest.mark.long
@DTYPES
@pytest.mark.parametrize("n", [127, 256, 300])
def test_large_sizes(n: int, dtype: torch.dtype, kernels: list[Kernel]) -> None:
    agree(on_grid(RSynaptic(0.9, 0.8, shape=(n,)).to(dtype), n), sequence(5, 3, n, dtype))
    assert len(kernels) == 2


def test_images_and_an_empty_batch(kernels: list[Kernel]) -> None:
    agree(on_grid(RLIF(0.9, shape=(3, 2, 2)).double(), 12), sequence(4, 2, 12, torch.float64).unflatten(2, (3, 2, 2)))
    count = len(kernels)
    trace, _ = run_resolved("fused", RLIF(0.9, shape=(5,)), torch.zeros(4, 0, 5))
    assert trace.spikes.shape == (4, 0, 5) and len(kernels) == count


def test_a_sample_depends_on_no_other(kernels: list[Kernel]) -> None:
    """Neither on their number nor on their order: each is a program of the grid."""
    neuron, x = on_grid(RLIF(0.9, shape=(10,)), 10), sequence(3, 4, 10, torch.float32)
    with torch.no_grad():
        neuron.get_parameter("feedback.weight").add_(1 / 3)  # sums that depend on their order
    order = torch.tensor([3, 1])
    whole, some = (results_of_samples(neuron, each) for each in (x, x[:, order]))
    for one, other in zip(whole, some, strict=True):
        assert torch.equal(one[:, order], other)


def results_of_samples(neuron: Neuron, x: Tensor) -> list[Tensor]:
    """The trace, and the gradient of the input for a loss that is the same for all samples."""
    x = x.clone().requires_grad_()
    trace, _ = run_resolved("fused", neuron, x)
    values = [trace.spikes, trace.membrane]
    loss = torch.stack([(torch.arange(v[:, :1].numel()).view_as(v[:, :1]).sin() * v).sum() for v in values]).sum()
    return [*values, *torch.autograd.grad(loss, x)]


def test_the_state_goes_on(kernels: list[Kernel]) -> None:
    neuron, x = on_grid(RSynaptic(0.9, 0.8, shape=(5,)), 5), sequence(7, 2, 5, torch.float32)
    whole, _ = run_resolved("fused", neuron, x)
    first, state = run_resolved("fused", neuron, x[:4])
    rest, _ = run_resolved("fused", neuron, x[4:], state)
    assert torch.equal(torch.cat([first.membrane, rest.membrane]), whole.membrane)


@pytest.mark.parametrize(("bound", "value"), [("MOST", 6), ("TRAFFIC", 7 * 7 * 3 * 8 - 1)])
def test_larger_layers_run_step_by_step(
    bound: str, value: int, kernels: list[Kernel], monkeypatch: pytest.MonkeyPatch
) -> None:
    neuron, x = on_grid(RLIF(0.9, shape=(7,)).double(), 7), sequence(4, 3, 7, torch.float64)
    agree(neuron, x)
    assert len(kernels) == 2
    monkeypatch.setattr(triton, bound, value)
    agree(neuron, x)
    assert len(kernels) == 2 + 2 * 4


@pytest.mark.parametrize("target", TARGETS)
def test_it_compiles_without_spills(target: str) -> None:
    check_machine_code("rlif", 256, torch.float32, target)


@pytest.mark.long
@DTYPES
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("n", [5, 128, 512])
@pytest.mark.parametrize("name", COMMON)
def test_the_common_neurons_compile_without_spills(name: str, n: int, target: str, dtype: torch.dtype) -> None:
    check_machine_code(name, n, dtype, target)


def check_machine_code(name: str, n: int, dtype: torch.dtype, target: str) -> None:
    pytest.importorskip("triton")
    neuron = COMMON[name](n)
    feedback = None if getattr(neuron, "feedback", None) is not None else Feedback(torch.zeros(n, n))
    for direction, kernel in fused_feedback.gpu_kernels(neuron, feedback).items():
        code = triton.machine_code(kernel, dtype, target, n)
        assert registers(code, target).spilt == 0, direction
        assert code.metadata.shared == 0
        stage, barrier = ("llir", "call void @llvm.amdgcn.s.barrier") if target == "gfx942" else ("ptx", "bar.sync")
        assert code.asm[stage].count(barrier) == 1  # the interpreter runs a program's threads as one, and needs none


def test_bfloat16_is_computed_in_float32(kernels: list[Kernel]) -> None:
    """Only what is returned is rounded."""
    neuron, feedback = neurons("neuron", "lif", shape=(7,)), weights(7, torch.float32)
    x = sequence(5, 2, 7, torch.bfloat16)
    narrow, wide = (run_resolved("fused", neuron, each, feedback=feedback)[0] for each in (x, x.float()))
    assert kernels and narrow.spikes.dtype == narrow.membrane.dtype == torch.bfloat16
    assert narrow.spikes.any() and torch.equal(narrow.spikes.float(), wide.spikes)
    assert torch.equal(narrow.membrane, wide.membrane.bfloat16())
