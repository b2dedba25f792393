"""The neurons of Norse against its traces, with gradients of every constant; the box model is in ``test_peers.py``.

Norse differentiates through all its constants. Most of ours are fixed numbers, so the test puts a tensor in the place
of each, and thereby shows that gradients flow through all of the equation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnrun.neuron import ALIF, LSNN, AdEx, CurrentLI, CurrentLIF, Neuron, RefractoryAdEx, RefractoryLIF, Synaptic
from snnrun.sequence import run
from snnrun.surrogate import FastSigmoid, Surrogate
from support import references
from support.references import assert_close_to_largest, tensor


@dataclass(frozen=True)
class Norse(Surrogate):
    """Norse's surrogates as it computes them: scaled, not derivatives of what is documented."""

    name: str
    alpha: float

    def __post_init__(self) -> None:
        assert self.name in ("triangle", "tanh", "circ", "heavi_erfc")

    def derivative(self, x: Tensor) -> Tensor:
        if self.name == "triangle":
            return self.alpha * torch.relu(1 - x.abs())
        if self.name == "tanh":
            return 1 - torch.tanh(self.alpha * x) ** 2
        if self.name == "circ":
            return self.alpha**3 / (self.alpha**2 + x**2) ** 1.5
        return 2 / math.sqrt(math.pi) * torch.exp(-((self.alpha * x) ** 2))

    def primitive(self, x: Tensor) -> Tensor:
        raise NotImplementedError


def surrogate(entry: dict[str, Any]) -> Surrogate:
    name = entry["surrogate"]["name"]
    # norse ignores the alpha of "super": what it computes is 1 / (1 + |x|)²
    return FastSigmoid(1.0) if name == "super" else Norse(name, entry["surrogate"]["params"]["alpha"])


KINDS: dict[str, type[CurrentLIF]] = {
    "norse.lif_refrac": RefractoryLIF,
    "norse.adex_refrac": RefractoryAdEx,
    "norse.lif": CurrentLIF,
    "norse.lsnn": LSNN,
    "norse.alif": ALIF,
    "norse.adex": AdEx,
}


def kind_of(identifier: str) -> type[CurrentLIF] | None:
    stem = ".".join(identifier.split(".")[:2])
    return KINDS.get(stem)


ENTRIES = {e["id"]: e for e in references.entries("neurons") if kind_of(e["id"])}


def build(entry: dict[str, Any]) -> tuple[CurrentLIF, dict[str, Tensor]]:
    """Our neuron, and the peer's constants as the tensors that it was given to work with."""
    kind, params, of = kind_of(entry["id"]), entry["params"], entry["conventions"]
    assert kind is not None
    options: dict[str, Any] = {
        "tau_mem": 1 / params["tau_mem_inv"],
        "tau_syn": 1 / params["tau_syn_inv"],
        "dt": params["dt"],
        "threshold": params["v_th"],
        "v_rest": params["v_leak"],
        "v_reset": params["v_reset"],
        "surrogate": surrogate(entry),
        "fires_at": of["fires_at"],
        "reset": "subtract" if kind is ALIF else of["reset"],
        "reset_timing": of["reset_timing"],
        "detach_reset": of["detach_reset"],
        "shape": (len(entry["input"][0]),),
    }
    if "recurrent_weights" in params:
        options |= {"recurrence": "all_to_all", "autapses": kind is ALIF}
    if kind in (LSNN, ALIF):
        options |= {"tau_adapt": 1 / params["tau_adapt_inv"], "jump": params["beta"], "delay_input": True}
    if issubclass(kind, AdEx):
        options |= {"a": params["adaptation_current"], "b": params["adaptation_spike"], "delta_T": params["delta_T"]}
        options |= {"tau_adapt": 1 / params["tau_ada_inv"]}
    if "rho_reset" in params:
        options |= {"refractory": int(params["rho_reset"])}
    neuron: Any = kind(**options)

    names = [name for name in entry["grad"]["grad_params"] if not name.endswith("weights")]
    constants = {name: tensor(params[name]).requires_grad_() for name in names}
    neuron.beta.fixed = 1 - params["dt"] * constants["tau_mem_inv"]
    neuron.alpha.fixed = 1 - params["dt"] * constants["tau_syn_inv"]
    neuron.threshold.fixed = constants["v_th"]
    neuron.v_rest, neuron.v_reset = constants["v_leak"], constants["v_reset"]
    if kind in (LSNN, ALIF):
        neuron.rho.fixed = 1 - params["dt"] * constants["tau_adapt_inv"]
        neuron.jump.fixed = constants["beta"]
    if issubclass(kind, AdEx):
        neuron.rho.fixed = 1 - params["dt"] * constants["tau_ada_inv"]
        neuron.a, neuron.b = constants["adaptation_current"], constants["adaptation_spike"]
        neuron.delta_T = constants["delta_T"]
    if "rho_reset" in constants:
        neuron.refractory = constants["rho_reset"]
    if "recurrent_weights" in params:
        assert isinstance(neuron.feedback, nn.Linear)
        with torch.no_grad():
            neuron.feedback.weight.copy_(tensor(params["recurrent_weights"]))
        constants["recurrent_weights"] = neuron.feedback.weight
        constants["input_weights"] = tensor(params["input_weights"]).requires_grad_()
    return neuron, constants


