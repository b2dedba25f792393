"""What the benchmarks have in common as commands: their options, what they say, the file that they write."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.machine import machine
from benchmarks.report import tables
from snnrun.system.files import write_json

DEVICES = ("cpu", "cuda")
Benchmark = Callable[[argparse.Namespace], dict[str, Any]]


def answer(module: str, request: Mapping[str, Any]) -> Any:
    """What ``python -m MODULE REQUEST``, a measurement in a process of its own, prints last; both as JSON."""
    words = [sys.executable, "-W", "ignore", "-m", module, json.dumps(request)]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(about: str | None, *benchmarks: Benchmark, words: Sequence[str] | None = None) -> int:
    """Run the benchmarks, each of which gives a part of the output, and write or print it."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the numbers, as JSON")
    parser.add_argument("--quick", action="store_true", help="small sizes, once: a look at whether it works")
    parser.add_argument("--epochs", type=_positive, metavar="N", help="epochs of the job for each seed (default 5)")
    parser.add_argument("--seeds", type=_positive, metavar="N", help="seeds of the job (default 3)")
    parser.add_argument("--rounds", type=_positive, metavar="N", help="measurements of each layer (default 5)")
    parser.add_argument("--device", choices=DEVICES, help="where networks are trained (default cpu; of gpu: cuda)")
    arguments = parser.parse_args(words)
    if arguments.output and not arguments.output.parent.is_dir():
        parser.error(f"--output: expected a file in a folder that exists, got {arguments.output}")
    for line in peers.installed()[1]:
        say(line)
    result: dict[str, Any] = {"machine": machine(), "quick": arguments.quick}
    for benchmark in benchmarks:
        result |= benchmark(arguments)

    print("\n".join(tables(result)))
    if arguments.output:
        write_json(arguments.output, result)
    return 0


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value
