"""SpikingJelly in its multi-step mode: a layer sees the whole sequence, its neurons loop inside.

``LIFNode`` with soft reset and no gradient through it, and ``tau`` so that 1 - 1/τ = β. It differs from the job's
neuron in that it fires at the threshold and subtracts it in the same step. Its voltages are those after the reset; the
threshold is added where it fired, for the loss takes the membrane before.

Tuned: the first layer's product, or convolution with its norm or pool, is computed once for a constant input.

On a GPU, SpikingJelly 2.0 chooses the kernels of its neurons: CUDA code, if it was built from source, or Triton's; the
environment variables ``SJ_LIF_CUDA_IMPLEMENTATION`` and ``SJ_IF_CUDA_IMPLEMENTATION`` choose another. A surrogate of a
user's own has no kernel: such neurons run in operations of torch, under autograd (:func:`in_torch`).
"""

from __future__ import annotations

from typing import Any

import torch
from spikingjelly.activation_based import encoding, functional, neuron, surrogate
from spikingjelly.activation_based import layer as layers
from torch import Tensor, nn

from benchmarks.peers.network import Network
from benchmarks.setting import Convolutional, Job, Weights

NAME = "SpikingJelly"
PACKAGE = "spikingjelly"


def network(job: Job, weights: Weights, tuned: bool) -> Network | None:
    return None if tuned and job.input == "rate" else _Network(job, weights, tuned)


def layer(linear: nn.Linear, beta: float, tuned: bool) -> nn.Module | None:
    if tuned:
        return None
    own = layers.Linear(linear.in_features, linear.out_features, step_mode="m")
    own.load_state_dict(linear.state_dict())
    return _Layer(own, beta)


def recurrent(neuron: str, inputs: int, hidden: int, outputs: int) -> nn.Module | None:
    return _Recurrent(inputs, hidden, outputs) if neuron == "lif" else None


def convolutional(setting: Convolutional, tuned: bool) -> nn.Module | None:
    return None if tuned and setting.input == "rate" else _Convolutional(setting, tuned)


def convolution(convolution: nn.Conv2d, beta: float) -> nn.Module | None:
    inputs, outputs, size = convolution.in_channels, convolution.out_channels, convolution.kernel_size
    own = layers.Conv2d(inputs, outputs, size, padding=convolution.padding, bias=False, step_mode="m")
    own.load_state_dict(convolution.state_dict())
    return _Layer(own, beta)


def in_torch(network: nn.Module) -> nn.Module:
    """The network with a surrogate that SpikingJelly has no kernel for; the numbers are the same."""
    for module in network.modules():
        if isinstance(module, neuron.BaseNode):
            module.surrogate_function = _ATan(alpha=module.surrogate_function.alpha)
    return network


def implementation(device: str) -> dict[str, Any]:
    """What its LIF neurons run on ``device``, and why it is not something else."""
    return functional.neuron_implementation("lif", torch.device(device))


class _ATan(surrogate.ATan):
    pass


def _lif(beta: float, store_v_seq: bool = False) -> nn.Module:
    return neuron.LIFNode(
        tau=1 / (1 - beta),
        decay_input=False,
        v_reset=None,
        surrogate_function=surrogate.ATan(alpha=2.0),
        detach_reset=True,
        step_mode="m",
        store_v_seq=store_v_seq,
    )


class _Network(Network):
    def __init__(self, job: Job, weights: Weights, tuned: bool) -> None:
        super().__init__(job, weights)
        self.tuned = tuned
        self.encoder = encoding.PoissonEncoder() if job.input == "rate" else nn.Identity()
        self.lif1, self.lif2 = _lif(job.beta), _lif(job.beta, store_v_seq=True)

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)
        steps = self.job.steps
        if self.tuned:
            current = self.linear1(x).expand(steps, -1, -1)
        else:
            current = self.linear1(self.encoder(x.repeat(steps, 1, 1)))
        spikes = self.lif2(self.linear2(self.lif1(current)))
        return self.lif2.v_seq + spikes.detach()


class _Layer(nn.Module):
    def __init__(self, synapse: nn.Module, beta: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(synapse, _lif(beta))

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)
        spikes: Tensor = self.layers(x)
        return spikes


class _Recurrent(nn.Module):
    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        own = neuron.LIFNode(
            tau=10.0, decay_input=False, v_reset=None, surrogate_function=surrogate.ATan(alpha=2.0), detach_reset=True
        )
        recurrent = layers.LinearRecurrentContainer(own, hidden, hidden, step_mode="m")
        self.layers = nn.Sequential(
            layers.Linear(inputs, hidden, step_mode="m"),
            recurrent,
            layers.Linear(hidden, outputs, step_mode="m"),
            _lif(0.9),
        )

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)
        spikes: Tensor = self.layers(x)
        return spikes


class _Convolutional(nn.Module):
    """snnTorch's tutorial 6 with ``LIFNode``, the example ``conv_fashion_mnist`` of the library, or SEW blocks."""

    def __init__(self, setting: Convolutional, tuned: bool) -> None:
        super().__init__()
        make = {"snntorch_tutorial_6": _tutorial, "spikingjelly_csnn": _csnn, "residual": _residual}[setting.network]
        # What does not depend on time if the input does not.
        before, after = make(*setting.channels)
        self.before, self.after, self.tuned = nn.Sequential(*before), nn.Sequential(*after), tuned
        functional.set_step_mode(self, "m")

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)
        current = self.before(x[:1]).expand(len(x), -1, -1, -1, -1) if self.tuned else self.before(x)
        spikes: Tensor = self.after(current)
        return spikes


def _tutorial(first: int, second: int) -> tuple[list[nn.Module], list[nn.Module]]:
    return [layers.Conv2d(1, first, 5), layers.MaxPool2d(2)], [
        *(_lif(0.5), layers.Conv2d(first, second, 5), layers.MaxPool2d(2), _lif(0.5)),
        *(layers.Flatten(), layers.Linear(second * 4 * 4, 10), _lif(0.5)),
    ]


def _fire() -> nn.Module:
    return neuron.IFNode(surrogate_function=surrogate.ATan())


def _normed(before: int, after: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    return [layers.Conv2d(before, after, kernel, stride, kernel // 2, bias=False), layers.BatchNorm2d(after)]


def _csnn(first: int, second: int) -> tuple[list[nn.Module], list[nn.Module]]:
    full = second * 4 * 4
    return _normed(1, first), [
        *(_fire(), layers.MaxPool2d(2, 2), *_normed(first, second), _fire(), layers.MaxPool2d(2, 2)),
        *(layers.Flatten(), layers.Linear(second * 7 * 7, full, bias=False), _fire()),
        *(layers.Linear(full, 10, bias=False), _fire()),
    ]


def _residual(first: int, second: int) -> tuple[list[nn.Module], list[nn.Module]]:
    blocks = [_Block(first, first), _Block(first, second)]
    return _normed(1, first), [_fire(), *blocks, _Mean(), layers.Linear(second, 10, bias=False), _fire()]


class _Block(nn.Module):
    """A spike-element-wise block (Fang et al. 2021); its output is the sum of two spikes."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        stride = 1 if before == after else 2
        self.block = nn.Sequential(*_normed(before, after, 3, stride), _fire(), *_normed(after, after), _fire())
        self.shortcut = nn.Sequential(*([*_normed(before, after, 1, 2), _fire()] if stride == 2 else []))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x) + self.shortcut(x)
        return y


class _Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((-2, -1))
