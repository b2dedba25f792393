"""The memory that a training step of a convolutional network adds: snnrun, its peers and the network with ReLU.

``python -m benchmarks.convolutional_memory [--quick] [--output FILE]``

Every contender has a process of its own, ``python -m benchmarks.convolutional_memory REQUEST`` with its name, the case
and a file of its weights as JSON: after a training, freed memory would be left for the step. It prints the bytes, null
if the system does not tell.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks import command, convolutional
from benchmarks.machine import machine
from benchmarks.memory import added
from benchmarks.setting import Convolutional
from snnrun.system.machine import keep_freed_memory

CASES = tuple(case for case in convolutional.CASES if convolutional.has_low_memory(case))
QUICK = tuple(case for case in convolutional.QUICK if convolutional.has_low_memory(case))


def measure(case: Convolutional) -> dict[str, Any]:
    """Bytes that a training step of each contender adds."""
    sizes: dict[str, int | None] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "weights.pt")
        torch.save(convolutional.common_weights(case), file)
        for name in convolutional.contenders(case):
            request = {"name": name, "weights": str(file), "case": vars(case)}
            sizes[name] = command.answer("benchmarks.convolutional_memory", request)
    command.say(f"added memory, {case}: " + ", ".join(f"{name} {size}" for name, size in sizes.items()))
    return {**vars(case), "bytes": sizes}


def step(name: str, weights: str, case: dict[str, Any]) -> int | None:
    """Bytes that a training step of one contender adds."""
    setting = Convolutional(**case | {"channels": tuple(case["channels"])})
    keep_freed_memory()
    model = convolutional.contenders(setting)[name]()
    convolutional.copy_weights(model, torch.load(weights, weights_only=True))
    x, target = convolutional.batch(setting)
    precision = convolutional.precision_of(setting, name)
    convolutional.step_of(model, x[:2], target, precision)()  # loads and compiles
    return added(convolutional.step_of(model, x, target, precision))


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The part ``convolutional_memory`` of the output."""
    facts = machine()
    return {
        "convolutional_memory": {
            "machine": facts,
            "cases": [measure(case) for case in (QUICK if arguments.quick else CASES)],
        }
    }


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1].startswith("{"):
        print(json.dumps(step(**json.loads(sys.argv[1]))))
    else:
        sys.exit(command.main(__doc__, run))
