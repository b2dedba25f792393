"""Norse: products of all steps at once, and a loop over time of its simplest neuron, ``LIFBoxCell``.

Its step takes ``β v + (1 - β) i``, so weights and learning rate are larger by 1 / (1 - β) (and Adam's ε smaller): Adam
then takes the same steps. It differs from the job's neuron in that it subtracts the threshold in the same step, with a
gradient through the reset, and has SuperSpike, Norse's default, as surrogate. Its voltages are those after the reset;
the threshold is added where it fired.

Tuned: the first layer's product is computed once for a constant input.
"""

from __future__ import annotations

import norse.torch as norse
import torch
from norse.torch.functional.lif_box import LIFBoxParameters
from norse.torch.functional.reset import reset_subtract
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from benchmarks.peers.network import Network
from benchmarks.setting import Convolutional, Job, Weights

NAME = "Norse"
PACKAGE = "norse"


def network(job: Job, weights: Weights, tuned: bool) -> Network | None:
    return None if tuned and job.input == "rate" else _Network(job, weights, tuned)


def layer(linear: nn.Linear, beta: float, tuned: bool) -> nn.Module | None:
    return None if tuned else _Layer(linear, beta)


def recurrent(neuron: str, inputs: int, hidden: int, outputs: int) -> nn.Module | None:
    return _Recurrent(inputs, hidden, outputs) if neuron == "lif" else None


def convolutional(setting: Convolutional, tuned: bool) -> nn.Module | None:
    return None


def convolution(convolution: nn.Conv2d, beta: float) -> nn.Module | None:
    return None


def _cell(beta: float) -> nn.Module:
    parameters = LIFBoxParameters(tau_mem_inv=torch.tensor((1 - beta) / 0.001), reset_method=reset_subtract)
    return norse.LIFBoxCell(parameters, dt=0.001)


def _run(cell: nn.Module, currents: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Spikes and voltages of each step."""
    state, spikes, voltages = None, [], []
    for current in currents.unbind():
        spike, state = cell(current, state)
        spikes.append(spike)
        voltages.append(state.v)
    return spikes, voltages


class _Network(Network):
    def __init__(self, job: Job, weights: Weights, tuned: bool) -> None:
        super().__init__(job, weights, scale=1 / (1 - job.beta))
        self.tuned = tuned
        self.lif1, self.lif2 = _cell(job.beta), _cell(job.beta)

    def optimizer(self) -> Optimizer:
        scale = 1 / (1 - self.job.beta)
        return Adam(self.parameters(), lr=self.job.lr * scale, eps=1e-8 / scale)

    def forward(self, x: Tensor) -> Tensor:
        steps = self.job.steps
        if self.tuned:
            current = self.linear1(x).expand(steps, -1, -1)
        elif self.job.input == "rate":
            # A spike with probability f_max dt x = x at each step.
            current = self.linear1(norse.functional.encode.poisson_encode(x, steps, f_max=1000, dt=0.001))
        else:
            current = self.linear1(x.repeat(steps, 1, 1))
        hidden, _ = _run(self.lif1, current)
        spikes, voltages = _run(self.lif2, self.linear2(torch.stack(hidden)))
        return torch.stack(voltages) + torch.stack(spikes)


class _Layer(nn.Module):
    def __init__(self, linear: nn.Linear, beta: float) -> None:
        super().__init__()
        self.linear, self.cell = linear, _cell(beta)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack(_run(self.cell, self.linear(x))[0])


class _Recurrent(nn.Module):
    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.hidden, self.linear, self.cell = norse.LIFRecurrent(inputs, hidden), nn.Linear(hidden, outputs), _cell(0.9)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack(_run(self.cell, self.linear(self.hidden(x)[0]))[0])
