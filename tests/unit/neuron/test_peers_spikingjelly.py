"""The further neurons of SpikingJelly against its traces: spikes exactly, membranes, states and gradients closely.

It returns membranes after the reset, but for its gated and parallel neurons; ours is always the one before.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.neuron import (
    CLIF,
    EIF,
    GLIF,
    KLIF,
    LIAF,
    PLIF,
    PSN,
    QIF,
    CubaLIF,
    Izhikevich,
    MaskedPSN,
    Neuron,
    SlidingPSN,
)
from snnrun.sequence import run
from snnrun.surrogate import ATan, Rectangular, Sigmoid
from support import references
from support.references import assert_close_to_largest, tensor

SURROGATES: dict[str, Any] = {"atan": ATan, "sigmoid": Sigmoid, "rect": Rectangular}

# The states, by the library's names and by ours.
STATES = {"v": "membrane", "spike": "spikes", "w": "adaptation", "c": "current", "m": "complement"}


def options_of(entry: dict[str, Any]) -> dict[str, Any]:
    of, surrogate = entry["conventions"], entry["surrogate"]
    return {
        "surrogate": SURROGATES[surrogate["name"]](**surrogate["params"]),
        "fires_at": of["fires_at"],
        "reset": of["reset"],
        "detach_reset": of["detach_reset"],
        "v_reset": of["v_reset"] or 0.0,
        "threshold": entry["params"]["v_threshold"],
    }


def leak_of(entry: dict[str, Any]) -> dict[str, Any]:
    params = entry["params"]
    # It leaks towards v_reset.
    return {
        "tau": params["tau"],
        "integration": "euler",
        "decay_input": params["decay_input"],
        "v_rest": params["v_reset"] or 0.0,
    }


def plif(entry: dict[str, Any]) -> Neuron:
    params = entry["params"]
    tau = 1 + torch.exp(-torch.tensor(params["w"], dtype=torch.float64)).item()
    return PLIF(tau, decay_input=params["decay_input"], v_rest=params["v_reset"] or 0.0, **options_of(entry))


def quadratic(entry: dict[str, Any]) -> dict[str, Any]:
    params = entry["params"]
    # Its soft reset leaves membranes above the threshold, where it lets the quadratic term grow on.
    return {name: params[name] for name in ("tau", "a0", "v_rest", "v_c")} | {"v_peak": 2 * params["v_threshold"]}


def qif(entry: dict[str, Any]) -> Neuron:
    return QIF(**quadratic(entry), **options_of(entry))


def izhikevich(entry: dict[str, Any]) -> Neuron:
    params = entry["params"]
    adaptation = {name: params[name] for name in ("tau_w", "a", "b")}
    return Izhikevich(**quadratic(entry), **adaptation, **options_of(entry))


def eif(entry: dict[str, Any]) -> Neuron:
    params = entry["params"]
    of = {name: params[name] for name in ("tau", "delta_T", "v_rest")}
    return EIF(v_T=params["theta_rh"], **of, **options_of(entry))


def klif(entry: dict[str, Any]) -> Neuron:
    params = entry["params"]
    return KLIF(k=params["k"], scale_reset=params["scale_reset"], **leak_of(entry), **options_of(entry))


def liaf(entry: dict[str, Any]) -> Neuron:
    params = entry["params"]
    relative = params["threshold_related"]
    return LIAF(activation=params["act"], threshold_related=relative, **leak_of(entry), **options_of(entry))


def cubalif(entry: dict[str, Any]) -> Neuron:
    params = entry["params"]
    return CubaLIF(current_decay=params["c_decay"], voltage_decay=params["v_decay"], **options_of(entry))


def clif(entry: dict[str, Any]) -> Neuron:
    # What it calls its reset is one that subtracts, and more.
    return CLIF(entry["params"]["tau"], **options_of(entry) | {"reset": "subtract"})


def glif(entry: dict[str, Any]) -> Neuron:
    params, options = entry["params"], options_of(entry)
    options = {name: options[name] for name in ("surrogate", "fires_at", "detach_reset")}
    per_neuron = params["inplane"] is not None
    neuron = GLIF(
        params["T"], reset_timing="delayed", per_neuron=per_neuron, shape=(len(entry["input"][0]),), **options
    )
    with torch.no_grad():
        for name in ("alpha", "beta", "gamma", "conduct"):
            getattr(neuron, name).raw.copy_(tensor(params[name]))
        neuron.decay.raw.copy_(tensor(params["tau"]))
        # Its logistic numbers in (0, 1) are positive ones here: exp(raw) = σ(number).
        for name, theirs in (("threshold", "v_threshold"), ("linear_decay",) * 2, ("v_subreset",) * 2):
            getattr(neuron, name).raw.copy_(torch.nn.functional.logsigmoid(tensor(params[theirs])))
    return neuron


def parallel(entry: dict[str, Any]) -> Neuron:
    params = entry["params"]
    options: dict[str, Any] = {"surrogate": ATan(**entry["surrogate"]["params"]), "fires_at": ">="}
    neuron: Any
    if entry["model"] == "PSN":
        neuron = PSN(params["T"], **options)
    elif entry["model"] == "MaskedPSN":
        neuron = MaskedPSN(params["T"], k=params["k"], masking=params["lambda_init"], **options)
    else:
        neuron = SlidingPSN(params["k"], **options)
    with torch.no_grad():
        neuron.weight.copy_(tensor(params["weight"]))
        neuron.bias.copy_(tensor(params["bias"]).view(neuron.bias.shape) + 1)  # its bias is b - θ, θ = 1
    return neuron


MAKERS: dict[str, Any] = {
    "plif": plif,
    "qif": qif,
    "eif": eif,
    "izhikevich": izhikevich,
    "klif": klif,
    "liaf": liaf,
    "cubalif": cubalif,
    "clif": clif,
    "gatedlif": glif,
    "psn": parallel,
    "masked_psn": parallel,
    "sliding_psn": parallel,
}
DEFECTS = ("spikingjelly.gatedlif.dense", "spikingjelly.liaf.multi_step")
ENTRIES = {
    e["id"]: (MAKERS[e["id"].split(".")[1]], e)
    for e in references.entries("neurons")
    if e["library"] == "spikingjelly" and e["id"].split(".")[1] in MAKERS and e["id"] not in DEFECTS
}


def first_state(entry: dict[str, Any], neuron: Neuron, x: Tensor) -> Any:
    start = {
        STATES[name]: tensor(value).expand(1, x.shape[-1]).clone() for name, value in entry["initial_state"].items()
    }
    return neuron.initial_state(x[:1])._replace(**start)


def membrane_of(entry: dict[str, Any], neuron: Neuron, states: dict[str, Tensor]) -> Tensor:
    """The membrane that the library returns, from our states ``[T, 1, N]``."""
    membrane, spikes = states["membrane"], states["spikes"]
    if isinstance(neuron, (PSN, MaskedPSN, SlidingPSN)):
        return membrane - neuron.threshold()
    if entry["conventions"]["membrane_returned"] == "before reset":
        return membrane
    rest = neuron.after_reset(membrane, spikes)
    if isinstance(neuron, CLIF):
        return rest - spikes * torch.sigmoid(states["complement"])
    return rest


def drive(entry: dict[str, Any], neuron: Neuron, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Outputs and states, ``[T, 1, N]``: step by step, where the neuron has steps, to see all of its states."""
    state = first_state(entry, neuron, x)
    if isinstance(neuron, PSN) or (isinstance(neuron, MaskedPSN) and neuron.masking < 1):
        trace, _ = run(neuron, x[:, None], state)
        return trace.spikes, trace._asdict()
    outputs, states = [], []
    for x_t in x[:, None]:
        output, state = neuron.step(x_t, state)
        outputs.append(output)
        states.append(state._asdict())
    return torch.stack(outputs), {
        name: torch.stack([one[name] for one in states]) for name in states[0] if name in STATES.values()
    }


