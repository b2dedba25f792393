"""A run on a busy machine: alone, beside a busy loop, and beside a second run of its kind.

``python -m benchmarks.busy [--quick] [--rounds N] [--output FILE]``

The measure is a whole command, from its start to its end. Two programs on one machine have half of it each, so a run
that is alone for t seconds should take at most 2 t beside another one: that is the time of two equal shares. A run
whose threads spin while they wait takes many times as long.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks import command

RUNS = {
    "snnrun": ("report.figures=false",),
    "snnrun task=mnist5k epochs=5": ("task=mnist5k", "epochs=5", "report.figures=false"),
    "snnrun task=mnist5k model.hidden=[1000] batch_size=128 epochs=2": (
        *("task=mnist5k", "model.hidden=[1000]", "batch_size=128", "epochs=2", "report.figures=false"),
    ),
}
QUICK = {"snnrun epochs=1 num_steps=2": ("epochs=1", "num_steps=2", "report.figures=false", "report.summary=false")}
LOOP = "while True: pass"


def start(words: Sequence[str], folder: str) -> subprocess.Popen[bytes]:
    """The command with these words, begun; it writes into ``folder``."""
    return subprocess.Popen(
        [sys.executable, "-m", "snnrun", *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def seconds(words: Sequence[str], beside: str = "") -> float:
    """How long a command takes alone, beside a busy ``loop``, or beside a second one like it (``run``: the slower)."""
    with ExitStack() as stack:
        folders = [stack.enter_context(tempfile.TemporaryDirectory()) for _ in range(2)]
        if beside == "loop":
            loop = subprocess.Popen([sys.executable, "-c", LOOP])
            stack.callback(loop.wait)
            stack.callback(loop.kill)
        begin = time.perf_counter()
        started = [start(words, folder) for folder in (folders if beside == "run" else folders[:1])]
        for each in started:
            if each.wait():
                raise RuntimeError(f"snnrun {' '.join(words)}: expected exit code 0, got {each.returncode}")
        return time.perf_counter() - begin


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of every kind, by command; the median of some rounds, in which the kinds take turns."""
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    found: dict[str, Any] = {}
    for name, words in (QUICK if arguments.quick else RUNS).items():
        seconds(words)  # compiles what is compiled once
        kinds: dict[str, list[float]] = {"alone": [], "loop": [], "run": []}
        for _ in range(rounds):
            for kind, times in kinds.items():
                times.append(seconds(words, "" if kind == "alone" else kind))
        found[name] = kinds
        command.say(f"{name}: done")
    return {"busy": {"cores": os.cpu_count(), "seconds": found}}


if __name__ == "__main__":
    sys.exit(command.main(__doc__, run))
