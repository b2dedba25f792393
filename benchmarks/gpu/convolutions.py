"""Layers of a ResNet-18's size: a 3x3 convolution and its LIF neurons, snnrun's beside SpikingJelly's.

A pass is forward and backward. All have the same weights, and the convolution is torch's; the convolution alone shows
what is left for the neurons.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks import peers
from benchmarks.device import peaks
from benchmarks.turns import take_turns
from snnrun.model import ExecutionPlan, Layer
from snnrun.model.products.convolution import Conv2d
from snnrun.neuron import LIF

BETA = 0.5
OURS, REFERENCE, ALONE = "snnrun", "snnrun, reference", "the convolution alone"


class Case(NamedTuple):
    """The images of a layer, of the input and of the output: ``[T, B, channels, size, size]``."""

    channels: int
    size: int
    steps: int = 4
    batch: int = 32


CASES = (Case(64, 56), Case(128, 28), Case(256, 14), Case(512, 7))
QUICK = (Case(3, 4, 2, 2),)


class _Alone(nn.Module):
    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def contenders(case: Case, device: str) -> dict[str, nn.Module]:
    """The layers by name, with the same weights."""
    torch.manual_seed(0)
    convolution = Conv2d(case.channels, case.channels, 3, padding=1, bias=False)

    def layer(backend: str) -> nn.Module:
        own = Conv2d(case.channels, case.channels, 3, padding=1, bias=False)
        own.load_state_dict(convolution.state_dict())
        shape = (case.channels, case.size, case.size)
        return Layer(own, LIF(BETA, shape=shape), plan=ExecutionPlan(backend=backend, membrane=False))

    found = {OURS: layer("fused"), REFERENCE: layer("reference")}
    for peer in peers.available(device):
        theirs = peer.convolution(convolution, BETA)
        if theirs is not None:
            found[peer.NAME] = theirs
    found[ALONE] = _Alone(convolution)
    return {name: module.to(device) for name, module in found.items()}


def forward_backward(module: nn.Module, x: Tensor, grad: Tensor) -> Callable[[], Tensor]:
    """A pass; it returns the output."""

    def call() -> Tensor:
        output = module(x)
        output = output if isinstance(output, Tensor) else output.spikes
        torch.autograd.grad(output, [x, *module.parameters()], grad)
        return output

    return call


def measure(case: Case, rounds: int, device: str) -> dict[str, Any]:
    """Seconds and bytes of every layer, and the share of spikes of each that differ from the reference's."""
    generator = torch.Generator().manual_seed(0)
    shape = (case.steps, case.batch, case.channels, case.size, case.size)
    x = (torch.rand(shape, generator=generator) < 0.2).float().to(device).requires_grad_()
    grad = torch.rand(shape, generator=generator).to(device)
    calls = {name: forward_backward(module, x, grad) for name, module in contenders(case, device).items()}
    expected = calls[REFERENCE]()
    differ = {name: (calls[name]() != expected).float().mean().item() for name in calls if name != ALONE}
    seconds = take_turns(f"convolution, {case}", calls, rounds, device)
    return {**case._asdict(), "differ": differ, "seconds": seconds, "bytes": peaks(calls, device)}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The part ``convolutions`` of the output."""
    rounds = arguments.rounds or (1 if arguments.quick else 20)
    cases = QUICK if arguments.quick else CASES
    return {"convolutions": [measure(case, rounds, arguments.device) for case in cases]}