def first_state(entry: dict[str, Any], neuron: Neuron, x: Tensor) -> Any:
    """The peer's, which carries no gradient: neither do ours, then, for LSNN's threshold."""
    start = {name: tensor(value).expand(x.shape).clone() for name, value in entry["initial_state"].items()}
    state: Any = neuron.initial_state(x)
    state = state._replace(**{name: getattr(state, name).detach() for name in state._fields})
    state = state._replace(membrane=start["v"], current=start["i"])
    for theirs, ours in (("a", "adaptation"), ("b", "threshold" if isinstance(neuron, LSNN) else "adaptation")):
        if theirs in start:
            state = state._replace(**{ours: start[theirs]})
    return state._replace(held=start["v"]) if "held" in state._fields else state


@pytest.mark.parametrize("identifier", ENTRIES)
def test_traces_and_gradients(identifier: str) -> None:
    entry = ENTRIES[identifier]
    neuron, constants = build(entry)
    x = tensor(entry["input"]).requires_grad_()
    current = x @ constants["input_weights"].T if "input_weights" in constants else x
    state = first_state(entry, neuron, x[:1].detach())
    records = []
    for x_t in current[:, None]:
        _, state = neuron.step(x_t, state)
        records.append(state)

    def record(name: str) -> Tensor:
        return torch.stack([getattr(r, name)[0] for r in records])

    spikes, u = record("spikes"), record("membrane")
    assert spikes.tolist() == entry["spikes"]
    membrane = record("held") if hasattr(records[0], "held") else neuron.after_reset(u, spikes)
    assert_close_to_largest(membrane.detach(), tensor(entry["membrane"]))

    # Norse's current is the one that the next step starts from; ours is the one that drove this step, but for the two
    # whose input is delayed.
    input_is_late = isinstance(neuron, (LSNN, ALIF))
    threshold = record("threshold") - neuron.jump() * spikes if isinstance(neuron, LSNN) else neuron.threshold()
    states = {
        "surrogate_input": lambda: u - threshold,
        "i": lambda: record("current") if input_is_late else neuron.alpha() * record("current"),
        "a": lambda: record("adaptation"),
        "b": lambda: record("threshold" if isinstance(neuron, LSNN) else "adaptation"),
        "rho": lambda: record("refractory"),
    }
    for name, expected in entry["states"].items():
        assert_close_to_largest(states[name]().detach(), tensor(expected))

    w, factor = tensor(entry["grad"]["w"]), tensor(entry["grad"]["u"])
    loss = (w * spikes).sum()
    for key, value in (("grad", loss + 0.1 * (factor * membrane).sum()), ("grad_spikes_only", loss)):
        if key not in entry:
            continue
        torch.testing.assert_close(value.item(), float(entry[key]["loss"]), rtol=1e-3, atol=1e-5)
        for leaf in (x, *constants.values()):
            leaf.grad = None
        value.backward(retain_graph=True)
        assert x.grad is not None
        assert_close_to_largest(x.grad, tensor(entry[key]["grad_input"]))
        assert set(entry[key]["grad_params"]) <= set(constants)
        for name, expected in entry[key]["grad_params"].items():
            ours = constants[name].grad
            ours = torch.zeros_like(constants[name]) if ours is None else ours
            if isinstance(expected, list):
                assert_close_to_largest(ours, tensor(expected))
            else:
                torch.testing.assert_close(ours.item(), float(expected), rtol=1e-3, atol=1e-5)


def test_every_entry_is_there() -> None:
    norse = {e["id"] for e in references.entries("neurons") if e["library"] == "norse"}
    assert {i for i in norse if not i.startswith("norse.lif_box.")} == set(ENTRIES)
    assert len(ENTRIES) == 14


def test_the_current_based_lif_is_synaptic_by_time_constants() -> None:
    x = torch.rand(20, 2, 3, generator=torch.Generator().manual_seed(0)) * 3
    ours, _ = run(CurrentLIF(tau_mem=8.0, tau_syn=4.0, dt=0.5, v_rest=0.1), x)
    same, _ = run(Synaptic(0.875, 0.9375, decay_input=True, v_rest=0.1), x)
    torch.testing.assert_close(ours.membrane, same.membrane)
    assert ours.spikes.sum() > 3
    silent, _ = run(CurrentLI(tau_mem=8.0, tau_syn=4.0, dt=0.5, v_rest=0.1), x)
    free, _ = run(CurrentLIF(tau_mem=8.0, tau_syn=4.0, dt=0.5, v_rest=0.1, reset="none"), x)
    assert torch.equal(silent.membrane, free.membrane)
    assert not silent.spikes.any()
