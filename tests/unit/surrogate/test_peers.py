"""Surrogates against the numbers of snnTorch, SpikingJelly and Norse: every entry, and what is right where they err."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from snnrun import surrogate as ours
from snnrun.surrogate import Surrogate
from snnrun.surrogate.stochastic import BernoulliSurrogate
from support import references


def custom(width: float) -> Surrogate:
    """The user's function of the entry; the spikes that snnTorch passes to it are x > 0."""
    return ours.Custom(lambda x: torch.exp(-((x / width) ** 2)) + 0.1 * (x > 0))


# A peer's name -> ours, called with the peer's parameters.
MAKERS: dict[tuple[str, str], Any] = {
    ("snntorch", "fast_sigmoid"): lambda slope: ours.FastSigmoid(slope),
    ("snntorch", "sigmoid"): lambda slope: ours.Sigmoid(slope),
    ("snntorch", "atan"): lambda alpha: ours.ATan(alpha),
    ("snntorch", "straight_through_estimator"): ours.StraightThrough,
    ("snntorch", "heaviside"): ours.Heaviside,
    # The peer's "threshold" scales a step; which property of a triangle it was to be is nowhere said. Ours is the
    # published triangle.
    ("snntorch", "triangular"): lambda threshold: ours.Triangular(),
    ("snntorch", "spike_rate_escape"): lambda beta, slope: ours.SpikeRateEscape(beta, slope),
    ("snntorch", "SFS"): lambda slope, B: ours.SparseFastSigmoid(slope, B),
    ("snntorch", "SSO"): lambda mean, variance: ours.StochasticSpikeOperator(mean, variance),
    ("snntorch", "LSO"): lambda slope: ours.LeakySpikeOperator(slope),
    ("snntorch", "custom_surrogate"): lambda width: ours.Custom(
        lambda x: torch.exp(-((x / width) ** 2)) + 0.1 * (x > 0)
    ),
    ("spikingjelly", "PiecewiseQuadratic"): ours.PiecewiseQuadratic,
    ("spikingjelly", "PiecewiseExp"): ours.PiecewiseExp,
    ("spikingjelly", "Sigmoid"): ours.Sigmoid,
    ("spikingjelly", "SoftSign"): ours.SoftSign,
    ("spikingjelly", "SuperSpike"): ours.SuperSpike,
    ("spikingjelly", "ATan"): ours.ATan,
    ("spikingjelly", "NonzeroSignLogAbs"): ours.NonzeroSignLogAbs,
    ("spikingjelly", "Erf"): ours.Erf,
    ("spikingjelly", "PiecewiseLeakyReLU"): ours.PiecewiseLeakyReLU,
    ("spikingjelly", "SquarewaveFourierSeries"): ours.SquarewaveFourierSeries,
    ("spikingjelly", "S2NN"): ours.S2NN,
    ("spikingjelly", "QPseudoSpike"): ours.QPseudoSpike,
    ("spikingjelly", "LeakyKReLU"): ours.LeakyKReLU,
    ("spikingjelly", "FakeNumericalGradient"): ours.FakeNumericalGradient,
    ("spikingjelly", "LogTailedReLU"): ours.LogTailedReLU,
    ("spikingjelly", "Rect"): ours.Rectangular,
    ("spikingjelly", "DeterministicPass"): ours.StraightThrough,
    ("spikingjelly", "MultiLevelSpikeCount"): ours.MultiLevelSpikeCount,
    ("spikingjelly", "PoissonPass"): ours.PoissonPass,
    # α is the inverse width, as documented; the peer's backward ignores it.
    ("norse", "super"): lambda alpha: ours.FastSigmoid(alpha),
    ("norse", "triangle"): lambda alpha: ours.Triangular(alpha),
    ("norse", "tanh"): ours.Tanh,
    ("norse", "heavi_erfc"): ours.Erfc,
    ("norse", "circ"): ours.Circ,
    ("norse", "logistic"): ours.Logistic,
    ("norse", "circ_dist"): ours.CircDist,
}
ENTRIES = references.entries("surrogates")


def make(entry: dict[str, Any]) -> Surrogate:
    return MAKERS[entry["library"], entry["name"]](**entry["params"])


def is_random(entry: dict[str, Any]) -> bool:
    return "stochastic" in entry or "gradient_low" in entry


