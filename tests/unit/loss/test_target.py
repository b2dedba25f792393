"""Target encoding: snnTorch's targets, and the right ones where it is wrong."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from snnrun.encoder import Latency
from snnrun.loss.target import LatencyTarget, RateTarget, TargetEncoder, from_one_hot, one_hot, ramp, regular_train
from support import references
from support.references import tensor
from support.refusals import refuses

CODES = {
    e["id"].partition("/")[2]: e
    for e in references.entries("encoders")
    if e["name"] in ("targets_convert", "targets_latency")
}
STATIC = ("static", "on_off", "on_below_off", "negative_off", "default_spike_times")


def entry(name: str) -> dict[str, Any]:
    return references.entry("encoders", f"snntorch.{name}")


@pytest.mark.parametrize("name", STATIC)
def test_one_hot_targets(name: str) -> None:
    params = CODES[name]["params"]
    labels = torch.tensor(CODES[name]["input"])
    hot = one_hot(labels, params["num_classes"], on=params.get("on_target", 1), off=params.get("off_target", 0))
    # snnTorch loses a negative off_target: with on 0 and off -1 all entries are 0.
    assert torch.equal(hot, tensor(CODES[name].get("intended_output", CODES[name].get("output"))))


@pytest.mark.parametrize("name", [name for name in CODES if name not in STATIC])
def test_targets_in_time(name: str) -> None:
    params = dict(CODES[name]["params"])
    classes, num_steps = params.pop("num_classes"), params.pop("num_steps")
    levels = {"interpolate": params.pop("interpolate", False)}
    levels |= {key: params.pop(key, default) for key, default in (("on_target", 1.0), ("off_target", 0.0))}
    encoder: TargetEncoder
    if CODES[name]["name"] == "targets_convert" and params.get("code") != "latency":
        encoder = RateTarget(**params, **levels)
    else:
        params.pop("code", None)
        curve = "linear" if params.pop("linear", False) else "rc"
        encoder = LatencyTarget(code=Latency(curve=curve, **params), **levels)
    target = encoder(torch.tensor(CODES[name]["input"]), classes, num_steps)
    # snnTorch raises for rates, and with code="latency" drops the levels and the interpolation.
    expected = tensor(CODES[name].get("intended_output", CODES[name].get("output")))
    torch.testing.assert_close(target, expected, rtol=0, atol=1e-6 if levels["interpolate"] else 0)


def test_one_hot_and_back() -> None:
    labels = torch.tensor(entry("to_one_hot/labels")["input"])
    hot = one_hot(labels, 3)
    assert hot.tolist() == entry("to_one_hot/labels")["output"]
    assert one_hot(labels, 3, on=0, off=1).tolist() == entry("to_one_hot_inverse/one_hot")["output"]
    # snnTorch returns the row numbers.
    assert from_one_hot(hot).tolist() == entry("from_one_hot/one_hot")["intended_output"] == labels.tolist()


@pytest.mark.parametrize("number", range(4))
def test_regular_trains(number: int) -> None:
    params = dict(entry(f"target_rate_code/regular_{number}")["params"])
    assert regular_train(**params).tolist() == entry(f"target_rate_code/regular_{number}")["output"]


def test_a_regular_train_has_its_rate() -> None:
    for percent in range(1, 101):
        assert regular_train(1000, percent / 100).sum() == 10 * percent


def test_ramps() -> None:
    of_rate, of_latency = entry("rate_interpolate/three_spikes"), entry("latency_interpolate/four_neurons")
    train = torch.zeros(of_rate["params"]["num_steps"])
    train[tensor(of_rate["input"]).long()] = 1
    torch.testing.assert_close(ramp(train, on=1.46, off=0.25), tensor(of_rate["output"]), rtol=0, atol=1e-6)
    train = torch.zeros(of_latency["params"]["num_steps"], 4)
    train[tensor(of_latency["input"]).long(), torch.arange(4)] = 1
    torch.testing.assert_close(ramp(train, on=1.46, off=0.25), tensor(of_latency["output"]), rtol=0, atol=1e-6)
    assert ramp(torch.zeros(5, 2), on=1.0, off=-1.0).eq(-1).all()


@pytest.mark.parametrize("pattern", ["uniform", "poisson"])
def test_random_targets(pattern: str) -> None:
    encoder = RateTarget(correct_rate=0.6, incorrect_rate=0.1, first_spike_time=5, pattern=pattern)
    labels = torch.arange(2000) % 2
    target = encoder(labels, 2, 25, torch.Generator().manual_seed(0))
    assert set(target.unique().tolist()) == {0.0, 1.0}
    assert target[:5].sum() == 0
    assert torch.equal(target, encoder(labels, 2, 25, torch.Generator().manual_seed(0)))
    assert not torch.equal(target[:, 0], target[:, 2])  # each sample has a train of its own
    hot = one_hot(labels, 2) == 1
    counts = target.sum(0)
    for rate, spike_counts in ((0.6, counts[hot]), (0.1, counts[~hot])):
        number = 20 * rate
        expected = number if pattern == "poisson" else 20 * (1 - (1 - 1 / 20) ** number)  # duplicates are merged
        assert spike_counts.mean().item() == pytest.approx(expected, abs=5 * (number / 2000) ** 0.5)
        if pattern == "uniform":
            assert spike_counts.max() <= number + 1e-6
    with refuses("generator", None, "torch.Generator"):
        encoder(labels, 2, 25)


def test_bad_arguments_are_refused_by_name() -> None:
    with refuses("correct_rate", 2, "at least 0 and at most 1"):
        RateTarget(correct_rate=2)
    with refuses("pattern", "odd", "'regular' or 'uniform' or 'poisson'"):
        RateTarget(pattern="odd")
    wrong: Any = "rc"
    with refuses("code", "rc"):
        LatencyTarget(code=wrong)
    with refuses("target", torch.float32, "[B]", "int64"):
        RateTarget()(torch.zeros(3), 4, 5)
