"""A run that is killed, at any moment, and resumed equals one that never was: records, weights, figures of the test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from snnrun.run.compare import compare
from snnrun.training.records import TIMES
from support.paths import SUPPORT
from support.written import of_lengths

QUIET = ["report.figures=false", "report.summary=false", "report.progress=false", "epochs=3", "batch_size=64"]
OFTEN = "checkpoint.every_steps=4"
#: Words of the command, and how often it is killed: every way in which something is drawn, on either backend.
SHORT = [([*QUIET, OFTEN, "num_steps=12", "model.dropout=0.3", "seed=3"], 3)]
LONG = [
    *SHORT,
    ([*QUIET, OFTEN, "backend=reference", "surrogate=logistic", "num_steps=6"], 4),
    ([*QUIET, OFTEN, "encoder=direct", "neuron=alif", "scheduler=plateau", "optimizer=sgd", "early_stopping=2"], 3),
    ([*QUIET, OFTEN, "encoder=poisson", "model=recurrent", "optimizer=rmsprop", "num_steps=6", "scheduler=cosine"], 3),
    ([*QUIET, "checkpoint.every_steps=1", "task=zeros", "task.steps_per_epoch=30"], 4),
    ([*QUIET, OFTEN, "model=convnet", "encoder=latency", "num_steps=5", "model.norm=batch"], 3),
    ([*QUIET, OFTEN, "num_steps=6", "scheduler=one_cycle", "optimizer=adamw", "scheduler.cycle_momentum=true"], 3),
    (
        [
            *QUIET,
            OFTEN,
            "num_steps=6",
            "scheduler=warmup_cosine",
            "max_steps=50",
            "optimizer=sgd",
            "neuron.learn_beta=true",
            "optimizer.groups.neuron.lr=1e-3",
            "optimizer.groups.readout.weight_decay=0.1",
        ],
        3,
    ),
    ([*QUIET, OFTEN, "num_steps=6", "ema=0.9", "accumulate=2", "scheduler=warmup_linear", "model.dropout=0.2"], 3),
    ([*QUIET, "num_steps=20", "model.dropout=0.1"], 4),  # states at the ends of epochs alone
    ([*QUIET, "neuron=plif", "memory=low", "optimizer=adamw", "checkpoint.every_steps=7", "clip_grad_value=0.01"], 4),
]


def check_kills(folder: Path, jobs: list[tuple[list[str], int]]) -> None:
    program = SUPPORT / "killing.py"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # whose threads a fork would leave behind
    process = subprocess.run(
        [sys.executable, str(program)],
        input=json.dumps(jobs),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert process.returncode == 0, process.stderr
    results: list[dict[str, Any]] = json.loads(process.stdout)
    total = 0
    for i, (result, (words, _)) in enumerate(zip(results, jobs, strict=True)):
        *kills, last = result["codes"]
        assert last == 0, (words, result["terminal"])
        assert set(kills) <= {-9}, (words, result["terminal"])
        total += len(kills)
        verdict = compare(folder / str(i) / "unbroken", folder / str(i) / "broken", same_seed=True)
        assert verdict.exact, (words, verdict.words())
        assert verdict.records > 10
        whole, resumption = (folder / str(i) / name for name in ("unbroken", "broken"))
        for name in ("best", "last"):
            weights = [(run / "checkpoints" / f"{name}.safetensors").read_bytes() for run in (whole, resumption)]
            assert weights[0] == weights[1], (words, name)
        assert not (resumption / "run.lock").exists()
        assert len(list((resumption / "checkpoints").glob("step-*"))) <= 2
        assert not list(resumption.rglob("*.tmp")) or kills, "what a kill leaves half written has another name"
        result_keys = json.loads((resumption / "result.json").read_text())
        assert {key for key in result_keys if key in TIMES}
    assert total >= sum(kills for _, kills in jobs) // 2, "most of the kills came before the end"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_few_kills(tmp_path: Path) -> None:
    check_kills(tmp_path, SHORT)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_many_kills(tmp_path: Path) -> None:
    assert sum(kills for _, kills in LONG) >= 20
    others = [word for word in QUIET if not word.startswith(("epochs", "batch_size"))]
    lengths = [*others, OFTEN, *of_lengths(tmp_path), "batch_size=5", "epochs=5", "model.dropout=0.2"]
    check_kills(tmp_path, [*LONG, ([*lengths, "delay=gaussian", "model.delay.maximum=2"], 3)])