@pytest.mark.parametrize("identifier", ENTRIES)
def test_traces_and_gradients(identifier: str) -> None:
    make, entry = ENTRIES[identifier]
    neuron = make(entry)
    x = tensor(entry["input"]).requires_grad_()
    output, states = drive(entry, neuron, x)
    membrane = membrane_of(entry, neuron, states)[:, 0]

    assert states["spikes"][:, 0].tolist() == entry["spikes"]
    assert_close_to_largest(output[:, 0].detach(), tensor(entry.get("output", entry["spikes"])))
    assert_close_to_largest(membrane.detach(), tensor(entry["membrane"]))
    for name, values in entry["states"].items():
        ours = states["membrane"] - neuron.threshold() if name == "surrogate_input" else states[STATES[name]]
        assert_close_to_largest(ours[:, 0].detach(), tensor(values))

    w, u = tensor(entry["grad"]["w"]), tensor(entry["grad"]["u"])
    spikes_only = (w * output[:, 0]).sum()
    for key, loss in (("grad", spikes_only + 0.1 * (u * membrane).sum()), ("grad_spikes_only", spikes_only)):
        expected = entry[key]
        torch.testing.assert_close(loss.item(), expected["loss"], rtol=1e-3, atol=1e-5)
        neuron.zero_grad()
        x.grad = None
        loss.backward(retain_graph=True)
        assert x.grad is not None
        assert_close_to_largest(x.grad, tensor(expected["grad_input"]))
        for name, value in expected["grad_params"].items():
            compare_parameter(gradient_of(neuron, name), value)


