"""What a training step launches on a GPU, and how many bytes it moves, counted without a GPU.

The step runs on torch's device ``meta``, whose tensors have shapes and no values: the code takes the same way as on a
GPU, and nothing is computed. A :class:`Counter` sees every operation that torch would launch there; a kernel of snnrun
is counted where it would be launched, from its plan; a kernel of SpikingJelly is one registered operation.

An operation of torch counts as one launch. Views and allocations count as none, and a copy of a few numbers to the
device as one. On a GPU cuDNN may launch more than one kernel for a convolution. Bytes are those of the tensors that an
operation reads and writes, as if no cache held any of them. The optimizer's step, which is the same for all, is left
out.
"""

from __future__ import annotations

import functools
from collections import Counter as Numbers
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks import convolutional, peers, recurrent
from benchmarks.setting import Convolutional, Job
from snnrun.model import MLP, ExecutionPlan, Layer, set_plan
from snnrun.neuron import LIF
from snnrun.sequence import Trace
from snnrun.sequence.kernel import triton
from snnrun.sequence.kernel.kernel import Array, Kernel, Key

META = "meta"
#: Operations that move no data.
ALLOCATIONS = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view")
LOSS = "loss"

Case: TypeAlias = Job | recurrent.Case | Convolutional
CASES: dict[str, Case] = {
    "fully connected": Job("rate", device=META),
    "recurrent": recurrent.CASES[0]._replace(device=META),
    "convolutional": Convolutional("snntorch_tutorial_6", "rate", device=META),
}
QUICK: dict[str, Case] = {
    "fully connected": Job("rate", steps=3, batch=2, hidden=5, device=META),
    "recurrent": recurrent.QUICK[0]._replace(device=META),
    "convolutional": replace(convolutional.QUICK[0], device=META),
}


class Part(NamedTuple):
    """What a part of a network does in a training step.

    Attributes:
        values: numbers in its output, of all steps; 0 for the loss.
        launches, bytes: forwards and backwards.
    """

    part: str
    values: int
    launches: tuple[int, int]
    bytes: tuple[int, int]


class Counter(TorchDispatchMode):
    """Counts launches and bytes by part of the network and by direction, 0 forwards and 1 backwards."""

    def __init__(self) -> None:
        super().__init__()
        self.part, self.direction = LOSS, 0
        self.names: dict[nn.Module, str] = {}
        self.values: Numbers[str] = Numbers()
        self.launches: Numbers[tuple[str, int]] = Numbers()
        self.bytes: Numbers[tuple[str, int]] = Numbers()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not func.is_view and name not in ALLOCATIONS:
            # What fills new memory like another tensor's does not read that one.
            operands = result if name.endswith("_like") or name.startswith("new_") else (args, kwargs, result)
            self.add(sum(size_of(each) for each in tree_leaves(operands) if isinstance(each, Tensor)))
        return result

    def name(self, module: nn.Module, kind: str) -> str:
        """The name of a part: its kind, and its number in the order in which they run."""
        number = 1 + sum(name.startswith(f"{kind} ") for name in self.names.values())
        return self.names.setdefault(module, f"{kind} {number}")

    def add(self, size: int) -> None:
        """One more launch, which moves so many bytes."""
        self.launches[self.part, self.direction] += 1
        self.bytes[self.part, self.direction] += size

    def call(self, kernel: Kernel, numbers: Tensor, tensors: dict[Key, Tensor], steps: int, like: Tensor) -> None:
        """In place of :func:`snnrun.sequence.kernel.triton.call`."""
        sizes = [size_of(tensors[array.key]) for array in kernel.arrays()]
        self.add(sum(sizes) + len(kernel.scratch()) * 2 * steps * like.numel() * like.element_size())

    def marked(self, output: Any, part: str) -> list[Any]:
        """The tensors of an output, with a mark where ``part`` begins in the backward pass."""
        return [
            _Mark.apply(each, self, part) if isinstance(each, Tensor) and each.requires_grad else each
            for each in (output if isinstance(output, tuple) else [output])
        ]

    def parts(self) -> list[Part]:
        """All parts, in the order of the network."""
        return [
            Part(
                part,
                self.values[part],
                (self.launches[part, 0], self.launches[part, 1]),
                (self.bytes[part, 0], self.bytes[part, 1]),
            )
            for part in [*self.values, LOSS]
        ]


def size_of(tensor: Tensor) -> int:
    """Bytes of a tensor in memory; what is repeated by a stride of 0 counts once."""
    sizes = [n for n, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride or not n]
    return tensor.element_size() * torch.Size(sizes).numel()


def moved(kernel: Kernel) -> int:
    """Bytes for a neuron and a step, in float32; what waits in memory for the second run over time counts twice.

    The weights of a feedback, which are read at each step, come from a cache.
    """
    size = {"time": 4, "strided": 4, "bytes": 1, "scratch": 8, "lane": 0, "packed": 0, "few": 0, "matrix": 0}
    arrays: Sequence[Array] = [*kernel.arrays(), *kernel.scratch()]
    return sum(size[array.kind] for array in arrays)


