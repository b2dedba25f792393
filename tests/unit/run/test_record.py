"""The folder of a run: what is written into it, and what happens when that fails."""

from __future__ import annotations

import errno
import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from snnrun import report
from snnrun.errors import ConfigError, StorageError
from snnrun.run import checkpoint
from snnrun.run.run_folder import RunFolder
from snnrun.system.storage import storing
from snnrun.training.loop import forward
from snnrun.training.records import EpochRecord, ParameterSummary, RunResult, StepRecord, WarningRecord
from support.small import same, training, weights

STEP = StepRecord.from_json({"epoch": 1, "step": 1, "loss": 0.5, "learning_rate": 0.1})


def epoch(number: int, *, best: bool = True, silent: float = 0.0, saturated: float = 0.0) -> EpochRecord:
    values = {
        "kind": "epoch",
        "epoch": number,
        "step": number,
        "train_loss": 1.0,
        "validation_loss": 1.0,
        "learning_rate": 0.1,
        "best": best,
        "layers": {"output": {"neurons": 10, "firing_rate": 0.1, "silent": silent, "saturated": saturated}},
    }
    return EpochRecord.from_json(values)


@pytest.fixture
def streams() -> tuple[io.StringIO, io.StringIO]:
    return io.StringIO(), io.StringIO()


@pytest.fixture
def record(tmp_path: Path, streams: tuple[io.StringIO, io.StringIO]) -> Iterator[RunFolder]:
    with report.Console(stream=streams[0], error_stream=streams[1]) as console:
        yield RunFolder(tmp_path, {}, console)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_folder_begins_with_its_log_and_metrics(record: RunFolder, tmp_path: Path) -> None:
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.jsonl", "run.log"], "no empty folder"
    assert record.records == []


