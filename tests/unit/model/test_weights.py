"""The initial weights of all models."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnrun.config.build import build
from snnrun.model import Layer
from snnrun.model.weights import synaptic_weights
from snnrun.neuron import RLIF
from support.catalogued import config_of, options
from support.refusals import refuses


def model_of(name: str, weight_init: str) -> Any:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden": [90], "layers": ["30c5", "mp2"], "channels": [30]}
    make = build(config_of("model", name, weight_init=weight_init, **sizes), "model")
    return make(input_shape=(2, 12, 12), num_outputs=9, neuron=RLIF if name == "mlp" else simple, backend="auto")


def simple(shape: Any) -> RLIF:
    return RLIF(recurrence="none", shape=shape)


def weights(model: nn.Module) -> list[Tensor]:
    return [
        weight.detach() for layer in model.modules() if isinstance(layer, Layer) for weight in synaptic_weights(layer)
    ]


@pytest.mark.parametrize("name", options("model"))
def test_a_normal_distribution_of_the_fan_in(name: str) -> None:
    for weight in weights(model_of(name, "normal(0.5)")):
        expected = 0.5 / math.sqrt(weight[0].numel())
        assert weight.std().item() == pytest.approx(expected, rel=4 / math.sqrt(2 * weight.numel()))


@pytest.mark.parametrize("name", options("model"))
def test_a_uniform_distribution_of_the_fan_in(name: str) -> None:
    for weight in weights(model_of(name, "uniform(2)")):
        limit = 2 / math.sqrt(weight[0].numel())
        assert 0.9 * limit < weight.abs().max() <= limit


@pytest.mark.parametrize("name", ["mlp", "recurrent"])
def test_xavier_counts_the_outputs_too(name: str) -> None:
    for weight in weights(model_of(name, "xavier(2)")):
        limit = 2 * math.sqrt(6 / sum(weight.shape))
        assert 0.9 * limit < weight.abs().max() <= limit


@pytest.mark.parametrize("name", options("model"))
def test_orthogonal_weights(name: str) -> None:
    for weight in weights(model_of(name, "orthogonal(1.5)")):
        singular = torch.linalg.svdvals(weight.flatten(1))
        torch.testing.assert_close(singular, torch.full_like(singular, 1.5), rtol=1e-4, atol=0)


def test_the_feedback_is_drawn_too() -> None:
    assert sorted(tuple(weight.shape) for weight in weights(model_of("mlp", "orthogonal(1)"))) == [
        (9, 9),
        (9, 90),
        (90, 90),
        (90, 288),
    ]
    assert (90, 90) in [tuple(weight.shape) for weight in weights(model_of("recurrent", "orthogonal(1)"))]


@pytest.mark.parametrize("name", options("model"))
def test_the_default_draws_nothing(name: str) -> None:
    state = model_of(name, "default").state_dict()
    after = torch.rand(1)
    model = model_of(name, "normal(1)")
    assert not torch.equal(torch.rand(1), after)
    biases = {key: value for key, value in model.state_dict().items() if key.endswith("synapse.bias")}
    assert all(torch.equal(value, state[key]) for key, value in biases.items())


@pytest.mark.parametrize("text", ["orthogonal", "scaled(1)", "normal(0)", "uniform(-1)", "normal(x)", "normal(inf)", 3])
def test_another_text_is_refused(text: Any) -> None:
    for name in options("model"):
        with refuses("weight_init", text, "orthogonal(k)"):
            model_of(name, text)
