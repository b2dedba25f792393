"""The definition of ``metrics.jsonl`` and ``result.json``: names, order, null, and files of strangers."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import Any

import pytest

from snnrun.training.records import (
    KINDS,
    EpochRecord,
    LayerActivity,
    LayerGradient,
    ParameterSummary,
    RunResult,
    StepRecord,
    WarningRecord,
    record_of,
)

STEP = StepRecord(
    epoch=1, step=2, loss=0.5, accuracy=0.25, learning_rate=1e-3, samples_per_second=9.0, gradient_norm=3.0, time=0.1
)
EPOCH = EpochRecord(
    epoch=1,
    step=2,
    train_loss=0.5,
    train_accuracy=0.25,
    validation_loss=math.nan,
    validation_accuracy=0.5,
    learning_rate=1e-3,
    samples_per_second=9.0,
    seconds=2.0,
    best=False,
    time=0.1,
    layers={"output": LayerActivity(neurons=10, firing_rate=0.1, silent=0.0, saturated=1.0)},
    gradients={"output": LayerGradient(norm=math.inf, zero=0.5)},
    neuron_parameters={"output": {"beta": ParameterSummary(mean=0.9, sd=0.0, min=0.9, max=0.9, histogram=(0, 3))}},
)
WARNING = WarningRecord(epoch=1, step=2, message="not finite", lost={"layers.output.weight": 3})
RESULT = RunResult(
    status="finished",
    test_accuracy=0.5,
    test_loss=1.5,
    best_epoch=2,
    epochs=3,
    samples_per_second=9.0,
    seconds=2.0,
    parameters=100,
    weights_sha256="ab",
    test_accuracy_by_class={"cat": 0.5, "dog": None},
    test_confusion=((1, 1), (0, 0)),
)


def test_the_lines_of_metrics_are_these_to_the_letter() -> None:
    assert json.dumps(STEP.to_json()) == (
        '{"kind": "step", "epoch": 1, "step": 2, "loss": 0.5, "accuracy": 0.25, "learning_rate": 0.001, '
        '"samples_per_second": 9.0, "gradient_norm": 3.0, "time": 0.1}'
    )
    assert json.dumps(EPOCH.to_json(), allow_nan=False) == (
        '{"kind": "epoch", "epoch": 1, "step": 2, "train_loss": 0.5, "train_accuracy": 0.25, "validation_loss": null, '
        '"validation_accuracy": 0.5, "learning_rate": 0.001, "samples_per_second": 9.0, "seconds": 2.0, '
        '"best": false, "time": 0.1, '
        '"layers": {"output": {"neurons": 10, "firing_rate": 0.1, "silent": 0.0, "saturated": 1.0}}, '
        '"gradients": {"output": {"norm": null, "zero": 0.5}}, '
        '"neuron_parameters": {"output": {"beta": {"mean": 0.9, "sd": 0.0, "min": 0.9, "max": 0.9, '
        '"histogram": [0, 3]}}}}'
    )
    assert json.dumps(WARNING.to_json()) == (
        '{"kind": "warning", "epoch": 1, "step": 2, "message": "not finite", "lost": {"layers.output.weight": 3}}'
    )


def test_the_fields_of_a_result_depend_on_how_the_run_ended() -> None:
    fields = [
        *("status", "test_accuracy", "test_loss", "best_epoch", "epochs", "samples_per_second", "seconds"),
        *("parameters", "weights_sha256", "test_accuracy_by_class", "test_confusion"),
    ]
    assert list(RESULT.to_json()) == fields
    regression = RunResult(status="finished", test_loss=1.0, test_r2=0.5, epochs=1, seconds=1.0).to_json()
    assert list(regression) == ["status", "test_accuracy", "test_loss", "test_r2", "best_epoch", "epochs", "seconds"]
    assert regression["test_accuracy"] is regression["best_epoch"] is None
    failure = RunResult(status="failed", error="why", epochs=1, seconds=1.0).to_json()
    assert list(failure) == ["status", "error", "test_accuracy", "test_loss", "epochs", "seconds"]
    pruning = RunResult(status="interrupted", pruned=True, epochs=1, seconds=1.0).to_json()
    assert list(pruning) == ["status", "error", "pruned", "test_accuracy", "test_loss", "epochs", "seconds"]
    assert (pruning["error"], pruning["pruned"]) == (None, True)


@pytest.mark.parametrize("entry", [STEP, WARNING, RESULT])
def test_what_was_written_is_read_back(entry: Any) -> None:
    assert type(entry).from_json(json.loads(json.dumps(entry.to_json()))) == entry


def test_null_is_nan_in_a_record_and_nothing_in_a_result() -> None:
    record = record_of(json.loads(json.dumps(EPOCH.to_json())))
    assert isinstance(record, EpochRecord)
    assert record.validation_loss is not None and math.isnan(record.validation_loss)
    assert record.validation_r2 is None, "it was left out"
    assert record.to_json() == EPOCH.to_json()
    assert RunResult.from_json({"test_accuracy": None}).test_accuracy is None


@pytest.mark.parametrize("kind", [*KINDS, "result"])
@pytest.mark.parametrize(
    "value",
    [None, True, -1, 1.5, 10**400, math.inf, "x", [], [[1], "x"], {}, {"a": 1}, {"a": {"b": [None]}}, {"a": {"b": {}}}],
    ids=lambda value: repr(value)[:20],
)
def test_no_value_of_a_strangers_file_raises(kind: str, value: Any) -> None:
    cls: Any = KINDS.get(kind, RunResult)
    for values in ({each.name: value for each in fields(cls)}, {}):
        entry = cls.from_json(values)
        json.dumps(entry.to_json(), allow_nan=False)
        assert type(entry.to_json().get("epoch", 0)) is int
    assert record_of({"kind": value}) is None


def test_damaged_entries_of_a_mapping_are_left_out() -> None:
    record = EpochRecord.from_json({"layers": {"a": 3, "b": {"silent": 0.5, "neurons": "x"}}, "gradients": 7})
    assert list(record.layers) == ["b"] and record.gradients is None
    assert record.layers["b"].neurons is None and record.layers["b"].silent == 0.5
    assert math.isnan(record.layers["b"].saturated)
