"""One measurement in a process of its own: time and added peak memory of a layer, forwards and backwards.

``python -m benchmarks.measure REQUEST``, the arguments of :func:`measure` as JSON, prints JSON: ``seconds`` of each
repetition, and ``bytes``: the peak of the resident memory in one forward and backward pass less what was resident just
before it, the input included; null where the system does not tell (it takes Linux).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import peers
from benchmarks.device import peaks, synchronize
from benchmarks.memory import added
from benchmarks.products import SPIKING, forward_and_weight
from snnrun.model import ExecutionPlan, Layer, Linear
from snnrun.model.products.product import choose
from snnrun.neuron import LIF

BETA = 0.95
LONG = 3.0  # seconds
OURS, OURS_LOW, FLOOR = "snnrun", "snnrun, memory=low", "matrix products"

Pass = Callable[[Tensor], object]


def contenders(device: str = "cpu") -> list[str]:
    """The names that ``who`` may have here."""
    names = [OURS, OURS_LOW]
    linear = nn.Linear(2, 2)
    forms = peers.named(peers.available(device))
    names += [name for name, peer, tuned in forms if peer.layer(linear, BETA, tuned) is not None]
    return [*names, FLOOR]


def layer_pass(who: str, width: int, device: str = "cpu") -> Pass:
    """One forward and backward pass through a linear layer of ``width`` and its neurons, by name."""
    torch.manual_seed(0)
    linear = nn.Linear(width, width)
    if who == FLOOR:
        weight = linear.weight.detach().to(device)
        return lambda x: forward_and_weight(x.flatten(0, 1), weight)
    module: nn.Module | None
    if who in (OURS, OURS_LOW):
        synapse = Linear(width, width)  # as the models have it, with the products that the command takes
        synapse.load_state_dict(linear.state_dict())
        neuron = LIF(BETA, shape=(width,), reset_timing="delayed")
        plan = ExecutionPlan(memory="low" if who == OURS_LOW else "full", product=choose("auto", "auto"))
        module = Layer(synapse, neuron, plan=plan)
        synapse.product = plan.product
    else:
        peer, tuned = {name: (peer, tuned) for name, peer, tuned in peers.named(peers.available(device))}[who]
        module = peer.layer(linear, BETA, tuned)
    assert module is not None
    module = module.to(device)
    return lambda x: _forward_backward(module, x)


def measure(
    who: str, steps: int, batch: int, width: int, input: str, repeats: int, device: str = "cpu"
) -> dict[str, Any]:
    """Seconds of up to ``repeats`` passes (two, where one takes long), and bytes added by one."""
    run = layer_pass(who, width, device)
    x = torch.rand(steps, batch, width, device=device)
    if input == "spikes":
        x = (x < SPIKING).float()
    run(x[:2])  # loads and compiles what is loaded and compiled once
    bytes_added = added(lambda: run(x)) if device == "cpu" else peaks({who: lambda: run(x)}, device)[who]
    seconds: list[float] = []
    while len(seconds) < repeats and (len(seconds) < 2 or sum(seconds) < LONG):
        synchronize(device)
        begin = time.perf_counter()
        run(x)
        synchronize(device)
        seconds.append(time.perf_counter() - begin)
    return {"seconds": seconds, "bytes": bytes_added}


def _forward_backward(module: nn.Module, x: Tensor) -> None:
    module.zero_grad()
    output = module(x)
    spikes = output if isinstance(output, Tensor) else output.spikes
    del output  # a trace's membrane, which nobody here asks for
    spikes.sum().backward()


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
