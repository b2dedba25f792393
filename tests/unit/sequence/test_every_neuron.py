"""The fused execution of every neuron and surrogate of the catalogue equals the loop of its steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.neuron import LIF, Neuron
from snnrun.sequence import resolve_backend, run
from snnrun.sequence.kernel import llvm
from support.catalogued import FUSED, STEP_BY_STEP, neurons, options, part

ELEMENTWISE = ("rlif", "rsynaptic", "alif", "lsnn", "adex", "lif_current", "lif_refractory")


def make(name: str, **changes: Any) -> Neuron:
    group = "neuron" if name in options("neuron") else "readout"
    return neurons(group, name, shape=(7,), **changes).double()


def results(neuron: Neuron, x: Tensor, backend: str, membrane: bool = True) -> dict[str, Tensor]:
    """Trace, last state, and the gradient of everything by a loss in which everything has a part of its own."""
    generator = torch.Generator().manual_seed(5)
    x = x.clone().requires_grad_()
    first = neuron.initial_state(x[0])
    first = type(first)(*(value.detach().clone().requires_grad_() for value in first))
    trace, last = run(neuron, x, first, backend=backend, membrane=membrane)
    if trace.fired is not None:
        assert torch.equal(trace.fired, (trace.spikes != 0).to(x.dtype).sum(0))
    outcome = {
        "spikes": trace.spikes,
        "membrane": trace.membrane,
        **{f"last.{name}": value for name, value in last._asdict().items()},
    }
    loss = sum((torch.randn(v.shape, generator=generator, dtype=v.dtype) * v).sum() for v in outcome.values())
    leaves = {"x": x, **{f"first.{k}": v for k, v in first._asdict().items()}, **dict(neuron.named_parameters())}
    grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return outcome | {f"gradient of {name}": grad for name, grad in zip(leaves, grads, strict=True)}


def agree(neuron: Neuron, x: Tensor, *, membrane: bool = True) -> None:
    expected, actual = (results(neuron, x, backend, membrane) for backend in ("reference", "fused"))
    assert len(actual["membrane"]) == (len(x) if membrane else 0)
    for name, value in expected.items():
        assert actual[name].shape == value.shape
        scale = max([1e-9, *value.detach().abs().flatten().tolist()])
        assert all(each <= 1e-9 * scale for each in (actual[name] - value).abs().flatten().tolist()), name


def sequence(steps: int = 7) -> Tensor:
    return torch.randn(steps, 3, 7, generator=torch.Generator().manual_seed(steps), dtype=torch.float64) * 0.8 + 0.5


def test_what_is_fused() -> None:
    named = [(group, name) for group in ("neuron", "readout") for name in options(group) if name != "null"]
    found = {name for group, name in named if resolve_backend(neurons(group, name), "auto") == "reference"}
    assert found == STEP_BY_STEP


@pytest.mark.long
@pytest.mark.parametrize("kernel", ["llvm", "torch"])
@pytest.mark.parametrize("name", FUSED)
def test_neurons(name: str, kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kernel == "torch":
        monkeypatch.setattr(llvm, "supports", lambda x: False)
    for convention in options("convention"):
        for learn in (True, False):
            agree(make(name, convention=convention, learn=learn), sequence())
        agree(make(name, convention=convention, learn=True), sequence(), membrane=False)
    for membrane in (True, False):
        agree(make(name, detach_reset=False, reset="zero", reset_timing="delayed"), sequence(1), membrane=membrane)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_recurrence(name: str) -> None:
    neuron = make(name, recurrence="elementwise", autapses=True)
    assert neuron.recurrence == "elementwise"
    agree(neuron, sequence())


@pytest.mark.parametrize("name", ["lif", "liaf", "klif", "ilif"])
def test_a_time_constant_that_is_learnt(name: str) -> None:
    for per_neuron in (False, True):
        neuron = make(name, learn_beta=False, learn_tau=True, tau=5.0, decay_input=True, per_neuron=per_neuron)
        assert "tau" in neuron.learnable_values()
        agree(neuron, sequence())


@pytest.mark.parametrize("kernel", ["llvm", "torch"])
@pytest.mark.parametrize("surrogate", options("surrogate"))
def test_surrogates(surrogate: str, kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spike = part("surrogate", surrogate)
    neuron = LIF(0.9, surrogate=spike, detach_reset=False, learn_beta=True, learn_threshold=True).double()
    if not spike.is_step:
        assert resolve_backend(neuron, "auto") == "reference"
        return
    if kernel == "torch":
        monkeypatch.setattr(llvm, "supports", lambda x: False)
    for membrane in (True, False):
        agree(neuron, sequence(), membrane=membrane)


def test_a_surrogate_that_is_no_program_is_handed_in() -> None:
    """It is asked for the whole sequence at once, so here it must not depend on the order: every neuron alike."""
    neuron = LIF(0.9, surrogate=part("surrogate", "squarewave_fourier_series"), detach_reset=False).double()
    for membrane in (True, False):
        agree(neuron, sequence(), membrane=membrane)
    assert resolve_backend(neuron, "auto") == "fused"


@pytest.mark.parametrize("membrane", [True, False])
def test_the_number_of_threads_changes_no_bit(membrane: bool) -> None:
    neuron = neurons("neuron", "lif", shape=(700,))
    x = torch.rand(30, 9, 700, generator=torch.Generator().manual_seed(0))
    before, seen = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            given = x.clone().requires_grad_()
            trace, _ = run(neuron, given, backend="fused", membrane=membrane)
            loss = (trace.spikes * x).sum() + trace.membrane.sum()
            seen.append([*trace[:2], *torch.autograd.grad(loss, [given, *neuron.parameters()])])
    finally:
        torch.set_num_threads(before)
    for others in seen[1:]:
        assert all(map(torch.equal, seen[0], others))
