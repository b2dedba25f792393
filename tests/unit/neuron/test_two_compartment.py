"""TC-LIF: the order of its steps as published, its undamped oscillation, its resets, its limits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.neuron import TCLIF
from snnrun.sequence import resolve_backend, run
from support.refusals import refuses


def published(x: list[float], beta1: float, beta2: float, gamma: float, threshold: float, hard: bool) -> Any:
    """Spikes, and the soma before its reset, of one neuron: both compartments are charged, then both are reset."""
    dendrite = soma = 0.0
    spikes, membrane = [], []
    for current in x:
        dendrite += current - beta1 * soma
        soma += beta2 * dendrite
        membrane.append(soma)
        spikes.append(int(soma > threshold))
        if spikes[-1] and hard:
            soma = 0.0
        elif spikes[-1]:
            dendrite, soma = dendrite - gamma, soma - threshold
    return spikes, membrane


@pytest.mark.parametrize("backend", ["reference", "fused"])
@pytest.mark.parametrize("hard", [False, True])
def test_the_published_steps(hard: bool, backend: str) -> None:
    x = torch.rand(200, 1, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 0.45
    spikes, membrane = published(x.flatten().tolist(), 0.3, 0.6, 0.4, 1.2, hard)
    neuron = TCLIF(beta1=0.3, beta2=0.6, gamma=0.4, threshold=1.2, reset="zero" if hard else "subtract").double()
    trace, _ = run(neuron, x, backend=backend)
    assert trace.spikes.flatten().tolist() == spikes
    assert 5 < sum(spikes) < 150
    assert trace.membrane.flatten().tolist() == pytest.approx(membrane, abs=1e-5)  # β is learnt in single precision


def test_below_the_threshold_nothing_fades() -> None:
    """The steps keep this quadratic form, as symplectic Euler steps of an oscillator do."""
    beta1, beta2 = 0.3, 0.6
    neuron = TCLIF(beta1=beta1, beta2=beta2, threshold=100.0, learn_beta1=False, learn_beta2=False)
    x = torch.zeros(1, 1, dtype=torch.float64)
    _, state = neuron.step(x + 1, neuron.initial_state(x))
    forms = []
    for _ in range(2000):
        _, state = neuron.step(x, state)
        d, u = state.dendrite.item(), state.membrane.item()
        forms.append(beta2 * d * d - beta1 * beta2 * d * u + beta1 * u * u)
    assert forms == pytest.approx([forms[0]] * 2000, rel=1e-9)
    assert forms[0] > 0.1


@pytest.mark.parametrize("detach", [True, False])
def test_the_gradient_through_the_reset_of_the_dendrite(detach: bool) -> None:
    """By hand: ``d[1] = x[1] + (1 - β1 β2) x[0] + (β1 θ - γ) s[0]``, and ``u[0] = β2 x[0] = 1.5``."""
    neuron = TCLIF(gamma=0.2, detach_reset=detach, learn_beta1=False, learn_beta2=False)
    x = torch.tensor([3.0, 0.0]).view(-1, 1, 1).requires_grad_()
    _, first = neuron.step(x[0], neuron.initial_state(x[0]))
    _, second = neuron.step(x[1], first)
    assert second.dendrite.item() == pytest.approx(0.75 * 3 + 0.3)
    (gradient,) = torch.autograd.grad(second.dendrite.sum(), x)
    slope = 0.5 * neuron.surrogate.derivative(torch.tensor(0.5)).item()  # of s[0] by x[0]
    assert gradient.flatten().tolist() == pytest.approx([0.75 + (0.0 if detach else 0.3 * slope), 1.0])


def test_it_has_a_fused_execution() -> None:
    assert resolve_backend(TCLIF(), "auto") == "fused"


def test_limits() -> None:
    with refuses("gamma", -0.5, "at least 0"):
        TCLIF(gamma=-0.5)
    with refuses("beta1", 1.0, "below 1"):
        TCLIF(beta1=1.0)
    drawn: Tensor = torch.as_tensor(TCLIF(beta2="uniform(0.2,0.4)", shape=(50,)).beta2())
    assert drawn.min() >= 0.2
    assert drawn.max() <= 0.4
