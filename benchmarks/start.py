"""Short runs of the command, from the start of the process to its end.

``python -m benchmarks.start [--quick] [--rounds N] [--output FILE]``

The first run of each command is not counted: it fills the caches of files and of compiled code.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from benchmarks import command
from benchmarks.busy import QUICK, seconds
from benchmarks.machine import machine

RUNS: dict[str, tuple[str, ...]] = {
    "snnrun epochs=1 report.figures=false": ("epochs=1", "report.figures=false"),
    "snnrun": (),
}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The part ``start`` of the output: seconds of every run, the commands in turn."""
    facts = machine()
    commands = QUICK if arguments.quick else RUNS
    rounds = 1 if arguments.quick else 2 * (arguments.rounds or 5)
    for words in commands.values():
        seconds(words)
    found: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, words in commands.items():
            found[name].append(seconds(words))
    command.say("start: done")
    return {"start": {"machine": facts, "seconds": found}}


if __name__ == "__main__":
    sys.exit(command.main(__doc__, run))
