"""``snnrun`` alone: real digits, at least 95 % right, and a whole record of it."""

from __future__ import annotations

import re

import matplotlib.image
import numpy as np
import pytest
import safetensors.torch
import yaml

from snnrun.run.checkpoint import weights_sha256
from support.shell import CommandResult

#: What differs from run to run.
TIMES = {"time", "seconds", "samples_per_second"}
PICTURES = ("loss", "accuracy", "raster", "membrane", "firing_rate", "confusion")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


def test_it_learns(default: CommandResult) -> None:
    assert default.code == 0, default.err
    assert default.err == "", "not even a warning"
    result = default.run.result
    assert result["status"] == "finished"
    assert result["test_accuracy"] >= 0.95
    assert result["epochs"] == 20


def test_every_file_is_there(default: CommandResult) -> None:
    folder = default.run.folder
    assert re.fullmatch(r"outputs/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d-.+", folder.relative_to(default.cwd).as_posix())
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    steps = [record["step"] for record in default.run.metrics("epoch")][-2:]
    figures = {f"figures/{name}.png" for name in PICTURES}
    assert names == {
        *figures,
        "figures/raster.npz",
        "config.yaml",
        *(f".hydra/{name}.yaml" for name in ("config", "hydra", "overrides")),
        "manifest.json",
        "summary.txt",
        "metrics.jsonl",
        "checkpoints/last.safetensors",
        "checkpoints/best.safetensors",
        *(f"checkpoints/step-{step:010d}.safetensors" for step in steps),
        "result.json",
        "run.log",
    }
    assert [path.name for path in default.cwd.iterdir()] == ["outputs"], "nothing is written elsewhere"


def test_the_config_is_frozen(default: CommandResult) -> None:
    text = default.run.text("config.yaml")
    assert "${" not in text
    assert "???" not in text
    config = yaml.safe_load(text)
    assert config["neuron"]["surrogate"] == config["surrogate"]
    assert config["neuron"]["reset"] == config["convention"]["reset"] == "subtract"
    assert config["seed"] == 0
    assert "hydra" not in config


def test_the_manifest(default: CommandResult) -> None:
    manifest = default.run.manifest
    assert manifest["command"] == ["snnrun"]
    assert manifest["seed"] == 0
    assert manifest["precision"] == "fp32"
    assert manifest["deterministic"] is True
    assert manifest["device"] in ("cpu", "cuda:0")
    assert manifest["backend"] == "fused", "what ran, not auto"
    assert manifest["threads"] >= 1
    assert manifest["cpu"]["count"] >= 1
    assert {"torch", "numpy", "llvmlite", "hydra-core", "safetensors"} <= set(manifest["packages"])
    assert manifest["python"]["version"].startswith("3.")
    assert re.fullmatch(r"[0-9a-f]{64}", manifest["data"]["digits"])
    assert {"started", "git", "gpu", "memory_bytes", "platform"} <= set(manifest)


