"""The neuron whose threshold follows its rate: the traces of two authors, its mathematics, its limits."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.neuron import LIF, AdaptiveThreshold
from snnrun.sequence import Trace, resolve_backend, run
from snnrun.surrogate import MultiGaussian
from support.authors_network import compare_network
from support.references import assert_close_to_largest, entry, tensor
from support.refusals import refuses

BACKENDS = ["reference", "fused"]


def neuron_of(reference: dict[str, Any], prefix: str = "", tau: str = "tau_mem", **options: Any) -> AdaptiveThreshold:
    """Authors' neurons; a learnt τ may be below 0, since only |τ| counts."""
    weights, params = reference["weights"], reference["params"]
    times = weights[f"{prefix}{tau}"], weights[f"{prefix}tau_adp"]
    neuron = AdaptiveThreshold(
        tau=[abs(value) for value in times[0]],
        tau_adapt=[abs(value) for value in times[1]],
        strength=params["beta"],
        threshold=params.get("theta", params.get("b_j0")),
        decay_input=True,
        detach_reset=False,
        shape=(len(times[0]),),
        **options,
    )
    with torch.no_grad():
        neuron.tau.raw.copy_(tensor(times[0]))
        neuron.tau_adapt.raw.copy_(tensor(times[1]))
    return neuron


def rates(neuron: AdaptiveThreshold, spikes: Tensor) -> Tensor:
    """a at each step, ``[T, B, N]``."""
    rho = torch.exp(-1 / torch.as_tensor(neuron.tau_adapt()).abs())
    values = [torch.zeros_like(spikes[0])]
    for s in spikes[:-1]:
        values.append(rho * values[-1] + (1 - rho) * s)
    return torch.stack(values)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_authors_cell(backend: str) -> None:
    reference = entry("sequences", "alif.cell")
    neuron, grad = neuron_of(reference, surrogate=MultiGaussian(shift=0.0)), reference["grad"]
    x, weight = (tensor(each).requires_grad_() for each in (reference["input"], reference["weights"]["weight"]))
    trace, _ = run(neuron, x @ weight.T, backend=backend)
    rate = rates(neuron, trace.spikes)
    after = trace.membrane - neuron.raised(rate) * trace.spikes
    assert trace.spikes.tolist() == reference["spikes"]
    assert_close_to_largest(after.detach(), tensor(reference["membrane"]))
    assert_close_to_largest(rate.detach(), tensor(reference["states"]["a"]))
    loss = (tensor(grad["w"]) * trace.spikes).sum() + 0.1 * (tensor(grad["u"]) * after).sum()
    assert loss.item() == pytest.approx(grad["loss"], rel=2e-5)
    loss.backward()
    ours = {"tau_mem": neuron.tau.raw.grad, "tau_adp": neuron.tau_adapt.raw.grad, "weight": weight.grad}
    assert ours.keys() == grad["grad_params"].keys()
    assert_close_to_largest(x.grad, tensor(grad["grad_input"]))  # type: ignore[arg-type]
    for name, value in grad["grad_params"].items():
        assert_close_to_largest(ours[name], tensor(value))  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_authors_recurrent_network(backend: str) -> None:
    reference = entry("sequences", "alif.network")
    neuron = neuron_of(reference, "hidden.", recurrence="all_to_all", surrogate=MultiGaussian(shift=0.0))

    def after_reset(trace: Trace) -> Tensor:
        return trace.membrane - neuron.raised(rates(neuron, trace.spikes)) * trace.spikes

    compare_network(
        reference, neuron, backend, {"tau_mem": neuron.tau, "tau_adp": neuron.tau_adapt}, membrane=after_reset
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_first_authors_neuron_resets_a_step_later(backend: str) -> None:
    reference = entry("sequences", "alif.byin")
    grad = reference["grad"]
    neuron = neuron_of(reference, tau="tau_m", reset_timing="delayed", surrogate=MultiGaussian())
    x = tensor(reference["input"]).requires_grad_()
    trace, _ = run(neuron, x, backend=backend)
    assert trace.spikes.tolist() == reference["spikes"]
    assert_close_to_largest(trace.membrane.detach(), tensor(reference["membrane"]))
    threshold = neuron.raised(rates(neuron, trace.spikes))
    assert_close_to_largest(threshold.detach(), tensor(reference["states"]["B"]))
    loss = (tensor(grad["w"]) * trace.spikes).sum() + 0.1 * (tensor(grad["u"]) * trace.membrane).sum()
    assert loss.item() == pytest.approx(grad["loss"], rel=2e-5)
    loss.backward()
    ours = {"tau_m": neuron.tau.raw.grad, "tau_adp": neuron.tau_adapt.raw.grad}
    assert_close_to_largest(x.grad, tensor(grad["grad_input"]))  # type: ignore[arg-type]
    for name, value in grad["grad_params"].items():
        assert_close_to_largest(ours[name], tensor(value))  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{}, {"decay_input": True}, {"reset": "zero"}, {"reset_timing": "delayed"}])
def test_without_strength_it_is_a_lif(options: dict[str, Any]) -> None:
    x = torch.rand(30, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    ours, _ = run(AdaptiveThreshold(tau=7.0, strength=0.0, **options).double(), x)
    lif, _ = run(LIF(tau=7.0, **options).double(), x)
    assert ours.spikes.any() and torch.equal(ours.spikes, lif.spikes)
    torch.testing.assert_close(ours.membrane, lif.membrane)


def test_the_threshold_of_a_neuron_that_always_fires() -> None:
    """a = 1 - exp(-n/τ) after n spikes in a row."""
    neuron = AdaptiveThreshold(tau_adapt=4.0, strength=2.0, threshold=0.5).double()
    x = torch.full((41, 1, 1), 50.0, dtype=torch.float64)
    trace, state = run(neuron, x)
    assert trace.spikes.all()
    assert state.adaptation.item() == pytest.approx(1 - math.exp(-40 / 4))
    assert neuron.raised(state.adaptation).item() == pytest.approx(0.5 + 2 * (1 - math.exp(-10)))


def test_both_time_constants_are_learnt_and_it_runs_fused() -> None:
    neuron = AdaptiveThreshold(tau="uniform(5,25)", tau_adapt="normal(7,0.2)", shape=(50,))
    assert resolve_backend(neuron, "auto") == "fused"
    values = neuron.learnable_values()
    assert values.keys() == {"tau", "tau_adapt"}
    assert values["tau"].unique().numel() == 50 and ((values["tau"] >= 5) & (values["tau"] <= 25)).all()
    assert AdaptiveThreshold(learn_tau=False).learnable_values() == {}


def test_arguments_out_of_range_are_refused() -> None:
    with refuses("tau", 0.0, "above 0"):
        AdaptiveThreshold(tau=0.0)
    with refuses("tau_adapt", -1.0, "above 0"):
        AdaptiveThreshold(tau_adapt=-1.0)
    with refuses("strength", -0.1):
        AdaptiveThreshold(strength=-0.1)
    with refuses("dt", 0.0):
        AdaptiveThreshold(dt=0.0)
