"""Neurons with more state than a membrane, by pencil and by their mathematics."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnrun.neuron import (
    ALIF,
    LI,
    LIF,
    LSNN,
    RLIF,
    SLSTM,
    AdEx,
    Alpha,
    CurrentLIF,
    Neuron,
    RecurrentNeuron,
    RefractoryAdEx,
    RefractoryLIF,
    RSynaptic,
    SConv2dLSTM,
    Synaptic,
)
from snnrun.sequence import run


def values(*shape: int, scale: float = 1.0, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale


def drive(neuron: Neuron, inputs: list[float]) -> tuple[list[float], list[float]]:
    """Spikes and membranes of one neuron for these inputs."""
    trace, _ = run(neuron, torch.tensor(inputs, dtype=torch.float64).view(-1, 1, 1))
    return trace.spikes.flatten().tolist(), trace.membrane.flatten().tolist()


def states(neuron: Neuron, x: Tensor, name: str) -> Tensor:
    state, values_over_time = neuron.initial_state(x[0]), []
    for x_t in x:
        _, state = neuron.step(x_t, state)
        values_over_time.append(getattr(state, name))
    return torch.stack(values_over_time)


def impulse(steps: int, size: float = 1.0) -> Tensor:
    return torch.tensor([size] + [0.0] * (steps - 1), dtype=torch.float64).view(-1, 1, 1)


def spike_times(neuron: Neuron, current: float, steps: int) -> list[int]:
    trace, _ = run(neuron, torch.full((steps, 1, 1), current, dtype=torch.float64))
    return trace.spikes.flatten().nonzero().flatten().tolist()


# The synaptic current


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
@pytest.mark.parametrize("timing", ["same", "delayed"])
def test_synaptic_without_a_memory_of_the_current_is_lif(reset: str, timing: str) -> None:
    x = values(20, 2, 3).requires_grad_()
    options: dict[str, Any] = {"reset": reset, "reset_timing": timing, "detach_reset": False, "v_rest": -0.1}
    kind = LIF
    if (reset, timing) == ("zero", "delayed"):  # there LIF keeps the input that Synaptic and RLIF lose
        kind, options = RLIF, {**options, "recurrence": "none"}
    results = []
    for neuron in (kind(0.9, **options), Synaptic(0.0, 0.9, **{k: v for k, v in options.items() if k != "recurrence"})):
        trace, _ = run(neuron, x, backend="reference")
        results.append((*trace[:2], torch.autograd.grad((trace.spikes + trace.membrane).sum(), x)[0]))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)
    assert results[0][0].sum() > 3


def test_synaptic_impulse_response() -> None:
    trace, _ = run(Synaptic(0.7, 0.9, reset="none"), impulse(30))
    t = torch.arange(30).double()
    torch.testing.assert_close(trace.membrane.flatten(), (0.9 ** (t + 1) - 0.7 ** (t + 1)) / 0.2)


@pytest.mark.parametrize("integration", ["euler", "exact"])
def test_current_based_lif_converges_with_dt(integration: str) -> None:
    """Against the closed form of the two differential equations; the current jumps once, at the start."""

    def error(steps: int) -> float:
        neuron = CurrentLIF(tau_mem=2.0, tau_syn=1.0, dt=3.0 / steps, integration=integration, reset="none")
        trace, _ = run(neuron, impulse(steps, 0.8))
        return abs(trace.membrane[-1].item() - 0.8 * (math.exp(-3 / 2) - math.exp(-3)))

    assert math.log2(error(200) / error(400)) == pytest.approx(1, abs=0.05)


def test_current_based_lif_fires_at_the_rate_of_its_equation() -> None:
    """Once the current has settled at I/(1 - α), reset to zero: steps to the threshold from its closed form."""
    alpha, beta = 1 - 1 / 5, 1 - 1 / 10
    for current in (0.25, 0.3, 0.5, 1.0):
        drive_, steps = current / (1 - alpha), 1
        while drive_ * (1 - beta**steps) <= 1:
            steps += 1
        times = spike_times(CurrentLIF(reset="zero"), current, 400)
        assert {b - a for a, b in itertools.pairwise(times[-5:])} == {steps}


# Alpha


def test_alpha_impulse_response_and_gain() -> None:
    neuron = Alpha(0.9, 0.7, reset="none")
    trace, _ = run(neuron, impulse(30))
    t, gain = torch.arange(30).double(), 1 + math.log(0.9) / math.log(0.7 / 0.9)
    torch.testing.assert_close(trace.membrane.flatten(), gain * (0.9**t - 0.7**t))


def test_alpha_resets_take_what_their_names_state() -> None:
    x = values(30, 1, 4)
    for timing in ("same", "delayed"):
        options: dict[str, Any] = {"threshold": 0.7, "reset_timing": timing}
        for reset in ("subtract", "zero"):
            neuron = Alpha(reset=reset, v_reset=-0.2, **options)
            spikes, e, i, u = (states(neuron, x, n) for n in ("spikes", "excitation", "inhibition", "membrane"))
            assert spikes.sum() > 3
            v = torch.cat([torch.zeros_like(u[:1]), u])  # what the states before a step read out, with its reset
            g, before = neuron.gain(), torch.zeros_like(u[0])
            last_e, last_i = torch.zeros_like(u[0]), torch.zeros_like(u[0])
            for t in range(30):
                s = before
                if timing == "same":
                    v_after = neuron.after_reset(v[t], s)
                    e0 = last_e - s * 0.7 / g if reset == "subtract" else (1 - s) * last_e + s * -0.2 / g
                    i0 = last_i if reset == "subtract" else (1 - s) * last_i
                    torch.testing.assert_close(g * (e0 + i0), v_after)
                    torch.testing.assert_close(u[t], g * (0.9 * e0 + 0.8 * i0))
                else:
                    free = g * (0.9 * last_e + 0.8 * last_i)
                    torch.testing.assert_close(u[t], neuron.after_reset(free, s))
                    torch.testing.assert_close(u[t], g * (e[t] + i[t]))
                before, last_e, last_i = spikes[t], e[t], i[t]


def test_alpha_stays_above_beta_whatever_the_optimizer_does() -> None:
    neuron = Alpha(0.9, 0.8, learn_alpha=True, learn_beta=True)
    assert {name for name, _ in neuron.named_parameters()} == {"alpha.raw", "ratio.raw"}
    torch.testing.assert_close(neuron.beta(), torch.tensor(0.8))
    optimizer = torch.optim.SGD(neuron.parameters(), lr=1.0)
    for sign in (1, -1):
        for _ in range(5):
            optimizer.zero_grad()
            (sign * neuron.beta()).backward()  # type: ignore[union-attr]
            optimizer.step()
            alpha, beta = torch.as_tensor(neuron.alpha()).item(), torch.as_tensor(neuron.beta()).item()
            assert 0 < beta < alpha < 1
            assert torch.as_tensor(neuron.gain()).isfinite()


# Adaptation


def test_without_a_jump_there_is_no_adaptation() -> None:
    x = values(40, 2, 3, scale=1.5)
    plain, _ = run(CurrentLIF(), x)
    assert plain.spikes.sum() > 10
    for kind in (LSNN, ALIF):
        torch.testing.assert_close(run(kind(jump=0.0), x)[0], plain)
        with_jump, _ = run(kind(jump=0.5), x)
        assert with_jump.spikes.sum() < plain.spikes.sum()
    # so sharp an upstroke acts at the threshold only
    torch.testing.assert_close(run(AdEx(a=0.0, b=0.0, delta_T=1e-4), x)[0].spikes, plain.spikes)


@pytest.mark.parametrize("neuron", [LSNN(), ALIF(), AdEx(b=0.4, a=0.0, tau_adapt=80.0)], ids=lambda n: type(n).__name__)
def test_intervals_grow_to_a_steady_one(neuron: Neuron) -> None:
    times = spike_times(neuron, 0.6, 1500)
    intervals = [b - a for a, b in itertools.pairwise(times)]
    assert intervals[0] < sum(intervals[3:6]) / 3 < sum(intervals[-6:]) / 6
    assert abs(sum(intervals[-6:]) - sum(intervals[-12:-6])) <= 2


def test_threshold_of_lsnn_relaxes_by_its_half_life() -> None:
    neuron = LSNN(tau_adapt=20.0, integration="exact", jump=0.8)
    half_life = round(20 * math.log(2))
    threshold = states(neuron, impulse(60, 30.0), "threshold").flatten()
    spikes = states(neuron, impulse(60, 30.0), "spikes").flatten().nonzero().flatten()
    start = int(spikes[-1])
    excess = threshold[start:] - 1
    torch.testing.assert_close(
        excess[half_life] / excess[0], torch.tensor(0.5 ** (half_life / (20 * math.log(2)))).double()
    )
    # the threshold in force: u > B
    u = states(neuron, impulse(60, 30.0), "membrane").flatten()
    in_force = threshold - 0.8 * states(neuron, impulse(60, 30.0), "spikes").flatten()
    assert torch.equal(u > in_force, states(neuron, impulse(60, 30.0), "spikes").flatten() == 1)


def test_subtract_of_alif_goes_down_to_v_reset() -> None:
    neuron = ALIF(v_reset=-0.25)
    u, s = torch.tensor([1.5, 1.25]), torch.tensor([1.0, 0.0])
    assert neuron.after_reset(u, s).tolist() == [0.25, 1.25]
    assert ALIF(v_reset=-0.25, reset="zero").after_reset(u, s).tolist() == [-0.25, 1.25]


def test_a_delayed_input_acts_one_step_later() -> None:
    x = values(20, 1, 3, scale=2.0)
    for kind in (LSNN, ALIF):
        now, later = (run(kind(delay_input=flag), x)[0].membrane for flag in (False, True))
        torch.testing.assert_close(later[1:], now[:-1])
        assert not later[0].any()


def test_adex_converges_with_dt() -> None:
    """Against the same equations at a 20 times finer step; the input is a current that does not decay much."""

    def membrane(dt: float) -> float:
        neuron = AdEx(tau_mem=10.0, tau_syn=1e9, dt=dt, tau_adapt=30.0, a=1.5, reset="none")
        x = impulse(round(8 / dt), 0.9)
        return run(neuron, x)[0].membrane[-1].item()

    exact = membrane(0.0025)
    assert math.log2(abs(membrane(0.2) - exact) / abs(membrane(0.1) - exact)) == pytest.approx(1, abs=0.1)


def test_adex_rests_where_its_equation_is_at_rest() -> None:
    state = None
    _, state = run(AdEx(tau_adapt=20.0, v_rest=-0.3, v_T=0.4), torch.zeros(2000, 1, 1, dtype=torch.float64))
    v = state.membrane.item()
    assert -0.3 - v + 0.5 * math.exp((v - 0.4) / 0.5) - 4 * (v + 0.3) == pytest.approx(0, abs=1e-9)


# Refractoriness


@pytest.mark.parametrize("timing", ["same", "delayed"])
@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
def test_a_refractory_neuron_keeps_its_distance(timing: str, reset: str) -> None:
    x = values(60, 2, 5, scale=4.0)
    for kind, plain in ((RefractoryLIF, CurrentLIF), (RefractoryAdEx, AdEx)):
        options: dict[str, Any] = {"reset": reset, "reset_timing": timing}
        free, _ = run(plain(**options), x)
        none, _ = run(kind(refractory=0, **options), x)
        torch.testing.assert_close(none[:2], free[:2])
        trace, _ = run(kind(refractory=3, **options), x)
        gaps = trace.spikes.cumsum(0)
        assert ((gaps[4:] - gaps[:-4]) <= 1).all()  # at most one in four steps
        assert 0 < trace.spikes.sum() < free.spikes.sum()
        assert spike_times(kind(refractory=3, **options), 100.0, 13) == [0, 4, 8, 12]


def test_by_pencil_refractory() -> None:
    # i = x (τ_syn = dt), u = v + (x - v)/2; the membrane is held for two steps
    options: dict[str, Any] = {"tau_syn": 1.0, "tau_mem": 2.0, "refractory": 2}
    # u: 1.5 fires, leaves 0.5; (0.5 + 4)/2, held; 0.25, held; (0.5 + 1)/2
    assert drive(RefractoryLIF(**options), [3, 4, 0, 1]) == ([1, 0, 0, 0], [1.5, 2.25, 0.25, 0.75])
    # delayed: the reset lands in the step after, (1.5 + 4)/2 - 1, and what is held is 1.5 - 1
    assert drive(RefractoryLIF(reset_timing="delayed", **options), [3, 4, 0, 1]) == (
        [1, 0, 0, 0],
        [1.5, 1.75, 0.25, 0.75],
    )


# Recurrence


def hand_loop(x: Tensor, feedback: Any, beta: float) -> tuple[Tensor, Tensor]:
    v = s = torch.zeros_like(x[0])
    spikes, membranes = [], []
    for x_t in x:
        u = beta * v + x_t + feedback(s)
        s = (u > 1).to(u.dtype)
        v = u - s
        spikes.append(s)
        membranes.append(u)
    return torch.stack(spikes), torch.stack(membranes)


@pytest.mark.parametrize("shape", [(5,), (2, 4, 3)])
@pytest.mark.parametrize("recurrence", ["all_to_all", "elementwise", "convolution"])
def test_recurrence_against_a_loop_by_hand(recurrence: str, shape: tuple[int, ...]) -> None:
    x = values(15, 2, *shape)
    bias = recurrence != "elementwise"
    neuron: Any = RLIF(
        0.9, recurrence=recurrence, recurrent_weight=-0.4, per_neuron=True, recurrent_bias=bias, shape=shape
    ).double()
    if bias:
        assert not neuron.feedback.bias.any()
        nn.init.normal_(neuron.feedback.bias, std=0.1)

    def feedback(s: Tensor) -> Tensor:
        if recurrence == "elementwise":
            return -0.4 * s
        weight, b = neuron.feedback.weight, neuron.feedback.bias
        if recurrence == "all_to_all":
            return (s.reshape(2, -1) @ weight.T + b).reshape(s.shape)
        image = s if s.dim() == 4 else s.reshape(2, -1, 1, 1)
        return nn.functional.conv2d(image, weight, b, padding=1).reshape(s.shape)

    trace, _ = run(neuron, x)
    spikes, membranes = hand_loop(x, feedback, 0.9)
    assert torch.equal(trace.spikes, spikes)
    torch.testing.assert_close(trace.membrane, membranes, rtol=1e-6, atol=1e-6)
    trace.spikes.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in neuron.parameters())


def test_without_autapses_no_neuron_feeds_itself() -> None:
    neuron: Any = RLIF(autapses=False, shape=(4,))
    trace, _ = run(neuron, values(12, 2, 4).float())
    trace.membrane.sum().backward()
    assert not neuron.feedback.weight.grad.diagonal().any()
    assert neuron.feedback.weight.grad.any()
    with torch.no_grad():
        neuron.feedback.weight.fill_diagonal_(100.0)
    assert torch.equal(run(neuron, values(12, 2, 4).float())[0].spikes, trace.spikes)


def test_any_neuron_becomes_recurrent_by_the_mixin() -> None:
    class Mine(RecurrentNeuron, Alpha):
        pass

    x = values(20, 1, 4)
    plain, _ = run(Alpha(threshold=0.5), x)
    same, _ = run(Mine(threshold=0.5, recurrence="none"), x)
    torch.testing.assert_close(same, plain)
    recurrent, _ = run(Mine(threshold=0.5, recurrence="elementwise", recurrent_weight=0.5), x)
    assert recurrent.spikes.sum() > plain.spikes.sum()


def test_recurrent_neurons_without_feedback_are_the_plain_ones() -> None:
    x = values(20, 2, 3)
    torch.testing.assert_close(run(RLIF(recurrence="none"), x)[0], run(LIF(), x)[0])
    torch.testing.assert_close(run(RSynaptic(recurrence="none"), x)[0], run(Synaptic(), x)[0])


# LSTM


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
@pytest.mark.parametrize("timing", ["same", "delayed"])
def test_convolutional_lstm_by_hand_and_at_one_pixel(reset: str, timing: str) -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {"reset": reset, "reset_timing": timing, "threshold": 0.05}
    conv: Any = SConv2dLSTM(shape=(3, 4, 5), in_channels=2, **options).double()
    x = values(8, 2, 2, 4, 5, scale=3.0)
    trace, _ = run(conv, x)
    assert trace.spikes.shape == (8, 2, 3, 4, 5)
    assert 0 < trace.spikes.mean() < 1
    u = c = s = torch.zeros(2, 3, 4, 5, dtype=torch.float64)
    weight = torch.cat([conv.inputs.weight, conv.hidden.weight], dim=1)
    for t in range(8):
        v = conv.after_reset(u, s) if timing == "same" else u
        gates = nn.functional.conv2d(torch.cat([x[t], v], dim=1), weight, conv.inputs.bias, padding=1)
        i, f, g, o = gates.split(3, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        u = conv.after_reset(h, s) if timing == "delayed" else h
        s = (u > torch.as_tensor(0.05)).double()
        torch.testing.assert_close(trace.membrane[t], u)
        assert torch.equal(trace.spikes[t], s)

    pixel: Any = SConv2dLSTM(shape=(6,), **options).double()
    dense: Any = SLSTM(shape=(6,), **options).double()
    with torch.no_grad():
        dense.inputs.weight.copy_(pixel.inputs.weight[..., 1, 1])
        dense.hidden.weight.copy_(pixel.hidden.weight[..., 1, 1])
    x = values(8, 2, 6, scale=3.0)
    torch.testing.assert_close(run(pixel, x)[0], run(dense, x)[0])


# Read-outs


def test_leaky_integrator_sums_averages_and_forgets() -> None:
    x = values(30, 2, 3)
    total, _ = run(LI(1.0), x)
    torch.testing.assert_close(total.membrane, x.cumsum(0))
    assert total.spikes.shape == x.shape
    assert not total.spikes.any()
    mean, _ = run(LI(tau=4.0, decay_input=True, v_rest=0.3), torch.full((200, 1, 1), 0.5, dtype=torch.float64))
    torch.testing.assert_close(mean.membrane[-1].item(), 0.8)
    half, _ = run(LI(tau=8.0), impulse(20))
    torch.testing.assert_close(half.membrane[8].item(), math.exp(-1))
