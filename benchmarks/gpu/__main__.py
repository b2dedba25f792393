"""All of it: ``python -m benchmarks.gpu --output docs/gpu.json``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import torch

from benchmarks import command, convolutional, device, gpu, job, layer, peers, recurrent
from benchmarks.gpu import convolutions, launches, machine_code, neurons
from benchmarks.machine import machine

#: Each gives a part of the output; in the order of what a user wants to know first.
MEASUREMENTS: tuple[Callable[[argparse.Namespace], dict[str, Any]], ...] = (
    neurons.run,
    convolutions.run,
    recurrent.run,
    convolutional.run,
    layer.run,
    job.run,
)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The part ``gpu`` of the output."""
    facts = machine()
    if arguments.device is None and torch.cuda.is_available():
        arguments.device = "cuda"
    code = machine_code.table(arguments.quick)
    command.say(f"machine code: {len(code)} kernels, {sum(row['spilt'] > 0 for row in code)} of them spill registers")
    own: dict[str, Any] = {"machine": facts, "target": machine_code.TARGET, "machine_code": code}
    own["launches"] = launches.run(arguments.quick)
    if arguments.device is None:
        command.say("there is no GPU: no times were measured")
        return {"gpu": own}
    own["device"] = device.facts(arguments.device)
    own["implementations"] = peers.implementations(arguments.device)
    for name, (taken, missing) in own["implementations"].items():
        command.say(f"{name} runs its neurons by {taken}" + "".join(f"; {key}: {why}" for key, why in missing.items()))
    for measure in MEASUREMENTS:
        own |= measure(arguments)
    return {"gpu": own}


if __name__ == "__main__":
    sys.exit(command.main(gpu.__doc__, run))
