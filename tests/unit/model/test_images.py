"""The models for images: layer by layer equals the same network written out step by step."""

from __future__ import annotations

import copy
import functools
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snnrun.encoder import Direct
from snnrun.model import ConvNet, Layer, Norm, Residual
from snnrun.neuron import IF, LIF, Neuron
from snnrun.report import summary
from support.refusals import refuses

NEURON = functools.partial(LIF, 0.9, threshold=0.25)
LAYERS = ("3c3p1", "mp2", "4c2", "ap2s1", "fc6")


def convnet(shape: tuple[int, ...] = (1, 8, 8), outputs: int = 5, backend: str = "auto", **options: Any) -> Any:
    torch.manual_seed(0)
    return ConvNet(shape, outputs, NEURON, backend, **{"layers": LAYERS, **options})


def residual(shape: tuple[int, ...] = (1, 8, 8), outputs: int = 5, backend: str = "auto", **options: Any) -> Any:
    torch.manual_seed(0)
    return Residual(shape, outputs, NEURON, backend, **{"channels": [3, 4], "depth": 2, **options})


MODELS: list[Callable[..., Any]] = [
    convnet,
    functools.partial(convnet, neurons="before_pool", norm="batch", dropout=0.2),
    functools.partial(convnet, norm="tdbn"),
    residual,
    functools.partial(residual, connect="iand", norm="none"),
]


def images(steps: int = 6, batch: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(steps, batch, 1, 8, 8, generator=generator, dtype=torch.float64) < 0.5).double()


class Stepwise:
    """A network one time step after the other; ``layer`` is called in the network's order at every step."""

    def __init__(self, model: nn.Module) -> None:
        self.states: dict[str, Any] = {}
        self.layers: Any = model.layers

    def norm(self, name: str, x: Tensor) -> Tensor:
        norm = self.layers[name].norm
        if norm is None:
            return x
        assert isinstance(norm, Norm)
        weight = norm.weight * norm.scale
        return F.batch_norm(x, norm.running_mean, norm.running_var, weight, norm.bias, eps=norm.epsilon)

    def conv(self, name: str, x: Tensor, **options: int) -> Tensor:
        synapse = self.layers[name].synapse
        return self.norm(name, F.conv2d(x, synapse.weight, synapse.bias, **options))

    def linear(self, name: str, x: Tensor) -> Tensor:
        synapse = self.layers[name].synapse
        return self.norm(name, F.linear(x.flatten(1), synapse.weight, synapse.bias))

    def fire(self, name: str, current: Tensor) -> Tensor:
        neuron = self.layers[name].neuron
        spikes, self.states[name] = neuron.step(current, self.states.get(name) or neuron.initial_state(current))
        return spikes


def convnet_by_hand(model: ConvNet, x: Tensor, pool_first: bool) -> Tensor:
    net, outputs = Stepwise(model), []
    for x_t in x:
        if pool_first:
            x_t = net.fire("hidden1", F.max_pool2d(net.conv("hidden1", x_t, padding=1), 2))
            x_t = net.fire("hidden2", F.avg_pool2d(net.conv("hidden2", x_t), 2, 1))
        else:
            x_t = F.max_pool2d(net.fire("hidden1", net.conv("hidden1", x_t, padding=1)), 2)
            x_t = F.avg_pool2d(net.fire("hidden2", net.conv("hidden2", x_t)), 2, 1)
        x_t = net.fire("hidden3", net.linear("hidden3", x_t))
        outputs.append(net.fire("output", net.linear("output", x_t)))
    return torch.stack(outputs)