def gradient(spike: Surrogate, x: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    spikes = spike(x, **options)
    return spikes, torch.autograd.grad(spikes.sum(), x)[0]


def right_gradient(entry: dict[str, Any]) -> list[float]:
    if entry["id"].startswith("snntorch.triangular(threshold=1.208)"):
        # Here the peer (+threshold below the threshold, -threshold above it) has no intended counterpart on record.
        return [max(0.0, 1 - abs(x)) for x in entry["x"]]
    return list(entry.get("intended_gradient") or entry["gradient"])


def close(actual: Tensor, expected: list[float], entry: dict[str, Any]) -> None:
    values = references.tensor(expected, actual.dtype)
    torch.testing.assert_close(actual, values, rtol=entry["rtol"], atol=entry["atol"])


def test_every_entry_is_covered() -> None:
    assert len(ENTRIES) == 121
    assert {(e["library"], e["name"]) for e in ENTRIES} == set(MAKERS)
    assert sum(is_random(e) for e in ENTRIES) == 7


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e["id"])
def test_spikes_gradients_and_primitives(entry: dict[str, Any]) -> None:
    dtype, spike = getattr(torch, entry["dtype"]), make(entry)
    x = references.tensor(entry["x"], dtype)
    inclusive = entry["fires_at"] == ">="
    spikes, grad = gradient(spike, x, inclusive=inclusive)
    assert spikes.dtype == grad.dtype == dtype  # snnTorch answers float32 to float64
    if not isinstance(spike, BernoulliSurrogate):
        # Norse and SpikingJelly draw these; snnTorch's LSO raises instead of firing.
        step = (x >= 0 if inclusive else x > 0).to(dtype).tolist()
        assert spikes.tolist() == (entry.get("forward") or step)
    if "gradient_low" not in entry:
        # Finite even where the peer's is not: its sigmoid in float32, SpikingJelly's 1/|x| at negative zero.
        close(grad, right_gradient(entry), entry)
    if entry.get("primitive"):
        shift = torch.zeros_like(x)
        if entry["name"] == "S2NN":
            # The peer adds 1e-5 within its logarithm, not within its gradient.
            shift[x >= 0] = 1e-5
        close(spike.primitive(x + shift), entry["primitive"], entry)
        close(spike(x + shift, spiking=False), entry["primitive"], entry)


@pytest.mark.parametrize("entry", [e for e in ENTRIES if "gradient_low" in e], ids=lambda e: e["id"])
def test_random_gradients_fill_their_interval(entry: dict[str, Any]) -> None:
    x = references.tensor(entry["x"], getattr(torch, entry["dtype"]))
    low, high = (references.tensor(entry[f"gradient_{end}"], x.dtype) for end in ("low", "high"))
    many = x.expand(4000, -1)
    _, grads = gradient(make(entry), many, generator=torch.Generator().manual_seed(1))
    tolerance = 1e-6
    assert (grads >= low - tolerance).all() and (grads <= high + tolerance).all()
    width = high - low
    torch.testing.assert_close(grads.amin(0), low, rtol=0, atol=0.005)
    torch.testing.assert_close(grads.amax(0), high, rtol=0, atol=0.005)
    # The mean of 4000 draws from an interval is within 5 standard errors, 5 width / sqrt(12 * 4000), of its middle.
    middle = (grads.mean(0) - (low + high) / 2).abs()
    assert (middle <= 5 * width / (12 * 4000) ** 0.5 + tolerance).all()
    torch.testing.assert_close(make(entry).derivative(x), (low + high) / 2, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("entry", [e for e in ENTRIES if "stochastic" in e], ids=lambda e: e["id"])
def test_random_spikes_have_the_peers_probability(entry: dict[str, Any]) -> None:
    spike = make(entry)
    assert isinstance(spike, BernoulliSurrogate)
    x = references.tensor(entry["x"], getattr(torch, entry["dtype"]))
    expected = entry.get("forward_probability", entry["x"])  # SpikingJelly's PoissonPass: x itself
    close(spike.probability(x), expected, entry)
    n = 4000
    rate = spike(x.expand(n, -1), generator=torch.Generator().manual_seed(2)).mean(0)
    p = references.tensor(expected, x.dtype)
    assert ((rate - p).abs() <= 5 * (p * (1 - p) / n).sqrt() + 1e-12).all()
