"""``task=mnist`` on files in the real format, and what is said where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.forked import snnrun
from support.shell import CommandResult
from support.small import write_mnist

WORDS = ("task=mnist", "encoder=latency", "model.hidden=[50,20]", "epochs=1", "device=auto", "precision=bf16")
#: A proxy that nobody listens at: no test may depend on a network.
OFFLINE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> CommandResult:
    """One run on raw files and one on gzipped ones, which lie where torchvision keeps them."""
    folder = tmp_path_factory.mktemp("mnist")
    write_mnist(folder / "raw files")
    write_mnist(folder / "packed" / "MNIST" / "raw", ".gz")
    return snnrun(
        "-m", *WORDS, "data_dir='raw files',packed", "batch_size=20", "report.figures=false", cwd=folder, env=OFFLINE
    )


def test_raw_and_gzipped_files_are_used_offline(runs: CommandResult) -> None:
    assert runs.code == 0, runs.err
    raw_run, gzip_run = runs.runs
    for run in (raw_run, gzip_run):
        assert run.result["status"] == "finished"
        assert run.result["parameters"] == 784 * 50 + 50 + 50 * 20 + 20 + 20 * 10 + 10
        assert run.manifest["precision"] == "bf16"
        assert list(run.manifest["data"]) == ["mnist"]
        assert [list(record["layers"]) for record in run.metrics("epoch")] == [["hidden1", "hidden2", "output"]]
        assert "180 training, 20 validation, 50 test samples" in run.text("run.log")
    assert raw_run.manifest["data"] == gzip_run.manifest["data"]
    assert raw_run.result["weights_sha256"] == gzip_run.result["weights_sha256"]


def test_missing_files(tmp_path: Path) -> None:
    outcome = snnrun("task=mnist", "data_dir=my data", cwd=tmp_path, env=OFFLINE)
    assert outcome.code == 3
    for words in (
        "my data, which is no folder",
        "my data/mnist",
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
        "task=digits",
    ):
        assert words in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.run.result["status"] == "failed"
    assert "task=digits" in outcome.run.result["error"]
    assert not (outcome.run.folder / "checkpoints" / "last.safetensors").exists()