class _Mark(torch.autograd.Function):
    """The identity. In the backward pass it begins a part: what runs after it belongs to the part before it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, counter: Counter, part: str) -> Tensor:
        ctx.counter, ctx.part = counter, part
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        ctx.counter.part = ctx.part
        return grads[0], None, None


def watch(model: nn.Module, counter: Counter) -> None:
    """Let the modules of a network name their part while they run, forwards and backwards."""
    outer: list[str] = []

    def enter(module: nn.Module, arguments: Any = ()) -> None:
        outer.append(counter.part)
        counter.part = counter.name(module, kind_of(module) or "")

    def leave(module: nn.Module, arguments: Any, output: Any) -> Any:
        part, counter.part = counter.part, outer.pop()
        marked = counter.marked(output, part)
        counter.values[part] += marked[0].numel()
        return type(output)(*marked) if isinstance(output, tuple) else marked[0]

    def fire(layer: Layer, fire: Callable[..., Trace], current: Tensor, steps: int) -> Trace:
        enter(layer)
        trace: Trace = leave(layer, (), fire(current, steps))
        return trace

    for module in parts_of(model):
        if isinstance(module, Layer):  # a model need not call it as a module, but its neurons fire
            module.fire = functools.partial(fire, module, module.fire)  # type: ignore[method-assign]
        else:
            module.register_forward_pre_hook(enter)
            module.register_forward_hook(leave)


def parts_of(network: nn.Module) -> Iterator[nn.Module]:
    """The modules that are a part each; what is within the neurons of a peer belongs to them."""
    for child in network.children():
        kind = kind_of(child)
        if kind is not None:
            yield child
        if kind is None or isinstance(child, Layer):
            yield from parts_of(child)


def kind_of(module: nn.Module) -> str | None:
    """The kind of a part; None for a module that only holds others, or moves no data."""
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        return "synapses"
    if isinstance(module, nn.MaxPool2d):
        return "pool"
    if isinstance(module, Layer) or (hasattr(module, "step_mode") and not isinstance(module, nn.Flatten)):
        return "neurons"
    return None


@contextmanager
def gpu_code(counter: Counter) -> Iterator[None]:
    """In this context snnrun's code for GPUs is taken on the device ``meta``, and its kernels are counted."""
    with (
        mock.patch.object(triton, "supports", lambda x: x.dtype in triton.DTYPES),
        mock.patch.object(triton, "call", counter.call),
        counter,
    ):
        yield


def count(model: nn.Module, x: Tensor, target: Tensor) -> list[Part]:
    """The parts of a training step of ``model`` on ``x`` ``[T, B, *N]``, on the device ``meta``.

    The loss is the cross-entropy of the numbers of spikes of the outputs.
    """
    counter = Counter()
    watch(model, counter)
    with gpu_code(counter):
        output = model(x)
        spikes = output["output"].spikes if isinstance(output, dict) else output
        (spikes,) = counter.marked(spikes, list(counter.values)[-1])
        loss = F.cross_entropy(spikes.sum(0), target)
        counter.direction = 1
        loss.backward()
    return counter.parts()


def networks(case: Case) -> dict[str, nn.Module]:
    """The networks of a case by name, on the device ``meta``."""
    ours: nn.Module
    if isinstance(case, Job):
        ours = MLP((784,), 10, lambda shape: LIF(case.beta, shape=shape, reset_timing="delayed"), hidden=[case.hidden])
    else:
        ours = convolutional.ours(case) if isinstance(case, Convolutional) else recurrent.ours(case)
    set_plan(ours, ExecutionPlan(membrane=False, spikes=False))
    found: dict[str, nn.Module | None] = {"snnrun": ours}
    for peer in peers.available(case.device):
        if peer.PACKAGE != "spikingjelly":
            continue
        if isinstance(case, Job):
            linear = (nn.Linear(784, case.hidden), nn.Linear(case.hidden, 10))
            layers = [peer.layer(each, case.beta, False) for each in linear]
            found[peer.NAME] = nn.Sequential(*(layer for layer in layers if layer is not None))
        elif isinstance(case, Convolutional):
            found[peer.NAME] = peer.convolutional(case, False)
        else:
            found[peer.NAME] = peer.recurrent(case.neuron, case.inputs, case.hidden, case.outputs)
    return {name: network.to(case.device) for name, network in found.items() if network is not None}


def run(quick: bool) -> list[dict[str, Any]]:
    """The parts of every network of every case."""
    found = []
    for title, case in (QUICK if quick else CASES).items():
        shape = (784,) if isinstance(case, Job) else (1, 28, 28) if isinstance(case, Convolutional) else (case.inputs,)
        target = torch.zeros(case.batch, dtype=torch.int64, device=case.device)
        for name, network in networks(case).items():
            x = torch.empty(case.steps, case.batch, *shape, device=case.device)
            parts = [part._asdict() for part in count(network, x, target)]
            sizes = f"T = {case.steps}, batch {case.batch}"
            found.append({"job": title, "sizes": sizes, "network": name, "parts": parts})
    return found
