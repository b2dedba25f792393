"""Training steps of recurrent networks: snnrun, its peers and ``torch.nn.RNN`` in turn, in one process.

``python -m benchmarks.recurrent [--quick] [--rounds N] [--output FILE]``

A step is forward, loss, backward and Adam, for input in memory. Everyone has the memory setting of snnrun's command.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import command, peers
from benchmarks.device import peaks
from benchmarks.machine import machine
from benchmarks.turns import take_turns
from snnrun.model import MLP, ExecutionPlan, Recurrent, set_plan
from snnrun.model.products.product import choose
from snnrun.neuron import LIF, LSNN, Neuron, RSynaptic
from snnrun.system.machine import keep_freed_memory

OURS, RNN = "snnrun", "torch.nn.RNN"


class Case(NamedTuple):
    """A network and its input. ``share``: of ones among the input; 0: it is numbers in [0, 1)."""

    neuron: str
    inputs: int
    hidden: int
    outputs: int
    steps: int
    batch: int
    share: float
    device: str = "cpu"


CASES = (
    Case("lif", 700, 256, 20, 100, 128, 0.02),
    Case("synaptic", 700, 256, 20, 100, 128, 0.02),
    Case("alif", 700, 256, 20, 100, 128, 0.02),
    Case("lif", 1, 256, 10, 784, 64, 0),
)
QUICK = (Case("lif", 10, 8, 3, 5, 4, 0.2), Case("synaptic", 1, 8, 3, 5, 4, 0))


class _RNN(nn.Module):
    def __init__(self, case: Case) -> None:
        super().__init__()
        self.rnn, self.linear = nn.RNN(case.inputs, case.hidden), nn.Linear(case.hidden, case.outputs)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.linear(self.rnn(x)[0])
        return output


def ours(case: Case) -> nn.Module:
    """The network of snnrun, with the plan of a training run."""
    shape, hidden = (case.inputs,), [case.hidden]
    model: nn.Module
    if case.neuron == "lif":
        model = Recurrent(shape, case.outputs, LIF, hidden=hidden)
    else:
        neuron: type[Neuron] = {"synaptic": RSynaptic, "alif": LSNN}[case.neuron]
        model = MLP(shape, case.outputs, neuron, readout=LIF, hidden=hidden)
    set_plan(model, ExecutionPlan(membrane=False, spikes=False, product=choose("auto", "auto")))
    return model


def contenders(case: Case) -> dict[str, nn.Module]:
    """All networks, by name."""
    torch.manual_seed(0)
    found = {OURS: ours(case)}
    for peer in peers.available(case.device):
        network = peer.recurrent(case.neuron, case.inputs, case.hidden, case.outputs)
        if network is not None:
            found[peer.NAME] = network
    found[RNN] = _RNN(case)
    return {name: network.to(case.device) for name, network in found.items()}


def step_of(model: nn.Module, x: Tensor, target: Tensor) -> Callable[[], None]:
    """A training step."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        output = model(x)
        spikes = output["output"].spikes if isinstance(output, dict) else output
        F.cross_entropy(spikes.sum(0), target).backward()
        optimizer.step()

    return step


def measure(case: Case, rounds: int) -> dict[str, Any]:
    """Seconds of the steps of every contender, in turn."""
    x = torch.rand(case.steps, case.batch, case.inputs, generator=torch.Generator().manual_seed(0))
    if case.share:
        x = (x < case.share).float()
    x, target = x.to(case.device), torch.arange(case.batch, device=case.device) % case.outputs
    steps = {name: step_of(model, x, target) for name, model in contenders(case).items()}
    seconds = take_turns(f"recurrent, {case}", steps, rounds, case.device)
    return {**case._asdict(), "seconds": seconds, "bytes": peaks(steps, case.device)}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The part ``recurrent`` of the output."""
    keep_freed_memory()
    facts = machine()
    rounds = 1 if arguments.quick else 4 * (arguments.rounds or 5)
    device = arguments.device or "cpu"
    cases = [measure(case._replace(device=device), rounds) for case in (QUICK if arguments.quick else CASES)]
    return {"recurrent": {"machine": facts, "cases": cases}}


if __name__ == "__main__":
    sys.exit(command.main(__doc__, run))
