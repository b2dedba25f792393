"""Kernels for GPUs: their machine code, which needs no GPU, and their times beside the reference, on one.

``python -m benchmarks.gpu [--quick] [--rounds N] [--output FILE]``

The first table is about the machine code for an H100 or H200 (sm_90): registers, spills, and the bytes that each kernel
reads and writes for a neuron and a step. The second one needs a GPU, and is left out without one: whole forward and
backward passes of ``[T, B, n]`` neurons, whose spikes and gradients are compared with the reference first.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks import command
from benchmarks.machine import machine
from snnrun.neuron import IF, LIF, LSNN, AdEx, Izhikevich, Neuron, Synaptic
from snnrun.sequence import run as run_neuron
from snnrun.sequence.kernel import triton
from snnrun.sequence.kernel.kernel import Kernel
from snnrun.sequence.kernel.plan import backward_plan, forward_plan
from snnrun.sequence.record.adjoint import Gradients
from snnrun.sequence.record.tracer import record

NEURONS: dict[str, Callable[[int], Neuron]] = {
    "if": lambda n: IF(shape=(n,)),
    "lif": lambda n: LIF(0.9, shape=(n,)),
    "synaptic": lambda n: Synaptic(0.9, 0.8, shape=(n,)),
    "lsnn": lambda n: LSNN(shape=(n,)),
    "adex": lambda n: AdEx(shape=(n,)),
    "izhikevich": lambda n: Izhikevich(shape=(n,)),
}
TARGET = "sm_90"
BANDWIDTH = 4.8e12  # bytes per second of an H200


class Case(NamedTuple):
    """The size of a layer."""

    steps: int
    batch: int
    width: int


CASES = (Case(25, 128, 1000), Case(100, 128, 1024), Case(784, 64, 256))
QUICK = (Case(3, 2, 5),)


def kernels(name: str) -> dict[str, Kernel]:
    """The kernels of both directions, for a training step that needs no membranes."""
    recipe, _, _ = record(NEURONS[name](7))
    request = Gradients(x=True, captured=frozenset())
    forward = forward_plan(recipe, request, False)
    return {"forward": forward.kernel, "backward": backward_plan(recipe, request, constant=False, replays=True).kernel}


def moved(kernel: Kernel) -> int:
    """Bytes for a neuron and a step, in float32; what waits in memory for the second run over time counts twice."""
    size = {"time": 4, "strided": 4, "bytes": 1, "scratch": 8, "lane": 0, "packed": 0, "few": 0}
    return sum(size[array.kind] for array in [*kernel.arrays(), *kernel.scratch()])


def machine_code(quick: bool) -> list[dict[str, Any]]:
    """Registers, spilt bytes and moved bytes of each kernel."""
    import triton as library

    rows = []
    for name in list(NEURONS)[: 1 if quick else None]:
        for direction, kernel in kernels(name).items():
            with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
                file.write(triton.machine_code(kernel, torch.float32, TARGET).asm["ptx"])
                file.flush()
                words = [library.knobs.nvidia.ptxas.path, "-v", f"-arch={TARGET}a", file.name, "-o", "/dev/null"]
                report = subprocess.run(words, capture_output=True, text=True, check=True).stderr
            registers, spilt = (
                re.search(r"Used (\d+) registers", report),
                re.search(r"(\d+) bytes spill stores", report),
            )
            assert registers and spilt
            facts = {"registers": int(registers[1]), "spilt": int(spilt[1]), "bytes": moved(kernel)}
            rows.append({"neuron": name, "direction": direction, **facts})
    return rows


def passes(name: str, case: Case, backend: str, device: str) -> Callable[[], list[Tensor]]:
    """One forward and backward pass: spikes and the gradient of the input."""
    torch.manual_seed(0)
    neuron = NEURONS[name](case.width).to(device)
    x = torch.rand(case, device=device).requires_grad_()
    grad = torch.rand(case, device=device)

    def both() -> list[Tensor]:
        spikes = run_neuron(neuron, x, backend=backend, membrane=False)[0].spikes
        return [spikes, *torch.autograd.grad(spikes, x, grad)]

    return both


def seconds(call: Callable[[], object], rounds: int, device: str) -> float:
    """The median time of a call, with the device waited for."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    call()
    times = []
    for _ in range(rounds):
        wait()
        begin = time.perf_counter()
        call()
        wait()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def measure(case: Case, rounds: int, device: str) -> list[dict[str, Any]]:
    """Each neuron, fused and reference, if both agree."""
    rows = []
    for name in NEURONS:
        calls = {backend: passes(name, case, backend, device) for backend in ("fused", "reference")}
        (spikes, grad), (expected_spikes, expected_grad) = (call() for call in calls.values())
        if not torch.equal(spikes, expected_spikes):
            raise SystemExit(f"{name}, {case}: the spikes differ from the reference's")
        torch.testing.assert_close(grad, expected_grad, rtol=1e-5, atol=1e-6)
        times = {backend: seconds(call, rounds, device) for backend, call in calls.items()}
        rows.append({"neuron": name, **case._asdict(), "seconds": times})
        command.say(f"{name}, {case}: " + ", ".join(f"{key} {1e3 * value:.2f} ms" for key, value in times.items()))
    return rows


def run(arguments: argparse.Namespace, device: str | None = None) -> dict[str, Any]:
    """The part ``gpu`` of the output; ``device``: another one than the GPU."""
    device = device or ("cuda" if torch.cuda.is_available() else None)
    code = machine_code(arguments.quick)
    for row in code:
        command.say(", ".join(f"{key} {value}" for key, value in row.items()))
    if device is None:
        command.say("there is no GPU: no times were measured")
    cases = [
        row
        for case in (QUICK if arguments.quick else CASES)
        for row in (measure(case, arguments.rounds or 5, device) if device else [])
    ]
    return {"gpu": {"machine": machine(), "target": TARGET, "machine_code": code, "cases": cases}}


if __name__ == "__main__":
    sys.exit(command.main(__doc__, run))
