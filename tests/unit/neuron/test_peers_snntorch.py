"""The neurons of snnTorch against its traces; what is not here is in ``test_peers.py``."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnrun.neuron import RLIF, SLSTM, Alpha, Neuron, RecurrentNeuron, RSynaptic, Synaptic
from snnrun.sequence import run
from snnrun.surrogate import ATan
from support import references
from support.references import assert_close_to_largest, tensor


def convention(entry: dict[str, Any]) -> dict[str, Any]:
    of, surrogate = entry["conventions"], entry["surrogate"]
    assert surrogate["name"] == "atan"
    return {
        "surrogate": ATan(**surrogate["params"]),
        "fires_at": of["fires_at"],
        "reset": of["reset"],
        "reset_timing": "delayed" if of["reset_timing"] == "delayed" else "same",
        "detach_reset": of["detach_reset"],
        "threshold": entry["params"]["threshold"],
        "learn_threshold": True,
        "shape": (len(entry["input"][0]),),
    }


def synaptic(entry: dict[str, Any]) -> Neuron:
    params = entry["params"]
    return Synaptic(params["alpha"], params["beta"], learn_alpha=True, learn_beta=True, **convention(entry))


def alpha(entry: dict[str, Any]) -> Neuron:
    params = entry["params"]
    return Alpha(params["alpha"], params["beta"], published_reset=True, learn_beta=True, **convention(entry))


def recurrence(params: dict[str, Any]) -> dict[str, Any]:
    if params["all_to_all"]:
        return {"recurrence": "all_to_all", "recurrent_bias": True}
    return {"recurrence": "elementwise", "recurrent_weight": params["V"]}


def with_weights(neuron: RecurrentNeuron, params: dict[str, Any]) -> Neuron:
    if params["all_to_all"]:
        assert neuron.feedback is not None
        neuron.feedback.load_state_dict({k: tensor(params[f"recurrent.{k}"]) for k in ("weight", "bias")})
    return neuron


def rleaky(entry: dict[str, Any]) -> Neuron:
    params = entry["params"]
    neuron = RLIF(params["beta"], learn_beta=True, **recurrence(params), **convention(entry))
    return with_weights(neuron, params)


def rsynaptic(entry: dict[str, Any]) -> Neuron:
    params = entry["params"]
    decays = {"alpha": params["alpha"], "beta": params["beta"], "learn_alpha": True, "learn_beta": True}
    return with_weights(RSynaptic(**decays, **recurrence(params), **convention(entry)), params)


def slstm(entry: dict[str, Any]) -> Neuron:
    params = entry["params"]
    neuron = SLSTM(**convention(entry))
    assert isinstance(neuron.inputs, nn.Linear)
    assert isinstance(neuron.hidden, nn.Linear)
    with torch.no_grad():
        neuron.inputs.weight.copy_(tensor(params["lstm_cell.weight_ih"]))
        neuron.hidden.weight.copy_(tensor(params["lstm_cell.weight_hh"]))
        # torch's cell has two biases, of which only the sum counts
        neuron.inputs.bias.copy_(tensor(params["lstm_cell.bias_ih"]) + tensor(params["lstm_cell.bias_hh"]))
    return neuron


MAKERS = {"synaptic": synaptic, "alpha": alpha, "rleaky": rleaky, "rsynaptic": rsynaptic, "slstm": slstm}
ENTRIES = {
    e["id"]: (make, e)
    for e in references.entries("neurons")
    for name, make in MAKERS.items()
    if e["id"].startswith(f"snntorch.{name}.") and "peer_defect" not in e
}
STATES = {"syn_exc": "excitation", "syn_inh": "inhibition"}


@pytest.mark.parametrize("identifier", ENTRIES)
def test_traces_and_gradients(identifier: str) -> None:
    make, entry = ENTRIES[identifier]
    neuron = make(entry)
    x = tensor(entry["input"]).requires_grad_()
    assert not any(entry["initial_state"].values())
    state = neuron.initial_state(x[:1])
    records = []
    for x_t in x[:, None]:
        _, state = neuron.step(x_t, state)
        records.append(state)
    spikes, u = (torch.stack([getattr(r, name)[0] for r in records]) for name in ("spikes", "membrane"))
    trace, _ = run(neuron, x[:, None])
    assert torch.equal(trace.spikes[:, 0], spikes)

    assert spikes.tolist() == entry["spikes"]
    membrane = neuron.after_reset(u, spikes) if entry["conventions"]["membrane_returned"] == "after reset" else u
    assert_close_to_largest(membrane.detach(), tensor(entry["membrane"]))
    assert_close_to_largest((u - neuron.threshold()).detach(), tensor(entry["states"]["surrogate_input"]))
    for name, expected in entry["states"].items():
        if name != "surrogate_input":
            ours = STATES.get(name, "cell" if isinstance(neuron, SLSTM) else "current")
            assert_close_to_largest(torch.stack([getattr(r, ours)[0] for r in records]).detach(), tensor(expected))

    w, factor = tensor(entry["grad"]["w"]), tensor(entry["grad"]["u"])
    loss = (w * spikes).sum()
    for key, value in (("grad", loss + 0.1 * (factor * membrane).sum()), ("grad_spikes_only", loss)):
        if key not in entry:
            continue
        torch.testing.assert_close(value.item(), float(entry[key]["loss"]), rtol=1e-3, atol=1e-5)
        neuron.zero_grad()
        x.grad = None
        value.backward(retain_graph=True)
        assert x.grad is not None
        assert_close_to_largest(x.grad, tensor(entry[key]["grad_input"]))
        for name, expected in entry[key]["grad_params"].items():
            ours = gradient(neuron, name)
            if isinstance(expected, list):
                assert_close_to_largest(ours, tensor(expected))
            else:
                torch.testing.assert_close(ours.item(), float(expected), rtol=1e-3, atol=1e-5)


def gradient(neuron: Any, name: str) -> Tensor:
    """Of the peer's parameter, from that of the unbounded value behind ours, by the chain rule."""
    if name == "threshold":
        return neuron.threshold.raw.grad / neuron.threshold().detach()  # θ = exp(raw)
    if name == "beta" and isinstance(neuron, Alpha):
        q, a = neuron.ratio().detach(), neuron.alpha()
        return neuron.ratio.raw.grad / (q * (1 - q)) / a  # β = α σ(raw)
    if name in ("alpha", "beta"):
        value = getattr(neuron, name)
        return value.raw.grad / (value().detach() * (1 - value().detach()))  # β = σ(raw)
    if name == "V":
        return neuron.feedback.raw.grad
    layer, _, kind = name.partition(".")
    if layer == "recurrent":
        return getattr(neuron.feedback, kind).grad
    return neuron.hidden.weight.grad if kind == "weight_hh" else getattr(neuron.inputs, kind.partition("_")[0]).grad


