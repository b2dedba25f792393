"""Every neuron with a fused execution, forwards and backwards, beside the loop of its steps.

A pass is measured only if its spikes equal the reference's and its gradients agree with them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks import command
from benchmarks.device import peaks
from benchmarks.gpu.catalogue import fused_neurons
from benchmarks.turns import take_turns
from snnrun.neuron import Neuron
from snnrun.sequence import run as run_neuron

BACKENDS = ("fused", "reference")
TOLERANCE = 1e-4  # of the largest gradient


class Case(NamedTuple):
    """The size of a layer."""

    steps: int
    batch: int
    width: int


CASES = (Case(25, 128, 1000), Case(100, 128, 1024), Case(784, 64, 256))
QUICK = (Case(3, 2, 5),)


def forward_backward(neuron: Neuron, case: Case, backend: str, device: str) -> Callable[[], list[Tensor]]:
    """A pass: the spikes, and the gradients of input and parameters."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(case, generator=generator).to(device).requires_grad_()
    grad = torch.rand(case, generator=generator).to(device)
    leaves = [x, *(each for each in neuron.parameters() if each.requires_grad)]

    def call() -> list[Tensor]:
        spikes = run_neuron(neuron, x, backend=backend, membrane=False)[0].spikes
        return [spikes, *torch.autograd.grad(spikes, leaves, grad, allow_unused=True, materialize_grads=True)]

    return call


def difference(ours: list[Tensor], theirs: list[Tensor]) -> str | None:
    """What differs between the results of two passes; None if nothing does."""
    if not torch.equal(ours[0], theirs[0]):
        return f"{int((ours[0] != theirs[0]).sum())} of {ours[0].numel()} spikes differ"
    for mine, expected in zip(ours[1:], theirs[1:], strict=True):
        largest = expected.abs().max().item()
        error = (mine - expected).abs().max().item()
        if not error <= TOLERANCE * largest:
            return f"a gradient is off by {error:.1e}, and the largest is {largest:.1e}"
    return None


def measure(name: str, case: Case, rounds: int, device: str) -> dict[str, Any]:
    """Seconds and bytes of both executions, or how their results differ."""
    torch.manual_seed(0)
    neuron = fused_neurons()[name](case.width).to(device)
    calls = {backend: forward_backward(neuron, case, backend, device) for backend in BACKENDS}
    row = {"neuron": name, **case._asdict(), "difference": difference(*(call() for call in calls.values()))}
    if row["difference"]:
        command.say(f"{name}, {case}: {row['difference']}: not measured")
        return row
    seconds = take_turns(f"{name}, {case}", calls, rounds, device)
    return {**row, "seconds": seconds, "bytes": peaks(calls, device)}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The part ``neurons`` of the output."""
    rounds = arguments.rounds or (1 if arguments.quick else 20)
    cases = QUICK if arguments.quick else CASES
    names = fused_neurons()
    return {"neurons": [measure(name, case, rounds, arguments.device) for case in cases for name in names]}
