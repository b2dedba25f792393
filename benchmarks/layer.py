"""One linear layer and its LIF neurons, forwards and backwards: time, memory, and how both grow.

``python -m benchmarks.layer [--quick] [--rounds N] [--output FILE]``

The comparison is Open Neuromorphic's (https://open-neuromorphic.org/blog/spiking-neural-network-framework-benchmarking/):
batch 16, 500 steps, n inputs and n neurons. Every measurement has a process of its own, the contenders taking turns.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

from benchmarks import command
from benchmarks.measure import BETA, contenders
from snnrun.neuron import LIF
from snnrun.sequence import run as run_neuron


class Case(NamedTuple):
    """What a layer is given."""

    steps: int
    batch: int
    width: int
    input: str = "spikes"  # or real: numbers in [0, 1)
    device: str = "cpu"


PUBLISHED = (Case(500, 16, 512), Case(500, 16, 2048), Case(500, 16, 512, "real"))
BASE = Case(100, 16, 512)
SWEEPS = {"steps": (25, 50, 100, 200, 400), "batch": (4, 16, 64, 256), "width": (128, 512, 1024, 2048)}
ALONE = ((25, 128, 1000), (500, 16, 512))
GROWTH = (25, 50, 100, 200, 400)  # steps, of 128 x 1000 neurons


def layers(rounds: int, cases: tuple[Case, ...]) -> list[dict[str, Any]]:
    """Of every case and contender the seconds (the median of a process, for every round) and bytes (the largest)."""
    names, found = contenders(cases[0].device), []
    for case in cases:
        entry: dict[str, Any] = {
            **case._asdict(),
            "contenders": {name: {"seconds": [], "bytes": None} for name in names},
        }
        for _ in range(rounds):
            for name in names:
                seconds, added = _measured(name, case)
                numbers = entry["contenders"][name]
                numbers["seconds"].append(seconds)
                if added is not None:
                    numbers["bytes"] = max(added, numbers["bytes"] or 0)
        found.append(entry)
        command.say(
            f"layer, {case}: "
            + ", ".join(
                f"{name} {1000 * min(numbers['seconds']):.1f} ms" for name, numbers in entry["contenders"].items()
            )
        )
    return found


def sweep() -> Iterator[Case]:
    """The base case with one of its sizes changed, each once."""
    cases = dict.fromkeys(_changed(size, value) for size, values in SWEEPS.items() for value in values)
    yield from cases


def _changed(size: str, value: int) -> Case:
    changes: dict[str, Any] = {size: value}
    return BASE._replace(**changes)


def alone(rounds: int, shapes: tuple[tuple[int, ...], ...]) -> list[dict[str, Any]]:
    """Seconds of LIF neurons without synapses, by the reference and the fused execution in turn."""
    found: list[dict[str, Any]] = []
    for shape in shapes:
        passes = {backend: _neuron_pass(shape, backend) for backend in ("fused", "reference")}
        found.append({"shape": list(shape), "seconds": _in_turn(passes, rounds)})
        command.say(
            f"LIF alone, {shape}: "
            + ", ".join(f"{name} {1000 * min(seconds):.2f} ms" for name, seconds in found[-1]["seconds"].items())
        )
    return found


def growth(rounds: int, steps: tuple[int, ...], batch: int, width: int) -> dict[str, Any]:
    """Seconds of fused LIF neurons for sequences of different lengths, in turn."""
    passes = {str(count): _neuron_pass((count, batch, width), "fused") for count in steps}
    return {"batch": batch, "width": width, "seconds": _in_turn(passes, rounds)}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The parts ``layer``, ``sweep``, ``alone`` and ``growth`` of the output; on a GPU only the first."""
    device = arguments.device or "cpu"
    if device != "cpu":
        cases = (Case(20, 2, 8),) if arguments.quick else PUBLISHED
        return {"layer": layers(arguments.rounds or 5, tuple(case._replace(device=device) for case in cases))}
    if arguments.quick:
        return {
            "layer": layers(1, (Case(20, 2, 8),)),
            "sweep": [],
            "alone": alone(2, ((5, 2, 8),)),
            "growth": growth(2, (5, 10), 2, 8),
        }
    rounds = arguments.rounds or 5
    return {
        "layer": layers(rounds, PUBLISHED),
        "alone": alone(4 * rounds, ALONE),
        "growth": growth(4 * rounds, GROWTH, 128, 1000),
        "sweep": layers(1, tuple(sweep())),
    }


def _measured(who: str, case: Case) -> tuple[float, int | None]:
    """Median of the seconds, and bytes, in a fresh process."""
    request = {"who": who, "repeats": 7, **case._asdict()}
    answer = command.answer("benchmarks.measure", request)
    return statistics.median(answer["seconds"]), answer["bytes"]


def _neuron_pass(shape: tuple[int, ...], backend: str) -> Callable[[], None]:
    neuron = LIF(BETA, shape=shape[2:])
    x = (torch.rand(shape) * 0.2).requires_grad_()
    gradient = torch.randn(shape)

    def forward_backward() -> None:
        x.grad = None
        trace, _ = run_neuron(neuron, x, backend=backend)
        trace.spikes.backward(gradient)

    return forward_backward


def _in_turn(passes: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    for forward_backward in passes.values():
        forward_backward()  # compiles
    seconds: dict[str, list[float]] = {name: [] for name in passes}
    for _ in range(rounds):
        for name, forward_backward in passes.items():
            forward_backward()  # the other's data has just left the cache
            begin = time.perf_counter()
            forward_backward()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


if __name__ == "__main__":
    sys.exit(command.main(__doc__, run))
