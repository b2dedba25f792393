"""``python -m benchmarks.published NAME --seed 0 --data DIR --out FOLDER``: one published experiment, one seed."""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import published
from benchmarks.published import training
from benchmarks.published.recipe import Recipe
from snnrun.report import manifest
from snnrun.system.files import write_json

PACKAGES = ("torch", "numpy")


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.published", description="A published experiment in the library that published it."
    )
    parser.add_argument("name", choices=published.names(), help="a preset of snnrun with such a source")
    parser.add_argument("--seed", type=int, default=0, help="of initial weights, order and encoding (default 0)")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the data_dir of snnrun")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the record goes")
    parser.add_argument("--epochs", type=_positive, metavar="N", help="instead of the source's number")
    parser.add_argument("--updates", type=_positive, metavar="N", help="stop after so many steps of the optimizer")
    parser.add_argument("--threads", type=_positive, metavar="N", help="of the processor (default: torch's choice)")
    arguments = parser.parse_args(words)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries, which are theirs to mend
        try:
            record = run(arguments)
        except ImportError as error:
            parser.error(f"{arguments.name}: its library cannot be imported ({error}): pip install '.[benchmark]'")
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / file_name(record)
    write_json(path, record)
    print(f"{path}: {100 * record['accuracy']:.2f} % after {record['updates']} updates, {record['seconds']:.0f} s")
    return 0


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The record of one training."""
    kind, begin = published.recipe(arguments.name), time.perf_counter()
    images = training.load(kind.task, arguments.data)
    epochs = arguments.epochs or kind.epochs
    updates = arguments.updates or (None if arguments.epochs else kind.updates)
    words = length(kind, epochs, updates)
    torch.manual_seed(arguments.seed)
    result = training.train(kind(), images, epochs, updates)
    return {
        "preset": kind.preset,
        "overrides": [*kind.overrides, *words],
        "library": kind.package,
        "source": kind.source,
        "seed": arguments.seed,
        "task": kind.task,
        "data": images.hashes,
        "images": len(images.train),
        "settings": {
            "epochs": epochs,
            "updates": updates,
            "batch_size": kind.batch_size,
            "drop_last": kind.drop_last,
            **kind.settings,
        },
        **result,
        "seconds": time.perf_counter() - begin,
        "machine": machine(kind.package),
    }


def length(kind: type[Recipe], epochs: int, updates: int | None) -> list[str]:
    """What snnrun is to be told, after the preset's name, for a training that is not as long as the published one."""
    words = [] if epochs == kind.epochs else [f"epochs={epochs}"]
    return words if updates == kind.updates else [*words, f"max_steps={updates or 'null'}"]


def machine(package: str) -> dict[str, Any]:
    """Enough to judge the times by, nothing that tells whose machine it is."""
    facts = manifest({}, (), device="cpu", backend="", data_hashes={})
    return {
        "processor": facts["cpu"]["model"],
        "cores": facts["cpu"]["count"],
        "threads": torch.get_num_threads(),
        "memory_bytes": facts["memory_bytes"],
        "python": facts["python"]["version"],
        "packages": {name: facts["packages"].get(name) for name in (*PACKAGES, package)},
    }


def file_name(record: dict[str, Any]) -> str:
    words = "-".join([record["preset"], *record["overrides"], f"s{record['seed']}"])
    return words.replace("=", "") + ".json"


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


if __name__ == "__main__":
    sys.exit(main())
