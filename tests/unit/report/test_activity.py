"""Warnings of silent and saturated layers."""

from __future__ import annotations

from typing import Any

import pytest

from snnrun.report import activity_warnings
from snnrun.training.records import EpochRecord

CONFIG = {
    "neuron": {"threshold": 1.0, "beta": None, "decay_input": False},
    "encoder": {"gain": 1.0},
    "optimizer": {"lr": 1e-3},
    "surrogate": {"alpha": 2.0},
}


def record(epoch: int = 1, **layers: tuple[float, float]) -> EpochRecord:
    shares = {name: {"firing_rate": 0.1, "silent": a, "saturated": b} for name, (a, b) in layers.items()}
    return EpochRecord.from_json({"epoch": epoch, "layers": shares})


@pytest.mark.parametrize(
    ("shares", "what", "remedies"),
    [
        (
            (0.95, 0.0),
            "95.0 % of its neurons never fired",
            ("neuron.threshold", "neuron.beta", "encoder.gain", "optimizer.lr"),
        ),
        (
            (0.0, 1.0),
            "all of its neurons fired at every step",
            ("neuron.threshold", "neuron.beta", "encoder.gain", "optimizer.lr"),
        ),
    ],
)
def test_names_the_layer_and_three_remedies(shares: tuple[float, float], what: str, remedies: tuple[str, ...]) -> None:
    (text,) = activity_warnings(record(3, hidden1=shares, output=(0.0, 0.0)), set(), CONFIG)
    assert text.startswith("layer 'hidden1'") and what in text and "epoch 3" in text
    assert all(remedy in text for remedy in remedies)


def test_the_limit_itself_is_no_warning() -> None:
    assert activity_warnings(record(hidden1=(0.9, 0.5), output=(float("nan"), 0.0)), set(), CONFIG) == []
    assert activity_warnings(record(), set(), CONFIG) == []


def test_each_layer_and_kind_once() -> None:
    warnings: set[tuple[str, str]] = set()
    assert len(activity_warnings(record(1, hidden1=(1.0, 0.0)), warnings, CONFIG)) == 1
    assert activity_warnings(record(2, hidden1=(1.0, 0.0)), warnings, CONFIG) == []
    assert len(activity_warnings(record(3, hidden1=(0.0, 1.0), output=(1.0, 0.0)), warnings, CONFIG)) == 2


def test_a_task_whose_target_is_silence_has_no_warning_of_it() -> None:
    layers = {"output": {"silent": 0.99, "saturated": 0.0}, "hidden1": {"silent": 0.0, "saturated": 1.0}}
    record = EpochRecord.from_json({"epoch": 2, "layers": layers})
    assert len(activity_warnings(record, set(), CONFIG)) == 2
    (warning,) = activity_warnings(record, set(), CONFIG, silence_is_the_target=True)
    assert "'hidden1'" in warning


def test_only_what_the_config_holds_is_advised() -> None:
    config = {"neuron": {"threshold": 1.0, "decay_input": True}, "model": {"norm": "none"}}
    (text,) = activity_warnings(record(1, hidden1=(1.0, 0.0)), set(), config)
    assert "neuron.decay_input=false" in text
    assert "model.norm=batch" in text
    for absent in ("beta", "gain", "bias_init", "surrogate"):
        assert absent not in text


def test_most_of_a_layer_need_not_be_saturated() -> None:
    (text,) = activity_warnings(record(output=(0.3, 0.7)), set(), CONFIG)
    assert "'output'" in text and "70.0 %" in text


def test_it_must_have_lasted() -> None:
    quiet, active = record(1, output=(1.0, 0.0)), record(1, output=(0.2, 0.0))
    warnings: set[tuple[str, str]] = set()
    assert activity_warnings(quiet, warnings, CONFIG, before=[active, quiet]) == [] and not warnings
    assert activity_warnings(quiet, warnings, CONFIG, before=[record()]) == []
    assert len(activity_warnings(quiet, warnings, CONFIG, before=[quiet, quiet])) == 1


def test_an_analogue_neuron_may_be_active_at_every_step() -> None:
    texts = activity_warnings(record(hidden1=(0.0, 1.0), output=(1.0, 0.0)), set(), CONFIG, analogue=["hidden1"])
    assert ["'output'" in text for text in texts] == [True]


