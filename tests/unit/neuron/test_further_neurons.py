"""Further neurons by pencil and by their mathematics: closed forms, limits in which they become others, conventions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun import sequence
from snnrun.neuron import (
    CLIF,
    EIF,
    GLIF,
    ILIF,
    KLIF,
    LIAF,
    LIF,
    PLIF,
    PSN,
    QIF,
    AdLIF,
    CubaLIF,
    Izhikevich,
    MaskedPSN,
    Neuron,
    ResonateAndFire,
    SlidingPSN,
)
from snnrun.sequence import Trace, resolve_backend
from snnrun.surrogate import Rectangular
from support.refusals import refuses

STEPS = 8
RESETTING: list[Any] = [PLIF, QIF, EIF, Izhikevich, KLIF, LIAF, CubaLIF, CLIF, ResonateAndFire, ILIF, AdLIF]
PARALLEL: list[Any] = [PSN, MaskedPSN, SlidingPSN]
EVERY = [*RESETTING, GLIF, *PARALLEL]


def run(neuron: Neuron, x: Tensor, state: Any = None, *, backend: str = "reference") -> tuple[Trace, Any]:
    """By the definition; only PLIF and the LIFs it is compared with have another execution."""
    return sequence.run(neuron, x, state, backend=backend)


def make(kind: Any, **options: Any) -> Neuron:
    if kind in (GLIF, PSN, MaskedPSN):
        options["num_steps"] = STEPS
    torch.manual_seed(0)  # the parallel family draws its weights
    return kind(**options)


def noise(steps: int = STEPS, batch: int = 2, size: int = 3, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return scale * torch.rand(steps, batch, size, generator=generator, dtype=torch.float64)


def drive(neuron: Neuron, values: list[float]) -> tuple[list[float], list[float]]:
    """Output and membranes of one neuron for these inputs."""
    trace, _ = run(neuron, torch.tensor(values, dtype=torch.float64).view(-1, 1, 1))
    return trace.spikes.flatten().tolist(), trace.membrane.flatten().tolist()


def constant(neuron: Neuron, current: float, steps: int) -> tuple[Tensor, Tensor]:
    trace, _ = run(neuron, torch.full((steps, 1, 1), current, dtype=torch.float64))
    return trace.spikes.flatten(), trace.membrane.flatten()


def same(a: Neuron, b: Neuron, x: Tensor) -> None:
    ours, theirs = run(a, x)[0], run(b, x)[0]
    assert ours.spikes.any()
    assert torch.equal(ours.spikes, theirs.spikes)
    torch.testing.assert_close(ours.membrane, theirs.membrane)


# PLIF


@pytest.mark.parametrize("decay_input", [True, False])
def test_plif_is_a_lif_by_euler(decay_input: bool) -> None:
    options: dict[str, Any] = {"decay_input": decay_input, "v_rest": 0.1}
    same(PLIF(1.6, learn_tau=False, **options), LIF(tau=1.6, integration="euler", **options), noise(40, scale=3.0))


def test_plif_runs_fused_and_gives_its_time_constant_the_same_gradient() -> None:
    neuron, x = PLIF([1.5, 2.0, 4.0], shape=(3,)).double(), noise(30, scale=3.0)
    assert resolve_backend(neuron, "auto") == "fused"
    gradients = []
    for backend in ("reference", "fused"):
        trace, _ = run(neuron, x, backend=backend)
        gradients.append(torch.autograd.grad(trace.spikes.sum(), neuron.q.raw)[0])
    assert gradients[0].all()
    torch.testing.assert_close(*gradients)


def test_plif_learns_a_time_constant_that_stays_above_one() -> None:
    neuron = PLIF(2.0, per_neuron=True, shape=(3,))
    assert neuron.q.raw.shape == (3,)
    assert not neuron.q.raw.detach().any()  # w = -ln(τ - 1)
    optimizer = torch.optim.SGD(neuron.parameters(), lr=10.0)
    for _ in range(20):
        optimizer.zero_grad()
        (-neuron.q().sum()).backward()
        optimizer.step()
    assert ((neuron.q() > 0.5) & (neuron.q() <= 1)).all()


# QIF, EIF, Izhikevich


def period(slope: Callable[[Tensor], Tensor], tau: float, low: float, high: float) -> float:
    """τ ∫ dv / slope(v): how long the membrane takes from ``low`` to ``high``."""
    v = torch.linspace(low, high, 20_001, dtype=torch.float64)
    return tau * torch.trapezoid(1 / slope(v), v).item()


RUNAWAYS: list[tuple[Any, float, Any]] = [
    (QIF, 0.5, lambda v: 0.5 + v * (v - 0.8)),
    (EIF, 1.0, lambda v: 1.0 - v + 0.1 * torch.exp((v - 0.8) / 0.1)),
]


@pytest.mark.parametrize(("kind", "current", "slope"), RUNAWAYS)
def test_firing_rate_under_constant_current(kind: Any, current: float, slope: Any) -> None:
    """Against the integral of its differential equation; a spike is up to a step late, and Euler errs by O(dt)."""
    dt = 0.01
    expected = period(slope, 2.0, 0.0, 1.0)
    spikes, _ = constant(kind(dt=dt, reset="zero"), current, round(4.5 * expected / dt))
    assert spikes.sum().item() == 4
    times = spikes.nonzero().flatten().double() * dt
    assert (times.diff() - expected).abs().max().item() < 0.02 * expected


@pytest.mark.parametrize(("kind", "current", "slope"), RUNAWAYS)
def test_integration_error_in_dt_is_of_first_order(kind: Any, current: float, slope: Any) -> None:
    """Time at which the membrane passes 0.7, by linear interpolation between steps."""
    expected = period(slope, 2.0, 0.0, 0.7)

    def error(dt: float) -> float:
        _, membrane = constant(kind(dt=dt, reset="none"), current, round(1.5 * expected / dt))
        n = int((membrane < 0.7).sum())  # u[n] is the first above; its time is (n + 1) dt
        low, high = membrane[n - 1].item(), membrane[n].item()
        return (n + (0.7 - low) / (high - low)) * dt - expected

    assert math.log2(error(0.02) / error(0.01)) == pytest.approx(1, abs=0.05)


def test_qif_runs_away_above_its_critical_membrane_and_returns_below() -> None:
    neuron = QIF()
    x = torch.zeros(60, 1, 2, dtype=torch.float64)
    start = neuron.initial_state(x[0])._replace(membrane=torch.tensor([[0.79, 0.81]], dtype=torch.float64))
    trace, _ = run(neuron, x, start)
    assert trace.spikes.sum(0).tolist() == [[0, 1]]
    assert trace.membrane[-1].abs().max() < 1e-3


@pytest.mark.parametrize("kind", [QIF, EIF, Izhikevich])
@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
def test_the_upstroke_stays_finite_whatever_the_input(kind: Any, reset: str) -> None:
    x = torch.tensor([1e4, 0, 0, -1e4, 0, 0, 1e4, 3, -5]).repeat(20).view(-1, 1, 1).requires_grad_()
    trace, _ = run(kind(reset=reset, detach_reset=False), x)
    (gradient,) = torch.autograd.grad(trace.spikes.sum() + trace.membrane.sum(), x)
    assert trace.membrane.isfinite().all()
    assert gradient.isfinite().all()


def test_qif_does_not_fire_from_inhibition() -> None:
    """A plain Euler step from u = -10 ends at +44; the limit below takes that away and nothing at small dt."""
    spikes, membrane = drive(QIF(), [-20.0, 0, 0, 0, 0])
    assert not any(spikes)
    assert membrane == sorted(membrane)
    assert membrane[-1] < 0


def test_izhikevich_without_adaptation_is_qif() -> None:
    same(Izhikevich(a=0.0, b=0.0), QIF(), noise(40, scale=1.5))


def test_izhikevich_adapts() -> None:
    spikes, _ = constant(Izhikevich(dt=0.1, a=0.0, b=0.3, tau_w=20.0, reset="zero"), 1.0, 2000)
    intervals = spikes.nonzero().flatten().diff()
    assert len(intervals) > 5
    assert intervals[-1] > 2 * intervals[0]
    assert (intervals.diff() >= -1).all()
    # at rest w = a u, and x + a0 u (u - v_c) = a u
    neuron = Izhikevich(a=0.5)
    trace, state = run(neuron, torch.full((300, 1, 1), 0.1, dtype=torch.float64))
    u = trace.membrane[-1].item()
    assert not trace.spikes.any()
    assert state.adaptation.item() == pytest.approx(0.5 * u)
    assert 0.1 + u * (u - 0.8) == pytest.approx(0.5 * u)


# KLIF, LIAF, ILIF: LIFs with a turn of their own


def test_klif_with_scale_one_is_a_lif_that_never_goes_below_zero() -> None:
    same(KLIF(beta=0.9, learn_k=False), LIF(0.9), noise(40))
    assert drive(KLIF(beta=0.5, learn_k=False), [-1.0, 0.5]) == ([0, 0], [0, 0.5])


def test_klif_by_pencil() -> None:
    # u = 2 · 0.75 = 1.5 fires and leaves 0.5; u = 2 (0.25 + 0.125) = 0.75
    options: dict[str, Any] = {"beta": 0.5, "k": 2.0, "learn_k": False}
    assert drive(KLIF(**options), [0.75, 0.125]) == ([1, 0], [1.5, 0.75])
    # scaled back it leaves 0.25; u = 2 (0.125 + 0.125) = 0.5
    assert drive(KLIF(scale_reset=True, **options), [0.75, 0.125]) == ([1, 0], [1.5, 0.5])
    # to v_reset, which is not scaled: u = 2 (0.125 + 0.125); without a spike 0.5/2 goes on: u = 2 (0.125 + 0)
    zero = KLIF(scale_reset=True, reset="zero", v_reset=0.25, **options)
    assert drive(zero, [0.75, 0.125, 0]) == ([1, 0, 0], [1.5, 0.5, 0.25])
    # delayed: 1.5 leaks to 0.75, 2 (0.75 + 0.125) = 1.75, less θ
    assert drive(KLIF(reset_timing="delayed", **options), [0.75, 0.125]) == ([1, 0], [1.5, 0.75])
    late = KLIF(scale_reset=True, reset_timing="delayed", **options)
    assert drive(late, [0.75, 0.5]) == ([1, 0], [1.5, 0.75])  # 2 (0.375 + 0.5) - 1


@pytest.mark.parametrize(("activation", "f"), [("relu", torch.relu), ("sigmoid", torch.sigmoid), ("tanh", torch.tanh)])
@pytest.mark.parametrize("timing", ["same", "delayed"])
def test_liaf_passes_on_the_membrane_of_a_lif(activation: str, f: Any, timing: str) -> None:
    x = noise(40)
    options: dict[str, Any] = {"beta": 0.9, "reset": "zero", "reset_timing": timing, "threshold": 1.5}
    lif, _ = run(LIF(**options), x)
    for relative in (False, True):
        trace, state = run(LIAF(activation=activation, threshold_related=relative, **options), x)
        torch.testing.assert_close(trace.membrane, lif.membrane)
        torch.testing.assert_close(trace.spikes, f(lif.membrane - 1.5 if relative else lif.membrane))
        assert torch.equal(state.spikes, lif.spikes[-1])


def test_ilif_by_pencil() -> None:
    # 2.25 fires 2, leaves 0.25; 0.125 + 0.25 fires none; 0.1875 + 9 fires at most 4
    assert drive(ILIF(beta=0.5), [2.25, 0.25, 9]) == ([2, 0, 4], [2.25, 0.375, 9.1875])
    assert drive(ILIF(beta=0.5, reset="zero"), [2.25, 0.25]) == ([2, 0], [2.25, 0.25])
    assert drive(ILIF(threshold=2.0, reset="none"), [0.5, 1.5, -9])[0] == [0, 1, 0]
    assert drive(ILIF(), [0.5])[0] == [0]
    assert drive(ILIF(fires_at=">="), [0.5])[0] == [1]


def test_ilif_loses_nothing() -> None:
    """Without a leak the spikes add up to the input, rounded, as long as it stays below D θ a step."""
    x = noise(200, scale=2.0)
    trace, _ = run(ILIF(beta=1.0), x)
    assert ((x.sum(0) - trace.spikes.sum(0)).abs() <= 0.5).all()
    assert trace.spikes.unique().tolist() == [0, 1, 2]


def test_ilif_with_boxes_is_the_straight_through_estimator() -> None:
    x = torch.tensor([-0.3, 0.2, 0.9, 2.4, 3.6, 4.3], dtype=torch.float64).view(1, 1, -1).requires_grad_()
    trace, _ = run(ILIF(surrogate=Rectangular(1.0)), x)
    (gradient,) = torch.autograd.grad(trace.spikes.sum(), x)
    assert gradient.flatten().tolist() == [0, 1, 1, 1, 1, 0]


# Two states: CubaLIF, CLIF, resonate-and-fire, AdLIF


def test_cubalif_impulse_response() -> None:
    neuron = CubaLIF(current_decay=0.6, voltage_decay=0.9, threshold=100.0)
    _, membrane = drive(neuron, [1.0] + [0.0] * 30)
    expected = [(0.9 ** (n + 1) - 0.6 ** (n + 1)) / 0.3 for n in range(31)]
    assert membrane == pytest.approx(expected)


def test_cubalif_whose_current_does_not_last_is_a_lif() -> None:
    same(CubaLIF(current_decay=0.0, voltage_decay=0.9, threshold=1.0), LIF(0.9), noise(40))


def test_clif_by_pencil() -> None:
    def logistic(z: float) -> float:
        return 1 / (1 + math.exp(-z))

    spikes, membrane = drive(CLIF(2.0), [1.5, 1.0, 2.0])
    rest = 1.5 - 1 - logistic(1.0)  # m = 1 after the first spike
    second = 0.5 * rest + 1.0
    m = logistic(second / 2)  # no spike: only decays, by the membrane
    third = 0.5 * second + 2.0
    assert spikes == [1, 0, 1]
    assert membrane == pytest.approx([1.5, second, third])
    _, last = run(CLIF(2.0), torch.tensor([1.5, 1.0, 2.0], dtype=torch.float64).view(-1, 1, 1))
    assert last.complement.item() == pytest.approx(m * logistic(third / 2) + 1)
    # delayed: the leak comes first
    _, late = drive(CLIF(2.0, reset_timing="delayed"), [1.5, 1.0])
    assert late[1] == pytest.approx(0.75 + 1.0 - 1 - logistic(1.0))


@pytest.mark.parametrize("reset", ["zero", "none"])
def test_clif_that_does_not_subtract_is_a_lif(reset: str) -> None:
    same(CLIF(2.0, reset=reset), LIF(0.5, reset=reset), noise(40, scale=2.0))


def test_resonate_and_fire_impulse_response() -> None:
    neuron = ResonateAndFire(decay=0.1, omega=0.7, dt=0.5, threshold=100.0)
    _, membrane = drive(neuron, [1.0] + [0.0] * 40)
    assert membrane == pytest.approx([math.exp(-0.05 * n) * math.sin(0.35 * n) for n in range(41)])


def test_resonate_and_fire_prefers_its_own_frequency() -> None:
    t = torch.arange(400, dtype=torch.float64)
    x = torch.stack([0.3 * torch.sin(omega * t) for omega in (0.25, 0.5, 1.0)], -1)[:, None]
    trace, _ = run(ResonateAndFire(decay=0.1, omega=0.5), x)
    counts = trace.spikes.sum(0)[0].tolist()
    assert counts[1] > 20
    assert counts[0] == counts[2] == 0


def test_resonate_and_fire_resets_its_membrane_alone() -> None:
    c, s = (math.exp(-0.2) * f(1.0) for f in (math.cos, math.sin))
    for reset, rest in (("subtract", 2 * s - 1), ("zero", 0.0), ("none", 2 * s)):
        assert drive(ResonateAndFire(reset=reset), [2.0, 0, 0])[1] == pytest.approx([0, 2 * s, s * 2 * c + c * rest])
    late = drive(ResonateAndFire(reset_timing="delayed"), [2.0, 0, 0])[1]
    assert late == pytest.approx([0, 2 * s, s * 2 * c + c * 2 * s - 1])


def test_adlif_without_adaptation_is_a_lif() -> None:
    x = noise(60, scale=4.0)
    for decay_input in (True, False):
        same(AdLIF(a=0.0, b=0.0, decay_input=decay_input), LIF(0.9, decay_input=decay_input), x)


def test_adlif_below_the_threshold() -> None:
    """Its rest under a constant input, and its oscillation: the powers of the matrix of its two equations."""
    neuron = AdLIF(beta=0.9, rho=0.95, a=2.0, b=0.0, decay_input=True)
    _, membrane = constant(neuron, 1.5, 600)
    assert membrane[-1].item() == pytest.approx(1.5 / 3)
    assert constant(AdLIF(a=0.3), 0.2, 600)[1][-1].item() == pytest.approx(0.2 / 0.4)
    assert membrane.max() > 0.7  # overshoots
    matrix = torch.tensor([[0.9 - 0.1 * 0.05 * 2, -0.1 * 0.95], [0.05 * 2, 0.95]], dtype=torch.float64)
    assert torch.linalg.eigvals(matrix).imag.any()
    state, expected = torch.zeros(2, dtype=torch.float64), []
    for _ in range(600):
        state = matrix @ state + torch.tensor([0.1 * 1.5, 0.0], dtype=torch.float64)
        expected.append(state[0])
    torch.testing.assert_close(membrane, torch.stack(expected))


def test_adlif_fires_ever_more_slowly() -> None:
    spikes, _ = constant(AdLIF(a=0.0, b=5.0, rho=0.99, decay_input=True), 3.0, 300)
    intervals = spikes.nonzero().flatten().diff()
    assert len(intervals) > 5
    assert intervals[-1] > intervals[0]
    neuron = AdLIF(learn_adaptation=True, learn_beta=True, learn_rho=True)
    assert {name for name, _ in neuron.named_parameters()} == {"a.raw", "b.raw", "beta.raw", "rho.raw"}


# GLIF


def gates(**options: Any) -> GLIF:
    start = {"alpha": 1.0, "beta": 0.0, "gamma": 1.0, "decay": 0.9, "threshold": 1.0}
    return GLIF(40, learn=False, **start | options)


@pytest.mark.parametrize("timing", ["same", "delayed"])
def test_gated_lif_with_gates_at_their_ends_is_a_lif(timing: str) -> None:
    x = noise(40)
    same(gates(reset_timing=timing), LIF(0.9, reset="zero", reset_timing=timing), x)
    same(gates(gamma=0.0, reset_timing=timing), LIF(0.9, reset_timing=timing), x)  # by r = θ
    trace, _ = run(gates(beta=1.0, conduct=0.25, reset_timing=timing), 4 * x)
    torch.testing.assert_close(trace.membrane, run(gates(reset_timing=timing), x)[0].membrane)


def test_gated_lif_leaks_linearly_or_exponentially() -> None:
    _, linear = drive(gates(alpha=0.0, linear_decay=0.125), [0.75, 0, 0])
    assert linear == [0.625, 0.5, 0.375]
    _, exponential = drive(gates(decay=0.5), [0.5, 0, 0])
    assert exponential == [0.5, 0.25, 0.125]


def test_gated_lif_has_a_conductance_for_each_step() -> None:
    neuron = gates(beta=1.0, decay=0.5)
    neuron.conduct.raw.copy_(torch.arange(40) / 40)
    _, membrane = drive(neuron, [0.4, 0.4, 0.4])
    assert membrane == pytest.approx([0, 0.01, 0.025])
    x = torch.ones(40, 1, 1)
    whole, _ = run(neuron, x)
    _, state = run(neuron, x[:15])
    rest, state = run(neuron, x[15:], state)
    assert torch.equal(rest.membrane, whole.membrane[15:])
    with refuses("x", "one more", "num_steps=40"):
        run(neuron, x[:1], state)


# The parallel family


def test_psn_can_be_a_lif_without_reset() -> None:
    neuron = PSN(30).double()
    t = torch.arange(30, dtype=torch.float64)
    with torch.no_grad():
        neuron.weight.copy_((0.9 ** (t[:, None] - t)).tril())
    same(neuron, LIF(0.9, reset="none"), noise(30, scale=0.3))


def jacobian(neuron: Any, steps: int) -> Tensor:
    """Which inputs [S] each membrane [T] depends on."""
    x = torch.zeros(steps, dtype=torch.float64)
    return torch.autograd.functional.jacobian(lambda x: run(neuron, x.view(-1, 1, 1))[0].membrane.flatten(), x)


@pytest.mark.parametrize("k", [1, 3, 20])
def test_the_mask_and_the_window_are_causal_bands(k: int) -> None:
    band = torch.ones(STEPS, STEPS).tril().triu(1 - k).bool()
    band_psn, sliding = MaskedPSN(STEPS, k=k).double(), SlidingPSN(k).double()
    assert torch.equal(jacobian(band_psn, STEPS), band_psn.weight.detach().where(band, torch.zeros(())))
    assert torch.equal(jacobian(sliding, STEPS) != 0, band)
    assert torch.equal(jacobian(PSN(STEPS).double(), STEPS) != 0, torch.ones(STEPS, STEPS).bool())


def test_masking_lets_the_other_steps_in() -> None:
    band_psn, psn = MaskedPSN(STEPS, k=3, masking=0.0).double(), PSN(STEPS).double()
    psn.load_state_dict(band_psn.state_dict())
    torch.testing.assert_close(run(band_psn, noise())[0].membrane, run(psn, noise())[0].membrane)
    band_psn.masking = 0.25
    band = torch.ones(STEPS, STEPS).tril().triu(-2).double()
    torch.testing.assert_close(jacobian(band_psn, STEPS), band_psn.weight.detach() * (0.25 * band + 0.75))


@pytest.mark.parametrize("kind", [MaskedPSN, SlidingPSN])
@pytest.mark.parametrize("k", [1, 3, 20])
def test_parts_and_steps_are_the_whole_in_values_and_gradients(kind: Any, k: int) -> None:
    neuron: Any = make(kind, k=k).double()
    x = noise().requires_grad_()
    weights = torch.linspace(-1, 1, STEPS, dtype=torch.float64).view(-1, 1, 1)

    def gradients(spikes: Tensor, membrane: Tensor) -> list[Tensor]:
        loss = (weights * spikes).sum() + (weights * membrane**2).sum()
        return [membrane, *torch.autograd.grad(loss, [x, neuron.weight, neuron.bias])]

    whole, last = run(neuron, x)
    expected = gradients(whole.spikes, whole.membrane)
    for cuts in ([STEPS], [3, 5], [1] * STEPS):
        traces: list[Trace] = []
        state: Any = None
        for part in x.split(cuts):
            trace, state = run(neuron, part, state)
            traces.append(trace)
        of_parts = gradients(torch.cat([t.spikes for t in traces]), torch.cat([t.membrane for t in traces]))
        for a, b in zip(of_parts, expected, strict=True):
            torch.testing.assert_close(a, b)
        assert all(torch.equal(a, b) for a, b in zip(state, last, strict=True))


def test_a_sequence_of_the_wrong_length_is_refused() -> None:
    x = torch.zeros(STEPS + 1, 1, 1)
    with refuses("x", 9, "num_steps=8"):
        run(PSN(STEPS), x)
    with refuses("x", 9, "num_steps=8"):
        run(MaskedPSN(STEPS), x)
    with refuses("x", 3, "num_steps=8", "masking=1"):
        run(MaskedPSN(STEPS, masking=0.5), x[:3])
    with refuses("x", 1, "num_steps=8"):
        PSN(STEPS).step(x[0], PSN(STEPS).initial_state(x[0]))


# All of them


@pytest.mark.parametrize("kind", RESETTING)
def test_each_convention_changes_what_it_should(kind: Any) -> None:
    x = noise(30, scale=3.0).requires_grad_()
    results = {}
    for reset, timing, detach in itertools.product(("subtract", "zero", "none"), ("same", "delayed"), (True, False)):
        trace, _ = run(kind(reset=reset, reset_timing=timing, detach_reset=detach, threshold=0.8), x)
        (gradient,) = torch.autograd.grad(trace.spikes.sum() + trace.membrane.sum(), x)
        assert gradient.isfinite().all()
        results[reset, timing, detach] = (trace.membrane.detach(), gradient)
    for reset, timing in itertools.product(("subtract", "zero", "none"), ("same", "delayed")):
        (membrane, gradient), (free, other_gradient) = (
            results[reset, timing, True],
            results[reset, timing, False],
        )
        assert torch.equal(membrane, free)
        assert torch.allclose(gradient, other_gradient) == (reset == "none")
    for detach in (True, False):
        members = [results[reset, "same", detach][0] for reset in ("subtract", "zero", "none")]
        assert not any(torch.equal(a, b) for a, b in itertools.combinations(members, 2))
        assert not torch.equal(results["subtract", "same", detach][0], results["subtract", "delayed", detach][0])


@pytest.mark.parametrize("kind", EVERY)
def test_a_module_can_be_used_twice_in_one_graph_and_differentiated_twice(kind: Any) -> None:
    neuron, x = make(kind).double(), noise(scale=3.0).requires_grad_()
    first, second = run(neuron, x)[0], run(neuron, x * 0.5)[0]
    loss = (first.membrane * second.membrane).sum() + (first.spikes * second.spikes).sum()
    (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
    (again,) = torch.autograd.grad(gradient.pow(2).sum(), x)
    assert again.isfinite().all()
    assert again.any()


BAD: list[tuple[Any, dict[str, Any], tuple[Any, ...]]] = [
    (PLIF, {"tau": 1.0}, ("tau", 1.0, "above 1")),
    (PLIF, {"tau": [2.0, 0.5], "shape": (2,)}, ("tau", 0.5, "above 1")),
    (PLIF, {"learn_tau": "yes"}, ("learn_tau", "yes", "true or false")),
    (QIF, {"v_c": 0.0}, ("v_c", 0.0, "above 0")),
    (QIF, {"a0": 0}, ("a0", 0, "above 0")),
    (QIF, {"v_peak": 0.5}, ("v_peak", 0.5, "above 0.8")),
    (EIF, {"dt": 3.0}, ("dt", 3.0, "at most 2 and above 0")),
    (EIF, {"delta_T": 0}, ("delta_T", 0, "above 0")),
    (Izhikevich, {"tau_w": 0.5}, ("dt", 1.0, "at most 0.5 and above 0")),
    (KLIF, {"k": 0}, ("k", 0, "above 0")),
    (LIAF, {"activation": "gelu"}, ("activation", "gelu", "'relu' or 'sigmoid' or 'tanh'")),
    (CubaLIF, {"current_decay": 2}, ("current_decay", 2, "at least 0 and at most 1")),
    (CLIF, {"tau": 0.5}, ("tau", 0.5, "at least 1")),
    (ResonateAndFire, {"omega": 4.0}, ("omega", "4", "dt below π")),
    (ResonateAndFire, {"decay": -0.2}, ("decay", -0.2, "above 0")),
    (ILIF, {"max_spikes": 0}, ("max_spikes", 0, "whole number of at least 1")),
    (AdLIF, {"a": -1}, ("a", -1, "at least 0")),
    (AdLIF, {"a": 0.0, "learn_adaptation": True}, ("a", 0.0, "above 0")),
    (GLIF, {"alpha": 1.0}, ("alpha", 1.0, "above 0 and below 1", "learned")),
    (GLIF, {"num_steps": 0}, ("num_steps", 0, "whole number of at least 1")),
    (PSN, {"num_steps": 2.5}, ("num_steps", 2.5, "whole number of at least 1")),
    (MaskedPSN, {"masking": 2}, ("masking", 2, "at least 0 and at most 1")),
    (SlidingPSN, {"k": 0}, ("k", 0, "whole number of at least 1")),
    (SlidingPSN, {"init": "zero"}, ("init", "zero", "'exponential' or 'uniform'")),
]


@pytest.mark.parametrize(("kind", "options", "refusal"), BAD, ids=[f"{b[0].__name__}-{b[1]}" for b in BAD])
def test_bad_arguments_are_refused_by_name(kind: Any, options: dict[str, Any], refusal: tuple[Any, ...]) -> None:
    steps = {"num_steps": STEPS} if kind in (GLIF, PSN, MaskedPSN) else {}
    with refuses(*refusal) as error:
        kind(**steps | options)
    assert error.value.argument in {*options, "dt"}


@pytest.mark.parametrize("kind", [GLIF, *PARALLEL])
def test_a_neuron_without_a_choice_of_reset_takes_none(kind: Any) -> None:
    with pytest.raises(TypeError, match="reset"):
        make(kind, reset="zero")
