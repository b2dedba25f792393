"""snnTorch: a loop over time of linear layers and ``Leaky``, as in its tutorials 5 and 6.

``Leaky`` as it is by default: fires above the threshold, subtracts it after the next step's leak, no gradient through
the reset. snnrun with ``convention=snntorch`` computes the same numbers.

Tuned: the first layer's product leaves the loop (one for a constant input, one of all steps for spikes), and the loss
is one call. In convolutional networks all synapses and pools leave it.
"""

from __future__ import annotations

from typing import Any

import snntorch
import torch
import torch.nn.functional as F
from snntorch import spikegen, surrogate, utils
from torch import Tensor, nn

from benchmarks.peers.network import Network
from benchmarks.setting import Convolutional, Job, Weights

NAME = "snnTorch"
PACKAGE = "snntorch"


def network(job: Job, weights: Weights, tuned: bool) -> Network:
    return _Tuned(job, weights) if tuned else _Tutorial(job, weights)


def layer(linear: nn.Linear, beta: float, tuned: bool) -> nn.Module:
    return _TunedLayer(linear, beta) if tuned else _Layer(linear, beta)


def recurrent(neuron: str, inputs: int, hidden: int, outputs: int) -> nn.Module | None:
    return _Recurrent(neuron, inputs, hidden, outputs) if neuron in ("lif", "synaptic") else None


def convolutional(setting: Convolutional, tuned: bool) -> nn.Module | None:
    if setting.network != "snntorch_tutorial_6":
        return None
    return _TunedConvolutional(setting) if tuned else _Convolutional(setting)


def convolution(convolution: nn.Conv2d, beta: float) -> nn.Module | None:
    return None


def _leaky(beta: float) -> nn.Module:
    return snntorch.Leaky(beta=beta, spike_grad=surrogate.atan(alpha=2.0))


def _rest(leaky: Any) -> Tensor:
    membrane: Tensor = leaky.reset_mem()
    return membrane


class _Tutorial(Network):
    def __init__(self, job: Job, weights: Weights) -> None:
        super().__init__(job, weights)
        self.leaky1, self.leaky2 = _leaky(job.beta), _leaky(job.beta)

    def forward(self, x: Tensor) -> list[Tensor]:
        membrane1, membrane2 = _rest(self.leaky1), _rest(self.leaky2)
        spikes = spikegen.rate(x, num_steps=self.job.steps) if self.job.input == "rate" else None
        membranes = []
        for step in range(self.job.steps):
            current = self.linear1(x if spikes is None else spikes[step])
            spike, membrane1 = self.leaky1(current, membrane1)
            _, membrane2 = self.leaky2(self.linear2(spike), membrane2)
            membranes.append(membrane2)
        return membranes

    def loss(self, membranes: list[Tensor], target: Tensor) -> Tensor:  # type: ignore[override]
        loss = torch.zeros(1, device=target.device)
        for membrane in membranes:
            loss += F.cross_entropy(membrane, target)
        return loss


class _Tuned(_Tutorial):
    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        membrane1, membrane2 = _rest(self.leaky1), _rest(self.leaky2)
        if self.job.input == "rate":
            currents = self.linear1(spikegen.rate(x, num_steps=self.job.steps)).unbind()
        else:
            currents = [self.linear1(x)] * self.job.steps
        spikes, membranes = [], []
        for current in currents:
            spike, membrane1 = self.leaky1(current, membrane1)
            spikes.append(spike)
        for current in self.linear2(torch.stack(spikes)).unbind():
            _, membrane2 = self.leaky2(current, membrane2)
            membranes.append(membrane2)
        return torch.stack(membranes)

    def loss(self, membranes: Tensor, target: Tensor) -> Tensor:  # type: ignore[override]
        return Network.loss(self, membranes, target)


class _Layer(nn.Module):
    def __init__(self, linear: nn.Linear, beta: float) -> None:
        super().__init__()
        self.linear, self.leaky = linear, _leaky(beta)

    def forward(self, x: Tensor) -> Tensor:
        membrane, spikes = _rest(self.leaky), []
        for step in x:
            spike, membrane = self.leaky(self.linear(step), membrane)
            spikes.append(spike)
        return torch.stack(spikes)


class _TunedLayer(_Layer):
    def forward(self, x: Tensor) -> Tensor:
        membrane, spikes = _rest(self.leaky), []
        for current in self.linear(x).unbind():
            spike, membrane = self.leaky(current, membrane)
            spikes.append(spike)
        return torch.stack(spikes)


class _Recurrent(nn.Module):
    def __init__(self, neuron: str, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        options = {"linear_features": hidden, "spike_grad": surrogate.atan(alpha=2.0)}
        self.linear1, self.linear2, self.leaky = nn.Linear(inputs, hidden), nn.Linear(hidden, outputs), _leaky(0.9)
        self.hidden: Any = (
            snntorch.RSynaptic(alpha=0.9, beta=0.9, **options)
            if neuron == "synaptic"
            else snntorch.RLeaky(beta=0.9, **options)
        )

    def forward(self, x: Tensor) -> Tensor:
        state = self.hidden.reset_mem()  # spikes, currents of synaptic neurons, membranes
        membrane, outputs = _rest(self.leaky), []
        for step in x:
            state = self.hidden(self.linear1(step), *state)
            spike, membrane = self.leaky(self.linear2(state[0]), membrane)
            outputs.append(spike)
        return torch.stack(outputs)


class _Convolutional(nn.Module):
    """Tutorial 6, step by step."""

    def __init__(self, setting: Convolutional) -> None:
        super().__init__()
        first, second = setting.channels
        self.network = nn.Sequential(
            *(nn.Conv2d(1, first, 5), nn.MaxPool2d(2), self._leaky()),
            *(nn.Conv2d(first, second, 5), nn.MaxPool2d(2), self._leaky()),
            *(nn.Flatten(), nn.Linear(second * 4 * 4, 10), self._leaky(output=True)),
        )

    def _leaky(self, output: bool = False) -> nn.Module:
        return snntorch.Leaky(beta=0.5, spike_grad=surrogate.fast_sigmoid(slope=25), init_hidden=True, output=output)

    def forward(self, x: Tensor) -> Tensor:
        utils.reset(self.network)
        return torch.stack([self.network(images)[0] for images in x])


class _TunedConvolutional(_Convolutional):
    def __init__(self, setting: Convolutional) -> None:
        super().__init__(setting)
        self.constant = setting.input == "constant"

    def forward(self, x: Tensor) -> Tensor:
        utils.reset(self.network)
        steps = len(x)
        if self.constant:
            x = x[:1]
        for module in self.network:
            if isinstance(module, snntorch.Leaky):
                fired = [module(current) for current in x.expand(steps, *x.shape[1:])]
                x = torch.stack([each[0] if module.output else each for each in fired])
            else:
                x = module(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return x
