"""Kernels for GPUs, without a GPU: in Triton's interpreter against the loop of the steps, and compiled for GPUs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.neuron import LIF, Neuron
from snnrun.sequence import run
from snnrun.sequence.kernel.kernel import Kernel
from snnrun.sequence.kernel.plan import training_plans
from snnrun.sequence.kernel.triton import DTYPES, TARGETS, machine_code
from support.catalogued import FUSED, neurons, options, part
from support.gpu import interpret

CONVENTIONS: tuple[dict[str, Any], ...] = (
    {"convention": "default", "learn": True},
    {"convention": "snntorch", "learn": True},
    {"convention": "spikingjelly", "learn": True},
    {"convention": "norse", "learn": False},
    {"reset": "zero", "reset_timing": "delayed", "detach_reset": False, "learn": True},
    {"reset": "none", "fires_at": ">=", "learn": False},
)


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> list[Kernel]:
    """The kernels that the interpreter has run."""
    return interpret(monkeypatch)


def make(name: str, dtype: torch.dtype, **changes: Any) -> Neuron:
    group = "neuron" if name in options("neuron") else "readout"
    return neurons(group, name, shape=(7,), **changes).to(dtype)


def results(neuron: Neuron, x: Tensor, backend: str, membrane: bool) -> dict[str, Tensor]:
    """Trace, last state, and the gradient of a loss in which everything has a part of its own."""
    generator = torch.Generator().manual_seed(5)
    leaf = x.clone().requires_grad_()
    trace, last = run(neuron, leaf, backend=backend, membrane=membrane)
    outcome = {"spikes": trace.spikes, "membrane": trace.membrane}
    outcome |= {f"last {name}": value for name, value in last._asdict().items()}
    parts = [(torch.randn(v.shape, generator=generator, dtype=v.dtype) * v).sum() for v in outcome.values()]
    loss = torch.stack(parts).sum()
    leaves = {"x": leaf, **dict(neuron.named_parameters())}
    grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return outcome | {f"gradient of {name}": grad for name, grad in zip(leaves, grads, strict=True)}


def agree(neuron: Neuron, x: Tensor, *, membrane: bool = True) -> None:
    tolerance = 1e-5 if x.dtype == torch.float32 else 1e-9
    expected, actual = (results(neuron, x, backend, membrane) for backend in ("reference", "fused"))
    is_analog = bool(((expected["spikes"] != 0) & (expected["spikes"] != 1)).any())  # as of liaf and the read-outs
    assert torch.equal(actual["spikes"], expected["spikes"]) or is_analog
    for name, value in expected.items():
        scale = max([1e-9, *value.detach().abs().flatten().tolist()])
        assert actual[name].shape == value.shape
        assert all(each <= tolerance * scale for each in (actual[name] - value).abs().flatten().tolist()), name


def sequence(steps: int, dtype: torch.dtype, samples: int = 3, n: int = 7) -> Tensor:
    generator = torch.Generator().manual_seed(steps)
    return (0.8 * torch.randn(steps, samples, n, generator=generator, dtype=torch.float64) + 0.5).to(dtype)


@pytest.mark.long
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", FUSED)
def test_every_neuron_and_convention(name: str, dtype: torch.dtype, kernels: list[Kernel]) -> None:
    for changes in CONVENTIONS:
        for membrane in (True, False):
            agree(make(name, dtype, **changes), sequence(6, dtype), membrane=membrane)
    assert len(kernels) == 4 * len(CONVENTIONS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["lif", "synaptic", "if", "adlif", "izhikevich"])
def test_neurons(name: str, dtype: torch.dtype, kernels: list[Kernel]) -> None:
    for membrane in (True, False):
        agree(make(name, dtype, learn=True), sequence(6, dtype), membrane=membrane)
    assert len(kernels) == 4


@pytest.mark.parametrize("surrogate", [name for name in options("surrogate") if part("surrogate", name).is_step])
def test_surrogates(surrogate: str, kernels: list[Kernel]) -> None:
    neuron = LIF(0.9, surrogate=part("surrogate", surrogate), detach_reset=False, learn_beta=True).double()
    if surrogate != "squarewave_fourier_series":  # torch computes its derivative, whose terms are random in order
        agree(neuron, sequence(6, torch.float64))
    else:
        run(neuron, sequence(6, torch.float64).requires_grad_())[0].spikes.sum().backward()
    assert len(kernels) == 2


@pytest.mark.parametrize(("steps", "samples", "n"), [(1, 1, 1), (1, 3, 7), (3, 2, 128), (5, 3, 171), (4, 1, 513)])
def test_sizes(steps: int, samples: int, n: int, kernels: list[Kernel]) -> None:
    for membrane in (True, False):
        neuron = neurons("neuron", "lif", shape=(n,), learn=True).double()
        agree(neuron, sequence(steps, torch.float64, samples, n), membrane=membrane)
    assert len(kernels) == 4


def test_a_constant_input_and_an_empty_batch(kernels: list[Kernel]) -> None:
    neuron = LIF(0.9, learn_beta=True)
    x = sequence(1, torch.float32)
    given, repeated = x.clone().requires_grad_(), x.clone().requires_grad_()
    short, _ = run(neuron, given, steps=6, backend="fused", membrane=False)
    whole, _ = run(neuron, repeated.expand(6, -1, -1), backend="reference")
    assert torch.equal(short.spikes, whole.spikes) and bool(whole.spikes.any())
    for trace in (short, whole):
        (trace.spikes * torch.arange(7.0)).sum().backward()
    torch.testing.assert_close(given.grad, repeated.grad)
    count = len(kernels)
    empty, _ = run(neuron, torch.zeros(5, 0, 7), backend="fused")
    assert empty.spikes.shape == (5, 0, 7) and len(kernels) == count


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["lif", "adex"])
def test_they_compile(name: str, target: str) -> None:
    check_machine_code(name, target)


@pytest.mark.long
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", sorted({*FUSED} - {"lif", "adex"}))
def test_every_neuron_compiles(name: str, target: str) -> None:
    check_machine_code(name, target)


def check_machine_code(name: str, target: str) -> None:
    """Compile both directions, with membranes and without, in every precision."""
    pytest.importorskip("triton")
    kind = "hsaco" if target == "gfx942" else "cubin"
    for dtype in DTYPES:
        for membrane in (True, False):
            plans = training_plans(make(name, dtype, learn=True), membrane=membrane, constant=not membrane, cache=False)
            for plan in plans:
                assert machine_code(plan.kernel, dtype, target).asm[kind][:4] == b"\x7fELF"


@pytest.mark.parametrize("membrane", [True, False])
@pytest.mark.parametrize("name", ["lif", "adex", "plif"])
def test_bfloat16_is_computed_in_float32(name: str, membrane: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is written is rounded: the spikes are equal, gradients agree to bfloat16's eight bits."""
    x = sequence(7, torch.bfloat16)
    kernels = interpret(monkeypatch)
    outcomes = []
    for dtype in (torch.bfloat16, torch.float32):
        neuron = make(name, torch.float32, learn=True)
        leaf = x.to(dtype).requires_grad_()
        trace, _ = run(neuron, leaf, backend="fused", membrane=membrane)
        assert trace.spikes.dtype == dtype
        weight = torch.arange(trace.spikes.numel()).view(trace.spikes.shape).sin().bfloat16().to(dtype)
        leaves = [leaf, *(p for p in neuron.parameters() if p.requires_grad)]
        grads = torch.autograd.grad((weight * trace.spikes).sum(), leaves, allow_unused=True, materialize_grads=True)
        outcomes.append([trace.spikes, *([trace.membrane] if membrane else []), *grads])
    assert kernels and outcomes[0][0].any()
    assert torch.equal(outcomes[0][0].float(), outcomes[1][0])
    for ours, theirs in zip(*outcomes, strict=True):
        scale = theirs.abs().max().item()
        torch.testing.assert_close(ours.float(), theirs, rtol=2**-6, atol=2**-6 * scale)
