"""Training steps of convolutional networks: snnrun, its peers and the same network with ReLU in turn, in one process.

``python -m benchmarks.convolutional [--quick] [--rounds N] [--output FILE]``

A step is forward, loss, backward and Adam, for input in memory. Everyone has the memory setting of snnrun's command,
and starts with the same weights, which snnrun trained for some steps.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import command, peers
from benchmarks.device import peaks
from benchmarks.machine import machine
from benchmarks.ours import ENCODERS, batches, load
from benchmarks.setting import Convolutional, Job
from benchmarks.turns import take_turns
from snnrun.encoder import Direct, Rate
from snnrun.model import ConvNet, ExecutionPlan, Residual, set_plan
from snnrun.model.products.product import choose
from snnrun.neuron import IF, LIF, Neuron
from snnrun.surrogate import ATan, FastSigmoid
from snnrun.system.machine import keep_freed_memory

OURS, OURS_LOW, OURS_FP32 = "snnrun", "snnrun, memory=low", "snnrun, fp32"
#: Steps of the short training that gives the common weights.
TRAINED = 32
FLOOR, FLOOR_LAST = "with ReLU", "with ReLU, channels last"

CASES = (
    Convolutional("snntorch_tutorial_6", "rate"),
    Convolutional("snntorch_tutorial_6", "rate", steps=100),
    Convolutional("snntorch_tutorial_6", "constant"),
    Convolutional("snntorch_tutorial_6", "rate", "bf16"),
    Convolutional("spikingjelly_csnn", "constant", channels=(128, 128), steps=4),
    Convolutional("residual", "constant", channels=(32, 64), steps=8),
)
QUICK = (
    Convolutional("snntorch_tutorial_6", "rate", channels=(2, 3), steps=3, batch=4),
    Convolutional("snntorch_tutorial_6", "constant", channels=(2, 3), steps=3, batch=4),
    Convolutional("snntorch_tutorial_6", "rate", "bf16", channels=(2, 3), steps=3, batch=4),
    Convolutional("spikingjelly_csnn", "constant", channels=(2, 3), steps=3, batch=4),
    # oneDNN's 1x1 convolution with stride 2, channels last, does not survive 2 and 3 channels.
    Convolutional("residual", "constant", channels=(8, 16), steps=3, batch=4),
)


def ours(case: Convolutional, memory: str = "full") -> nn.Module:
    """The network of snnrun, with the plan of a training run."""
    first, second = case.channels
    model: nn.Module
    if case.network == "residual":
        model = Residual((1, 28, 28), 10, _neuron(case), channels=case.channels, bias=False)
    else:
        model = ConvNet((1, 28, 28), 10, _neuron(case), **_options(case.network, first, second))
    set_plan(model, ExecutionPlan(memory=memory, membrane=False, spikes=False, product=choose("auto", "auto")))
    return model


def _neuron(case: Convolutional) -> Callable[..., Neuron]:
    """The neurons of the presets, by their conventions."""
    if case.network == "snntorch_tutorial_6":
        return lambda shape: LIF(
            0.5, shape=shape, surrogate=FastSigmoid(25.0), reset="subtract", reset_timing="delayed", detach_reset=True
        )
    return lambda shape: IF(shape=shape, surrogate=ATan(2.0), fires_at=">=", reset="zero", detach_reset=False)


def _options(network: str, first: int, second: int) -> dict[str, Any]:
    if network == "snntorch_tutorial_6":
        return {"layers": [f"{first}c5", "mp2", f"{second}c5", "mp2"]}
    layers = [f"{first}c3p1", "mp2", f"{second}c3p1", "mp2", f"fc{second * 4 * 4}"]
    return {"layers": layers, "neurons": "before_pool", "norm": "batch", "norm_fc": False, "bias": False}


class _ReLU(nn.Module):
    """The same synapses, norms and pools, in one call for all steps, and ReLU for the neurons."""

    def __init__(self, case: Convolutional, memory_format: torch.memory_format) -> None:
        super().__init__()
        first, second = case.channels
        if case.network == "snntorch_tutorial_6":
            before: list[nn.Module] = [nn.Conv2d(1, first, 5), nn.MaxPool2d(2), nn.ReLU()]
            after: list[nn.Module] = [nn.Conv2d(first, second, 5), nn.MaxPool2d(2), nn.ReLU()]
            after += [nn.Flatten(), nn.Linear(second * 4 * 4, 10)]
        elif case.network == "residual":
            before = [*_normed(1, first), nn.ReLU()]
            after = [_Block(first, first), _Block(first, second), _Mean(), nn.Linear(second, 10, bias=False)]
        else:
            full = second * 4 * 4
            before = [*_normed(1, first), nn.ReLU(), nn.MaxPool2d(2)]
            after = [*_normed(first, second), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
            after += [nn.Linear(second * 7 * 7, full, bias=False), nn.ReLU(), nn.Linear(full, 10, bias=False)]
        self.before, self.after = nn.Sequential(*before), nn.Sequential(*after)
        self.constant, self.format = case.input == "constant", memory_format
        self.to(memory_format=memory_format)

    def forward(self, x: Tensor) -> Tensor:
        steps = x.shape[:2]
        images = x[0] if self.constant else x.flatten(0, 1)
        y = self.before(images.contiguous(memory_format=self.format))
        if self.constant:
            y = y.repeat(len(x), 1, 1, 1)
        output: Tensor = self.after(y.contiguous(memory_format=self.format)).unflatten(0, steps)
        return output


def _normed(before: int, after: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(after)]


class _Block(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        stride = 1 if before == after else 2
        first, second = [*_normed(before, after, 3, stride), nn.ReLU()], [*_normed(after, after), nn.ReLU()]
        self.block = nn.Sequential(*first, *second)
        self.shortcut = nn.Sequential(*([*_normed(before, after, 1, 2), nn.ReLU()] if stride == 2 else []))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x) + self.shortcut(x)
        return y


class _Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((-2, -1))


def contenders(case: Convolutional) -> dict[str, Callable[[], nn.Module]]:
    """All networks by name, each as a function that makes it."""
    found: dict[str, Callable[[], nn.Module]] = {OURS: lambda: ours(case)}
    if has_low_memory(case):
        found[OURS_LOW] = lambda: ours(case, "low")
    if case.precision != "fp32":
        found[OURS_FP32] = lambda: ours(case)
    for name, peer, tuned in peers.named(peers.available(case.device)):
        if peer.convolutional(case, tuned) is not None:
            found[name] = lambda peer=peer, tuned=tuned: peer.convolutional(case, tuned)  # type: ignore[misc]
    found[FLOOR] = lambda: _ReLU(case, torch.contiguous_format)
    found[FLOOR_LAST] = lambda: _ReLU(case, torch.channels_last)
    return found


def has_low_memory(case: Convolutional) -> bool:
    """True if ``memory=low`` is a contender, and the memory is measured."""
    return case.network == "snntorch_tutorial_6" and case.input == "rate" and case.precision == "fp32"


def network(case: Convolutional, name: str) -> nn.Module:
    """One of them, with the weights that all have at the start."""
    model = contenders(case)[name]().to(case.device)
    copy_weights(model, common_weights(replace(case, device="cpu")))
    return model


def copy_weights(model: nn.Module, weights: list[Tensor]) -> None:
    """Let a network begin with these weights."""
    with torch.no_grad():
        for mine, common in zip(model.parameters(), weights, strict=True):
            mine.copy_(common)


@functools.cache
def common_weights(case: Convolutional) -> list[Tensor]:
    """The common weights, after a short training by snnrun: with the first weights hardly a neuron fires."""
    torch.manual_seed(0)
    model = ours(case)
    if case.network == "snntorch_tutorial_6":
        case = replace(case, input="rate", precision="fp32")
        optimizer, generator = torch.optim.Adam(model.parameters(), lr=2e-3), torch.Generator().manual_seed(0)
        train = load(TRAINED * case.batch).train
        for images, target in itertools.islice(batches(train, Job("rate", batch=case.batch)), TRAINED):
            optimizer.zero_grad()
            membrane = model(Rate()(images.view(1, -1, 1, 28, 28), case.steps, generator))["output"].membrane
            F.cross_entropy(membrane.flatten(0, 1), target.repeat(case.steps)).backward()
            optimizer.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


def batch(case: Convolutional) -> tuple[Tensor, Tensor]:
    """Digits ``[T, B, 1, 28, 28]`` as they come from the encoder, and their classes ``[B]``."""
    images, target = next(batches(load(case.batch).train, Job(case.input, batch=case.batch)))
    encoder = {"direct": Direct, "rate": Rate}[ENCODERS[case.input]]()
    generator = torch.Generator().manual_seed(0)
    x = encoder(images.view(1, -1, 1, 28, 28), case.steps, generator)
    # An input that does not change stays one step in memory.
    x = x[:1].to(case.device).expand(x.shape) if case.input == "constant" else x.to(case.device)
    return x, target.to(case.device)


def spikes(model: nn.Module, x: Tensor, precision: str) -> Tensor:
    """The output of every step, ``[T, B, 10]``."""
    with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
        output = model(x)
    found: Tensor = output["output"].spikes if isinstance(output, dict) else output
    return found.float()


def step_of(model: nn.Module, x: Tensor, target: Tensor, precision: str) -> Callable[[], None]:
    """A training step."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(spikes(model, x, precision).sum(0), target).backward()
        optimizer.step()

    return step


def precision_of(case: Convolutional, name: str) -> str:
    return "fp32" if name == OURS_FP32 else case.precision


def measure(case: Convolutional, rounds: int) -> dict[str, Any]:
    """Seconds of the steps of every contender, in turn."""
    x, target = batch(case)
    names = list(contenders(case))
    steps = {name: step_of(network(case, name), x, target, precision_of(case, name)) for name in names}
    seconds = take_turns(f"convolutional, {case}", steps, rounds, case.device)
    return {**asdict(case), "seconds": seconds, "bytes": peaks(steps, case.device)}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The part ``convolutional`` of the output."""
    keep_freed_memory()
    facts = machine()
    rounds = 1 if arguments.quick else 4 * (arguments.rounds or 5)
    device = arguments.device or "cpu"
    cases = [measure(replace(case, device=device), rounds) for case in (QUICK if arguments.quick else CASES)]
    return {"convolutional": {"machine": facts, "cases": cases}}


if __name__ == "__main__":
    sys.exit(command.main(__doc__, run))
