"""How a linear layer's product is taken: the choice, each way against double precision, and what it may not change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnrun.config.settings import Settings
from snnrun.errors import ConfigError
from snnrun.model import ExecutionPlan, Linear, Product, plan_of, set_plan
from snnrun.model.products import events, product
from snnrun.training.records import StepRecord
from support.small import config_for, training

WAYS = [Product(), Product("onednn"), Product("default", 0.3), Product("onednn", 0.3)]


def spikes(*shape: int) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.2).float()


def linear(way: Product, inputs: int = 150, outputs: int = 70, bias: bool = True) -> Linear:
    torch.manual_seed(0)
    layer = Linear(inputs, outputs, bias=bias)
    set_plan(nn.Sequential(layer), ExecutionPlan(product=way))
    return layer


@pytest.fixture(autouse=True)
def every_product_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "SMALL", 0)


def record_ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows by the name of each fast product that is taken."""
    calls: list[str] = []
    real_events, real_onednn = events.product, product.DENSE["onednn"]

    def by_events(*arguments: Any) -> Tensor:
        calls.append("events")
        return real_events(*arguments)

    def by_onednn(*arguments: Any) -> Tensor:
        calls.append("onednn")
        return real_onednn(*arguments)

    monkeypatch.setattr(events, "product", by_events)
    monkeypatch.setattr(product, "_onednn", by_onednn)
    return calls


