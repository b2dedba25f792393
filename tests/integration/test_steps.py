"""A run with a label for each step, from the files to the record."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import snnrun
from snnrun.errors import ConfigError
from support.written import of_lengths

WORDS = ("task=arrays", "task.time=true", "task.steps=true", "encoder=none", "num_steps=12", "model.hidden=[30]")


def write(folder: Path) -> None:
    """The label of a step is whether the first input or the second fired there; every fourth step has none."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (60, 12))
    inputs = np.eye(2, dtype=np.uint8)[labels]
    labels[:, ::4] = -1
    np.savez(folder / "steps.npz", inputs=inputs, targets=labels)


def test_steps_are_learned_and_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = (*WORDS, "loss=ce_steps", "readout=li", "readout.tau=1.5", f"task.path={tmp_path / 'steps.npz'}")
    run = snnrun.train(
        *words, "epochs=20", "batch_size=6", "optimizer.lr=0.02", "neuron.beta=0.3", "report.figures=true"
    )
    result = json.loads((run.folder / "result.json").read_text())
    assert result["test_accuracy"] > 0.9
    assert np.sum(result["test_confusion"]) == 12 * 9  # of twelve test samples, nine steps have a label
    correct = np.trace(result["test_confusion"]) / np.sum(result["test_confusion"])
    assert result["test_accuracy"] == correct == run.evaluate().test_accuracy
    records = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    steps = [record["accuracy"] for record in records if record.get("kind", record.get("type")) == "step"]
    assert all(0 <= accuracy <= 1 for accuracy in steps)
    assert (run.folder / "figures" / "raster.png").is_file()


def test_losses_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(ConfigError) as error:
        snnrun.compose(*WORDS, f"task.path={tmp_path / 'steps.npz'}")
    assert "a target for each step" in str(error.value) and "loss=ce_steps" in str(error.value)
    with pytest.raises(ConfigError) as error:
        snnrun.compose("loss=ce_steps")
    assert "one target for a sample" in str(error.value)


def test_samples_of_different_length_are_learned_and_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = (*of_lengths(tmp_path), "regulariser=sparsity", "report.sample=1")
    run = snnrun.train(*words, "epochs=8", "batch_size=8", "optimizer.lr=0.05")
    assert run.result.test_accuracy is not None and run.result.test_accuracy > 0.9
    assert run.evaluate().test_accuracy == run.result.test_accuracy
    # The figure has the steps of that sample alone.
    lengths = np.load(tmp_path / "lengths.npz")["lengths"]
    with np.load(run.folder / "figures" / "raster.npz") as raster:
        assert len(raster["input"]) == len(raster["hidden1.spikes"]) in lengths
    records = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    rates = [record["layers"]["hidden1"]["firing_rate"] for record in records if record["kind"] == "epoch"]
    assert all(0 < rate < 1 for rate in rates)


def test_what_does_not_go_with_lengths_is_refused(tmp_path: Path) -> None:
    lengths = of_lengths(tmp_path)
    for words, key in (
        (("neuron=psn",), "neuron"),
        (("loss=spike_similarity",), "loss"),
        (("execution.cuda_graph=true",), "execution.cuda_graph"),
    ):
        with pytest.raises(ConfigError) as error:
            snnrun.compose(*lengths, *words)
        assert key in str(error.value)
    with pytest.raises(ConfigError) as error:
        snnrun.compose("num_steps=max")
    assert "num_steps" in str(error.value) and "same length" in str(error.value)
