"""The balanced resonate-and-fire neuron: its authors' traces, its mathematics, its limits."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.neuron import BRF
from snnrun.sequence import resolve_backend, run
from snnrun.surrogate import MultiGaussian
from support.authors_network import compare_network
from support.references import assert_close_to_largest, entry, tensor
from support.refusals import refuses

BACKENDS = ["reference", "fused"]


def neuron_of(entry: dict[str, Any], prefix: str = "", **options: Any) -> BRF:
    weights = entry["weights"]
    omega, offset = weights[f"{prefix}omega"], weights[f"{prefix}b_offset"]
    balanced = entry["id"].startswith("brf")
    return BRF(
        omega=omega,
        b_offset=offset,
        dt=entry["params"]["dt"],
        balanced=balanced,
        scale_input=True,
        surrogate=MultiGaussian(shift=0.0),
        shape=(len(omega),),
        **options,
    )


def compare(entry: dict[str, Any], trace: Any, neuron: BRF, current: Tensor) -> None:
    assert trace.spikes.tolist() == entry["spikes"]
    assert_close_to_largest(trace.membrane.detach(), tensor(entry["membrane"]))
    states = [neuron.initial_state(current[0])]
    for x in current.detach():
        states.append(neuron.step(x, states[-1])[1])
    _, *after = states
    assert_close_to_largest(torch.stack([each.imaginary for each in after]).detach(), tensor(entry["states"]["v"]))
    if neuron.balanced:
        assert_close_to_largest(
            torch.stack([each.refractoriness for each in after]).detach(), tensor(entry["states"]["q"])
        )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("identifier", ["brf.cell", "rf.cell"])
def test_the_authors_cell(identifier: str, backend: str) -> None:
    reference = entry("sequences", identifier)
    neuron, grad = neuron_of(reference), reference["grad"]
    x, weight = (tensor(each).requires_grad_() for each in (reference["input"], reference["weights"]["weight"]))
    current = x @ weight.T
    trace, _ = run(neuron, current, backend=backend)
    compare(reference, trace, neuron, current)
    loss = (tensor(grad["w"]) * trace.spikes).sum() + 0.1 * (tensor(grad["u"]) * trace.membrane).sum()
    assert loss.item() == pytest.approx(grad["loss"], rel=2e-5)
    loss.backward()
    ours = {"omega": neuron.omega.raw.grad, "b_offset": neuron.b_offset.raw.grad, "weight": weight.grad}
    assert_close_to_largest(x.grad, tensor(grad["grad_input"]))  # type: ignore[arg-type]
    for name, value in grad["grad_params"].items():
        assert_close_to_largest(ours[name], tensor(value))  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("identifier", ["brf.network", "rf.network"])
def test_the_authors_recurrent_network(identifier: str, backend: str) -> None:
    reference = entry("sequences", identifier)
    neuron = neuron_of(reference, "hidden.", recurrence="all_to_all")
    compare_network(reference, neuron, backend, {"omega": neuron.omega, "b_offset": neuron.b_offset})


def free(neuron: BRF, steps: int) -> Tensor:
    """The distance of an oscillation from the origin at each step, without input, spikes and refractoriness."""
    state = neuron.initial_state(torch.zeros(1, 1, dtype=torch.float64))
    state = state._replace(membrane=state.membrane + 0.5)
    sizes = []
    for _ in range(steps):
        _, state = neuron.step(torch.zeros(1, 1, dtype=torch.float64), state)
        sizes.append(torch.hypot(state.membrane, state.imaginary).item())
    return torch.tensor(sizes)


@pytest.mark.parametrize("omega", [1.0, 10.0, 60.0, 99.0])
def test_the_boundary_keeps_the_size_of_an_oscillation(omega: float) -> None:
    sizes = free(BRF(omega=omega, b_offset=0.0).double(), 300)
    torch.testing.assert_close(sizes, torch.full_like(sizes, 0.5), rtol=1e-4, atol=0)
    grown = free(BRF(omega=omega, b_offset=0.0, balanced=False).double(), 300)
    expected = 0.5 * (1 + (omega * 0.01) ** 2) ** 0.5
    assert grown[0].item() == pytest.approx(expected, rel=1e-6)


def test_an_offset_damps() -> None:
    sizes = free(BRF(omega=10.0, b_offset=-2.0).double(), 100)
    factor = math.hypot(math.sqrt(1 - 0.01) - 0.02, 0.1)  # of a step
    assert sizes[-1].item() == pytest.approx(0.5 * factor**100, rel=1e-4)


def test_a_spike_damps_and_raises_the_threshold() -> None:
    neuron = BRF(threshold=1.0, gamma=0.5)
    x = torch.tensor([1.5, 1.5]).view(-1, 1, 1)
    state = neuron.initial_state(x[0])
    spikes, state = neuron.step(x[0], state)
    assert (spikes.item(), state.refractoriness.item()) == (1, 1)
    spikes, after = neuron.step(x[1], state)
    assert after.membrane.item() > 2  # above θ + q
    assert (spikes.item(), after.refractoriness.item()) == (1, 1.5)
    _, calm = neuron.step(x[1], state._replace(refractoriness=torch.zeros(1, 1)))
    # The damping of q = 1 over a step of 0.01 takes a hundredth off the membrane.
    torch.testing.assert_close(calm.membrane - after.membrane, 0.01 * state.membrane)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_learnt_frequency_beyond_the_limit_stays_finite(backend: str, dtype: torch.dtype) -> None:
    neuron = BRF(omega=[99.0, 99.0, 99.0], b_offset=0.0, shape=(3,)).to(dtype)
    with torch.no_grad():
        neuron.omega.raw.copy_(torch.tensor([99.9999, 100.0, 1e6]))
    x = torch.rand(2000, 1, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)
    trace, _ = run(neuron, x, backend=backend)
    (trace.membrane.square().mean() + trace.spikes.mean()).backward()
    assert trace.membrane.isfinite().all()
    grad = neuron.omega.raw.grad
    assert isinstance(grad, Tensor)
    assert grad.isfinite().all()
    assert grad[2] == 0


def test_limits_of_the_frequency() -> None:
    with refuses("omega", 100.0, "100", "shorter step"):
        BRF(omega=100.0)
    with refuses("omega", -20.0, "10"):
        BRF(omega=-20.0, dt=0.1)
    with refuses("omega", "uniform(100,200)", "100"):
        BRF(omega="uniform(100,200)", shape=(2,))
    BRF(omega=100.0, balanced=False)
    drawn = torch.as_tensor(BRF(omega="uniform(90,110)", shape=(200,)).omega()).detach()
    assert drawn.min() >= 90
    assert drawn.max() < 100


@pytest.mark.parametrize("recurrence", ["none", "all_to_all", "elementwise"])
def test_it_has_a_fused_execution(recurrence: str) -> None:
    assert resolve_backend(BRF(recurrence=recurrence, shape=(3,)), "auto") == "fused"
