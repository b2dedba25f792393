"""Neurons by pencil and by their mathematics: resets, conventions, leaks, rates, parameters in range."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.neuron import IF, LIF, Lapicque, Neuron, State
from snnrun.sequence import run
from support.refusals import refuses


def drive(neuron: Neuron, values: list[float]) -> tuple[list[float], list[float]]:
    """Spikes and membranes of one neuron for these inputs."""
    trace, _ = run(neuron, torch.tensor(values, dtype=torch.float64).view(-1, 1, 1))
    return trace.spikes.flatten().tolist(), trace.membrane.flatten().tolist()


def test_by_pencil_subtract() -> None:
    # u: 0.75, 1.5 fires, leaves 0.5; 1.25 fires, leaves 0.25; 0.25; 1.0 does not pass 1
    assert drive(IF(), [0.75, 0.75, 0.75, 0, 0.75]) == ([0, 1, 1, 0, 0], [0.75, 1.5, 1.25, 0.25, 1.0])


def test_by_pencil_zero_and_none() -> None:
    assert drive(IF(reset="zero", v_reset=-0.25), [1.5, 0.5, 1.0]) == ([1, 0, 1], [1.5, 0.25, 1.25])
    assert drive(IF(reset="none"), [1.5, 0.5, -1.5]) == ([1, 1, 0], [1.5, 2.0, 0.5])


def test_by_pencil_the_delayed_reset_escapes_the_leak() -> None:
    # same: v = 1.5 - 1 = 0.5, leaks to 0.25. delayed: 1.5 leaks to 0.75, less 1.
    assert drive(LIF(0.5), [1.5, 0]) == ([1, 0], [1.5, 0.25])
    assert drive(LIF(0.5, reset_timing="delayed"), [1.5, 0]) == ([1, 0], [1.5, -0.25])
    # zero: LIF keeps the input of the step in which the reset lands, Lapicque's capacitor is held.
    assert drive(LIF(0.5, reset="zero", reset_timing="delayed", v_reset=0.25), [1.5, 0.5]) == ([1, 0], [1.5, 0.75])
    capacitor = Lapicque(R=2.0, C=1.0, dt=1.0, reset="zero", reset_timing="delayed", v_reset=0.25)
    assert drive(capacitor, [1.5, 0.5]) == ([1, 0], [1.5, 0.25])


def test_fires_at() -> None:
    assert drive(IF(), [1.0])[0] == [0]
    assert drive(IF(fires_at=">="), [1.0])[0] == [1]


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_detaching_the_reset_changes_gradients_and_nothing_else(reset: str) -> None:
    x = torch.rand(12, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    results = []
    for detach in (True, False):
        trace, _ = run(LIF(0.9, reset=reset, detach_reset=detach), x)
        results.append((trace.spikes, torch.autograd.grad(trace.spikes.sum(), x)[0]))
    (spikes, grad), (same_spikes, other_grad) = results
    assert torch.equal(spikes, same_spikes)
    assert spikes.sum() > 3
    assert not torch.allclose(grad, other_grad)


@pytest.mark.parametrize("backend", ["reference", "fused"])
def test_if_fires_at_the_rate_of_its_current(backend: str) -> None:
    """Subtracting, it loses nothing: after T steps of current I it has fired floor(T I / θ) times, or one less."""
    current = torch.linspace(0.01, 0.99, 33, dtype=torch.float64)
    trace, _ = run(IF(threshold=0.7), current.expand(1000, 1, -1), backend=backend)
    missing = 1000 * current / 0.7 - trace.spikes.sum(0)[0].clamp(max=1000)
    below = current < 0.7
    assert (missing[below] >= -1e-9).all()
    assert (missing[below] <= 1 + 1e-9).all()
    assert (trace.spikes.sum(0)[0, ~below] >= 999).all()


def test_lif_fires_at_the_rate_of_its_equation() -> None:
    """Reset to zero, constant current: steps to the threshold from v = I (1 - βⁿ)/(1 - β) > θ."""
    beta, theta = 0.95, 1.0
    current = torch.tensor([0.06, 0.1, 0.2, 0.5], dtype=torch.float64)
    trace, _ = run(LIF(beta, reset="zero"), current.expand(2000, 1, -1))
    for i, value in enumerate(current.tolist()):
        steps = math.floor(math.log(1 - theta * (1 - beta) / value) / math.log(beta)) + 1
        assert trace.spikes[:, 0, i].sum().item() == 2000 // steps


def test_leak_half_life_and_time_constant() -> None:
    start = State(torch.tensor([[0.8]], dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64))
    nothing = torch.zeros(70, 1, 1, dtype=torch.float64)
    half_life = math.log(2) / -math.log(0.9)
    trace, _ = run(LIF(0.9), nothing, start)
    torch.testing.assert_close(trace.membrane[:, 0, 0], 0.8 * 0.5 ** (torch.arange(1, 71).double() / half_life))
    trace, _ = run(LIF(tau=20.0, dt=0.5), nothing, start)
    torch.testing.assert_close(trace.membrane[39, 0, 0].item(), 0.8 / math.e)  # 40 steps of 0.5 are one τ
    trace, _ = run(LIF(0.5, v_rest=-0.4), nothing, start)
    torch.testing.assert_close(trace.membrane[-1, 0, 0].item(), -0.4)


@pytest.mark.parametrize(("integration", "order"), [("euler", 1), ("exact", None)])
def test_integration_error_in_dt(integration: str, order: int | None) -> None:
    """Against the RC circuit's closed form: Euler's error halves with dt, the exact step has none."""

    def error(neuron: Neuron, steps: int, scale: float) -> float:
        trace, _ = run(neuron, torch.full((steps, 1, 1), scale, dtype=torch.float64))
        return abs(trace.membrane[-1].item() - 0.9 * (1 - math.exp(-1)))

    for make in (
        lambda dt: LIF(tau=2.0, dt=dt, integration=integration, decay_input=True, reset="none"),
        lambda dt: Lapicque(R=0.5, C=4.0, dt=dt, integration=integration, reset="none"),
    ):
        scale = 0.9 if isinstance(make(0.1), LIF) else 0.9 / 0.5
        coarse, fine = (error(make(2.0 / n), n, scale) for n in (100, 200))
        if order is None:
            assert coarse < 1e-12
        else:
            assert math.log2(coarse / fine) == pytest.approx(order, abs=0.05)


def test_lapicque_is_a_lif_with_a_gain() -> None:
    x = torch.rand(30, 1, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    a, _ = run(Lapicque(R=4.0, C=2.0, dt=1.0), x)
    b, _ = run(LIF(1 - 1 / 8), x / 2)
    torch.testing.assert_close(a.membrane, b.membrane)


@pytest.mark.parametrize("per_neuron", [False, True])
def test_learnable_parameters_stay_in_range_whatever_the_optimizer_does(per_neuron: bool) -> None:
    neuron = LIF(0.9, learn_beta=True, learn_threshold=True, per_neuron=per_neuron, shape=(3,))
    shape = (3,) if per_neuron else ()
    assert {name: p.shape for name, p in neuron.named_parameters()} == {"threshold.raw": shape, "beta.raw": shape}
    torch.testing.assert_close(neuron.beta(), torch.full(shape, 0.9))
    torch.testing.assert_close(neuron.threshold(), torch.ones(shape))
    for sign in (1, -1):
        optimizer = torch.optim.SGD(neuron.parameters(), lr=3.0)
        for _ in range(20):
            optimizer.zero_grad()
            (sign * (neuron.beta().sum() + neuron.threshold().sum())).backward()
            optimizer.step()
        beta, threshold = neuron.beta().detach(), neuron.threshold().detach()
        assert ((beta >= 0) & (beta <= 1)).all()
        assert (threshold > 0).all()


def test_parameters_per_neuron() -> None:
    neuron = LIF([0.1, 0.5, 0.9], threshold=[1.0, 2.0, 3.0], shape=(3,))
    trace, _ = run(neuron, torch.ones(2, 1, 3))
    torch.testing.assert_close(trace.membrane[1, 0], torch.tensor([1.1, 1.5, 1.9]))
    assert trace.spikes[1, 0].tolist() == [1, 0, 0]
    assert sum(p.numel() for p in neuron.parameters()) == 0
    with refuses("beta", "a list of 3", "4 neurons"):
        LIF([0.1, 0.5, 0.9], shape=(4,))


BAD: list[tuple[Any, dict[str, Any], tuple[Any, ...]]] = [
    (IF, {"threshold": 0}, ("threshold", 0, "above 0")),
    (IF, {"threshold": None}, ("threshold", None, "above 0")),
    (IF, {"threshold": math.nan}, ("threshold", math.nan, "above 0")),
    (IF, {"threshold": True}, ("threshold", True, "above 0")),
    (IF, {"threshold": []}, ("threshold", [])),
    (IF, {"fires_at": "="}, ("fires_at", "=", "'>' or '>='")),
    (IF, {"reset": "soft"}, ("reset", "soft", "'subtract' or 'zero' or 'none'")),
    (IF, {"reset_timing": "late"}, ("reset_timing", "late", "'same' or 'delayed'")),
    (IF, {"detach_reset": 1}, ("detach_reset", 1, "true or false")),
    (IF, {"v_reset": "low"}, ("v_reset", "low")),
    (IF, {"per_neuron": True}, ("per_neuron", "shape=None")),
    (IF, {"surrogate": "atan"}, ("surrogate", "atan")),
    (LIF, {"beta": 1.5}, ("beta", 1.5, "at least 0 and at most 1")),
    (LIF, {"beta": "x"}, ("beta", "x", "at least 0 and at most 1")),
    (LIF, {"tau": 0}, ("tau", 0, "above 0")),
    (
        LIF,
        {"tau": 0.5, "integration": "euler"},
        ("tau", 0.5, "at least 1", "integration=euler"),
    ),
    (LIF, {"beta": 0.9, "tau": 2.0}, ("beta, tau", (0.9, 2.0))),
    (LIF, {"dt": -1}, ("dt", -1, "above 0")),
    (LIF, {"integration": "rk4"}, ("integration", "rk4", "'exact' or 'euler'")),
    (Lapicque, {"R": 0}, ("R", 0, "above 0")),
    (Lapicque, {"dt": 1}, ("dt", 1, "at most R*C = 0.005", "integration=euler")),
]


@pytest.mark.parametrize(("kind", "options", "refusal"), BAD, ids=[str(b[1]) for b in BAD])
def test_bad_arguments_are_refused_by_name(kind: Any, options: dict[str, Any], refusal: tuple[Any, ...]) -> None:
    with refuses(*refusal) as error:
        kind(**options)
    assert error.value.argument in (options or {"shape"})


def test_repr_shows_the_conventions() -> None:
    text = repr(LIF(0.9, learn_beta=True, reset_timing="delayed"))
    for part in ("reset=subtract", "reset_timing=delayed", "fires_at=>", "0.9, learnable", "ATan(alpha=2.0)"):
        assert part in text


def test_step_by_hand_equals_the_sequence() -> None:
    neuron = LIF(0.9)
    x = torch.rand(5, 2, 3)
    state = neuron.initial_state(x[0])
    spikes: list[Tensor] = []
    for x_t in x:
        s, state = neuron.step(x_t, state)
        spikes.append(s)
    assert torch.equal(torch.stack(spikes), run(neuron, x)[0].spikes)
