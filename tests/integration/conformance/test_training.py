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
from snnrun.model import Layer, delays_of
from snnrun.scheduler import StepScheduler
from snnrun.sequence import Trace, resolve_backend
from snnrun.training.records import EpochRecord, LogRecord, StepRecord
from support.catalogued import assemble, neurons, options, part, raw
from support.event_sets import write_event_set
from support.small import Training, same, training_of, weights
from support.written import write_everything

#: Cues that fit into five steps.
CUES = {"cue": 1, "cues": 1, "gap": 0, "recall": 1}
#: Small and quick, yet with every layer active; a config has some of these keys.
SMALL: dict[str, dict[str, Any]] = {
    "": {"num_steps": 5, "epochs": 1, "batch_size": 32},
    "model": {"hidden": [12], "layers": ["3c3p1", "mp2"], "channels": [3, 4]},
    "encoder": {"gain": 10.0},
    "task": {"size_input": 20, "size_output": 10, "batch_size": 32, "size": 8, "pool": 20, "clip": True} | CUES,
}
PRECISIONS = pytest.mark.parametrize("precision", ["fp32", "bf16"])
#: A loss for each kind of target; read-outs that never fire are read by their membranes.
LOSSES = {"digits": "ce_count", "zeros": "mean_square"}


def small(encoder: str = "direct", settings: dict[str, Any] | None = None, **choices: str) -> dict[str, Any]:
    """A small config with these options; by default with a current that makes every neuron fire."""
    config = assemble(**{"encoder": encoder, **choices})
    length = part("task", choices.get("task", "digits")).length
    config |= SMALL[""] | ({} if length is None else {"num_steps": length}) | (settings or {})
    for group in ("model", "encoder", "task"):
        section = config[group]
        section |= {key: value for key, value in SMALL[group].items() if key in section and section[key] != []}
    for group in ("neuron", "readout"):  # those that are made for a number of steps
        if "num_steps" in (config.get(group) or {}):
            config[group]["num_steps"] = config["num_steps"]
    return config


def fit(config: dict[str, Any], **options: Any) -> tuple[Training, list[LogRecord], list[dict[str, Trace]]]:
    """Train for two batches; whatever the parts, all stays finite, and spikes are whole numbers."""
    trainer = training_of(config, **options)
    return trainer, *follow(config, trainer)


def follow(config: dict[str, Any], trainer: Training) -> tuple[list[LogRecord], list[dict[str, Trace]]]:
    """The same for a training that was made from the config."""
    passes: list[dict[str, Trace]] = []
    trainer.model.register_forward_hook(
        lambda module, inputs, output: passes.append(output) if module.training else None
    )
    records = trainer.fit()
    steps = [record for record in records if isinstance(record, StepRecord)]
    assert len(steps) >= 2
    for record in steps:
        assert math.isfinite(record.loss)
        assert math.isfinite(record.gradient_norm)
    analogue = "activation" in config["neuron"]
    for traces in passes:
        for trace in traces.values():
            assert trace.spikes.dtype is trace.membrane.dtype is torch.float32
            assert bool(trace.membrane.isfinite().all())
            assert analogue or (bool((trace.spikes >= 0).all()) and torch.equal(trace.spikes, trace.spikes.round()))
    assert all(bool(value.isfinite().all()) for value in weights(trainer.model).values())
    return records, passes


def trains(config: dict[str, Any], **options: Any) -> tuple[Training, list[LogRecord], list[dict[str, Trace]]]:
    """The same for a network that is alive, and moved by its gradient in every layer."""
    trainer = training_of(config, **options)
    before = weights(trainer.model)
    records, passes = follow(config, trainer)
    for record in records:
        assert not isinstance(record, StepRecord) or record.gradient_norm > 0
    for traces in passes:
        assert any(bool(trace.spikes.any()) for trace in traces.values())
    assert not same(before, weights(trainer.model))
    for name, parameter in trainer.model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.dtype is torch.float32
    return trainer, records, passes


# --- alone -------------------------------------------------------------------------------------------------------


@PRECISIONS
@pytest.mark.parametrize("neuron", options("neuron"))
def test_neurons(neuron: str, precision: str) -> None:
    trainer, _, passes = trains(small(neuron=neuron, settings={"precision": precision}))
    expected = resolve_backend(neurons("neuron", neuron), "auto")
    assert {layer.backend for layer in trainer.model.modules() if isinstance(layer, Layer)} == {expected}
    if "max_spikes" not in raw("neuron", neuron) and "activation" not in raw("neuron", neuron):
        assert {
            value for traces in passes for trace in traces.values() for value in trace.spikes.unique().tolist()
        } == {
            0.0,
            1.0,
        }


@PRECISIONS
@pytest.mark.parametrize("readout", options("readout"))
def test_readouts(readout: str, precision: str) -> None:
    _, records, passes = trains(small(readout=readout, loss="ce_membrane", settings={"precision": precision}))
    assert not any(bool(traces["output"].spikes.any()) for traces in passes)
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
    reference_records, fused_records = (trains(config | {"backend": backend})[1] for backend in ("reference", "fused"))
    for one, other in zip(reference_records, fused_records, strict=True):
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
    encoder_part = part("encoder", encoder)
    tasks = {"digits": encoder_part.takes_still, "zeros": encoder_part.takes_sequence}
    for task in (name for name, takes in tasks.items() if takes):
        config = small(encoder, task=task, neuron="if", settings={"precision": precision})
        config["model"]["hidden"] = []
        config["neuron"]["threshold"] = 0.2  # a latency code is one spike per value: little to integrate
        trainer, _, _ = trains(config)
        batch = next(trainer.data.test.batches(4))
        spikes = trainer.parts.encoder(batch.x, 5, trainer.streams.evaluation())
        assert spikes.shape == (5, 4, *trainer.parts.encoder.output_shape(batch.x.shape[2:]))
        assert spikes.dtype is torch.float32