def residual_by_hand(model: Residual, x: Tensor) -> Tensor:
    """Two stages of two blocks."""
    net, outputs = Stepwise(model), []
    for x_t in x:
        x_t = net.fire("stem", net.conv("stem", x_t, padding=1))
        for block, stride in (("block1", 1), ("block2", 1), ("block3", 2), ("block4", 1)):
            y = net.fire(f"{block}_1", net.conv(f"{block}_1", x_t, padding=1, stride=stride))
            y = net.fire(f"{block}_2", net.conv(f"{block}_2", y, padding=1))
            if block == "block3":
                x_t = net.fire("block3_shortcut", net.conv("block3_shortcut", x_t, stride=2))
            x_t = {"add": x_t + y, "and": x_t * y, "iand": (1 - y) * x_t}[model.connect]
        outputs.append(net.fire("output", net.linear("output", x_t.mean((2, 3)))))
    return torch.stack(outputs)


def assert_same(model: nn.Module, actual: Tensor, expected: Tensor) -> None:
    assert torch.equal(actual, expected)
    assert 0 < expected.mean() < 1
    weights = torch.rand(expected.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    parameters = list(model.parameters())
    one, other = (torch.autograd.grad((weights * spikes).sum(), parameters) for spikes in (actual, expected))
    for gradient, expected_gradient in zip(one, other, strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("backend", ["reference", "fused"])
@pytest.mark.parametrize("norm", ["none", "batch", "tdbn"])
@pytest.mark.parametrize("neurons", ["after_pool", "before_pool"])
def test_convnet_layer_by_layer_equals_step_by_step(neurons: str, norm: str, backend: str) -> None:
    model = convnet(backend=backend, neurons=neurons, norm=norm).double()
    model(images())  # gives the running means other values than 0 and 1
    model.eval()
    actual = model(images())["output"].spikes
    assert_same(model, actual, convnet_by_hand(model, images(), neurons == "after_pool"))


@pytest.mark.parametrize("backend", ["reference", "fused"])
@pytest.mark.parametrize("connect", ["add", "and", "iand"])
def test_residual_layer_by_layer_equals_step_by_step(connect: str, backend: str) -> None:
    model = residual(backend=backend, connect=connect, norm="none" if connect == "iand" else "batch").double()
    for _ in range(9):
        model(images())
    with torch.no_grad():
        if connect == "and":  # dies out in a few blocks, unless they fire often
            for name in model.layers:
                if name.startswith("block"):
                    model.get_submodule(f"layers.{name}.norm").bias += 1.0
    model.eval()
    actual = model(images(12))["output"].spikes
    assert_same(model, actual, residual_by_hand(model, images(12)))


def test_shapes_names_and_sizes() -> None:
    traces = convnet()(images().float())
    shapes = {name: tuple(trace.spikes.shape[2:]) for name, trace in traces.items()}
    assert shapes == {"hidden1": (3, 4, 4), "hidden2": (4, 2, 2), "hidden3": (6,), "output": (5,)}
    traces = convnet(neurons="before_pool")(images().float())
    shapes = {name: tuple(trace.spikes.shape[2:]) for name, trace in traces.items()}
    assert shapes == {"hidden1": (3, 8, 8), "hidden2": (4, 3, 3), "hidden3": (6,), "output": (5,)}
    traces = residual(shape=(2, 7, 5))(torch.rand(2, 3, 2, 7, 5))
    assert traces["block3_2"].spikes.shape[2:] == (4, 4, 3)
    assert list(traces)[:3] == ["stem", "block1_1", "block1_2"]
    assert list(traces)[-1] == "output"
    assert "block3_shortcut" in traces and "block4_shortcut" not in traces


def test_the_last_fc_is_the_read_out_if_it_has_its_size() -> None:
    for layers in ([], ["fc5"]):
        assert list(convnet(layers=layers).layers) == ["output"]
    assert list(convnet(layers=["mp2", "fc6"]).layers) == ["hidden1", "output"]
    assert list(convnet(layers=["fc5", "fc5"]).layers) == ["hidden1", "output"]


def test_neurons_are_made_for_their_shape() -> None:
    shapes = []

    def neuron(shape: tuple[int, ...]) -> Neuron:
        shapes.append(shape)
        return LIF(threshold=0.3, per_neuron=True, shape=shape)

    ConvNet((1, 8, 8), 5, neuron, layers=LAYERS)
    assert shapes == [(3, 4, 4), (4, 2, 2), (6,), (5,)]


def test_norms_stand_where_the_options_put_them_and_replace_the_bias() -> None:
    model = convnet(norm="tdbn", tdbn_alpha=0.5)
    assert [type(layer.norm).__name__ for layer in model.layers.values()] == ["Norm", "Norm", "Norm", "NoneType"]
    assert {layer.norm.scale for layer in model.layers.values() if layer.norm} == {0.5 * 0.25}
    assert [layer.synapse.bias is None for layer in model.layers.values()] == [True, True, True, False]
    assert all(layer.synapse.bias is None for layer in convnet(bias=False).layers.values())
    assert all(layer.synapse.bias is not None for layer in convnet().layers.values())
    model = convnet(norm="batch", norm_fc=False)  # of the convolutions alone
    assert [layer.norm is None for layer in model.layers.values()] == [False, False, True, True]
    assert [layer.synapse.bias is None for layer in model.layers.values()] == [True, True, False, False]


@pytest.mark.parametrize("training", [True, False])
def test_a_constant_input_is_convolved_and_normalised_once(training: bool) -> None:
    model = convnet(norm="batch").train(training)
    other = copy.deepcopy(model)
    rows: list[int] = []
    model.layers["hidden1"].synapse.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    constant = Direct()(images(1).float(), 9)
    once, copies = model(constant), other(constant.contiguous())
    assert rows == [3]
    assert torch.equal(once["output"].spikes, copies["output"].spikes)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name])