@pytest.mark.parametrize("identifier", ENTRIES)
def test_the_sequence_gives_the_same(identifier: str) -> None:
    make, entry = ENTRIES[identifier]
    neuron = make(entry)
    x = tensor(entry["input"])
    output, states = drive(entry, neuron, x)
    trace, last = run(neuron, x[:, None], first_state(entry, neuron, x))
    # A product over the whole sequence, and the fused execution of PLIF, add in another order.
    assert_close_to_largest(trace.spikes.detach(), output.detach())
    assert_close_to_largest(trace.membrane.detach(), states["membrane"].detach())
    assert_close_to_largest(last.membrane.detach(), states["membrane"][-1].detach())


def gradient_of(neuron: Any, name: str) -> Any:
    """The gradient of the peer's parameter, from that of the value behind ours, by the chain rule."""
    if isinstance(neuron, PLIF):
        return neuron.q.raw.grad
    if isinstance(neuron, KLIF):
        return neuron.k.raw.grad / neuron.k().detach()
    if isinstance(neuron, GLIF):
        value = getattr(neuron, {"v_threshold": "threshold", "tau": "decay"}.get(name, name))
        number = value().detach()
        # d/d raw of exp(raw) is the value, of σ(raw) the value times (1 - value).
        return value.raw.grad * (1 - number) if value.interval == "positive" else value.raw.grad
    return getattr(neuron, name).grad


def compare_parameter(ours: Tensor, value: Any) -> None:
    if isinstance(value, list):
        expected = tensor(value)
        assert_close_to_largest(ours.reshape(expected.shape), expected)
    else:
        torch.testing.assert_close(ours.item(), float(value), rtol=1e-3, atol=1e-5)


def test_every_entry_of_these_neurons_is_there() -> None:
    counts = {
        name: sum(i.startswith(f"spikingjelly.{name}.") or i == f"spikingjelly.{name}" for i in ENTRIES)
        for name in MAKERS
    }
    assert counts == {
        "plif": 4,
        "qif": 2,
        "eif": 2,
        "izhikevich": 4,
        "klif": 4,
        "liaf": 2,
        "cubalif": 2,
        "clif": 1,
        "gatedlif": 2,
        "psn": 1,
        "masked_psn": 2,
        "sliding_psn": 1,
    }
    every = {e["id"] for e in references.entries("neurons") if e["library"] == "spikingjelly"}
    elsewhere = {i for i in every if i.split(".")[1] in ("if", "lif")}  # in test_peers.py
    assert every == set(ENTRIES) | set(DEFECTS) | elsewhere


def test_liaf_over_a_sequence_returns_its_activation() -> None:
    """SpikingJelly's multi-step mode returns the spikes of a plain LIF instead."""
    assert "peer_defect" in references.entry("neurons", "spikingjelly.liaf.multi_step")
    entry = references.entry("neurons", "spikingjelly.liaf.relu")
    trace, _ = run(liaf(entry), tensor(entry["input"])[:, None])
    assert torch.equal(trace.spikes, trace.membrane.relu())
    assert_close_to_largest(trace.spikes[:, 0], tensor(entry["output"]))


def test_gated_lif_keeps_the_shape_of_its_input() -> None:
    """SpikingJelly's broadcasts an input [T, B, N] in silence to [T, 1, N, B, N]."""
    assert "peer_defect" in references.entry("neurons", "spikingjelly.gatedlif.dense")
    entry = references.entry("neurons", "spikingjelly.gatedlif.channel_wise")
    x = tensor(entry["input"])[:, None].expand(-1, 3, -1)
    trace, _ = run(glif(entry), x)
    assert trace.spikes.shape == x.shape
    assert trace.spikes[:, 1].tolist() == entry["spikes"]