@pytest.mark.parametrize("kind", ["spikes", "values"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_values_and_gradients_against_double_precision(way: Product, bias: bool, kind: str) -> None:
    x = spikes(5, 9, 150) if kind == "spikes" else torch.rand(5, 9, 150)
    layer, grad = linear(way, bias=bias), torch.randn(5, 9, 70)
    exact = nn.Linear(150, 70, bias=bias).double()
    exact.load_state_dict({name: value.double() for name, value in layer.state_dict().items()})
    leaves = [x.clone().requires_grad_(), x.double().requires_grad_()]
    results = [layer(leaves[0]), exact(leaves[1])]
    results[0].backward(grad)
    results[1].backward(grad.double())
    torch.testing.assert_close(results[0].double(), results[1], rtol=1e-5, atol=2e-6)
    pairs = zip([leaves[0], *layer.parameters()], [leaves[1], *exact.parameters()], strict=True)
    for ours, theirs in pairs:
        assert ours.grad is not None and theirs.grad is not None
        torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("constant", ["weight", "bias"])
@pytest.mark.parametrize("way", WAYS[1:], ids=str)
def test_only_parameters_that_require_a_gradient_get_one(way: Product, constant: str) -> None:
    layer = linear(way)
    getattr(layer, constant).requires_grad_(False)
    layer(spikes(4, 3, 150)).sum().backward()
    assert getattr(layer, constant).grad is None
    expected = {"weight": 12.0, "bias": None}[constant]
    if expected is not None:
        assert layer.bias.grad is not None and torch.equal(layer.bias.grad, torch.full((70,), expected))
    else:
        assert layer.weight.grad is not None
        torch.testing.assert_close(layer.weight.grad[0], spikes(4, 3, 150).sum((0, 1)))


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_any_stride_and_no_rows(way: Product) -> None:
    layer, x = linear(way), spikes(5, 9, 150)
    expected = layer(x)
    torch.testing.assert_close(layer(x.transpose(0, 1).contiguous().transpose(0, 1)), expected)
    torch.testing.assert_close(layer(x[:1].expand(5, 9, 150)), expected[:1].expand(5, 9, 70))
    torch.testing.assert_close(layer(spikes(5, 9, 300)[..., ::2]), linear(Product())(spikes(5, 9, 300)[..., ::2]))
    empty = layer(torch.zeros(5, 0, 150))
    empty.sum().backward()
    assert empty.shape == (5, 0, 70) and layer.weight.grad is not None and not layer.weight.grad.any()


def test_what_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = record_ways(monkeypatch)
    linear(Product("onednn", 0.3))(spikes(4, 150))
    assert ways == ["events"]
    for x in (spikes(4, 150) * 0.5, 1 - spikes(4, 150)):  # values, and too many spikes
        ways.clear()
        linear(Product("onednn", 0.3))(x)
        assert ways == ["onednn"]
    ways.clear()
    linear(Product("onednn", 0.3), inputs=product.NARROW - 1)(torch.rand(4, product.NARROW - 1))
    assert ways == [], "oneDNN does not pay for few inputs"
    linear(Product("onednn", 0.3), outputs=product.FEW - 1)(spikes(4, 150))
    assert ways == ["onednn"], "events do not pay for few outputs"
    ways.clear()
    linear(Product())(spikes(4, 150))
    assert ways == []


def test_other_dtypes_autocast_and_small_products_are_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = record_ways(monkeypatch)
    way = Product("onednn", 0.3)
    for dtype in (torch.float64, torch.bfloat16):
        assert linear(way).to(dtype)(spikes(4, 150).to(dtype)).dtype == dtype
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(way)(spikes(4, 150)).dtype == torch.bfloat16
    monkeypatch.setattr(product, "SMALL", 10_000_000)
    x = spikes(4, 150)
    assert torch.equal(linear(way)(x), linear(Product())(x))
    assert ways == []


def test_spikes_are_kept_in_a_quarter_of_their_size() -> None:
    layer, x = linear(Product("default", 0.3), 1280, 70), spikes(50, 1280)
    sizes: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        sizes.append(0 if tensor is layer.weight else tensor.nbytes)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        layer(x)
    assert 0 < sum(sizes) < 0.27 * x.nbytes


def test_a_second_derivative_is_refused_not_wrong() -> None:
    for way in WAYS[1:]:
        layer, x = linear(way), spikes(4, 150).requires_grad_()
        (first,) = torch.autograd.grad((layer(x) ** 2).sum(), x, create_graph=True)
        with pytest.raises(RuntimeError, match="once_differentiable"):
            first.sum().backward()


def test_it_is_a_linear_layer_to_everything_else() -> None:
    layer, plain = linear(Product()), nn.Linear(150, 70)
    assert repr(layer) == repr(plain)
    assert layer.state_dict().keys() == plain.state_dict().keys()


def settings(**changes: Any) -> Settings:
    return Settings.from_config({**config_for(), **changes})


def test_the_settings_choose() -> None:
    assert plan_of(settings(matmul="onednn", events_below=0)).product == Product("onednn", 0.0)
    assert plan_of(settings(matmul="default", events_below=0.1)).product == Product("default", 0.1)
    assert plan_of(settings(backend="reference", matmul="onednn")).product == Product()


@pytest.mark.parametrize(("machine", "share"), [("x86_64", 0.3), ("AMD64", 0.3), ("arm64", 0.0), ("", 0.0)])
def test_events_by_default(machine: str, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert product.choose("default", "auto") == Product("default", share)


def seconds(onednn: float) -> dict[str, float]:
    return {"default": 1.0, "onednn": onednn}


@pytest.mark.parametrize(("ratio", "choice"), [(0.5, "onednn"), (0.9, "default"), (2.0, "default")])
def test_what_was_measured_once_is_kept(
    ratio: float, choice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNNRUN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(product, "measure", lambda: seconds(ratio))
    assert product.choose("auto", 0).dense == choice
    monkeypatch.setattr(product, "measure", lambda: seconds(1 / ratio))
    assert product.choose("auto", 0).dense == choice, "a second measurement could differ, and with it the results"
    (cache,) = tmp_path.iterdir()
    assert json.loads(cache.read_text())["choice"] == choice


@pytest.mark.parametrize("content", ["", "[]", '{"choice": "quick"}', "{"])
def test_a_damaged_cache_is_measured_anew(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNNRUN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(product, "measure", lambda: seconds(0.1))
    product.choose("auto", 0)
    (cache,) = tmp_path.iterdir()
    cache.write_text(content)
    assert product.choose("auto", 0).dense == "onednn"
    assert json.loads(cache.read_text())["choice"] == "onednn"


@pytest.mark.parametrize("target", ["snnrun.system.machine.processor", "torch.__version__"])
def test_another_processor_or_torch_is_measured_for_itself(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNNRUN_CACHE_DIR", str(tmp_path))
    for name in ("first", "second", "second"):
        monkeypatch.setattr(target, (lambda name=name: name) if "processor" in target else name)
        product.choose("auto", 0)
    assert len(list(tmp_path.iterdir())) == 2


def test_without_a_cache_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a file"
    file.touch()
    monkeypatch.setenv("SNNRUN_CACHE_DIR", str(file))
    monkeypatch.setattr(product, "measure", lambda: pytest.fail("measured"))
    assert product.choose("auto", 0).dense == "default"


def test_the_measurement_measures_every_product() -> None:
    assert measurement().keys() == product.DENSE.keys()
    assert all(0 < value < float("inf") for value in measurement().values())


def measurement() -> dict[str, float]:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    seconds_by_way = product.measure()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state), "a measurement draws from no stream of the run"
    return seconds_by_way


def test_onednn_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert product.choose("auto", 0).dense == "default"
    with pytest.raises(ConfigError, match=r"matmul: .* use matmul=default"):
        product.choose("onednn", 0)


@pytest.mark.parametrize("words", [("matmul=onednn",), ("events_below=1",), ("matmul=onednn", "events_below=1")])
def test_training_agrees(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    ways = record_ways(monkeypatch)
    shape = ("num_steps=5", "batch_size=16", "epochs=1", "model.hidden=[70]")
    plain = training(*shape, "matmul=default", "events_below=0").fit()
    assert ways == []
    fast = training(*shape, *words).fit()
    assert ways
    for ours, theirs in zip(fast, plain, strict=True):
        if isinstance(ours, StepRecord) and isinstance(theirs, StepRecord):
            assert ours.loss == pytest.approx(theirs.loss, rel=1e-4)
            assert ours.gradient_norm == pytest.approx(theirs.gradient_norm, rel=1e-3)