@pytest.mark.parametrize("make", MODELS)
def test_a_model_is_a_value(make: Callable[..., Any]) -> None:
    model, x = make(), images().float()
    model(x)
    model.eval()
    expected = model(x)
    fresh = make().eval()
    fresh.load_state_dict(model.state_dict())
    model(x[:, :1])  # another batch size: nothing to reset
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), fresh, model):
        for name, trace in twin(x).items():
            assert torch.equal(trace.spikes, expected[name].spikes)
            assert torch.equal(trace.membrane, expected[name].membrane)


def test_one_module_may_be_used_twice_in_one_graph() -> None:
    for make in MODELS[1:4]:
        model, x = make(), images().float()
        loss = sum(model(each)["output"].membrane.square().mean() for each in (x, x[:, :2], Direct()(x[:1], 4)))
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("make", MODELS)
def test_under_autocast_membranes_stay_in_float32_and_gradients_finite(make: Callable[..., Any]) -> None:
    model = make()
    with torch.autocast("cpu", torch.bfloat16):
        traces = model(images().float())
        assert {t.dtype for trace in traces.values() for t in trace[:2]} == {torch.float32}
        assert set(traces["output"].spikes.unique().tolist()) <= {0.0, 1.0}
        loss = traces["output"].membrane.square().mean()
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("make", MODELS)
def test_summary(make: Callable[..., Any]) -> None:
    model = make()
    text = summary(model, images(2, 1).float())
    assert f"Total params: {sum(p.numel() for p in model.parameters()):,}" in text
    assert "Conv2d (synapse)" in text


def test_dropout_takes_what_a_pool_leaves() -> None:
    """Dropped before it, a maximum of 2x2 would be 0 in a sixteenth of the places; dropped after it, in half."""
    layer = Layer(nn.Identity(), IF(reset="none", threshold=1e9), dropout=0.5, pool_input=nn.MaxPool2d(2))
    membrane = layer(torch.ones(1, 50, 2, 20, 20), torch.Generator().manual_seed(0)).membrane
    assert membrane.unique().tolist() == [0.0, 2.0]
    assert (membrane == 0).float().mean().item() == pytest.approx(0.5, abs=0.02)  # 10,000 draws


def test_dropout_of_fully_connected_layers_only() -> None:
    for dropout_conv in (True, False):
        model = convnet(dropout=0.3, dropout_conv=dropout_conv)
        drops = {name: layer.dropout for name, layer in model.layers.items()}
        assert drops == {"hidden1": 0.0, "hidden2": 0.3 * dropout_conv, "hidden3": 0.3, "output": 0.3}


