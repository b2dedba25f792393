"""Encoders: snnTorch's trains, and what an encoder promises."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import references
from references import tensor
from snnrun.encoder import Delta, Direct, Identity, Latency, Rate

# What the encoders of this module do not offer: other trains (first spikes later, other values than 0 and 1).
OTHER = ("first_spike_time", "on_target", "off_target", "interpolate")
LATENCY = [
    e
    for e in references.entries("encoders")
    if e["name"] == "latency" and e["library"] == "snntorch" and not set(OTHER) & set(e["params"])
]
DELTA = [e for e in references.entries("encoders") if e["name"] == "delta"]
RATE = [e for e in references.entries("encoders") if e["name"] == "rate" and not set(OTHER) & set(e["params"])]


def latency(entry: dict[str, Any]) -> Latency:
    params = {"normalize": False, **{k: v for k, v in entry["params"].items() if k != "num_steps"}}
    # snnTorch divides by the largest time of the batch. Where a value lies below the threshold that is our scale too.
    if params["normalize"] and not params.get("linear") and "without_small_values" in entry["id"]:
        params["normalize"] = "batch"
    return Latency(**params)


@pytest.mark.parametrize("entry", LATENCY, ids=lambda e: e["id"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_latency(entry: dict[str, Any], dtype: torch.dtype) -> None:
    x = tensor(entry["input"], dtype)[None]
    num_steps = entry["params"].get("num_steps") or len(entry["output"])
    encoder = latency(entry)
    times = tensor(entry["spike_time_float64"], torch.float64)
    torch.testing.assert_close(encoder.spike_time(x, num_steps)[0], times, rtol=1e-6, atol=1e-12)
    if "raises" in entry:
        with pytest.raises(
            ValueError, match=r"every spike within num_steps=3, got one at step 12.*encoder\.bypass=true"
        ):
            encoder(x, num_steps)
        return
    train = encoder(x, num_steps)
    assert train.dtype == dtype
    assert train.tolist() == entry["output"]


def test_latency_codes_each_sample_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 9, 5, generator=generator) * 0.8 + 0.1  # no value below the threshold
    together = Latency()(x, 20)
    for i in range(9):
        assert torch.equal(Latency()(x[:, i : i + 1], 20)[:, 0], together[:, i])
    assert not torch.equal(Latency(normalize="batch")(x[:, :1], 20)[:, 0], together[:, 0])
    assert Latency()(torch.tensor([[[0.0, 1.0]]]), 20)[:, 0].nonzero().tolist() == [[0, 1], [19, 0]]
    assert together.sum(0).eq(1).all()


@pytest.mark.parametrize("entry", DELTA, ids=lambda e: e["id"])
def test_delta(entry: dict[str, Any]) -> None:
    x = tensor(entry["input"])
    assert Delta(**entry["params"])(x, len(x)).tolist() == entry["output"]


@pytest.mark.parametrize("entry", RATE, ids=lambda e: e["id"])
def test_rate(entry: dict[str, Any]) -> None:
    params = entry["params"]
    encoder = Rate(gain=params.get("gain", 1.0), offset=params.get("offset", 0.0))
    x = tensor(entry["input"])
    x = x if params.get("time_var_input") else x[None]
    # snnTorch ignores gain and offset for input with a time axis; the right probabilities stand beside its own.
    expected = tensor(entry.get("intended_probability", entry["probability"]))
    num_steps = len(expected)
    torch.testing.assert_close(encoder.probability(x).expand_as(expected), expected, rtol=0, atol=1e-6)

    trials = 4000
    many = x[:, None].expand(-1, trials, *x.shape[1:]).flatten(1, 2)
    train = encoder(many, num_steps, torch.Generator().manual_seed(7))
    assert set(train.unique().tolist()) <= {0.0, 1.0}
    frequency = train.unflatten(1, (trials, -1)).mean(1)
    # 5 standard deviations of a mean of `trials` draws; certain events have none.
    deviation = (expected * (1 - expected) / trials).sqrt()
    assert ((frequency - expected).abs() <= 5 * deviation + 1e-6).all()


def test_all_entries_are_there() -> None:
    assert (len(LATENCY), len(DELTA), len(RATE)) == (20, 7, 5)


def test_the_generator_decides_and_nothing_else() -> None:
    x = torch.rand(1, 4, 6, generator=torch.Generator().manual_seed(1))
    a = Rate()(x, 10, torch.Generator().manual_seed(3))
    torch.rand(5)
    Rate()(x[:, :2], 3, torch.Generator().manual_seed(4))
    assert torch.equal(Rate()(x, 10, torch.Generator().manual_seed(3)), a)
    assert not torch.equal(Rate()(x, 10, torch.Generator().manual_seed(5)), a)
    before = torch.get_rng_state()
    Rate()(x, 10, torch.Generator().manual_seed(3))
    assert torch.equal(torch.get_rng_state(), before)


def test_direct_stands_in_memory_once() -> None:
    x = torch.rand(1, 4, 6)
    y = Direct(gain=2.0, offset=0.5)(x, 25)
    assert y.shape == (25, 4, 6)
    assert y.stride(0) == 0
    torch.testing.assert_close(y[7], 2 * x[0] + 0.5)


def test_input_that_does_not_fit_is_refused() -> None:
    still, sequence = torch.rand(1, 2, 3), torch.rand(5, 2, 3)
    assert Identity()(sequence, 5) is sequence
    for encoder in (Identity(), Delta()):
        with pytest.raises(ValueError, match=f"{type(encoder).__name__} needs input with a time axis of 5 steps"):
            encoder(still, 5)
    for encoder in (Direct(), Latency()):
        with pytest.raises(ValueError, match=r"codes still input, \[1, B, \*N\], got a sequence of 5 steps"):
            encoder(sequence, 5)
    with pytest.raises(ValueError, match="expected 1 or num_steps=7 time steps, got 5"):
        Rate()(sequence, 7)
    with pytest.raises(ValueError, match=r"expected \[T, B, \*N\], got shape \[3\]"):
        Rate()(torch.rand(3), 7)
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\], got -0.5 to 0.5"):
        Latency()(torch.tensor([[[-0.5, 0.5]]]), 7)
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\], got 0.5 to 2"):
        Latency(linear=True)(torch.tensor([[[0.5, 2.0]]]), 7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Latency(tau=0), "tau: expected a number above 0, got 0"),
        (lambda: Latency(threshold=1), "threshold: expected a number above 0 and below 1, got 1"),
        (lambda: Latency(linear="yes"), "linear: expected true or false, got 'yes'"),
        (lambda: Latency(normalize="all"), "normalize: expected true, false or 'batch', got 'all'"),
        (lambda: Rate(gain=math.inf), "gain: expected a number, got inf"),
        (lambda: Direct(offset=None), "offset: expected a number, got None"),
        (lambda: Delta(threshold=-1), "threshold: expected a number at least 0, got -1"),
        (lambda: Rate()(torch.rand(1, 1), 0), "num_steps: expected a whole number of at least 1, got 0"),
    ],
)
def test_bad_arguments_are_refused_by_name(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
