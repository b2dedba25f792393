"""Conformance of everything in ``conf/``: each file composes, mirrors its callable, and trains.

The files are found, not listed: a new part is tested as soon as its YAML is there.
"""

from __future__ import annotations

import copy
import inspect
import math
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from small import CPU, Training, composed, same, training, weights, write_mnist
from snnrun.build import build, locate
from snnrun.catalogue import Catalogue, conf_folder
from snnrun.cli.parts import Trial, parts_of
from snnrun.model import Layer
from snnrun.neuron import Neuron
from snnrun.sequence import Trace
from snnrun.settings import Settings
from snnrun.streams import Streams
from snnrun.trainer import Record, forward

FILES = sorted(conf_folder().glob("*/**/*.yaml"))
OPTIONS = [(path.relative_to(conf_folder()).parts[0], path.stem, path) for path in FILES]
#: Groups that hold values for other parts, and no part of their own.
NO_PARTS = ("convention", "experiment")
PARTS = [pytest.param(group, option, id=f"{group}={option}") for group, option, _ in OPTIONS if group not in NO_PARTS]
#: What the run hands to a part, so that no file says it.
HANDED = {"neuron": ("shape",), "model": ("input_shape", "num_outputs", "neuron", "backend")}
#: Small and quick, yet with every layer active.
SMALL = ["num_steps=5", "epochs=1", "batch_size=32", "model.hidden=[20]"]


def options_of(group: str) -> list[str]:
    return [option for other, option, _ in OPTIONS if other == group]