def test_dropout_draws_from_its_generator_and_leaves_the_first_layer_alone() -> None:
    model, x = convnet(dropout=0.5), images(20).float()
    seeds = [model(x, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    before = torch.get_rng_state()
    assert torch.equal(seeds[0]["output"].membrane, seeds[1]["output"].membrane)
    assert not torch.equal(seeds[0]["output"].membrane, seeds[2]["output"].membrane)
    assert torch.equal(seeds[0]["hidden1"].membrane, seeds[2]["hidden1"].membrane)
    assert torch.equal(torch.get_rng_state(), before)
    model.eval()
    assert torch.equal(model(x)["output"].membrane, model(x)["output"].membrane)


def test_a_block_with_silent_neurons_passes_its_input_on() -> None:
    for connect, silent in (("add", True), ("iand", True), ("and", False)):
        model = residual(connect=connect, norm="batch", channels=[3], depth=1).eval()
        norm = model.get_submodule("layers.block1_2.norm")
        assert isinstance(norm, Norm)
        nn.init.zeros_(norm.weight)
        nn.init.constant_(norm.bias, -1.0 if silent else 99.0)
        means: list[Tensor] = []
        model.layers["output"].register_forward_pre_hook(lambda module, inputs, means=means: means.append(inputs[0]))
        traces = model(images().float())
        assert torch.equal(traces["block1_2"].spikes, torch.full_like(traces["block1_2"].spikes, 1 - silent))
        torch.testing.assert_close(means[0], traces["stem"].spikes.mean((3, 4)))
        assert traces["stem"].spikes.any()


def test_the_model_shows_how_it_runs() -> None:
    for make in (convnet, residual):
        for backend in ("fused", "reference"):
            layers = [module for module in make(backend=backend).modules() if isinstance(module, Layer)]
            assert {layer.backend for layer in layers} == {backend}


@pytest.mark.parametrize(
    ("make", "options", "refusal"),
    [
        (convnet, {"layers": ["12c5", "mp2", "12c5"]}, ("layers[2]", "one of 2x2", "at least 5x5", "12c5")),
        (convnet, {"layers": ["mp8", "mp2"]}, ("layers[1]", "one of 1x1", "at least 2x2", "mp2")),
        (convnet, {"layers": ["12c5", "foo"]}, ("layers[1]", "foo")),
        (convnet, {"shape": (64,)}, ("layers", "an input of shape [64]", "model=mlp")),
        (convnet, {"neurons": "conv"}, ("neurons", "conv", "'after_pool' or 'before_pool'")),
        (convnet, {"norm": "layer"}, ("norm", "layer", "'none' or 'batch' or 'tdbn'")),
        (convnet, {"tdbn_alpha": -1}, ("tdbn_alpha", -1, "above 0")),
        (convnet, {"bias": 1}, ("bias", 1, "true or false")),
        (convnet, {"norm_fc": None}, ("norm_fc", None, "true or false")),
        (convnet, {"layers": [], "dropout": 1.0}, ("dropout", 1.0, "at least 0 and below 1")),
        (residual, {"channels": []}, ("channels", [], "at least one stage")),
        (residual, {"channels": [0]}, ("channels[0]", 0, "whole number of at least 1")),
        (residual, {"depth": 0}, ("depth", 0, "whole number of at least 1")),
        (residual, {"connect": "or"}, ("connect", "or", "'add' or 'and' or 'iand'")),
        (residual, {"norm": None}, ("norm", None, "'none' or 'batch' or 'tdbn'")),
        (residual, {"bias": "yes"}, ("bias", "yes", "true or false")),
        (residual, {"shape": (64,)}, ("channels", "an input of shape [64]", "model=mlp")),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_by_name(
    make: Callable[..., Any], options: dict[str, Any], refusal: tuple[Any, ...]
) -> None:
    with refuses(*refusal) as error:
        make(**options)
    assert error.value.argument in options or "shape" in options
