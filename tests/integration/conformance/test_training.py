"""Every option in ``conf/`` trains for a few batches, alone and in pairs, as a run trains it."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from snnrun.config.build import build
from snnrun.model import Layer
from snnrun.sequence import Trace, resolve_backend
from snnrun.training.records import EpochRecord, LogRecord, StepRecord
from support.catalogued import assemble, neurons, options, part, raw
from support.event_sets import write_event_set
from support.small import Training, same, training_of, weights
from support.written import write_everything

#: Small and quick, yet with every layer active; a config has some of these keys.
SMALL: dict[str, dict[str, Any]] = {
    "": {"num_steps": 5, "epochs": 1, "batch_size": 32},
    "model": {"hidden": [12], "layers": ["3c3p1", "mp2"], "channels": [3, 4]},
    "encoder": {"gain": 10.0},
    "task": {"size_input": 20, "size_output": 10, "batch_size": 32, "size": 8, "pool": 20, "clip": True},
}
PRECISIONS = pytest.mark.parametrize("precision", ["fp32", "bf16"])
#: A loss for each kind of target; read-outs that never fire are read by their membranes.
LOSSES = {"digits": "ce_count", "zeros": "mean_square"}


def small(encoder: str = "direct", settings: dict[str, Any] | None = None, **chosen: str) -> dict[str, Any]:
    """A small config with these options; by default with a current that makes every neuron fire."""
    config = assemble(**{"encoder": encoder, **chosen})
    config |= SMALL[""] | (settings or {})
    for group in ("model", "encoder", "task"):
        known = config[group]
        known |= {key: value for key, value in SMALL[group].items() if key in known and known[key] != []}
    for group in ("neuron", "readout"):  # those that are made for a number of steps
        if "num_steps" in (config.get(group) or {}):
            config[group]["num_steps"] = config["num_steps"]
    return config


def fit(config: dict[str, Any], **options: Any) -> tuple[Training, list[LogRecord], list[dict[str, Trace]]]:
    """Train for two batches; whatever the parts, all stays finite, and spikes are whole numbers."""
    made = training_of(config, **options)
    return made, *follow(config, made)


def follow(config: dict[str, Any], made: Training) -> tuple[list[LogRecord], list[dict[str, Trace]]]:
    """The same for a training that was made from the config."""
    seen: list[dict[str, Trace]] = []
    made.model.register_forward_hook(lambda module, inputs, output: seen.append(output) if module.training else None)
    records = made.fit()
    steps = [record for record in records if isinstance(record, StepRecord)]
    assert len(steps) >= 2
    for record in steps:
        assert math.isfinite(record.loss)
        assert math.isfinite(record.gradient_norm)
    analogue = "activation" in config["neuron"]
    for traces in seen:
        for trace in traces.values():
            assert trace.spikes.dtype is trace.membrane.dtype is torch.float32
            assert bool(trace.membrane.isfinite().all())
            assert analogue or (bool((trace.spikes >= 0).all()) and torch.equal(trace.spikes, trace.spikes.round()))
    assert all(bool(value.isfinite().all()) for value in weights(made.model).values())
    return records, seen


def trains(config: dict[str, Any], **options: Any) -> tuple[Training, list[LogRecord], list[dict[str, Trace]]]:
    """The same for a network that is alive, and moved by its gradient in every layer."""
    made = training_of(config, **options)
    before = weights(made.model)
    records, seen = follow(config, made)
    for record in records:
        assert not isinstance(record, StepRecord) or record.gradient_norm > 0
    for traces in seen:
        assert any(bool(trace.spikes.any()) for trace in traces.values())
    assert not same(before, weights(made.model))
    for name, parameter in made.model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.dtype is torch.float32
    return made, records, seen


# --- alone -------------------------------------------------------------------------------------------------------


@PRECISIONS
@pytest.mark.parametrize("neuron", options("neuron"))
def test_neurons(neuron: str, precision: str) -> None:
    made, _, seen = trains(small(neuron=neuron, settings={"precision": precision}))
    expected = resolve_backend(neurons("neuron", neuron), "auto")
    assert {layer.backend for layer in made.model.modules() if isinstance(layer, Layer)} == {expected}
    if "max_spikes" not in raw("neuron", neuron) and "activation" not in raw("neuron", neuron):
        assert {value for traces in seen for trace in traces.values() for value in trace.spikes.unique().tolist()} == {
            0.0,
            1.0,
        }


@PRECISIONS
@pytest.mark.parametrize("readout", options("readout"))
def test_readouts(readout: str, precision: str) -> None:
    _, records, seen = trains(small(readout=readout, loss="ce_membrane", settings={"precision": precision}))
    assert not any(bool(traces["output"].spikes.any()) for traces in seen)
    assert all(record.accuracy is not None for record in records if isinstance(record, StepRecord))


@functools.cache
def fusible() -> list[str]:
    return [name for name in options("neuron") if resolve_backend(neurons("neuron", name), "auto") == "fused"]


def each_convention() -> list[Any]:
    """The conventions; the default alone unless long tests are asked for."""
    marks = {True: (), False: (pytest.mark.long,)}
    return [pytest.param(name, marks=marks[name == "default"]) for name in options("convention")]


@pytest.mark.parametrize("convention", each_convention())
@pytest.mark.parametrize("neuron", fusible())
def test_backends_agree(neuron: str, convention: str) -> None:
    config = small(neuron=neuron, convention=convention)
    config["neuron"] |= {"learn_threshold": True, "per_neuron": True}
    reference, fused = (trains(config | {"backend": backend})[1] for backend in ("reference", "fused"))
    for one, other in zip(reference, fused, strict=True):
        assert type(one) is type(other)
        if isinstance(one, StepRecord) and isinstance(other, StepRecord):
            assert one.loss == pytest.approx(other.loss, rel=1e-3)
            assert one.gradient_norm == pytest.approx(other.gradient_norm, rel=1e-2)


@PRECISIONS
@pytest.mark.parametrize("surrogate", options("surrogate"))
def test_surrogates(surrogate: str, precision: str) -> None:
    trains(small(surrogate=surrogate, settings={"precision": precision}))


@PRECISIONS
@pytest.mark.parametrize("encoder", options("encoder"))
def test_encoders(encoder: str, precision: str) -> None:
    made_part = part("encoder", encoder)
    tasks = {"digits": made_part.takes_still, "zeros": made_part.takes_sequence}
    for task in (name for name, takes in tasks.items() if takes):
        config = small(encoder, task=task, neuron="if", settings={"precision": precision})
        config["model"]["hidden"] = []
        config["neuron"]["threshold"] = 0.2  # a latency code is one spike per value: little to integrate
        made, _, _ = trains(config)
        batch = next(made.data.test.batches(4))
        encoded = made.parts.encoder(batch.x, 5, made.streams.evaluation())
        assert encoded.shape == (5, 4, *made.parts.encoder.output_shape(batch.x.shape[2:]))
        assert encoded.dtype is torch.float32


@PRECISIONS
@pytest.mark.parametrize("loss", [name for name in options("loss") if not part("loss", name).needs_values])
def test_losses(loss: str, precision: str) -> None:
    settings = {"precision": precision}
    made, records, seen = trains(small(loss=loss, settings=settings))
    assert all(record.accuracy is not None for record in records if isinstance(record, StepRecord))
    spikes, membrane, _ = seen[-1]["output"]
    predicted = made.parts.loss.predict(spikes, membrane)
    assert predicted.shape == spikes.shape[1:2]
    assert predicted.dtype is torch.int64
    if not made.parts.loss.needs_labels:
        trains(small("none", task="zeros", loss=loss, settings=settings))


@pytest.mark.parametrize("regulariser", options("regulariser"))
def test_regularisers(regulariser: str) -> None:
    losses = []
    for config in (small(), small(regulariser=regulariser)):
        _, records, _ = trains(config)
        losses.append([record.loss for record in records if isinstance(record, StepRecord)])
    assert losses[0][0] < losses[1][0]


@pytest.mark.parametrize("model", options("model"))
def test_models(model: str) -> None:
    made, _, seen = trains(small(model=model))
    assert type(made.model).__module__ == f"snnrun.model.{model}"
    assert list(seen[0])[-1] == "output"


@pytest.mark.parametrize("optimizer", options("optimizer"))
def test_optimizers(optimizer: str) -> None:
    made, _, _ = trains(small(optimizer=optimizer))
    assert type(made.parts.optimizer(made.model.parameters())).__module__.startswith("torch.optim")


@pytest.mark.parametrize("scheduler", options("scheduler"))
def test_schedulers(scheduler: str) -> None:
    _, records, _ = trains(small(scheduler=scheduler, settings={"epochs": 2}))
    rates = [record.learning_rate for record in records if isinstance(record, EpochRecord)]
    assert len(rates) == 2
    assert all(0 < rate <= 1e-3 for rate in rates)
    assert rates[0] == 1e-3, "the first epoch has the learning rate that was asked for"


@pytest.mark.parametrize("task", options("task"))
def test_tasks(task: str, tmp_path: Path) -> None:
    write_everything(tmp_path)
    write_event_set(tmp_path, task)
    known = part("task", task, **SMALL["task"])
    before = (known.input_shape, known.num_outputs, known.has_time, known.has_accuracy, known.has_values)
    loss, encoder = LOSSES["digits" if known.has_accuracy else "zeros"], "none" if known.has_time else "rate"
    config = small(encoder, task=task, loss=loss)
    if "path" in config["task"]:  # data of one's own, of which nothing was known so far
        config["task"] |= {"path": "own", "data_dir": str(tmp_path)}
        known = build(config["task"], "task")
        before = (known.input_shape, known.num_outputs, known.has_time, known.has_accuracy, known.has_values)
    made, records, _ = trains(config, data_dir=tmp_path)
    loaded = made.parts.task
    assert before == (
        loaded.input_shape, loaded.num_outputs, loaded.has_time, loaded.has_accuracy, loaded.has_values
    )  # fmt: skip
    for data in (made.data.train, made.data.validation, made.data.test):
        batch = next(data.batches(16))
        assert batch.x.shape[0] == (made.settings.num_steps if known.has_time else 1)
        assert batch.x.shape[2:] == known.input_shape
        assert batch.x.dtype is torch.float32
        assert 0 <= batch.x.min() <= batch.x.max() == 1
        assert (batch.target is not None) == (known.has_accuracy or known.has_values)
        if batch.target is not None and known.has_accuracy:
            assert batch.target.dtype is torch.int64
            assert batch.target.shape == batch.x.shape[1:2]
            assert 0 <= batch.target.min() <= batch.target.max() < known.num_outputs
    assert all(
        (record.accuracy is not None) == known.has_accuracy for record in records if isinstance(record, StepRecord)
    )


# --- in pairs ----------------------------------------------------------------------------------------------------


def encoders(task: str) -> list[str]:
    """Those that take a task's input."""
    takes = "takes_sequence" if part("task", task).has_time else "takes_still"
    return [name for name in options("encoder") if getattr(part("encoder", name), takes)]


