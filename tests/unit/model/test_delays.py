"""Delays in layers and models: shifts, gradients by finite differences, planted delays, every execution."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnrun.delay import Delay, GaussianDelay, IntegerDelay, LinearDelay, TriangularDelay
from snnrun.errors import ArgumentError
from snnrun.model import MLP, Delays, ExecutionPlan, Layer, Recurrent, delays_of, parameter_groups, set_plan
from snnrun.neuron import LI, LIF
from snnrun.sequence import DelayedFeedback
from support.refusals import refuses

DOUBLE = torch.float64
KINDS: dict[str, Any] = {
    "integer": IntegerDelay,
    "linear": LinearDelay,
    "gaussian": functools.partial(GaussianDelay, width=1.5),
    "triangular": functools.partial(TriangularDelay, width=1.7),
    "area": functools.partial(TriangularDelay, width=1.7, scale="area"),
}
OF = pytest.mark.parametrize("of", ["synapse", "axon"])


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def spikes(*shape: int, rate: float = 0.3, seed: int = 0) -> Tensor:
    return (random(*shape, seed=seed) < rate).to(DOUBLE)


def delays_for(kind: Delay, outputs: int, inputs: int, value: Tensor | None = None) -> Delays:
    delays = Delays(kind, outputs, inputs).double().train()
    if value is not None:
        delays.value = nn.Parameter(value.to(DOUBLE))
    return delays


def arrive(delays: Delays, x: Tensor, weight: Tensor) -> Tensor:
    """The current through ``weight``."""
    return delays(x) @ weight.T if delays.of_axons else delays(x, weight)


def shifted(x: Tensor, steps: int) -> Tensor:
    return torch.cat([torch.zeros_like(x[:steps]), x[: len(x) - steps]])


# --- one layer's delays ----------------------------------------------------------------------------------------------


@OF
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE], ids=str)
@pytest.mark.parametrize(("kind", "trains"), [("integer", True), ("linear", True), ("gaussian", False)])
def test_a_whole_delay_is_exactly_a_shift(kind: str, trains: bool, of: str, dtype: torch.dtype) -> None:
    """The weights are multiples of 1/256, so that no sum is rounded."""
    planted = torch.tensor([[0, 3, 7], [5, 1, 0]]) if of == "synapse" else torch.tensor([7, 0, 4])
    x, weight = spikes(12, 2, 3).to(dtype), (256 * random(2, 3)).round().to(dtype) / 256
    delays = delays_for(KINDS[kind](of=of, maximum=7), 2, 3, planted).to(dtype).train(trains)
    lags = planted.expand(2, 3)
    expected = torch.zeros(12, 2, 2, dtype=dtype)
    for j in range(2):
        for i in range(3):
            expected[..., j] += weight[j, i] * shifted(x[..., i], int(lags[j, i]))
    assert torch.equal(arrive(delays, x, weight), expected)


def test_a_delay_between_two_steps_is_shared_by_both() -> None:
    x = torch.zeros(5, 1, 1, dtype=DOUBLE)
    x[0] = 1
    delays = delays_for(LinearDelay(maximum=3), 1, 1, torch.tensor([[1.25]]))
    assert delays(x, torch.ones(1, 1, dtype=DOUBLE)).flatten().tolist() == [0, 0.75, 0.25, 0, 0]
    rounded = delays_for(IntegerDelay(maximum=3), 1, 1, torch.tensor([[1.25]]))
    assert rounded(x, torch.ones(1, 1, dtype=DOUBLE)).flatten().tolist() == [0, 1, 0, 0, 0]


@OF
@pytest.mark.parametrize("kind", ["linear", "gaussian", "triangular", "area"])
def test_gradients_equal_finite_differences(kind: str, of: str) -> None:
    delays = delays_for(KINDS[kind](of=of, maximum=4), 2, 3)
    # Nowhere near a kink, and one delay near each end of the range.
    value = torch.linspace(0.13, 3.77, 6 if of == "synapse" else 3, dtype=DOUBLE).view(delays.value.shape)

    def current(x: Tensor, weight: Tensor, value: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(_Arrival(delays), {"delays.value": value}, (x, weight))
        return result

    leaves = (random(6, 2, 3), random(2, 3, seed=1) - 0.5, value)
    assert torch.autograd.gradcheck(current, tuple(leaf.requires_grad_() for leaf in leaves))


class _Arrival(nn.Module):
    """``arrive`` as a module."""

    def __init__(self, delays: Delays) -> None:
        super().__init__()
        self.delays = delays

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        return arrive(self.delays, x, weight)


@pytest.mark.parametrize("of", ["synapse", "axon"])
def test_gradients_of_recurrent_delays_equal_finite_differences(of: str) -> None:
    kind = GaussianDelay(of=of, maximum=3)
    value = 0.2 + 2.5 * random(*((3, 3) if of == "synapse" else (3,)))

    def loop(x: Tensor, weight: Tensor, value: Tensor) -> Tensor:
        feedback = DelayedFeedback(weight, kind.taps(value, torch.tensor(1.3, dtype=DOUBLE)))
        outputs: list[Tensor] = []
        for x_t in x:
            past = feedback.current(outputs or [torch.zeros_like(x_t)], feedback.kernels())
            outputs.append(torch.tanh(x_t + past))
        return torch.stack(outputs)

    leaves = (random(6, 2, 3), random(3, 3, seed=1) - 0.5, value)
    assert torch.autograd.gradcheck(loop, tuple(leaf.requires_grad_() for leaf in leaves))


def test_a_rounded_delay_has_the_gradient_of_the_interpolation() -> None:
    value, x, weight = 0.2 + 3 * random(2, 3), spikes(9, 2, 3), random(2, 3, seed=1)
    both = [delays_for(kind(maximum=4), 2, 3, value) for kind in (IntegerDelay, LinearDelay)]
    one, other = (
        torch.autograd.grad((random(9, 2, 2, seed=2) * each(x, weight)).sum(), each.value)[0] for each in both
    )
    assert torch.equal(one, other)
    assert one.all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [-0.7, 0.0, 4.0, 4.6])
def test_a_delay_comes_back_from_the_end_of_its_range(kind: str, value: float) -> None:
    """Beyond its range it counts as the end, with a gradient inwards alone."""
    x = torch.zeros(8, 1, 1, dtype=DOUBLE)
    x[1] = 1
    delays = delays_for(KINDS[kind](maximum=4), 1, 1, torch.tensor([[value]]))
    end = min(max(value, 0.0), 4.0)
    assert delays.delays().item() == end
    output = delays(x, torch.ones(1, 1, dtype=DOUBLE)).flatten()
    later = (torch.linspace(0, 1, 8, dtype=DOUBLE) * output).sum()  # grows with the delay
    by_later, by_earlier = (
        torch.autograd.grad(sign * later, delays.value, retain_graph=True)[0].item() for sign in (1, -1)
    )
    assert (by_later == 0, by_earlier < 0) == (True, True) if end == 0 else (by_later > 0, by_earlier == 0)


@pytest.mark.parametrize("kind", ["linear", "gaussian", "triangular", "area"])
def test_taps_lie_around_the_delay(kind: str) -> None:
    """Their mean is the delay, and what arrives is what was sent, where the range does not cut them."""
    part = KINDS[kind](maximum=20)
    delay = 8 + 4 * random(5)
    width = part.width_at(0.0)
    taps = part.taps(delay, None if width is None else torch.tensor(width, dtype=DOUBLE))
    assert (taps >= 0).all()
    torch.testing.assert_close((taps * torch.arange(21)).sum(-1) / taps.sum(-1), delay, rtol=0, atol=0.15)
    torch.testing.assert_close(taps.sum(-1), torch.ones(5, dtype=DOUBLE), rtol=0, atol=0.1 if kind == "area" else 1e-9)


@OF
@pytest.mark.parametrize("kind", ["linear", "gaussian", "triangular"])
def test_planted_delays_are_found_again(kind: str, of: str) -> None:
    """From the membranes of leaky integrators; linear taps feel one step, so they begin nearby."""
    torch.manual_seed(0)
    planted = torch.randint(0, 9, (3, 4) if of == "synapse" else (4,)).double()
    steps, maximum = 120, 8
    options: dict[str, Any] = {} if kind == "linear" else {"width": 4.0, "shrink": 0.8}
    part = {"linear": LinearDelay, "gaussian": GaussianDelay, "triangular": TriangularDelay}[kind]
    synapse = nn.Linear(4, 3, bias=False).double()
    nn.init.uniform_(synapse.weight, 0.5, 1.5)
    layers = []
    for value in (planted, planted + 1.4 * random(*planted.shape) - 0.7 if kind == "linear" else None):
        delays = delays_for(part(of=of, maximum=maximum, **options), 3, 4, value)
        layers.append(Layer(synapse, LI(beta=0.7).double(), delay=delays))
    teacher, student = layers[0].eval(), layers[1].train()
    assert student.delay is not None
    optimizer = torch.optim.Adam([student.delay.value], lr=0.2)
    for step in range(steps):
        student.delay.shrink(step / steps)
        x = spikes(30, 8, 4, rate=0.15, seed=step)
        with torch.no_grad():
            target = teacher(x).membrane
        optimizer.zero_grad()
        (student(x).membrane - target).square().mean().backward()
        optimizer.step()
    torch.testing.assert_close(student.delay.delays().detach(), planted, rtol=0, atol=0.15)


def test_the_width_shrinks_to_its_end_and_never_grows() -> None:
    kind = GaussianDelay(width=8.0, final_width=0.5, shrink=0.5)
    assert [kind.width_at(n / 8) for n in range(9)] == pytest.approx([8, 4, 2, 1, 0.5, 0.5, 0.5, 0.5, 0.5])
    delays = Delays(kind, 2, 3)
    assert delays.width is not None
    assert "width" in delays.state_dict()
    for progress, width in ((0.25, 2.0), (0.1, 2.0), (1.0, 0.5), (0.0, 0.5)):
        delays.shrink(progress)
        assert delays.width.item() == width
    plain = Delays(LinearDelay(), 2, 3)
    plain.shrink(0.5)
    assert list(plain.state_dict()) == ["value"]


@pytest.mark.parametrize(
    ("initial", "low", "high"), [(None, 0, 10), (4, 4, 4), ("uniform(2,3)", 2, 3), ("normal(9,2)", 0, 10)]
)
def test_initial_delays(initial: Any, low: float, high: float) -> None:
    torch.manual_seed(0)
    delays = Delays(LinearDelay(initial=initial), 30, 40)
    assert delays.value.shape == (30, 40)
    assert low <= delays.value.min() and delays.value.max() <= high
    assert (delays.value.std() > 0.2 * (high - low) / 2) or low == high
    torch.manual_seed(0)
    assert torch.equal(Delays(LinearDelay(initial=initial), 30, 40).value, delays.value)
    assert Delays(LinearDelay(of="axon"), 30, 40).value.shape == (40,)
    fixed = Delays(LinearDelay(learn=False), 2, 3)
    assert not list(fixed.parameters())
    assert "value" in fixed.state_dict()


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [
        (LinearDelay, {"of": "neuron"}, "of"),
        (LinearDelay, {"connections": "all"}, "connections"),
        (LinearDelay, {"maximum": 0}, "maximum"),
        (LinearDelay, {"maximum": 2.5}, "maximum"),
        (LinearDelay, {"initial": 11}, "initial"),
        (LinearDelay, {"initial": "uniform(20,30)"}, "initial"),
        (LinearDelay, {"initial": "anything"}, "initial"),
        (LinearDelay, {"learn": 1}, "learn"),
        (GaussianDelay, {"width": 0.01}, "width"),
        (GaussianDelay, {"width": 2.0, "final_width": 3.0}, "final_width"),
        (GaussianDelay, {"shrink": 0}, "shrink"),
        (GaussianDelay, {"whole_steps": None}, "whole_steps"),
        (TriangularDelay, {"final_width": 0.5}, "final_width"),
        (TriangularDelay, {"scale": "none"}, "scale"),
    ],
)
def test_bad_options_are_refused_by_name(kind: Any, options: dict[str, Any], name: str) -> None:
    with refuses(name, options[name]):
        kind(**options)


def test_layers_that_cannot_have_delays() -> None:
    delays = Delays(LinearDelay(), 3, 3)
    with pytest.raises(ArgumentError) as error:
        Layer(nn.Identity(), LIF(), delay=delays)
    assert error.value.argument == "synapse"
    with pytest.raises(ArgumentError) as error:
        Layer(nn.Linear(3, 3), LIF(), recurrent_delay=delays)
    assert error.value.argument == "recurrent_delay"
    with refuses("delay.connections", "both", "model=recurrent"):
        MLP((3,), 2, LIF, delay=LinearDelay(connections="both"))
    with refuses("backend", "fused", "recurrent delays need several"):
        Recurrent((3,), 2, LIF, "fused", delay=LinearDelay(connections="both"))
    assert Recurrent((3,), 2, LIF, "fused", delay=LinearDelay(), hidden=[4]).layers["hidden1"].backend == "fused"


# --- models ----------------------------------------------------------------------------------------------------------


def model(kind: Any, delay: Delay | None, backend: str = "auto", **options: Any) -> nn.Module:
    torch.manual_seed(0)
    neuron = functools.partial(LIF, beta=0.8, threshold=0.3)
    net: nn.Module = kind((4,), 3, neuron, backend, **{"hidden": [7, 5], "delay": delay, **options})
    for name, parameter in net.named_parameters():
        if name.endswith("synapse.weight"):  # else few neurons fire
            nn.init.uniform_(parameter, -0.15, 0.4)
    return net.double()


@OF
@pytest.mark.parametrize("trains", [True, False])
@pytest.mark.parametrize("connections", ["input", "recurrent", "both"])
def test_a_recurrent_network_equals_the_loop_by_hand(connections: str, of: str, trains: bool) -> None:
    delay = GaussianDelay(of=of, connections=connections, maximum=4, width=1.0)
    net: Any = model(Recurrent, delay).train(trains)
    x = spikes(14, 3, 4, rate=0.6)
    traces = net(x)
    for name, layer in net.layers.items():
        weight = layer.synapse.weight
        taps = torch.ones(*weight.shape, 1, dtype=DOUBLE) if layer.delay is None else layer.delay.taps()
        back = None if layer.recurrence is None else layer.recurrence.weight
        later = None if layer.recurrent_delay is None else layer.recurrent_delay.taps()
        assert (later is not None) == (connections != "input" and name != "output")
        state: Any = None
        out: list[Tensor] = []
        for t in range(14):
            current = layer.synapse.bias.expand(3, -1)
            for lag in range(min(t + 1, taps.shape[-1])):
                current = current + x[t - lag] @ (weight * taps[..., lag]).T
            if back is not None:
                for lag in range(min(t, 1 if later is None else later.shape[-1])):
                    current = current + out[t - 1 - lag] @ (back if later is None else back * later[..., lag]).T
            state = layer.neuron.initial_state(current) if state is None else state
            spike, state = layer.neuron.step(current, state)
            out.append(spike)
        x = torch.stack(out)
        assert torch.equal(traces[name].spikes, x)
        assert 0 < x.mean() < 1
        x = x.detach()


@OF
@pytest.mark.parametrize("delay", ["integer", "linear", "gaussian", "triangular"])
@pytest.mark.parametrize("kind", [MLP, Recurrent])
def test_every_execution_has_the_same_results(kind: Any, delay: str, of: str) -> None:
    """The reference, the fused execution with and without traces, and segments; a constant input, too."""
    plans = {
        "reference": ExecutionPlan("reference"),
        "fused": ExecutionPlan("auto"),
        "without traces": ExecutionPlan("auto", membrane=False, spikes=False),
    }
    if kind is MLP:
        plans["low"] = ExecutionPlan("auto", memory="low", membrane=False, spikes=False)
    net = model(kind, KINDS[delay](of=of, maximum=5)).train()
    constant = (3 * random(1, 2, 4)).expand(12, 2, 4)
    for x in (spikes(12, 2, 4, rate=0.6), constant):
        results = {}
        for name, plan in plans.items():
            set_plan(net, plan)
            net.zero_grad()
            output = net(x)["output"]
            (output.spikes * random(12, 2, 3, seed=5)).sum().backward()
            results[name] = (output.spikes.detach(), [parameter.grad for parameter in net.parameters()])
        expected, gradients = results["reference"]
        assert 0 < expected.mean() < 1
        assert all(bool(each.any()) for each in gradients if each is not None)
        for name, (actual, others) in results.items():
            assert torch.equal(actual, expected), name
            for one, other in zip(gradients, others, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_delays_are_a_group_of_parameters() -> None:
    net = model(Recurrent, LinearDelay(connections="both"), hidden=[7])
    groups = parameter_groups(net)
    assert list(groups) == ["weights", "recurrent", "readout", "delays"]
    assert sum(each.numel() for each in groups["delays"]) == 7 * 4 + 7 * 7 + 3 * 7
    assert list(delays_of(net)) == [
        "layers.hidden1.delay",
        "layers.hidden1.recurrent_delay",
        "layers.output.delay",
    ]
    fixed = model(MLP, LinearDelay(learn=False))
    assert "delays" not in parameter_groups(fixed)


def test_a_model_without_memory_of_all_steps_refuses_recurrent_delays() -> None:
    net = model(Recurrent, LinearDelay(connections="recurrent"))
    with refuses("memory", "low"):
        set_plan(net, ExecutionPlan(memory="low"))
