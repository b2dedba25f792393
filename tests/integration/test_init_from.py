"""``init_from``: what fits by name and shape is taken, and what does not is listed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import snnrun
from snnrun.cli import main
from snnrun.run import checkpoint

SMALL = ("num_steps=4", "model.hidden=[12,8]", "batch_size=256", "epochs=1", "max_steps=2", "report.figures=false")
NO_UPDATES = (*SMALL, "optimizer.lr=0", "report.summary=false")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("init_from")


@pytest.fixture(scope="module")
def source(folder: Path) -> Path:
    assert main([*SMALL, "seed=7", f"hydra.run.dir={folder / 'source'}"]) == 0
    return folder / "source"


def train(folder: Path, name: str, *words: str) -> Path:
    assert main([*words, f"hydra.run.dir={folder / name}"]) == 0
    return folder / name


def weights(run: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(run / "checkpoints" / "last.safetensors")


@pytest.mark.parametrize("name", ["run", "file"])
def test_training_begins_with_the_tested_weights(name: str, source: Path, folder: Path) -> None:
    what = source if name == "run" else source / "checkpoints" / "best.safetensors"
    run = train(folder, name, *NO_UPDATES, f"init_from={what}")
    expected = checkpoint.load(source / "checkpoints" / "best.safetensors")
    initial = weights(run)
    assert initial.keys() == expected.keys() and all(torch.equal(initial[key], expected[key]) for key in initial)
    entry = json.loads((run / "manifest.json").read_text())["init_from"]
    assert entry["weights_sha256"] == checkpoint.weights_sha256(expected)
    assert (sorted(entry["taken"]), entry["other_shape"], entry["not_in_file"]) == (sorted(expected), {}, [])
    assert "warning: init_from" not in (run / "run.log").read_text()


def test_what_does_not_fit_keeps_its_initial_values_and_is_listed(
    source: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = tuple("model.hidden=[12,5,8]" if word.startswith("model.hidden") else word for word in NO_UPDATES)
    plain = weights(train(folder, "plain", *words))
    capsys.readouterr()
    initial = weights(train(folder, "other", *words, f"init_from={source}"))
    expected = weights(source)
    entry = json.loads((folder / "other" / "manifest.json").read_text())["init_from"]
    same_shape, other_shape = set(entry["taken"]), set(entry["other_shape"])
    assert same_shape == {name for name in initial if name in expected and initial[name].shape == expected[name].shape}
    assert other_shape == {name for name in initial if name in expected} - same_shape and other_shape
    assert set(entry["not_in_file"]) == initial.keys() - expected.keys() and entry["not_in_file"]
    best = checkpoint.load(source / "checkpoints" / "best.safetensors")
    assert all(torch.equal(initial[name], best[name] if name in same_shape else plain[name]) for name in initial)
    err = capsys.readouterr().err
    assert all(name in err for name in (*other_shape, *entry["not_in_file"]))


def test_nothing_fits(source: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("num_steps=4", "task=zeros", "model.hidden=[3]", "epochs=1", f"init_from={source}")
    assert main([*words, f"hydra.run.dir={folder / 'nothing'}"]) == 2
    assert "no tensor that fits" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["nowhere", "nowhere.safetensors"])
def test_a_source_that_is_not_there_is_a_fault_before_anything_starts(
    word: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert main([*SMALL, f"init_from={word}", "hydra.run.dir=never"]) == 2
    assert "init_from" in capsys.readouterr().err
    assert not (folder / "never").exists()


def test_a_run_that_began_with_other_weights_is_reproduced_from_elsewhere(
    source: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    train(folder, "relative", *SMALL, "init_from=source")
    monkeypatch.chdir(tmp_path)
    run, verdict = snnrun.load(folder / "relative").reproduce()
    assert verdict.exact and "taken" in run.manifest["init_from"]


def test_a_resumed_run_needs_the_source_no_more(source: Path, folder: Path, tmp_path: Path) -> None:
    run = train(folder, "copied", *SMALL, f"init_from={source / 'checkpoints' / 'best.safetensors'}")
    longer = snnrun.load(run).resume(epochs=2, max_steps=4, output_dir=str(tmp_path))
    assert longer.result.epochs == 2
