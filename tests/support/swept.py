"""Folders of sweeps as training leaves them, made up in milliseconds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from support.made_up import MANIFEST

RESULT = {
    "best_epoch": 3,
    "epochs": 3,
    "samples_per_second": 1000.0,
    "seconds": 12.5,
    "parameters": 7510,
    "weights_sha256": "abcdef",
}
LAYERS = {
    "hidden1": {"neurons": 100, "firing_rate": 0.2, "silent": 0.05, "saturated": 0.0},
    "output": {"neurons": 10, "firing_rate": 0.1, "silent": 0.0, "saturated": 0.1},
}

EVIL = """<script>window.pwned=1</script>"'><img src=x onerror=window.pwned=1></script><!--"""


def epochs(figure: float, measure: str = "accuracy", count: int = 3, layers: Any = None) -> list[dict[str, Any]]:
    """Records of epochs that end at the figure; the last is the best."""
    records = []
    for n in range(1, count + 1):
        value = figure * n / count if measure != "loss" else figure * count / n
        figures = {f"{part}_loss": 2.0 / n for part in ("train", "validation")}
        figures |= {f"{part}_{measure}": value for part in ("train", "validation")}
        record = {"kind": "epoch", "epoch": n, "step": 10 * n, **figures, "learning_rate": 0.001, "best": True}
        records.append({**record, "layers": LAYERS if layers is None else layers})
    return records


def make_job(
    folder: Path,
    words: Sequence[str],
    figure: float | None,
    *,
    measure: str = "accuracy",
    status: str = "finished",
    error: str | None = None,
    log: str = "epoch 1/3\n",
    manifest: Mapping[str, Any] | None = None,
    layers: Any = None,
    parameters: int = 7510,
) -> Path:
    """One run; ``status="dead"``: without a result. A failed one with a figure has done two epochs."""
    (folder / ".hydra").mkdir(parents=True)
    seed = next((word[5:] for word in words if word.startswith("seed=")), "0")
    (folder / ".hydra" / "overrides.yaml").write_text(json.dumps(list(words), indent=1), encoding="utf-8")
    (folder / "config.yaml").write_text(f"seed: {seed}\nnum_steps: 25\nepochs: 3\n", encoding="utf-8")
    (folder / "manifest.json").write_text(json.dumps({**MANIFEST, **(manifest or {})}), encoding="utf-8")
    (folder / "run.log").write_text(log, encoding="utf-8")
    complete = status == "finished"
    records = [] if figure is None else epochs(figure, measure, 3 if complete else 2, layers)
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    figures: dict[str, float | None] = {"test_accuracy": None, "test_loss": None}
    if complete:
        figures |= {"test_loss": 0.5, f"test_{measure}": figure}
        result = {"status": status, **RESULT, "parameters": parameters, **figures}
    else:
        result = {"status": status, "error": error, **figures, "epochs": len(records), "seconds": 3.0}
    if status != "dead":
        (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return folder


def make_sweep(
    folder: Path,
    keys: Mapping[str, Sequence[str]],
    seeds: int = 4,
    *,
    measure: str = "accuracy",
    with_list: bool = True,
    constants: Sequence[str] = ("epochs=3",),
) -> Path:
    """Every combination of the keys' values with every seed, finished; each is 0.02 better than the one before."""
    folder.mkdir(parents=True)
    jobs: list[dict[str, Any]] = []
    combinations = list(product(*keys.values()))
    for i, values in enumerate(combinations):
        for seed in range(seeds):
            own = [f"{key}={value}" for key, value in zip(keys, values, strict=True)]
            words = [*own, *([f"seed={seed}"] if seeds > 1 else []), *constants]
            number = len(jobs)
            name = f"{number}-job-s{seed}"
            make_job(folder / name, words, 0.5 + 0.3 * i / len(combinations) + 0.001 * seed, measure=measure)
            jobs.append({"number": number, "folder": name, "overrides": words})
    (folder / "multirun.yaml").write_text("{}\n", encoding="utf-8")
    if with_list:
        start, command = "2026-03-01T12:00:00+00:00", ["snnrun", "-m", "seed=0,1"]
        content = {"version": 1, "started": start, "command": command, "search": False, "jobs": jobs}
        (folder / "sweep.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def evil_sweep(folder: Path) -> Path:
    """Every text of a run that reaches the page is an attack."""
    layers = {f"{EVIL}{name}": values for name, values in LAYERS.items()}
    for number, status in enumerate(("finished", "finished", "failed", "dead")):
        make_job(
            folder / f"{number}-<img src=x onerror=alert(1)>",
            [f"neuron={EVIL}{number % 2}", f"{EVIL}.x={number}", f"seed={number}"],
            0.5 + 0.1 * number,
            status=status,
            error=EVIL,
            log=f"{EVIL}\n\x1b[2J{EVIL}\n",
            manifest={"cpu": {"model": EVIL + str(number)}, EVIL: EVIL + str(number), "started": EVIL},
            layers=layers,
        )
    content = {"started": EVIL, "command": ["snnrun", EVIL, "trust=[x]"]}
    (folder / "sweep.json").write_text(json.dumps(content))
    return folder
