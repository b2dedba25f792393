"""Surrogates: the peers' numbers, and the mathematics every surrogate must obey."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

import references
from snnrun import surrogate
from snnrun.surrogate import Surrogate

EVERY = sorted(
    (value for value in vars(surrogate).values() if isinstance(value, type) and issubclass(value, Surrogate)),
    key=lambda kind: kind.__name__,
)
ALL = [kind for kind in EVERY if kind is not Surrogate]

# A peer's name -> ours, with the peer's parameters as ours. norse's `super` ignores its alpha (a peer's defect).
SAME: dict[tuple[str, str], Any] = {
    ("snntorch", "fast_sigmoid"): lambda slope: surrogate.FastSigmoid(slope),
    ("snntorch", "sigmoid"): lambda slope: surrogate.Sigmoid(slope),
    ("snntorch", "atan"): lambda alpha: surrogate.ATan(alpha),
    ("snntorch", "straight_through_estimator"): lambda: surrogate.StraightThrough(),
    ("snntorch", "heaviside"): lambda: surrogate.Heaviside(),
    ("spikingjelly", "PiecewiseQuadratic"): lambda alpha: surrogate.PiecewiseQuadratic(alpha),
    ("spikingjelly", "Sigmoid"): lambda alpha: surrogate.Sigmoid(alpha),
    ("spikingjelly", "ATan"): lambda alpha: surrogate.ATan(alpha),
    ("spikingjelly", "Rect"): lambda alpha: surrogate.Rectangular(alpha),
    ("norse", "triangle"): lambda alpha: surrogate.Triangular(alpha),
    ("norse", "logistic"): None,  # a random spike function: not built yet
}
COVERED = [e for e in references.entries("surrogates") if SAME.get((e["library"], e["name"]))]


def gradient(spike: Surrogate, x: Tensor, **options: bool) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    spikes = spike(x, **options)
    return spikes, torch.autograd.grad(spikes.sum(), x)[0]


@pytest.mark.parametrize("entry", COVERED, ids=lambda e: e["id"])
def test_a_peers_numbers_hold(entry: dict[str, Any]) -> None:
    dtype = getattr(torch, entry["dtype"])
    ours = SAME[entry["library"], entry["name"]](**entry["params"])
    spikes, grad = gradient(ours, references.tensor(entry["x"], dtype), inclusive=entry["fires_at"] == ">=")
    assert spikes.dtype == dtype
    assert spikes.tolist() == entry["forward"]
    expected = entry["gradient"]
    # Where the peer overflows to nan (its sigmoid in float32) there is nothing to compare; ours must be finite.
    known = [i for i, value in enumerate(expected) if value is not None]
    assert grad.isfinite().all()
    torch.testing.assert_close(
        grad[known],
        references.tensor([expected[i] for i in known], dtype),
        rtol=entry["rtol"],
        atol=max(entry["atol"], 1e-30),
    )
    if entry.get("primitive") and entry["name"] != "heaviside":
        primitive = ours.primitive(references.tensor(entry["x"], dtype))
        torch.testing.assert_close(
            primitive, references.tensor(entry["primitive"], dtype), rtol=max(entry["rtol"], 1e-10), atol=1e-6
        )


def test_enough_entries_are_covered() -> None:
    assert len(COVERED) >= 25
    assert {type(SAME[e["library"], e["name"]](**e["params"])) for e in COVERED} == set(ALL)


@pytest.mark.parametrize("kind", ALL)
def test_the_derivative_is_that_of_the_primitive(kind: type[Surrogate]) -> None:
    # Away from kinks, and so that no point of the grid sits on one.
    x = torch.linspace(-2.97, 2.99, 301, dtype=torch.float64)
    step = 1e-6
    slope = (kind().primitive(x + step) - kind().primitive(x - step)) / (2 * step)
    torch.testing.assert_close(kind().derivative(x), slope, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_spikes_are_0_or_1_and_gradients_finite_in_every_dtype(kind: type[Surrogate], dtype: torch.dtype) -> None:
    x = torch.tensor([-1e30, -100, -5, -1e-7, -0.0, 0.0, 1e-7, 0.5, 5, 100, 1e30]).to(dtype)
    spikes, grad = gradient(kind(), x)
    assert spikes.dtype == dtype
    assert spikes.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert gradient(kind(), x, inclusive=True)[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]
    assert grad.isfinite().all()
    assert (grad >= 0).all()


@pytest.mark.parametrize("kind", ALL)
def test_a_surrogate_is_a_value(kind: type[Surrogate]) -> None:
    ours = kind()
    assert copy.deepcopy(ours) == ours == pickle.loads(pickle.dumps(ours))
    for field in fields(ours):
        with pytest.raises(ValueError, match=f"{field.name}: expected a number above 0, got -1"):
            kind(**{field.name: -1})
        with pytest.raises(ValueError, match=field.name):
            kind(**{field.name: math.nan})


@pytest.mark.parametrize("kind", ALL)
def test_module_style_and_function_style_agree(kind: type[Surrogate]) -> None:
    name = {"ATan": "atan"}.get(kind.__name__)
    name = name or "".join(f"_{c.lower()}" if c.isupper() else c for c in kind.__name__).lstrip("_")
    parameters = [1.7 for _ in fields(kind)]
    x = torch.linspace(-1, 1, 21)
    spikes, grad = gradient(kind(*parameters), x)
    x.requires_grad_()
    again = getattr(surrogate, name)(x, *parameters)
    assert torch.equal(again, spikes)
    assert torch.equal(torch.autograd.grad(again.sum(), x)[0], grad)


def test_a_spike_function_can_be_differentiated_twice_and_vmapped() -> None:
    x = torch.randn(7, dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(surrogate.ATan()(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(grad.sum(), x)
    step = 1e-6
    with torch.no_grad():
        expected = (surrogate.ATan().derivative(x + step) - surrogate.ATan().derivative(x - step)) / (2 * step)
    torch.testing.assert_close(second, expected, rtol=1e-5, atol=1e-6)
    per_row = torch.func.vmap(torch.func.grad(lambda row: surrogate.ATan()(row).sum()))(x.detach().view(7, 1))
    torch.testing.assert_close(per_row.view(7), surrogate.ATan().derivative(x.detach()))
