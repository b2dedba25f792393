"""The state of a training: saved and loaded as one object, between any two steps."""

from __future__ import annotations

import copy
import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun.run import checkpoint
from snnrun.training.records import LogRecord, StepRecord
from support.small import Training, same, training, weights

WORDS = (
    *("num_steps=4", "epochs=2", "batch_size=32", "model.hidden=[12]", "report.log_every=1"),
    *("model.dropout=0.3", "neuron.learn_beta=true", "optimizer=adam", "scheduler=cosine", "augmentation=[flip]"),
)
RECIPES = {
    "plain": (),
    "one cycle": ("scheduler=one_cycle", "scheduler.total_steps=6", "scheduler.cycle_momentum=true"),
    "groups": ("optimizer.groups.neuron.lr=0.1", "optimizer.groups.readout.weight_decay=0.01"),
    "average": ("ema=0.5",),
    "delays": ("delay=gaussian", "model.delay.maximum=3", "model.delay.shrink=0.9", "ema=0.5"),
    "recurrent delays": (
        *("model=recurrent", "delay=triangular", "model.delay.maximum=3", "model.delay.connections=both"),
        *("model.delay.shrink=1.0", "optimizer.groups.delays.lr=0.1"),
    ),
    "warm-up": ("scheduler=warmup_cosine", "scheduler.total_steps=6", "scheduler.warmup_steps=2"),
}
TIMES = ("time", "seconds", "samples_per_second")


class Leave(Exception):
    """Ends training between two steps."""


def make_trainer(recipe: str = "plain") -> Training:
    return training(*WORDS, *RECIPES[recipe], batches=3)


def without_times(records: list[LogRecord]) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.to_json().items() if key not in TIMES} for record in records]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("at", [0, 1, 3, 4])
def test_training_goes_on_from_a_state_that_was_loaded(at: int, recipe: str, tmp_path: Path) -> None:
    """By way of a file, in objects that were made anew; 3 is the last step of an epoch, before its validation."""
    whole = make_trainer(recipe)
    with whole.streams.global_stream("training"):
        expected = whole.fit()

    first = make_trainer(recipe)
    state = first.state()

    def leave() -> None:
        if state.progress.step == at:
            raise Leave

    records: list[LogRecord] = []
    with first.streams.global_stream("training"):
        if at:
            with pytest.raises(Leave):
                records += first.records(state, boundary=leave)
        path = checkpoint.save_state(tmp_path, at, state.state_dict())

    second = make_trainer(recipe)
    later = second.state()
    with second.streams.global_stream("training"), warnings.catch_warnings():
        warnings.simplefilter("error")  # torch's scheduler would warn of an optimizer that has not stepped
        later.load_state_dict(checkpoint.load_state(path))
        assert later.progress.step == at
        records = second.fit(later)
    assert without_times(records) == without_times(expected)[-len(records) :]
    assert [record.step for record in records if isinstance(record, StepRecord)] == list(range(at + 1, 7))
    assert same(weights(second.model), weights(whole.model))


def flat(value: Any, name: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {key: each for k, v in value.items() for key, each in flat(v, f"{name}.{k}").items()}
    return {name: value}


def test_what_is_loaded_is_what_was_saved() -> None:
    first, second = make_trainer(), make_trainer()
    first_state, state = first.state(), second.state()
    first.fit(first_state)
    content = copy.deepcopy(first_state.state_dict())
    assert list(content) == ["progress", "streams", "model", "optimizer", "scheduler"], "the order in files of old runs"
    state.load_state_dict(content)
    expected, actual = flat(content), flat(state.state_dict())
    assert expected.keys() == actual.keys()
    for name, value in expected.items():
        assert torch.equal(value, actual[name]) if isinstance(value, Tensor) else value == actual[name], name
    assert (state.progress.epoch, state.progress.step) == (3, 6)
    assert math.isfinite(state.progress.best_loss)


@pytest.mark.parametrize("key", ["progress", "streams", "model", "optimizer", "scheduler"])
def test_a_state_that_lacks_something_is_refused(key: str) -> None:
    state = make_trainer().state()
    content = state.state_dict()
    del content[key]
    with pytest.raises(KeyError, match=key):
        state.load_state_dict(content)
