"""SiLIF and C-SiLIF: their authors' traces, and their mathematics."""

from __future__ import annotations

import cmath
import functools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.neuron import CSiLIF, SiLIF
from snnrun.neuron.izhikevich import AdaptiveState
from snnrun.neuron.state_space import ComplexState
from snnrun.sequence import Trace, resolve_backend, run
from snnrun.surrogate import Rectangular
from support.references import assert_close_to_largest, entry, tensor
from support.refusals import refuses

BACKENDS = ["reference", "fused"]
EXECUTIONS = pytest.mark.parametrize("backend", BACKENDS)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def exp(logarithms: list[float]) -> list[float]:
    return [math.exp(each) for each in logarithms]


def states(neuron: SiLIF | CSiLIF, state: Any, current: Tensor) -> list[Any]:
    sequence = []
    for x in current.detach():
        _, state = neuron.step(x, state)
        sequence.append(state)
    return sequence


def trace_of(neuron: SiLIF | CSiLIF, current: Tensor, begin: Any, backend: str) -> Trace:
    """The trace from ``begin``, whose spikes may be any numbers: its first step is the reference's."""
    spikes, state = neuron.step(current[0], begin)
    rest, _ = run(neuron, current[1:], state, backend=backend)
    return Trace(torch.cat([spikes[None], rest.spikes]), torch.cat([state.membrane[None], rest.membrane]))


def check_gradients(reference: dict[str, Any], trace: Trace, x: Tensor, ours: dict[str, Any]) -> None:
    """The loss, and its gradients for the input and ``ours``, the tensors by their names in the entry."""
    grad, dtype = reference["grad"], x.dtype
    loss = (tensor(grad["w"], dtype) * trace.spikes).sum() + 0.1 * (tensor(grad["u"], dtype) * trace.membrane).sum()
    assert loss.item() == pytest.approx(grad["loss"], rel=2e-5)
    loss.backward()
    assert ours.keys() == grad["grad_params"].keys()
    assert_close_to_largest(x.grad, tensor(grad["grad_input"], dtype))  # type: ignore[arg-type]
    for name, value in grad["grad_params"].items():
        assert_close_to_largest(ours[name].grad, tensor(value, dtype))


@DTYPES
@EXECUTIONS
def test_the_authors_silif(backend: str, dtype: torch.dtype) -> None:
    reference = entry("sequences", "silif")
    weights, start = reference["weights"], reference["initial_state"]
    number = functools.partial(tensor, dtype=dtype)
    neuron = SiLIF(
        decay=exp(weights["alpha"]),
        decay_w=exp(weights["beta"]),
        delta=exp(weights["dt"]),
        decay_input=True,
        detach_reset=False,
        surrogate=Rectangular(),
        per_neuron=True,
        shape=(5,),
    ).to(dtype)
    with torch.no_grad():  # some of the authors' numbers are beyond the range
        neuron.a.raw.copy_(number(weights["a"]))
        neuron.b.raw.copy_(number(weights["b"]))
    x, weight = (number(each).requires_grad_() for each in (reference["input"], weights["weight"]))
    current = x @ weight.T
    begin = AdaptiveState(*(number(start[name]) for name in ("u", "s", "w")))
    trace = trace_of(neuron, current, begin, backend)
    assert trace.spikes.tolist() == reference["spikes"]
    assert_close_to_largest(trace.membrane.detach(), number(reference["membrane"]))
    adaptation = torch.stack([each.adaptation for each in states(neuron, begin, current)])
    assert_close_to_largest(adaptation.detach(), number(reference["states"]["w"]))
    values = {"dt": neuron.delta, "alpha": neuron.decay, "beta": neuron.decay_w, "a": neuron.a, "b": neuron.b}
    check_gradients(reference, trace, x, {"weight": weight, **{name: value.raw for name, value in values.items()}})


@DTYPES
@EXECUTIONS
def test_the_authors_csilif(backend: str, dtype: torch.dtype) -> None:
    reference = entry("sequences", "csilif")
    weights, start = reference["weights"], reference["initial_state"]
    number = functools.partial(tensor, dtype=dtype)
    neuron = CSiLIF(
        decay=exp(weights["log_log_alpha"]),
        omega=weights["alpha_img"],
        delta=exp(weights["log_dt"]),
        gain=weights["b"],
        detach_reset=False,
        surrogate=Rectangular(),
        shape=(5,),
    ).to(dtype)
    x, weight = (number(each).requires_grad_() for each in (reference["input"], weights["weight"]))
    current = x @ weight.T
    begin = ComplexState(2 * number(start["u_real"]), number(start["s"]), 2 * number(start["u_imag"]))
    trace = trace_of(neuron, current, begin, backend)
    assert trace.spikes.tolist() == reference["spikes"]
    assert_close_to_largest(trace.membrane.detach(), number(reference["membrane"]))
    imaginary = torch.stack([each.imaginary for each in states(neuron, begin, current)])
    assert_close_to_largest(imaginary.detach(), 2 * number(reference["states"]["u_imag"]))
    values = {"log_log_alpha": neuron.decay, "log_dt": neuron.delta, "alpha_img": neuron.omega, "b": neuron.gain}
    check_gradients(reference, trace, x, {"weight": weight, **{name: value.raw for name, value in values.items()}})


def test_an_impulse_turns_and_decays() -> None:
    neuron = CSiLIF(decay=0.3, omega=2.0, delta=0.2, gain=0.25, threshold=9.0, learn_decay=False, learn_delta=False)
    x = torch.zeros(20, 1, 1, dtype=torch.float64)
    x[0] = 1.0
    trace, last = run(neuron.double(), x)
    turn = cmath.exp((-0.3 + 2j) * 0.2)
    expected = [2 * (0.25 * turn**t).real for t in range(20)]
    assert trace.membrane.flatten().tolist() == pytest.approx(expected, abs=1e-12)
    assert last.imaginary.item() == pytest.approx(2 * (0.25 * turn**19).imag, abs=1e-12)


def test_one_time_step_changes_both_rates() -> None:
    """Twice the time step is twice both rates."""
    x = torch.rand(40, 1, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 8
    neurons = (SiLIF(delta=0.008), SiLIF(decay=100.0, decay_w=10.0))
    one, other = (run(neuron.double(), x)[0] for neuron in neurons)
    torch.testing.assert_close(one.membrane, other.membrane)
    assert one.spikes.any()


@pytest.mark.parametrize("kind", [SiLIF, CSiLIF])
def test_it_has_a_fused_execution(kind: Any) -> None:
    assert resolve_backend(kind(), "auto") == "fused"
    fixed = kind(learn_decay=False, learn_delta=False)
    assert resolve_backend(fixed, "auto") == "fused"


def test_limits() -> None:
    with refuses("decay_w", 0.0, "above 0"):
        SiLIF(decay_w=0.0)
    with refuses("delta", 0.0, "above 0"):
        SiLIF(delta=0.0)
    with refuses("decay", -1.0, "above 0"):
        CSiLIF(decay=-1.0)
    with refuses("a", 1.5, "at most 1"):
        SiLIF(a=1.5)
    with refuses("b", -0.5, "at least 0"):
        SiLIF(b=-0.5)