@PRECISIONS
@pytest.mark.parametrize("loss", [name for name in options("loss") if not part("loss", name).needs_values])
def test_losses(loss: str, precision: str, tmp_path: Path) -> None:
    settings = {"precision": precision}
    steps = part("loss", loss).needs_steps
    config = small(loss=loss, settings=settings)
    if steps:
        write_everything(tmp_path)
        config = small("none", task="ecg_qtdb", loss=loss, settings=settings)
    trainer, records, passes = trains(config, data_dir=tmp_path)
    assert all(record.accuracy is not None for record in records if isinstance(record, StepRecord))
    spikes, membrane, _ = passes[-1]["output"]
    prediction = trainer.parts.loss.predict(spikes, membrane)
    assert prediction.shape == (spikes.shape[:2][::-1] if steps else spikes.shape[1:2])
    assert prediction.dtype is torch.int64
    if not trainer.parts.loss.needs_labels:
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
    trainer, _, passes = trains(small(model=model))
    assert type(trainer.model).__module__ == f"snnrun.model.{model}"
    assert list(passes[0])[-1] == "output"


@PRECISIONS
@pytest.mark.parametrize("model", ["mlp", "recurrent"])
@pytest.mark.parametrize("delay", options("delay"))
def test_delays(delay: str, model: str, precision: str) -> None:
    """Every delay of both kinds is learnt; the width shrinks."""
    for of in ("synapse", "axon"):
        config = small(delay=delay, model=model, settings={"precision": precision})
        config["model"]["delay"] |= {"of": of, "maximum": 3, "connections": "both" if model == "recurrent" else "input"}
        trainer, _, _ = trains(config)
        for path, delays in delays_of(trainer.model).items():
            assert bool(delays.value.grad.any()), path  # type: ignore[union-attr]
            assert delays.width is None or delays.width.item() < 5, path


@pytest.mark.parametrize("optimizer", options("optimizer"))
def test_optimizers(optimizer: str) -> None:
    trainer, _, _ = trains(small(optimizer=optimizer))
    assert type(trainer.parts.optimizer(trainer.model.parameters())).__module__.startswith("torch.optim")


@pytest.mark.parametrize("scheduler", options("scheduler"))
def test_schedulers(scheduler: str) -> None:
    trainer, records, _ = trains(small(scheduler=scheduler, settings={"epochs": 2}))
    rates = [record.learning_rate for record in records if isinstance(record, EpochRecord)]
    assert len(rates) == 2
    assert all(0 < rate <= 1e-3 for rate in rates)
    steps = [record.learning_rate for record in records if isinstance(record, StepRecord)]
    if isinstance(trainer.state().scheduler, StepScheduler):
        assert len(set(steps)) == len(steps) >= 4, "each step has a learning rate of its own"
        assert rates == [steps[len(steps) // 2 - 1], steps[-1]], "an epoch has the rate of its last step"
    else:
        assert rates[0] == 1e-3, "the first epoch has the learning rate that was asked for"
        assert set(steps) == set(rates)


@pytest.mark.parametrize("task", options("task"))
def test_tasks(task: str, tmp_path: Path) -> None:
    write_everything(tmp_path)
    write_event_set(tmp_path, task)
    spec = part("task", task, **SMALL["task"])
    facts = (spec.input_shape, spec.num_outputs, spec.has_time, spec.has_accuracy, spec.has_values)
    loss, encoder = LOSSES["digits" if spec.has_accuracy else "zeros"], "none" if spec.has_time else "rate"
    loss = "ce_steps" if spec.has_steps else loss
    config = small(encoder, task=task, loss=loss)
    if "path" in config["task"]:  # data of one's own, of which nothing was known so far
        config["task"] |= {"path": "own", "data_dir": str(tmp_path)}
    if "dataset" in config["task"]:
        config["task"] |= {"dataset": "own", "data_dir": str(tmp_path)}
    if "data_dir" in config["task"]:
        spec = build(config["task"], "task")
        facts = (spec.input_shape, spec.num_outputs, spec.has_time, spec.has_accuracy, spec.has_values)
    trainer, records, _ = trains(config, data_dir=tmp_path)
    after = trainer.parts.task
    assert facts == (after.input_shape, after.num_outputs, after.has_time, after.has_accuracy, after.has_values)
    for data in (trainer.data.train, trainer.data.validation, trainer.data.test):
        batch = next(data.batches(16))
        assert batch.x.shape[0] == (trainer.settings.num_steps if spec.has_time else 1)
        assert batch.x.shape[2:] == spec.input_shape
        assert batch.x.dtype is torch.float32
        if "normalise" in config["task"]:
            assert batch.x.min() < 0 < batch.x.max()
        elif batch.lengths is None:
            assert -int(spec.has_steps) <= batch.x.min() <= batch.x.max() == 1  # an ECG rises and falls
        else:
            assert 0 <= batch.x.min() < batch.x.max() <= 1
        assert (batch.target is not None) == (spec.has_accuracy or spec.has_values)
        if batch.target is not None and spec.has_accuracy:
            assert batch.target.dtype is torch.int64
            assert batch.target.shape == (batch.x.shape[:2][::-1] if spec.has_steps else batch.x.shape[1:2])
            assert -int(spec.has_steps) <= batch.target.min() <= batch.target.max() < spec.num_outputs
    assert all(
        (record.accuracy is not None) == spec.has_accuracy for record in records if isinstance(record, StepRecord)
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
