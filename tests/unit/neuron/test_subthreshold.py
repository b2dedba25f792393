"""SE-adLIF and EF-adLIF: their authors' traces, the ranges of what they learn, and AdLIF in the same steps."""

from __future__ import annotations

import functools
import math
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from snnrun.loss import CESoftmax
from snnrun.model import MLP
from snnrun.neuron import LI, AdLIF, SEAdLIF
from snnrun.sequence import resolve_backend, run
from snnrun.surrogate import SpikeRateEscape
from snnrun.training.state import TrainingState
from snnrun.training.streams import Streams
from support.references import assert_close_to_largest, entry, tensor
from support.refusals import refuses

#: SLAYER's surrogate with alpha = 5 and c = 0.4: of height alpha c / 2.
SLAYER = SpikeRateEscape(beta=5.0, slope=1.0)
BACKENDS = ["reference", "fused"]
IDENTIFIERS = ["se_adlif.feedforward", "se_adlif.recurrent", "ef_adlif.feedforward", "ef_adlif.recurrent"]


def time_constant(share: float, ends: list[float]) -> float:
    return share * ends[1] + (1 - share) * ends[0]


def neuron_of(reference: dict[str, Any]) -> SEAdLIF:
    weights, params = reference["weights"], reference["params"]
    neuron = SEAdLIF(
        tau=[time_constant(k, params["tau_u_range"]) for k in weights["tau_u_weight"]],
        tau_w=[time_constant(k, params["tau_w_range"]) for k in weights["tau_w_weight"]],
        tau_range=params["tau_u_range"],
        tau_w_range=params["tau_w_range"],
        a=weights["a"],
        b=weights["b"],
        q=params["q"],
        decay_input=True,
        symplectic=reference["id"].startswith("se"),
        recurrence="all_to_all" if "recurrent" in weights else "none",
        reset="zero",
        surrogate=SLAYER,
        shape=(len(weights["a"]),),
    )
    if "recurrent" in weights:
        feedback: Any = neuron.feedback
        feedback.weight = nn.Parameter(tensor(weights["recurrent"]))
    return neuron


def adaptation(neuron: SEAdLIF | AdLIF, current: Tensor) -> Tensor:
    """The adaptation after each step, as the authors count: ours of the step after, in symplectic steps."""
    extra = torch.cat([current, current[:1]]) if neuron.symplectic else current
    state, values = neuron.initial_state(current[0]), []
    for x in extra:
        _, state = neuron.step(x, state)
        values.append(state.adaptation)
    return torch.stack(values[1:] if neuron.symplectic else values)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("identifier", IDENTIFIERS)
def test_the_authors_layer(identifier: str, backend: str, dtype: torch.dtype) -> None:
    reference = entry("sequences", identifier)
    neuron, grad, weights = neuron_of(reference).to(dtype), reference["grad"], reference["weights"]
    number = functools.partial(tensor, dtype=dtype)
    x, weight, bias = (
        number(each).requires_grad_() for each in (reference["input"], weights["weight"], weights["bias"])
    )
    current = x @ weight.T + bias
    trace, _ = run(neuron, current, backend=backend)
    after_reset = neuron.after_reset(trace.membrane, trace.spikes)
    assert trace.spikes.tolist() == reference["spikes"]
    assert_close_to_largest(after_reset.detach(), number(reference["membrane"]))
    assert_close_to_largest(adaptation(neuron, current).detach(), number(reference["states"]["w"]))
    loss = (number(grad["w"]) * trace.spikes).sum() + 0.1 * (number(grad["u"]) * after_reset).sum()
    assert loss.item() == pytest.approx(grad["loss"], rel=2e-5)
    loss.backward()
    ours: dict[str, Any] = {
        "weight": weight.grad,
        "bias": bias.grad,
        "a": neuron.a.raw.grad,
        "b": neuron.b.raw.grad,
        "tau_u_weight": neuron.tau.raw.grad,
        "tau_w_weight": neuron.tau_w.raw.grad,
    }
    if neuron.feedback is not None:
        ours["recurrent"] = neuron.feedback.weight.grad
    assert ours.keys() == grad["grad_params"].keys()
    assert_close_to_largest(x.grad, number(grad["grad_input"]), 2e-4)  # type: ignore[arg-type]
    for name, value in grad["grad_params"].items():
        assert_close_to_largest(ours[name], number(value), 2e-4)