def test_every_entry_is_there() -> None:
    counts = {name: sum(i.startswith(f"snntorch.{name}.") for i in ENTRIES) for name in MAKERS}
    assert counts == {"synaptic": 6, "alpha": 3, "rleaky": 6, "rsynaptic": 3, "slstm": 3}


def test_alpha_learns_alpha() -> None:
    """snnTorch cannot be built with learn_alpha=True; the gradient of ours is that of a difference quotient."""
    x = torch.rand(9, 1, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def total(neuron: Alpha) -> Tensor:
        return run(neuron, x)[0].membrane.sum()

    neuron: Any = Alpha(0.9, 0.7, learn_alpha=True, reset="none").double()
    total(neuron).backward()
    a, h = neuron.alpha().detach().item(), 1e-6
    quotient = (
        total(Alpha(a + h, (a + h) * 7 / 9, reset="none")) - total(Alpha(a - h, (a - h) * 7 / 9, reset="none"))
    ) / (2 * h)
    torch.testing.assert_close(neuron.alpha.raw.grad.item() / (a * (1 - a)), quotient.item(), rtol=1e-5, atol=0)


def test_rsynaptic_resets_in_the_same_step() -> None:
    """snnTorch raises for this."""
    weight = 0.4
    neuron = RSynaptic(0.5, 0.8, recurrence="elementwise", recurrent_weight=weight)
    inputs = [1.5, -0.9, 0.2, -0.3, 0.0, 1.1]
    trace, _ = run(neuron, torch.tensor(inputs, dtype=torch.float64).view(-1, 1, 1))
    current = v = s = 0.0
    for x, spike, membrane in zip(inputs, trace.spikes.flatten(), trace.membrane.flatten(), strict=True):
        current = 0.5 * current + x + torch.tensor(weight).item() * s
        u = 0.8 * v + current
        s = float(u > 1)
        v = u - s
        torch.testing.assert_close((spike.item(), membrane.item()), (s, u))
    assert 2 <= trace.spikes.sum() < 6


def test_slstm_remembers_whatever_the_size_of_its_input() -> None:
    """snnTorch replaces both states by zeros at every step where hidden_size differs from input_size."""
    neuron = SLSTM(input_size=3, shape=(5,), reset="none")
    cell = nn.LSTMCell(3, 5)
    cell.load_state_dict(
        {
            "weight_ih": neuron.inputs.weight,
            "weight_hh": neuron.hidden.weight,
            "bias_ih": neuron.inputs.bias,
            "bias_hh": torch.zeros(20),
        }
    )
    x = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(0))
    trace, _ = run(neuron, x)
    h, c = torch.zeros(2, 5), torch.zeros(2, 5)
    for x_t, membrane in zip(x, trace.membrane, strict=True):
        h, c = cell(x_t, (h, c))
        torch.testing.assert_close(membrane, h)
    assert trace.spikes.shape == (6, 2, 5)


DEMOS = [e for e in references.entries("simulate") if e["model"] == "Synaptic"]


@pytest.mark.parametrize("entry", DEMOS, ids=lambda e: e["id"])
def test_the_tutorials_demonstrations(entry: dict[str, Any]) -> None:
    params = entry["params"]
    reset = params.get("reset_mechanism", "subtract")
    neuron = Synaptic(params["alpha"], params["beta"], reset=reset, reset_timing="delayed")
    x = tensor(entry["input"]).view(-1, 1, 1)
    trace, _ = run(neuron, x)
    assert trace.spikes.flatten().tolist() == entry["spikes"]
    torch.testing.assert_close(trace.membrane.flatten(), tensor(entry["membrane"]), rtol=0, atol=2e-6)
    state, currents = neuron.initial_state(x[0]), []
    for x_t in x:
        _, state = neuron.step(x_t, state)
        currents.append(state.current.item())
    torch.testing.assert_close(torch.tensor(currents), tensor(entry["synaptic_current"]), rtol=0, atol=2e-6)


def test_the_demonstrations_are_there() -> None:
    assert len(DEMOS) == 4
