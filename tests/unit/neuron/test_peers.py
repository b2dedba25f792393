"""Neurons against the traces of snnTorch, SpikingJelly and Norse: spikes exactly, membranes and gradients closely.

The peers return the membrane before the reset (snnTorch with the delayed reset) or after it (the others); ours is
always the one before, and ``after_reset`` gives the other.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.neuron import IF, LIF, Lapicque, Neuron, State
from snnrun.sequence import run
from snnrun.surrogate import ATan, FastSigmoid, Sigmoid, Surrogate
from support import references
from support.references import assert_close_to_largest, tensor
from support.refusals import refuses

SURROGATES: dict[str, Any] = {
    "atan": lambda alpha: ATan(alpha),
    "sigmoid": lambda alpha: Sigmoid(alpha),
    "fast_sigmoid": lambda slope: FastSigmoid(slope),
    # norse ignores alpha: what it computes is 1 / (1 + |x|)²
    "super": lambda alpha: FastSigmoid(1.0),
}


def spike_function(entry: dict[str, Any]) -> Surrogate:
    surrogate = entry["surrogate"]
    return SURROGATES[surrogate["name"]](**surrogate["params"])


def convention(entry: dict[str, Any]) -> dict[str, Any]:
    of = entry["conventions"]
    return {
        "surrogate": spike_function(entry),
        "fires_at": of["fires_at"],
        "reset": of["reset"],
        # without a reset there is no timing either
        "reset_timing": "delayed" if of["reset_timing"] == "delayed" else "same",
        "detach_reset": of["detach_reset"],
        "v_reset": of.get("v_reset") or 0.0,
    }


def leaky(entry: dict[str, Any], learn: bool = True) -> LIF:
    params = entry["params"]
    size = len(entry["input"][0])
    # A learnable β lies inside (0, 1); the entries at or beyond 1 are tested on their own.
    learn_beta = learn and max([params["beta"]] if isinstance(params["beta"], float) else params["beta"]) < 1
    return LIF(
        params["beta"],
        threshold=params["threshold"],
        learn_beta=learn_beta,
        learn_threshold=learn,
        graded_spikes_factor=params.get("graded_spikes_factor", 1.0),
        learn_graded_spikes_factor=params.get("learn_graded_spikes_factor", False),
        shape=(size,),
        **convention(entry),
    )


def lapicque(entry: dict[str, Any]) -> Lapicque:
    params, dt = entry["params"], entry["params"]["time_step"]
    # From β alone snnTorch takes R = 1 and C = dt / ln(1/β).
    resistance, capacity = (params["R"], params["C"]) if "R" in params else (1.0, None)
    if capacity is None:
        capacity = dt / -torch.tensor(params["beta"], dtype=torch.float64).log().item()
    return Lapicque(
        R=resistance, C=capacity, dt=dt, threshold=params["threshold"], learn_threshold=True, **convention(entry)
    )


def spikingjelly(entry: dict[str, Any]) -> Neuron:
    params = entry["params"]
    options = {"threshold": params["v_threshold"], **convention(entry)}
    if entry["model"] == "IFNode":
        return IF(**options)
    rest = params["v_reset"] or 0.0  # it leaks towards v_reset
    return LIF(tau=params["tau"], integration="euler", decay_input=params["decay_input"], v_rest=rest, **options)


def norse_box(entry: dict[str, Any]) -> LIF:
    params = entry["params"]
    return LIF(
        tau=1 / params["tau_mem_inv"],
        dt=params["dt"],
        integration="euler",
        decay_input=True,
        v_rest=params["v_leak"],
        threshold=params["v_th"],
        learn_threshold=True,
        **convention(entry),
    )


MAKERS = {"snntorch.leaky": leaky, "snntorch.lapicque": lapicque, "spikingjelly.if": spikingjelly}
MAKERS |= {"spikingjelly.lif": spikingjelly, "norse.lif_box": norse_box}
ENTRIES: dict[str, tuple[Any, dict[str, Any]]] = {
    e["id"]: (make, e)
    for e in references.entries("neurons")
    for prefix, make in MAKERS.items()
    if e["id"].startswith(f"{prefix}.")
    # a peer's defect, and a β that we refuse: both below
    and e["id"] not in ("snntorch.leaky.subtract.same_step.strong", "snntorch.leaky.subtract.beta_above_one")
}


def first_state(entry: dict[str, Any], neuron: Neuron) -> State:
    (start,) = entry["initial_state"].values()
    membrane = tensor(start).expand(1, len(entry["input"][0])).clone()
    # snnTorch decides from the membrane alone whether a reset is due, the first step included.
    spikes = neuron.fire(membrane).detach() if entry["library"] == "snntorch" else torch.zeros_like(membrane)
    return State(membrane, spikes)


def loss_of(entry: dict[str, Any], neuron: Neuron, x: Tensor, backend: str) -> dict[str, Tensor]:
    trace, _ = run(neuron, x[:, None], first_state(entry, neuron), backend=backend)
    membrane = trace.membrane
    if entry["conventions"]["membrane_returned"] == "after reset":
        membrane = neuron.after_reset(trace.membrane, trace.spikes)
    output, membrane = trace.spikes[:, 0], membrane[:, 0]
    w, u = tensor(entry["grad"]["w"]), tensor(entry["grad"]["u"])
    return {
        "spikes": (output != 0).to(output.dtype),  # a graded spike has another size than 1
        "output": output,
        "membrane": membrane,
        "before": trace.membrane[:, 0],
        "loss": (w * output).sum() + 0.1 * (u * membrane).sum(),
        "spikes_only": (w * output).sum(),
    }


@pytest.mark.parametrize("backend", ["reference", "fused"])
@pytest.mark.parametrize("identifier", ENTRIES)
def test_traces_and_gradients(identifier: str, backend: str) -> None:
    make, entry = ENTRIES[identifier]
    neuron = make(entry)
    x = tensor(entry["input"]).requires_grad_()
    ours = loss_of(entry, neuron, x, backend)

    assert ours["spikes"].tolist() == entry["spikes"]
    assert_close_to_largest(ours["output"].detach(), tensor(entry.get("output", entry["spikes"])))
    assert_close_to_largest(ours["membrane"].detach(), tensor(entry["membrane"]))
    excess = ours["before"] - neuron.threshold()
    assert_close_to_largest(excess.detach(), tensor(entry["states"]["surrogate_input"]))

    for key, loss in (("grad", "loss"), ("grad_spikes_only", "spikes_only")):
        if key not in entry:
            continue
        expected = entry[key]
        torch.testing.assert_close(ours[loss].item(), expected["loss"], rtol=1e-3, atol=1e-5)
        neuron.zero_grad()
        x.grad = None
        ours[loss].backward(retain_graph=True)
        assert x.grad is not None
        assert_close_to_largest(x.grad, tensor(expected["grad_input"]))
        for name, value in expected["grad_params"].items():
            compare_parameter(neuron, name, value)


def compare_parameter(neuron: Neuron, name: str, value: Any) -> None:
    """The gradient of the peer's parameter, from that of the unbounded value behind ours, by the chain rule."""
    if name == "graded_spikes_factor":
        assert isinstance(neuron, LIF)
        ours = neuron.graded_spikes_factor.raw.grad
    elif name in ("threshold", "v_th"):
        ours = neuron.threshold.raw.grad / neuron.threshold().detach()  # θ = exp(raw)
    elif name == "beta" and isinstance(neuron, LIF) and neuron.beta.learn:
        beta = neuron.beta().detach()
        ours = neuron.beta.raw.grad / (beta * (1 - beta))  # β = σ(raw)
    else:
        return  # what we do not learn: norse's constants, Lapicque's β, a β of exactly 1
    assert ours is not None
    if isinstance(value, list):
        assert_close_to_largest(ours, tensor(value))
    else:
        torch.testing.assert_close(ours.item(), float(value), rtol=1e-3, atol=1e-5)


