"""Layers and the MLP: layer by layer over the whole sequence equals step by step through the whole network."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnrun.encoder import Direct
from snnrun.model import MLP, Layer
from snnrun.neuron import IF, LIF, Neuron
from snnrun.sequence import run
from support.refusals import refuses


class Counting(nn.Linear):
    """A linear layer that notes how many rows it multiplied."""

    rows = 0

    def forward(self, x: Tensor) -> Tensor:
        self.rows += x.numel() // x.shape[-1]
        return super().forward(x)


def mlp(backend: str = "auto", **options: Any) -> MLP:
    torch.manual_seed(0)
    neuron = functools.partial(LIF, 0.9, threshold=0.3)
    return MLP((1, 4, 4), 3, neuron, backend, **{"hidden": [9, 5], **options})


def stepwise(model: MLP, x: Tensor) -> Tensor:
    """The whole network one time step after the other: what layer by layer must equal."""
    states: dict[str, Any] = {}
    outputs = []
    for x_t in x.flatten(2):
        for name, layer in model.layers.items():
            assert isinstance(layer, Layer)
            current = layer.synapse(x_t)
            x_t, states[name] = layer.neuron.step(current, states.get(name) or layer.neuron.initial_state(current))
        outputs.append(x_t)
    return torch.stack(outputs)


@pytest.mark.parametrize("backend", ["reference", "fused"])
def test_layer_by_layer_equals_step_by_step(backend: str) -> None:
    model = mlp(backend).double()
    x = torch.rand(7, 2, 1, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = stepwise(model, x)
    traces = model(x)
    assert list(traces) == ["hidden1", "hidden2", "output"]
    assert torch.equal(traces["output"].spikes, expected)
    assert expected.sum() > 5
    for name, gradient in zip(
        dict(model.named_parameters()),
        torch.autograd.grad(traces["output"].spikes.sum(), list(model.parameters())),
        strict=True,
    ):
        (other,) = torch.autograd.grad(expected.sum(), model.get_parameter(name), retain_graph=True)
        torch.testing.assert_close(gradient, other, rtol=1e-9, atol=1e-12)


def test_one_matrix_product_for_all_steps_and_one_step_for_a_constant_input() -> None:
    layer = Layer(Counting(6, 4), LIF(0.9, threshold=0.3))
    synapse: Any = layer.synapse
    x = torch.rand(1, 5, 6)
    constant = Direct()(x, 20)
    trace = layer(constant)
    assert synapse.rows == 5
    step_by_step = layer(constant.clone(memory_format=torch.contiguous_format))
    assert synapse.rows == 5 + 100
    torch.testing.assert_close(trace.membrane, step_by_step.membrane, rtol=1e-6, atol=1e-6)
    assert torch.equal(trace.spikes, step_by_step.spikes)


def test_sizes_bias_and_names() -> None:
    model = mlp(hidden=[], bias=False)
    assert [tuple(p.shape) for p in model.parameters()] == [(3, 16)]
    assert list(model.layers) == ["output"]
    model = mlp(bias_init="uniform(0.25, 0.5)")
    for bias in biases(model):
        assert ((bias >= 0.25) & (bias <= 0.5)).all()
    assert biases(mlp())[-1].min() < 0


def biases(model: nn.Module) -> list[Tensor]:
    return [value for name, value in model.named_parameters() if name.endswith("synapse.bias")]


def test_dropout_holds_for_the_whole_sequence_and_draws_from_its_generator() -> None:
    layer = Layer(nn.Identity(), IF(reset="none", threshold=1e9), dropout=0.4)
    x = torch.ones(3, 50, 20)
    membrane = layer(x, torch.Generator().manual_seed(0)).membrane
    mask = membrane[0] > 0
    torch.testing.assert_close(membrane[2], 3 * membrane[0])
    torch.testing.assert_close(membrane[0][mask], torch.full((int(mask.sum()),), 1 / 0.6))
    assert 0.55 < mask.double().mean() < 0.65
    before = torch.get_rng_state()
    assert torch.equal(layer(x, torch.Generator().manual_seed(0)).membrane, membrane)
    assert not torch.equal(layer(x, torch.Generator().manual_seed(1)).membrane, membrane)
    assert torch.equal(torch.get_rng_state(), before)
    assert (layer.eval()(x).membrane[0] == 1).all()


def test_under_autocast_the_membrane_stays_in_float32() -> None:
    model = mlp()
    x = torch.rand(5, 2, 16)
    with torch.autocast("cpu", torch.bfloat16):
        traces = model(x)
    assert {t.dtype for trace in traces.values() for t in trace[:2]} == {torch.float32}


class Other(Neuron):
    """Its neurons hear each other."""

    def integrate(self, v: Tensor, x: Tensor) -> Tensor:
        return x.flip(1)


def test_the_layer_shows_how_it_runs() -> None:
    assert [layer.backend for layer in mlp().layers.values()] == ["fused"] * 3
    assert Layer(nn.Identity(), Other()).backend == "reference"
    with refuses("backend", "fused", "Other", "'flip'"):
        MLP((2,), 2, Other, "fused")
    assert run(Other(), torch.zeros(2, 1, 1))[0].spikes.shape == (2, 1, 1)


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"hidden": [0]}, ("hidden[0]", 0, "whole number of at least 1")),
        ({"hidden": 100}, ("hidden", 100, "list", "whole number")),
        ({"hidden": ["a"]}, ("hidden[0]", "a", "whole number")),
        ({"bias": "no"}, ("bias", "no", "true or false")),
        ({"dropout": 1.0}, ("dropout", 1.0, "at least 0 and below 1")),
        ({"hidden": [], "dropout": -1}, ("dropout", -1, "at least 0 and below 1")),
        (
            {"bias_init": "uniform(1,0)"},
            ("bias_init", "uniform(1,0)", "'default' or 'uniform(low,high)'", "low < high"),
        ),
        ({"bias_init": "uniform(a,b)"}, ("bias_init", "uniform(a,b)", "'default'")),
        ({"bias_init": None}, ("bias_init", None, "'default'")),
        ({"backend": "fast"}, ("backend", "fast", "'auto' or 'reference' or 'fused'")),
    ],
)
def test_bad_arguments_are_refused_by_name(options: dict[str, Any], refusal: tuple[Any, ...]) -> None:
    with refuses(*refusal) as error:
        mlp(**options)
    assert error.value.argument in options