@pytest.mark.parametrize("identifier", ["se_adlif.feedforward", "ef_adlif.feedforward"])
def test_adlif_is_the_same_neuron_with_decays(identifier: str) -> None:
    reference = entry("sequences", identifier)
    weights, params = reference["weights"], reference["params"]
    current = tensor(reference["input"]) @ tensor(weights["weight"]).T + tensor(weights["bias"])
    for i in range(current.shape[-1]):
        tau, tau_w = (
            time_constant(weights[f"tau_{which}_weight"][i], params[f"tau_{which}_range"]) for which in ("u", "w")
        )
        neuron = AdLIF(
            beta=math.exp(-1 / tau),
            rho=math.exp(-1 / tau_w),
            a=params["q"] * weights["a"][i],
            b=params["q"] * weights["b"][i],
            decay_input=True,
            symplectic=identifier.startswith("se"),
            reset="zero",
        )
        trace, _ = run(neuron, current[..., i : i + 1])
        assert trace.spikes.tolist() == [[[row[i]] for row in step] for step in reference["spikes"]]


def test_a_step_of_the_optimizer_ends_in_the_ranges() -> None:
    """The authors' parameters before and after they are clamped."""
    reference = entry("sequences", "se_adlif.feedforward")
    before, after = (reference["after_training_step"][key] for key in ("before", "after"))
    neuron = neuron_of(reference)
    values = {"a": neuron.a, "b": neuron.b, "tau_u_weight": neuron.tau, "tau_w_weight": neuron.tau_w}
    state = TrainingState.create(
        neuron,
        Streams(0, torch.device("cpu")),
        optimizer=functools.partial(torch.optim.SGD, lr=1.0),
        scheduler=functools.partial(torch.optim.lr_scheduler.ConstantLR, factor=1.0),
    )
    for name, value in values.items():
        value.raw.grad = value.raw.detach() - tensor(before[name])  # the step that ends before the clamp
    state.optimizer.step()
    for name, value in values.items():
        torch.testing.assert_close(value.raw.detach(), tensor(after[name]))
    low, high = neuron.learnable_values()["tau"].aminmax()
    assert 5 <= low < high == 25


def test_a_value_beyond_its_range_counts_as_the_end() -> None:
    neuron = SEAdLIF(a=[0.5, 0.5, 0.5], shape=(3,))
    with torch.no_grad():
        neuron.a.raw.copy_(torch.tensor([-1.0, 0.25, 7.0]))
    values = torch.as_tensor(neuron.a())
    assert values.tolist() == [0.0, 0.25, 1.0]
    (gradient,) = torch.autograd.grad(values.sum(), neuron.a.raw)
    assert gradient.tolist() == [0.0, 1.0, 0.0]


def test_symplectic_steps_are_stable_where_forward_steps_are_not() -> None:
    """Below the threshold, with a strong coupling, an impulse rings: it fades, or grows without end."""
    x = torch.zeros(3000, 1, 1)
    x[0] = 1.0
    options: dict[str, Any] = {"a": 1.0, "tau": 25.0, "tau_w": 60.0, "reset": "none", "learn_tau": False}
    rings = {
        symplectic: run(SEAdLIF(symplectic=symplectic, threshold=1e30, **options), x)[0].membrane.abs()
        for symplectic in (True, False)
    }
    assert rings[True][-100:].max() < 1e-6 * rings[True][:100].max()
    assert not rings[False][-100:].max() < rings[False][:100].max()


@pytest.mark.parametrize("recurrence", ["none", "all_to_all", "elementwise"])
def test_it_has_a_fused_execution(recurrence: str) -> None:
    assert resolve_backend(SEAdLIF(recurrence=recurrence, shape=(3,)), "auto") == "fused"


