"""Data of one's own, as a user meets it: a folder, arrays, and a run that goes on from another directory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes

from support.forked import snnrun
from support.written import cyclic, random_pixels, write_folder

QUICK = ("threads=1", "report.figures=false", "report.summary=false", "model.hidden=[12]")


def test_a_run_is_tested_repeated_and_goes_on_from_another_directory(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    write_folder(home / "data" / "own", random_pixels(60, 1, 8, 8), cyclic(60, 3))
    words = ("task=folder", "task.path=own", "augmentation=[crop,affine]", "loss=ce_membrane")
    sizes = ("num_steps=5", "epochs=2", "batch_size=10")
    began = snnrun(*words, *sizes, *QUICK, "checkpoint.every_steps=3", "hydra.run.dir=outputs/run", cwd=home)
    assert began.code == 0, began.err
    run = began.run
    assert list(run.manifest["data"]) == ["folder"]
    assert run.manifest["directory"] == "../.."
    weights = run.result["weights_sha256"]

    outcome = snnrun("evaluate", "../home/outputs/run", cwd=elsewhere)
    assert outcome.code == 0 and "the same as recorded" in outcome.out, outcome.err
    outcome = snnrun("reproduce", "../home/outputs/run", cwd=elsewhere)
    assert outcome.code == 0 and "match: all" in outcome.out, outcome.err
    copy = next((elsewhere / "outputs").glob("*/*"))
    assert "data_dir: ../home/data" in (copy / "config.yaml").read_text()
    # Killed in its second epoch.
    (run.folder / "result.json").unlink()
    (run.folder / "checkpoints" / "step-0000000010.safetensors").unlink()
    outcome = snnrun("resume", "../home/outputs/run", cwd=elsewhere)
    assert outcome.code == 0 and "resumed after" in outcome.out, outcome.err
    assert run.result["weights_sha256"] == weights
    assert "data_dir: data" in run.text("config.yaml")


def test_values_of_real_patients_are_predicted(tmp_path: Path) -> None:
    patients = load_diabetes()
    low, high = patients.data.min(axis=0), patients.data.max(axis=0)
    targets = (patients.target - patients.target.mean()) / patients.target.std()
    (tmp_path / "data" / "diabetes").mkdir(parents=True)
    np.save(tmp_path / "data" / "diabetes" / "inputs.npy", (patients.data - low) / (high - low))
    np.save(tmp_path / "data" / "diabetes" / "targets.npy", targets)
    words = ("task=arrays", "task.path=diabetes", "task.regress=true", "encoder=direct", "readout=li", "loss=mse")
    outcome = snnrun(*words, "threads=1", "report.figures=false", "report.summary=false", cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    assert outcome.run.result["test_r2"] > 0.3


def test_missing_data_ends_before_anything_starts(tmp_path: Path) -> None:
    outcome = snnrun("task=arrays", "task.path=own.npz", cwd=tmp_path)
    assert outcome.code == 3
    assert outcome.err == (
        "snnrun: arrays: there is no data/own.npz; a relative task.path starts in data_dir, which is data\n"
    )
    assert outcome.runs == []