def signature(target: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """All arguments of a callable, with those that it takes as ``**options`` and hands to its base classes."""
    found: dict[str, inspect.Parameter] = {}
    chain = target.__mro__ if isinstance(target, type) else (target,)
    for each in chain:
        parameters = inspect.signature(each).parameters.values()
        found = {**{p.name: p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}, **found}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found


def arguments(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if not key.startswith("_")}


# --- each file ---------------------------------------------------------------------------------------------------


def test_the_files_are_found() -> None:
    assert {group for group, _, _ in OPTIONS} >= set(Catalogue().defaults) - {"experiment"}
    assert len(OPTIONS) > 40


@pytest.mark.parametrize(("group", "option", "path"), [pytest.param(*o, id=f"{o[0]}={o[1]}") for o in OPTIONS])
def test_a_file_says_what_it_is_for(group: str, option: str, path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("# @package")]
    assert lines[0].startswith("# "), "the first line is a comment for those who read the file"
    assert lines[0].endswith((".", ":")) or lines[1].startswith("#")
    assert Catalogue().describe(group, option)


@pytest.mark.parametrize(("group", "option"), PARTS)
def test_a_file_mirrors_one_callable_of_its_group(group: str, option: str) -> None:
    target = composed(f"{group}={option}")[group]["_target_"]
    homes = {"optimizer": "torch.optim", "scheduler": "torch.optim.lr_scheduler"}
    module, _, name = target.rpartition(".")
    assert module == homes.get(group, f"snnrun.{group}")
    found = locate(target, group)
    assert found.__name__ == name
    assert found.__module__.startswith(("torch.optim.", f"snnrun.{group}"))
    others = [composed(f"{group}={other}")[group]["_target_"] for other in options_of(group) if other != option]
    assert target not in others, "one file, one callable"


@pytest.mark.parametrize(("group", "option"), PARTS)
def test_a_file_names_the_arguments_of_its_callable(group: str, option: str) -> None:
    config = composed(f"{group}={option}")[group]
    target, named = locate(config["_target_"], group), arguments(config)
    known = signature(target)
    assert set(named) <= set(known)
    if config["_target_"].startswith("torch."):
        return  # torch's classes have arguments for special cases, and defaults that need not suit spikes
    assert set(known) - set(HANDED.get(group, ())) == set(named)
    for key, value in named.items():
        default = known[key].default
        if key == "surrogate":  # a part: no default that YAML could write
            assert default is None
            assert build(value, key) == target().surrogate
            continue
        assert (tuple(value) if isinstance(value, list) else value) == default, key
        assert isinstance(value, bool) == isinstance(default, bool), key


@pytest.mark.parametrize("convention", options_of("convention"))
def test_a_convention_sets_all_four_points_of_every_neuron(convention: str) -> None:
    points = {"fires_at", "reset", "reset_timing", "detach_reset"}
    for neuron in options_of("neuron"):
        config = composed(f"convention={convention}", f"neuron={neuron}")
        assert set(config["convention"]) == points
        assert {key: config["neuron"][key] for key in points} == config["convention"]


def test_the_default_convention_is_that_of_the_callables() -> None:
    neuron = signature(Neuron)
    assert composed()["convention"] == {key: neuron[key].default for key in composed()["convention"]}


@pytest.mark.parametrize(("group", "option"), PARTS)
def test_the_checks_before_a_run_accept_every_default(group: str, option: str) -> None:
    words = [f"{group}={option}"]
    if group == "encoder" and option in ("none", "delta"):
        words.append("task=zeros")
    config = composed(*words)
    trial = Trial(config, composed(*words, resolve=False), config, Settings.from_config(config))
    assert trial.run(Catalogue()) == []


def test_every_yaml_file_is_plain_yaml() -> None:
    for path in FILES:
        assert isinstance(yaml.safe_load(path.read_text()), dict), path


# --- each part trains --------------------------------------------------------------------------------------------


def trains(*overrides: str, **options: Any) -> tuple[Training, list[Record], dict[str, Trace]]:
    """Train for a few batches; the network must be alive, binary, finite and moved by its gradient."""
    made = training(*SMALL, *overrides, **options)
    before, seen = weights(made.model), []
    made.model.register_forward_hook(lambda module, inputs, output: seen.append(output) if module.training else None)
    records = made.fit()
    steps = [record for record in records if record["kind"] == "step"]
    assert len(steps) >= 2
    for record in steps:
        assert math.isfinite(record["loss"])
        assert 0 < record["gradient_norm"] < math.inf
    for traces in seen:
        for trace in traces.values():
            assert trace.spikes.dtype is trace.membrane.dtype is torch.float32
            assert set(trace.spikes.unique().tolist()) <= {0.0, 1.0}
            assert bool(trace.membrane.isfinite().all())
        assert any(bool(trace.spikes.any()) for trace in traces.values())
    after = weights(made.model)
    assert all(bool(value.isfinite().all()) for value in after.values())
    assert not same(before, after)
    for name, parameter in made.model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.dtype is torch.float32
    return made, records, seen[-1]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("backend", ["reference", "fused"])
@pytest.mark.parametrize("neuron", options_of("neuron"))
def test_neurons(neuron: str, backend: str, precision: str) -> None:
    made, _, _ = trains(f"neuron={neuron}", f"backend={backend}", f"precision={precision}")
    assert {layer.backend for layer in made.model.modules() if isinstance(layer, Layer)} == {backend}


@pytest.mark.parametrize("convention", options_of("convention"))
@pytest.mark.parametrize("neuron", options_of("neuron"))
def test_conventions_and_backends_agree(neuron: str, convention: str) -> None:
    words = [f"neuron={neuron}", f"convention={convention}", "neuron.learn_threshold=true", "neuron.per_neuron=true"]
    reference, fused = (trains(*words, f"backend={backend}")[1] for backend in ("reference", "fused"))
    for one, other in zip(reference, fused, strict=True):
        if one["kind"] == "step":
            assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)
            assert one["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-2)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("surrogate", options_of("surrogate"))
def test_surrogates(surrogate: str, precision: str) -> None:
    trains(f"surrogate={surrogate}", f"precision={precision}")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("encoder", options_of("encoder"))
def test_encoders(encoder: str, precision: str) -> None:
    part = training(f"encoder={encoder}").parts.encoder
    kinds = [task for task, takes in (("digits", part.takes_still), ("zeros", part.takes_sequence)) if takes]
    assert kinds, "an encoder takes something"
    for task in kinds:
        # The task first: it may choose an encoder, and the one that is named wins.
        words = [f"task={task}", f"encoder={encoder}", f"precision={precision}", "model.hidden=[]", "neuron=if"]
        words.append("neuron.threshold=0.2")  # a latency code is one spike per value: little to integrate
        made, _, _ = trains(*words)
        batch = next(made.data.test.batches(4))
        encoded = part(batch.x, 5, made.streams.evaluation())
        assert encoded.shape == (5, *batch.x.shape[1:])
        assert encoded.dtype is torch.float32
        again = part(batch.x, 5, made.streams.evaluation())
        assert torch.equal(encoded, again), "an encoder holds no state"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("loss", options_of("loss"))
def test_losses(loss: str, precision: str) -> None:
    made, records, traces = trains(f"loss={loss}", f"precision={precision}")
    assert all("accuracy" in record for record in records if record["kind"] == "step")
    spikes, membrane = traces["output"]
    predicted = made.parts.loss.predict(spikes, membrane)
    assert predicted.shape == spikes.shape[1:2]
    assert predicted.dtype is torch.int64
    if not made.parts.loss.needs_labels:
        trains("task=zeros", "model.hidden=[]", f"loss={loss}", f"precision={precision}")


@pytest.mark.parametrize("optimizer", options_of("optimizer"))
def test_optimizers(optimizer: str) -> None:
    made, _, _ = trains(f"optimizer={optimizer}")
    assert type(made.parts.optimizer(made.model.parameters())).__module__.startswith("torch.optim")


@pytest.mark.parametrize("scheduler", options_of("scheduler"))
def test_schedulers(scheduler: str) -> None:
    _, records, _ = trains(f"scheduler={scheduler}", "epochs=2")
    rates = [record["learning_rate"] for record in records if record["kind"] == "epoch"]
    assert len(rates) == 2
    assert all(0 < rate <= 1e-3 for rate in rates)
    assert rates[0] == 1e-3, "the first epoch has the learning rate that was asked for"


@pytest.mark.parametrize("task", options_of("task"))
def test_tasks(task: str, tmp_path: Path) -> None:
    write_mnist(tmp_path)  # for those that read files
    known = parts_of(composed(f"task={task}")).task
    before = (known.input_shape, known.num_outputs, known.has_time, known.has_accuracy)
    loss, encoder = "ce_count" if known.has_accuracy else "mean_square", "none" if known.has_time else "rate"
    made, records, _ = trains(f"task={task}", f"loss={loss}", f"encoder={encoder}", data_dir=tmp_path)
    loaded = made.parts.task
    assert before == (loaded.input_shape, loaded.num_outputs, loaded.has_time, loaded.has_accuracy)
    for part in (made.data.train, made.data.validation, made.data.test):
        batch = next(part.batches(4))
        assert batch.x.shape[0] == (made.settings.num_steps if known.has_time else 1)
        assert batch.x.shape[2:] == known.input_shape
        assert batch.x.dtype is torch.float32
        assert 0 <= batch.x.min() <= batch.x.max() == 1
        assert (batch.target is not None) == known.has_accuracy
        if batch.target is not None:
            assert batch.target.dtype is torch.int64
            assert batch.target.shape == batch.x.shape[1:2]
            assert 0 <= batch.target.min() <= batch.target.max() < known.num_outputs
    assert all(("accuracy" in record) == known.has_accuracy for record in records if record["kind"] == "step")


# --- each model --------------------------------------------------------------------------------------------------


def models() -> list[Any]:
    return [pytest.param(m, n, id=f"{m}-{n}") for m in options_of("model") for n in options_of("neuron")]


def made_of(model: str, neuron: str, *overrides: str) -> tuple[Training, Tensor]:
    made = training(f"model={model}", f"neuron={neuron}", *overrides)
    made.model.eval()
    return made, next(made.data.test.batches(6)).x


def run_on(made: Training, x: Tensor, model: nn.Module | None = None) -> dict[str, Trace]:
    settings = replace(made.settings, num_steps=6)
    with torch.no_grad():
        return forward(model or made.model, made.parts.encoder, x, settings, Streams(1, CPU).evaluation())


@pytest.mark.parametrize(("model", "neuron"), models())
def test_silent_input_stays_silent(model: str, neuron: str) -> None:
    made, x = made_of(model, neuron, "model.bias=false")
    assert any(bool(trace.spikes.any()) for trace in run_on(made, x).values())
    for trace in run_on(made, torch.zeros_like(x)).values():
        assert not trace.spikes.any()
        assert not trace.membrane.any()


@pytest.mark.parametrize(("model", "neuron"), models())
def test_a_model_is_its_weights(model: str, neuron: str) -> None:
    words = ["neuron.learn_threshold=true", "neuron.per_neuron=true"]
    made, x = made_of(model, neuron, *words)
    expected = run_on(made, x)
    other, _ = made_of(model, neuron, *words, "seed=1")
    other.model.load_state_dict(made.model.state_dict())
    for twin in (copy.deepcopy(made.model), pickle.loads(pickle.dumps(made.model)), other.model):
        assert same(weights(twin), weights(made.model))
        for name, trace in run_on(made, x, twin).items():
            assert torch.equal(trace.spikes, expected[name].spikes)
            assert torch.equal(trace.membrane, expected[name].membrane)


@pytest.mark.parametrize(("model", "neuron"), models())
def test_nothing_is_left_behind_by_a_batch(model: str, neuron: str) -> None:
    made, x = made_of(model, neuron, "encoder=direct", "backend=reference")
    expected = run_on(made, x)
    run_on(made, x[:, :1])  # another batch size, and then back: nothing to reset
    alone = run_on(made, x[:, 3:5])
    again = run_on(made, x)
    for name, trace in expected.items():
        assert torch.equal(trace.spikes, again[name].spikes)
        torch.testing.assert_close(alone[name].membrane, trace.membrane[:, 3:5], rtol=1e-5, atol=1e-5)