def test_limits() -> None:
    with refuses("tau", 30.0, "at most 25"):
        SEAdLIF(tau=30.0)
    SEAdLIF(tau=30.0, tau_range=[5, 30])
    wrong: list[Any] = [[25.0, 5.0], [5.0], "5"]
    for ends in wrong:
        with refuses("tau_range", ends, "two numbers"):
            SEAdLIF(tau_range=ends)
    with refuses("tau_w_range", 0.0, "above 0"):
        SEAdLIF(tau_w_range=[0.0, 1.0])
    with refuses("b", 2.5, "at most 2"):
        SEAdLIF(b=2.5)
    drawn = torch.as_tensor(SEAdLIF(tau="uniform(0,100)", shape=(300,)).tau())
    assert drawn.min() >= 5
    assert drawn.max() <= 25


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_authors_network(backend: str, dtype: torch.dtype) -> None:
    """Two recurrent layers and a leaky integrator: spikes, membranes, outputs, the loss of blocks and its gradients."""
    reference = entry("sequences", "se_adlif.network")
    number, weights, grad = functools.partial(tensor, dtype=dtype), reference["weights"], reference["grad"]
    model = network_of(reference, backend).to(dtype)
    x = number(reference["input"]).requires_grad_()
    traces, layers = model(x), cast(Any, model.layers)
    for name, suffix in (("hidden1", "_l1"), ("hidden2", "")):
        trace = traces[name]
        assert layers[name].backend == backend
        assert trace.spikes.tolist() == reference[f"spikes{suffix}"]
        after_reset = layers[name].neuron.after_reset(trace.membrane, trace.spikes)
        assert_close_to_largest(after_reset.detach(), number(reference[f"membrane{suffix}"]))
    output = traces["output"].membrane
    assert_close_to_largest(output.detach(), number(reference["output"]))
    loss = loss_of_blocks(output, reference)
    assert loss.item() == pytest.approx(grad["loss"], rel=2e-5)
    loss.backward()
    assert_close_to_largest(x.grad, number(grad["grad_input"]), 2e-4)  # type: ignore[arg-type]
    ours = {f"out.{name}": getattr(layers["output"].synapse, name).grad for name in ("weight", "bias")}
    for name, prefix in (("hidden1", "l1"), ("hidden2", "l2")):
        synapse, neuron = layers[name].synapse, layers[name].neuron
        parameters = {"weight": synapse.weight, "bias": synapse.bias, "recurrent": neuron.feedback.weight}
        learnt = {"a": neuron.a, "b": neuron.b, "tau_u_weight": neuron.tau, "tau_w_weight": neuron.tau_w}
        parameters |= {key: value.raw for key, value in learnt.items()}
        ours |= {f"{prefix}.{key}": parameter.grad for key, parameter in parameters.items()}
    assert ours.keys() == grad["grad_params"].keys() == weights.keys() - {"out.tau"}
    for name, value in grad["grad_params"].items():
        assert_close_to_largest(ours[name], number(value), 2e-4)


def network_of(reference: dict[str, Any], backend: str) -> MLP:
    """The authors' two layers and read-out as a model, with their weights."""
    weights = reference["weights"]
    parts = [
        {key.removeprefix(f"{prefix}."): value for key, value in weights.items() if key.startswith(f"{prefix}.")}
        for prefix in ("l1", "l2", "out")
    ]
    neurons = iter([neuron_of({**reference, "weights": part}) for part in parts[:2]])
    readout = functools.partial(LI, tau=parts[2]["tau"], integration="exact", decay_input=True)
    sizes = [len(part["bias"]) for part in parts]
    inputs = len(parts[0]["weight"][0])
    model = MLP((inputs,), sizes[2], lambda shape: next(neurons), backend, readout=readout, hidden=sizes[:2])
    for layer, part in zip(model.layers.values(), parts, strict=True):
        synapse = cast(Any, layer).synapse
        synapse.weight, synapse.bias = nn.Parameter(tensor(part["weight"])), nn.Parameter(tensor(part["bias"]))
    return model


def loss_of_blocks(output: Tensor, reference: dict[str, Any]) -> Tensor:
    """The mean cross-entropy over the blocks of steps that have a label; block 0 has none."""
    block, losses = torch.tensor(reference["block"]), []
    for sample, labels in enumerate(reference["targets"]):
        for number, label in enumerate(labels):
            steps = output[block[:, sample] == number, sample : sample + 1]
            sums = CESoftmax().scores(torch.zeros_like(steps), steps)
            expected = tensor(reference["block_sums"][sample][number], output.dtype)
            assert_close_to_largest(sums[0].detach(), expected)
            if label >= 0:
                losses.append(CESoftmax()(torch.zeros_like(steps), steps, torch.tensor([label])))
    return torch.stack(losses).mean()
