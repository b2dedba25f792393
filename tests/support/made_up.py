"""Run folders as training leaves them, made up in milliseconds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from snnrun.config.catalogue import Catalogue

CHOICES = {
    "task": "digits",
    "scheduler": "constant",
    "optimizer": "adam",
    "loss": "ce_count",
    "model": "mlp",
    "encoder": "rate",
    "neuron": "lif",
    "convention": "default",
    "surrogate": "atan",
}
MANIFEST = {
    "command": ["snnrun", "neuron.beta=0.9"],
    "started": "2026-03-01T12:00:00+00:00",
    "seed": 3,
    "precision": "fp32",
    "deterministic": True,
    "device": "cpu",
    "backend": "fused",
    "threads": 2,
    "data": {"digits": "87ff"},
    "git": {"commit": "0123abcd", "dirty": True, "untracked": False},
    "python": {"version": "3.11.7", "implementation": "CPython"},
    "platform": "Linux-6.1",
    "cpu": {"model": "A processor", "count": 2},
    "gpu": None,
    "packages": {"torch": "2.10.0", "numpy": "2.0.0", "snnrun": "0.1.0"},
}
RESULT = {
    "status": "finished",
    "test_accuracy": 0.975,
    "test_loss": 0.125,
    "best_epoch": 2,
    "epochs": 3,
    "samples_per_second": 1000.0,
    "seconds": 12.0,
    "parameters": 7510,
    "weights_sha256": "abcdef",
}


def epoch(number: int, *, best: bool = True) -> dict[str, Any]:
    return {
        "kind": "epoch",
        "epoch": number,
        "step": 10 * number,
        "train_loss": 1.0 / number,
        "validation_loss": 1.5 / number,
        "validation_accuracy": 1 - 0.5 / number,
        "learning_rate": 0.001,
        "samples_per_second": 1000.0,
        "best": best,
    }


def step(epoch: int, number: int) -> dict[str, Any]:
    return {"kind": "step", "epoch": epoch, "step": number, "loss": 1.0}


def make_run(
    folder: Path,
    *,
    result: Mapping[str, Any] | None = RESULT,
    changes: Mapping[str, Any] | None = None,
    choices: Mapping[str, str] | None = None,
    manifest: Mapping[str, Any] | None = None,
    overrides: tuple[str, ...] = (),
    metrics: tuple[Mapping[str, Any], ...] = (epoch(1), epoch(2), epoch(3, best=False)),
    log: str = "epoch 1/3  loss 1.0\n",
) -> Path:
    """A run of the default set-up, but for ``changes`` (dotted keys); ``result=None``: it has not ended."""
    all_choices = {**CHOICES, **(choices or {})}
    config = default_config(all_choices)
    for key, value in (changes or {}).items():
        *parents, last = key.split(".")
        node = config
        for parent in parents:
            node = node[parent]
        node[last] = value
    for name in (".hydra", "figures", "checkpoints"):
        (folder / name).mkdir(parents=True)
    lines = "".join(f"      {key}: {value}\n" for key, value in all_choices.items())
    contents = {
        ".hydra/hydra.yaml": f"hydra:\n  job:\n    config_name: config\n  runtime:\n    choices:\n{lines}"
        "      readout: null\n      hydra/env: default\n  verbose: false\n",
        ".hydra/config.yaml": yaml.safe_dump(config, sort_keys=False),
        ".hydra/overrides.yaml": yaml.safe_dump(list(overrides)),
        "config.yaml": yaml.safe_dump(config, sort_keys=False),
        "manifest.json": json.dumps({**MANIFEST, **(manifest or {})}, indent=2),
        "metrics.jsonl": "".join(f"{json.dumps(record)}\n" for record in metrics),
        "run.log": log,
        "figures/loss.png": "no picture",
        "checkpoints/last.safetensors": "no weights",
    }
    for name, content in contents.items():
        (folder / name).write_text(content, encoding="utf-8")
    if result is not None:
        (folder / "result.json").write_text(json.dumps(result, indent=2), encoding="utf-8")
    return folder


def default_config(choices: Mapping[str, str]) -> dict[str, Any]:
    catalogue = Catalogue()
    config = {"seed": 3, "epochs": 3, "num_steps": 25, "report": {"figures": True}}
    for group, option in choices.items():
        path = catalogue.groups[group].get(option)
        config[group] = catalogue.content(path) if path else {"_target_": "mine.Mine", "a": 1}
    return config