def turns(task: str) -> list[Any]:
    """Every neuron, surrogate and encoder of a task at least once, in as few trainings as that takes."""
    lists = (options("neuron"), options("surrogate"), encoders(task))
    rows = zip(range(max(map(len, lists))), *map(itertools.cycle, lists), strict=False)
    return [pytest.param(task, *row, id=f"{task} {' '.join(row)}") for _, *row in rows]


def pairs(task: str) -> Iterator[tuple[str, str]]:
    """Every surrogate and every encoder at least once, for a neuron that shall meet each of them."""
    lists = (options("surrogate"), encoders(task))
    yield from itertools.islice(zip(*map(itertools.cycle, lists), strict=False), max(map(len, lists)))


def trains_together(task: str, neuron: str, surrogate: str, encoder: str) -> None:
    fit(small(encoder, task=task, neuron=neuron, surrogate=surrogate, loss=LOSSES[task]))


@pytest.mark.parametrize(("task", "neuron", "surrogate", "encoder"), [*turns("digits"), *turns("zeros")])
def test_every_neuron_surrogate_and_encoder_in_turn(task: str, neuron: str, surrogate: str, encoder: str) -> None:
    trains_together(task, neuron, surrogate, encoder)


@pytest.mark.long
@pytest.mark.parametrize("neuron", options("neuron"))
@pytest.mark.parametrize("task", ["digits", "zeros"])
def test_every_pair(task: str, neuron: str) -> None:
    for surrogate, encoder in pairs(task):
        try:
            trains_together(task, neuron, surrogate, encoder)
        except Exception as error:
            raise AssertionError(f"surrogate={surrogate} encoder={encoder}") from error
