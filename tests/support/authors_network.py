"""A hidden recurrent layer and leaky integrators as authors' code computed them, held against ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnrun.neuron import LI, RecurrentNeuron
from snnrun.neuron.value import Value
from snnrun.sequence import Trace, run
from support.references import assert_close_to_largest, tensor


def compare_network(
    reference: dict[str, Any],
    neuron: RecurrentNeuron,
    backend: str,
    learnt: Mapping[str, Value],
    membrane: Callable[[Trace], Tensor] = lambda trace: trace.membrane,
) -> None:
    """Spikes, membranes, outputs, loss and gradients with the authors' weights.

    ``learnt``: values of the neuron by the authors' names. ``membrane``: what the authors call so.
    """
    weights, grad = reference["weights"], reference["grad"]
    feedback: Any = neuron.feedback
    hidden, out = tensor(weights["hidden.weight"]), tensor(weights["out.weight"]).requires_grad_()
    x = tensor(reference["input"]).requires_grad_()
    inputs = hidden[:, : x.shape[2]].clone().requires_grad_()
    feedback.weight = nn.Parameter(hidden[:, x.shape[2] :].clone())
    readout = LI(tau=weights["out.tau_mem"], decay_input=True, learn_tau=True, shape=(len(weights["out.tau_mem"]),))

    trace, _ = run(neuron, x @ inputs.T, backend=backend)
    output = run(readout, trace.spikes @ out.T, backend=backend)[0].membrane
    u = membrane(trace)
    assert trace.spikes.tolist() == reference["spikes"]
    assert_close_to_largest(u.detach(), tensor(reference["membrane"]))
    assert_close_to_largest(output.detach(), tensor(reference["output"]))
    loss = (tensor(grad["w"]) * trace.spikes).sum() + 0.1 * (tensor(grad["u"]) * u).sum()
    loss = loss + 0.1 * (tensor(grad["o"]) * output).sum()
    assert loss.item() == pytest.approx(grad["loss"], rel=2e-5)
    loss.backward()
    tau: Any = readout.tau
    ours: dict[str, Any] = {
        **{f"hidden.{name}": value.raw.grad for name, value in learnt.items()},
        "hidden.weight": torch.cat([inputs.grad, feedback.weight.grad], 1),  # type: ignore[list-item]
        "out.tau_mem": tau.raw.grad,
        "out.weight": out.grad,
    }
    assert ours.keys() == grad["grad_params"].keys()
    assert_close_to_largest(x.grad, tensor(grad["grad_input"]))  # type: ignore[arg-type]
    for name, value in grad["grad_params"].items():
        assert_close_to_largest(ours[name], tensor(value))