def test_a_learning_rate_far_off_comes_first() -> None:
    far = CONFIG | {"optimizer": {"_target_": "torch.optim.Adam", "lr": 0.3}}
    (text,) = activity_warnings(record(output=(0.0, 0.7)), set(), far)
    assert "Try: optimizer.lr=0.001" in text and ";" not in text


MORE = ("a lower neuron.threshold", "slower leak", "stronger input", "bias_init", "larger optimizer.lr")
LESS = ("a higher neuron.threshold", "faster leak", "weaker input", "smaller optimizer.lr")


@pytest.mark.parametrize(
    ("layers", "earlier", "never", "instead"),
    [
        ({"output": (1.0, 0.0)}, set(), LESS, "a lower neuron.threshold"),
        ({"output": (0.0, 1.0)}, set(), MORE, "a higher neuron.threshold"),
        ({"output": (1.0, 0.0)}, {("hidden1", "saturated")}, (*MORE, *LESS), "model.norm=batch"),
        ({"output": (0.0, 1.0)}, {("hidden1", "silent")}, (*MORE, *LESS), "regulariser=rate_bounds"),
        ({"hidden1": (1.0, 0.0), "output": (0.0, 1.0)}, set(), (*MORE, *LESS), "model.norm=batch"),
    ],
)
def test_the_remedies_of_a_run_do_not_contradict_each_other(
    layers: dict[str, tuple[float, float]], earlier: set[tuple[str, str]], never: tuple[str, ...], instead: str
) -> None:
    config = CONFIG | {"model": {"norm": "none", "bias_init": "default"}}
    texts = activity_warnings(record(1, **layers), earlier, config)
    assert len(texts) == len(layers)
    for text in texts:
        assert instead in text
        assert not [words for words in never if words in text]


@pytest.mark.parametrize(
    ("neuron", "shares", "remedy"),
    [
        ({"_target_": "snnrun.neuron.LIF", "threshold": 100.0}, (1.0, 0.0), "neuron.threshold=1"),
        ({"_target_": "snnrun.neuron.LIF", "threshold": 0.05}, (0.0, 1.0), "neuron.threshold=1"),
        ({"_target_": "snnrun.neuron.SLSTM", "threshold": 1.0}, (1.0, 0.0), "neuron.threshold=0.1"),
    ],
)
def test_a_threshold_far_off_is_put_back_and_nothing_else(
    neuron: dict[str, Any], shares: tuple[float, float], remedy: str
) -> None:
    (text,) = activity_warnings(record(output=shares), set(), CONFIG | {"neuron": neuron})
    assert text.partition("Try: ")[2].startswith(f"{remedy}, ") and ";" not in text


@pytest.mark.parametrize(
    "neuron",
    [
        {"_target_": "snnrun.neuron.LIF", "threshold": 3.9},
        {"_target_": "snnrun.neuron.SLSTM", "threshold": 0.1},
        {"_target_": "my.neuron.LIF", "threshold": 30.0},  # in what unit, nobody knows
        {"_target_": "snnrun.neuron.EIF", "threshold": 30.0, "v_rest": -65.0},
    ],
)
def test_a_threshold_that_may_be_meant_is_not_put_back(neuron: dict[str, Any]) -> None:
    (text,) = activity_warnings(record(output=(1.0, 0.0)), set(), CONFIG | {"neuron": neuron})
    assert "a lower neuron.threshold" in text


def test_putting_a_threshold_back_must_not_make_it_worse() -> None:
    ill = {"_target_": "snnrun.neuron.LIF", "threshold": 5.0}
    (text,) = activity_warnings(record(output=(0.0, 1.0)), set(), CONFIG | {"neuron": ill})
    assert "a higher neuron.threshold" in text and "neuron.threshold=1" not in text


def test_a_lower_threshold_is_below_the_one_that_is_set() -> None:
    (text,) = activity_warnings(record(output=(1.0, 0.0)), set(), CONFIG | {"neuron": {"threshold": 0.3}})
    assert "such as 0.09" in text


def test_too_few_time_steps_for_a_rate() -> None:
    for steps, encoder, few in (
        (1, "Rate", True),
        (9, "Poisson", True),
        (10, "Rate", False),
        (1, "Direct", False),
    ):
        config = CONFIG | {"num_steps": steps, "encoder": {"_target_": f"snnrun.encoder.{encoder}"}}
        (text,) = activity_warnings(record(output=(1.0, 0.0)), set(), config)
        assert ("num_steps=25" in text) is few