def test_the_metrics(default: CommandResult) -> None:
    run = default.run
    steps, epochs = run.metrics("step"), run.metrics("epoch")
    per_epoch = -(-1259 // 128)
    assert [record["step"] for record in steps] == list(range(1, 20 * per_epoch + 1))
    assert [record["epoch"] for record in epochs] == list(range(1, 21))
    for record in steps:
        assert {"loss", "accuracy", "learning_rate", "samples_per_second", "gradient_norm"} <= set(record)
    for record in epochs:
        assert list(record["layers"]) == ["hidden1", "output"]
        for layer in record["layers"].values():
            assert 0 < layer["firing_rate"] < 1
            assert 0 <= layer["silent"] + layer["saturated"] <= 1
    assert steps[-1]["loss"] < steps[0]["loss"] / 5
    losses = [record["validation_loss"] for record in epochs]
    best = run.result["best_epoch"]
    assert losses[best - 1] == min(losses)
    assert epochs[best - 1]["best"]
    assert not any(record["best"] for record in epochs[best:])


def test_the_summary_counts_as_the_result_does(default: CommandResult) -> None:
    match = re.search(r"Trainable params: ([\d,]+)", default.run.text("summary.txt"))
    assert match is not None
    parameters = default.run.result["parameters"]
    assert int(match[1].replace(",", "")) == parameters == 64 * 100 + 100 + 100 * 10 + 10
    assert f"with {parameters:,} parameters" in default.out


def test_the_numbers_behind_the_raster(default: CommandResult) -> None:
    with np.load(default.run.folder / "figures/raster.npz") as arrays:
        shapes = {name: arrays[name].shape for name in arrays}
        assert shapes == {
            "input": (25, 64),
            "hidden1.spikes": (25, 100),
            "hidden1.membrane": (25, 100),
            "output.spikes": (25, 10),
            "output.membrane": (25, 10),
            "sample": (),
            "label": (),
            "prediction": (),
            "tied": (),
            "image": (1, 8, 8),
        }
        assert (int(arrays["sample"]), int(arrays["label"]), int(arrays["prediction"])) == (0, 1, 1)
        assert set(np.unique(arrays["input"])) == {0, 1}
        for layer in ("hidden1", "output"):
            spikes, membrane = arrays[f"{layer}.spikes"], arrays[f"{layer}.membrane"]
            assert np.array_equal(spikes, membrane > 1), "a spike is a membrane above the threshold"
            assert spikes.any()


@pytest.mark.parametrize("name", PICTURES)
def test_the_figures_open(default: CommandResult, name: str) -> None:
    path = default.run.folder / f"figures/{name}.png"
    picture = matplotlib.image.imread(path)
    assert min(picture.shape[:2]) >= 400
    assert path.stat().st_size > 10_000
    dark = (picture[..., :3] < 0.5).all(axis=-1).mean()
    white = (picture[..., :3] > 0.95).all(axis=-1).mean()
    assert 0.001 < dark < 0.5, "there is ink"
    assert white > 0.3, "on paper"


def test_the_log_is_the_output(default: CommandResult) -> None:
    assert default.run.text("run.log") == default.out
    assert not CONTROL.search(default.out), "a pipe gets plain lines"
    assert len([line for line in default.out.splitlines() if line.startswith("epoch ")]) == 20


@pytest.mark.parametrize("which", ["last", "best"])
def test_the_hash_is_that_of_the_last_weights(default: CommandResult, which: str) -> None:
    state = safetensors.torch.load_file(default.run.folder / f"checkpoints/{which}.safetensors")
    assert {name: list(tensor.shape) for name, tensor in state.items()} == {
        "layers.hidden1.synapse.weight": [100, 64],
        "layers.hidden1.synapse.bias": [100],
        "layers.output.synapse.weight": [10, 100],
        "layers.output.synapse.bias": [10],
    }
    result = default.run.result
    assert (weights_sha256(state) == result["weights_sha256"]) == (which == "last" or result["best_epoch"] == 20)


# --- the same command again ----------------------------------------------------------------------------------------


def repeatable(outcome: CommandResult) -> tuple[list[dict[str, object]], dict[str, object]]:
    """Metrics and result without what a clock has measured."""
    run = outcome.run
    records = [*run.metrics("step"), *run.metrics("epoch")]
    without = [{key: value for key, value in record.items() if key not in TIMES} for record in records]
    return without, {key: value for key, value in run.result.items() if key not in TIMES}


def test_the_same_command_gives_the_same_weights(default: CommandResult, terminal: CommandResult) -> None:
    assert terminal.code == 0
    assert repeatable(default) == repeatable(terminal)


def test_reports_change_nothing(default: CommandResult, quiet: CommandResult) -> None:
    assert quiet.code == 0
    assert repeatable(default) == repeatable(quiet)
    folder = quiet.run.folder
    assert not (folder / "figures").exists()
    assert not (folder / "summary.txt").exists()


def test_a_terminal_shows_a_bar_and_the_log_stays_plain(terminal: CommandResult) -> None:
    screen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.out)
    assert "\x1b[" in terminal.out
    assert "━" in screen
    assert re.search(r"epoch +\d+/20 +\d+/10", screen), "where training stands"
    assert "left" in screen
    log = terminal.run.text("run.log")
    assert not CONTROL.search(log)
    assert "━" not in log
    words = " ".join(screen.split())  # the terminal breaks lines between words, and shortens those of epochs
    for line in log.splitlines():
        assert " ".join(line.partition("  validation")[0].split()) in words
    assert terminal.out.rpartition("━")[2].endswith("\x1b[2K"), "the bar is taken away at the end"
    assert terminal.out.count("\x1b[?25l") == terminal.out.count("\x1b[?25h"), "the cursor is shown again"