def test_the_config_reads_back_as_it_was(record: RunFolder, tmp_path: Path) -> None:
    config = {"seed": 0, "lr": 1e-3, "fires_at": ">", "clip": None, "report": {"on": True}, "hidden": [1, 2], "é": "β"}
    record.write_config(config)
    text = (tmp_path / "config.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == config
    assert list(yaml.safe_load(text)) == list(config), "in the order in which it was written"
    assert "β" in text


def test_numbers_that_json_lacks_are_null(record: RunFolder, tmp_path: Path) -> None:
    beta = ParameterSummary(mean=math.nan, sd=-math.inf, min=0.5, max=0.5)
    epoch_record = replace(epoch(1), train_loss=math.inf, neuron_parameters={"output": {"beta": beta}})
    record.add(epoch_record, nn.Linear(1, 1))
    (line,) = lines(tmp_path)
    assert line["train_loss"] is line["time"] is None
    assert line["neuron_parameters"] == {"output": {"beta": {"mean": None, "sd": None, "min": 0.5, "max": 0.5}}}
    assert record.records == [epoch_record], "in memory it stays as it is, for the figures"
    record.result(RunResult(status="finished", test_loss=math.nan))
    result = json.loads((tmp_path / "result.json").read_text())
    assert result == {"status": "finished", "test_accuracy": None, "test_loss": None, "best_epoch": None}


def test_metrics_are_on_disk_record_by_record(record: RunFolder, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        record.add(replace(STEP, step=number), nn.Linear(1, 1))
        assert [line["step"] for line in lines(tmp_path)] == list(range(1, number + 1))


def test_last_and_best_weights(record: RunFolder, tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    weights_of = {}
    for number, best in enumerate([True, True, False], 1):
        nn.init.constant_(model.weight, number)
        record.add(epoch(number, best=best), model)
        weights_of[number] = weights(model)
    assert same(checkpoint.load(tmp_path / "checkpoints" / "last.safetensors"), weights_of[3])
    assert same(checkpoint.load(record.best), weights_of[2])
    assert record.best.parent == tmp_path / "checkpoints"


def test_a_step_writes_no_weights(record: RunFolder, tmp_path: Path) -> None:
    record.add(STEP, nn.Linear(1, 1))
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(("kind", "what"), [("silent", "never fired"), ("saturated", "fired at every step")])
def test_a_layer_that_cannot_learn_has_one_warning(
    kind: str, what: str, record: RunFolder, streams: tuple[io.StringIO, io.StringIO], tmp_path: Path
) -> None:
    for number, share in enumerate([0.5, 0.95, 1.0], 1):
        record.add(epoch(number, **{kind: share}), nn.Linear(1, 1))  # type: ignore[arg-type]
    (warning,) = streams[1].getvalue().splitlines()
    assert warning.startswith(f"warning: layer 'output': 95.0 % of its neurons {what} in epoch 2. Try: ")
    assert warning in (tmp_path / "run.log").read_text().splitlines()
    assert len(streams[0].getvalue().splitlines()) == 3


def test_a_warning_is_a_line_of_the_metrics_too(
    record: RunFolder, streams: tuple[io.StringIO, io.StringIO], tmp_path: Path
) -> None:
    record.add(WarningRecord(epoch=1, step=3, message="look here", lost={}), nn.Linear(1, 1))
    assert streams[1].getvalue() == "warning: look here\n"
    assert [line["kind"] for line in lines(tmp_path)] == ["warning"]


def test_the_figures_and_the_numbers_behind_the_raster(record: RunFolder, tmp_path: Path) -> None:
    trainer = training("num_steps=7", "model.hidden=[5,4]", "neuron.learn_threshold=true", "neuron.per_neuron=true")
    for number in (1, 2):
        record.add(replace(STEP, step=number, accuracy=0.5), trainer.model)
        record.add(replace(epoch(number), train_accuracy=0.5, validation_accuracy=0.5), trainer.model)
    batch = next(trainer.data.test.batches(1))
    with torch.no_grad():
        input_spikes = trainer.parts.encoder(batch.x, 7, trainer.streams.evaluation())
        traces = forward(
            trainer.model.eval(), trainer.parts.encoder, batch, trainer.settings, trainer.streams.evaluation()
        )
    record.figures(trainer.model, input_spikes, traces, trainer.settings.style, report.Example(0, "01", 1, 0))
    folder = tmp_path / "figures"
    pictures = {"loss.png", "accuracy.png", "firing_rate.png", "raster.png", "membrane.png"}
    assert {path.name for path in folder.iterdir()} == {*pictures, "raster.npz"}
    assert all((folder / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" for name in pictures)
    with np.load(folder / "raster.npz") as arrays:
        layers = {"hidden1": 5, "hidden2": 4, "output": 10}
        names = [f"{layer}.{what}" for layer in layers for what in ("spikes", "membrane")]
        assert sorted(arrays) == sorted(["input", "sample", "label", "prediction", "tied", *names])
        assert arrays["input"].shape == (7, 64)
        assert np.array_equal(arrays["input"], input_spikes[:, 0].flatten(1).numpy())
        for layer, trace in traces.items():
            assert arrays[f"{layer}.spikes"].shape == (7, layers[layer])
            assert np.array_equal(arrays[f"{layer}.spikes"], trace.spikes[:, 0].numpy())
            assert np.array_equal(arrays[f"{layer}.membrane"], trace.membrane[:, 0].numpy())


def test_storing_names_the_file_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as error, storing(tmp_path / "x.json"):
        raise OSError(errno.ENOSPC, "No space left on device", "another.tmp")
    message = str(error.value)
    assert message.startswith(f"{tmp_path / 'x.json'}: writing failed: No space left on device.")
    assert "output_dir" in message
    with pytest.raises(ValueError, match="not about files"), storing(tmp_path):
        raise ValueError("not about files")


@pytest.mark.parametrize("name", ["figures", "checkpoints"])
def test_a_file_where_a_folder_should_be(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("in the way")
    with report.Console(stream=io.StringIO()) as console, pytest.raises(StorageError, match="File exists"):
        RunFolder(tmp_path, {}, console)


def test_a_folder_that_holds_a_record_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text("{}")
    with report.Console(progress=False) as console, pytest.raises(ConfigError, match="holds the record of another"):
        RunFolder(tmp_path, {}, console)
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def of_epoch(number: int, step: int, silent: float, saturated: float = 0.0) -> EpochRecord:
    layers = {"output": {"neurons": 10, "firing_rate": 0.1, "silent": silent, "saturated": saturated}}
    values = {"epoch": number, "step": step, "train_loss": 1.0, "best": False, "layers": layers}
    return EpochRecord.from_json(values)


@pytest.mark.parametrize(
    ("steps", "silent", "epochs"),
    [
        ((500, 1000), (1.0, 0.0), [1]),  # an epoch of many steps is long enough
        ((50, 100, 150, 200), (1.0, 1.0, 1.0, 1.0), [3]),
        ((50, 100, 150, 200, 250, 300), (1.0, 1.0, 0.0, 1.0, 1.0, 1.0), [6]),
        ((50, 100, 150), (1.0, 1.0, 0.0), []),  # it woke up
        (tuple(range(10, 101, 10)), (0.0,) * 9 + (1.0,), [10]),  # the last epoch
    ],
)
def test_a_silence_must_last_or_be_there_at_the_end(
    record: RunFolder, streams: Any, steps: tuple[int, ...], silent: tuple[float, ...], epochs: list[int]
) -> None:
    record.config = {"epochs": 10}
    epochs_with_warning = []
    for i, (step, share) in enumerate(zip(steps, silent, strict=True)):
        before = streams[1].getvalue().count("warning: ")
        record.add(of_epoch(i + 1, step, share), nn.Linear(1, 1))
        epochs_with_warning += [i + 1] * (streams[1].getvalue().count("warning: ") - before)
    assert epochs_with_warning == epochs


@pytest.mark.parametrize(
    ("saturated", "accuracy", "epochs"),
    [
        ((0.6, 0.7, 0.7, 0.7, 0.7), (0.1, 0.12, 0.1, 0.1, 0.1), [3]),
        ((0.0, 0.7, 0.7, 0.7, 0.7), (0.1, 0.1, 0.1, 0.1, 0.1), [4]),
        ((0.7, 0.7, 0.0, 0.7, 0.7), (0.1, 0.1, 0.1, 0.1, 0.1), []),
        ((0.7, 0.7, 0.7, 0.7, 0.7), (0.1, 0.2, 0.3, 0.4, 0.5), []),  # it learns all the same
        ((0.7, 0.7, 0.7, 0.7, 0.7), (0.95, 0.96, 0.97, 0.97, 0.97), []),  # or has learned
        ((0.7, 0.7, 0.7, 0.7, 0.7), (None, None, None, None, None), []),  # unknown: not before 150 steps
    ],
)
def test_a_saturation_that_brings_nothing_has_a_warning_after_three_epochs(
    record: RunFolder,
    streams: Any,
    saturated: tuple[float, ...],
    accuracy: tuple[float | None, ...],
    epochs: list[int],
) -> None:
    record.config = {"epochs": 20}
    epochs_with_warning = []
    for i, (share, score) in enumerate(zip(saturated, accuracy, strict=True)):
        before = streams[1].getvalue().count("warning: ")
        record.add(replace(of_epoch(i + 1, 10 * i + 10, 0.0, share), train_accuracy=score), nn.Linear(1, 1))
        epochs_with_warning += [i + 1] * (streams[1].getvalue().count("warning: ") - before)
    assert epochs_with_warning == epochs
    assert ("fired at every step" in streams[1].getvalue()) is bool(epochs)


def test_a_result_at_chance_has_a_warning(record: RunFolder, streams: Any) -> None:
    record.config = {"epochs": 10}
    record.compare_with_chance(nn.Linear(1, 1), accuracy=0.5, r2=None, share=0.1, samples=100)
    assert streams[1].getvalue() == ""
    record.compare_with_chance(nn.Linear(1, 1), accuracy=0.1, r2=None, share=0.1, samples=100)
    assert streams[1].getvalue().startswith("warning: the test accuracy, 10.0 %, is no better than chance")