def test_every_entry_of_these_neurons_is_there() -> None:
    counts = {prefix: sum(i.startswith(f"{prefix}.") for i in ENTRIES) for prefix in MAKERS}
    assert counts == {
        "snntorch.leaky": 13,
        "snntorch.lapicque": 4,
        "spikingjelly.if": 7,
        "spikingjelly.lif": 12,
        "norse.lif_box": 3,
    }


def test_subtracting_in_the_same_step_never_withholds_a_spike() -> None:
    """snnTorch's reset_delay=False does where the membrane stays above the threshold; the plain rule is ours."""
    entry = references.entry("neurons", "snntorch.leaky.subtract.same_step.strong")
    neuron = leaky(entry)
    trace, _ = run(neuron, tensor(entry["input"])[:, None])
    theta, beta, v = 1.076, 0.852, torch.zeros(len(entry["input"][0]), dtype=torch.float64)
    for x, spikes in zip(entry["input"], trace.spikes[:, 0], strict=True):
        u = beta * v + torch.tensor(x, dtype=torch.float64)
        assert spikes.tolist() == (u > theta).double().tolist()
        v = u - theta * spikes
    assert trace.spikes[:, 0].tolist() != entry["spikes"]


def test_a_beta_above_one_is_refused() -> None:
    """snnTorch clamps it in silence, and then learns nothing."""
    entry = references.entry("neurons", "snntorch.leaky.subtract.beta_above_one")
    with refuses("beta", 1.178, "at least 0 and at most 1"):
        leaky(entry, learn=False)
    with refuses("beta", 1.0, "above 0 and below 1", "learned"):
        LIF(1.0, learn_beta=True)


DEMOS = [e for e in references.entries("simulate") if e["model"] in ("Lapicque", "Leaky")]


@pytest.mark.parametrize("entry", DEMOS, ids=lambda e: e["id"])
@pytest.mark.parametrize("backend", ["reference", "fused"])
def test_the_tutorials_demonstrations(entry: dict[str, Any], backend: str) -> None:
    params = entry["params"]
    options: dict[str, Any] = {
        "threshold": params.get("threshold", 1.0),
        "reset": params.get("reset_mechanism", "subtract"),
        "reset_timing": "delayed" if params.get("reset_delay", True) else "same",
    }
    neuron: Neuron
    if entry["model"] == "Leaky":
        neuron = LIF(params["beta"], **options)
    elif "R" in params:
        neuron = Lapicque(R=params["R"], C=params["C"], dt=params["time_step"], **options)
    else:
        c = params["time_step"] / -torch.tensor(params["beta"], dtype=torch.float64).log().item()
        neuron = Lapicque(R=1, C=c, dt=params["time_step"], **options)
    trace, _ = run(neuron, tensor(entry["input"]).view(-1, 1, 1), backend=backend)
    assert trace.spikes.flatten().tolist() == entry["spikes"]
    membrane = trace.membrane
    if options["reset_timing"] == "same":  # the peer then returns the membrane after the reset
        membrane = neuron.after_reset(trace.membrane, trace.spikes)
    torch.testing.assert_close(membrane.flatten(), tensor(entry["membrane"]), rtol=0, atol=2e-6)
