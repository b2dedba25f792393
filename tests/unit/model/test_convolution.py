"""Convolutions of spikes with their pool in one pass: against torch's own, for every shape, and within a network."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snnrun.model import ConvNet, ExecutionPlan, Product, set_plan
from snnrun.model.products import convolution, convolution_code
from snnrun.model.products.convolution import Conv2d, pool_size
from snnrun.neuron import LIF, Synaptic

EVENTS = Product("default", 1.0)


class Case(NamedTuple):
    """Images ``[images, channels, height, width]``, and a convolution with a pool."""

    images: int
    channels: int
    height: int
    width: int
    outputs: int
    kernel: int | tuple[int, int]
    stride: int = 1
    padding: int = 0
    pool: int = 1


# With patterns if a row of the kernel covers 8 numbers or fewer, else with lists.
CASES = [
    Case(3, 1, 7, 6, 5, 3),
    Case(3, 1, 7, 6, 5, 3, padding=1, pool=2),
    Case(1, 2, 11, 9, 5, 3, stride=2, padding=1, pool=2),
    Case(2, 2, 7, 13, 3, 3, padding=2),
    Case(2, 8, 5, 5, 20, 1, pool=2),
    Case(2, 3, 12, 12, 17, 5, padding=2, pool=2),
    Case(4, 5, 9, 9, 200, 3, padding=1, pool=3),
    Case(2, 70, 5, 5, 3, 3, padding=2, pool=2),
    Case(2, 130, 4, 4, 3, 3, padding=1),
    Case(2, 3, 8, 10, 4, (3, 5), pool=2),
    Case(1, 9, 1, 1, 1, 1),
]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events also for small convolutions."""
    monkeypatch.setattr(convolution, "SMALL", 0)


@pytest.fixture(params=[False, True], ids=["256 bits", "512 bits"])
def vectors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The code for either kind of processor."""
    monkeypatch.setattr(convolution_code, "has_wide_vectors", lambda: request.param)
    convolution.functions.cache_clear()
    yield
    convolution.functions.cache_clear()


def spikes(*shape: int, share: float = 0.3, dtype: torch.dtype = torch.float64) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(shape[0])) < share).to(dtype)


def layer_of(case: Case, dtype: torch.dtype = torch.float64, product: Product = EVENTS, **options: Any) -> Conv2d:
    torch.manual_seed(1)
    layer = Conv2d(case.channels, case.outputs, case.kernel, case.stride, case.padding, **options).to(dtype)
    layer.product = product
    return layer


def input_of(case: Case, dtype: torch.dtype = torch.float64) -> Tensor:
    return spikes(case.images, case.channels, case.height, case.width, dtype=dtype)


def results(layer: Conv2d, x: Tensor, pool: nn.Module | None) -> list[Tensor]:
    """Output, and the gradients of input, weights and bias."""
    x = x.clone().requires_grad_()
    y = layer.pooled(x, pool)
    (y * torch.randn(y.shape, generator=torch.Generator().manual_seed(2), dtype=y.dtype)).sum().backward()
    return [y.detach(), *(each.grad for each in (x, *layer.parameters()) if each.grad is not None)]


def error(actual: Tensor, exact: Tensor) -> float:
    return ((actual - exact).abs().max() / exact.abs().max().clamp(min=1e-30)).item()


@pytest.mark.usefixtures("vectors")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_it_equals_torchs_convolution_and_pool(case: Case, dtype: torch.dtype) -> None:
    pool = nn.MaxPool2d(case.pool) if case.pool > 1 else None
    actual = results(layer_of(case, dtype), input_of(case, dtype), pool)
    exact = results(layer_of(case, dtype, Product()), input_of(case, dtype), pool)
    assert len(actual) == len(exact) == 4
    for each, other in zip(actual, exact, strict=True):
        assert each.shape == other.shape
        assert error(each, other) < (1e-5 if dtype == torch.float32 else 1e-12)


def test_without_a_bias_and_for_no_images() -> None:
    case = CASES[5]
    actual, exact = (
        results(layer_of(case, product=each, bias=False), input_of(case), nn.MaxPool2d(2))
        for each in (EVENTS, Product())
    )
    assert len(actual) == 3 and max(error(a, b) for a, b in zip(actual, exact, strict=True)) < 1e-12
    empty = results(layer_of(case), input_of(case)[:0], nn.MaxPool2d(2))
    assert empty[0].shape == (0, 17, 6, 6) and not empty[2].any()


def test_of_equal_positions_the_first_has_the_gradient_as_in_torch() -> None:
    case, pool = CASES[5], nn.MaxPool2d(2)
    x = torch.zeros_like(input_of(case))  # every position has the bias
    for actual, exact in zip(
        results(layer_of(case), x, pool), results(layer_of(case, product=Product()), x, pool), strict=True
    ):
        assert error(actual, exact) < 1e-12


def test_nan_of_the_weights_spreads_as_in_torch() -> None:
    case = CASES[1]
    outputs = []
    for product in (EVENTS, Product()):
        layer = layer_of(case, product=product)
        with torch.no_grad():
            layer.weight[2, 0, 1, 1] = float("nan")
            outputs.append(layer.pooled(torch.ones_like(input_of(case)), nn.MaxPool2d(2)))
    assert torch.equal(outputs[0].isnan(), outputs[1].isnan()) and outputs[0].isnan().any()


@pytest.mark.parametrize("case", [Case(37, 1, 20, 20, 6, 5, pool=2), Case(37, 6, 20, 20, 6, 3, pool=2)])
def test_the_number_of_threads_changes_no_bit(case: Case) -> None:
    by_threads, threads = [], torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            by_threads.append(results(layer_of(case, torch.float32), input_of(case, torch.float32), nn.MaxPool2d(2)))
    finally:
        torch.set_num_threads(threads)
    for other in by_threads[1:]:
        assert all(torch.equal(a, b) for a, b in zip(by_threads[0], other, strict=True))


@pytest.mark.parametrize("case", [CASES[0], CASES[1], CASES[5], CASES[8]])
def test_autocast_changes_nothing(case: Case) -> None:
    pool = nn.MaxPool2d(case.pool) if case.pool > 1 else None
    plain = results(layer_of(case, torch.float32), input_of(case, torch.float32), pool)
    with torch.autocast("cpu", torch.bfloat16):
        cast = results(layer_of(case, torch.float32), input_of(case, torch.float32), pool)
    assert all(torch.equal(a, b) for a, b in zip(plain, cast, strict=True))


def has_events(layer: Conv2d, x: Tensor, pool: nn.Module | None = None) -> bool:
    """True if the layer sums its events. If not, it equals torch's own to the bit."""
    y, own = layer.pooled(x, pool), nn.functional.conv2d
    uses_events, node = False, [y.grad_fn]
    while node:
        each = node.pop()
        uses_events = uses_events or type(each).__name__ == "_EventsBackward"
        node += [further for further, _ in each.next_functions if further is not None] if each is not None else []
    if not uses_events:
        assert layer.padding_mode == "zeros"
        expected = own(x, layer.weight, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups)
        assert torch.allclose(y, expected if pool is None else pool(expected), rtol=1e-5, atol=1e-6)
    return uses_events


def test_what_has_events(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(2, 4, 8, 8, 6, 3)
    x = input_of(case, torch.float32)
    few = Product("default", 0.4)
    assert has_events(layer_of(case, torch.float32, few), x)
    for other in (x * 0.5, 1 - x, x.index_fill(0, torch.tensor(1), 2.0)):  # values, and too many spikes
        assert not has_events(layer_of(case, torch.float32, few), other)
    assert not has_events(layer_of(case, torch.float32, Product("onednn", 0.0)), x)
    assert not has_events(layer_of(case, torch.float32, Product()), x)
    for options in ({"dilation": 2}, {"groups": 2}):
        assert not has_events(layer_of(case, torch.float32, few, **options), x)
    assert not has_events(layer_of(case._replace(padding=3), torch.float32, few), x), (
        "a row may see nothing but padding"
    )
    assert not has_events(layer_of(case._replace(padding="same"), torch.float32, few), x)  # type: ignore[arg-type]
    monkeypatch.setattr(convolution, "SMALL", 10_000_000)
    assert not has_events(layer_of(case, torch.float32, few), x)


def test_other_pools_follow_as_they_are() -> None:
    case = Case(2, 4, 9, 9, 6, 3)
    for pool in (
        nn.MaxPool2d(3, 2),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.MaxPool2d((1, 2)),
        nn.MaxPool2d(2, padding=1),
        nn.AvgPool2d(2),
        nn.Sequential(nn.MaxPool2d(2), nn.MaxPool2d(2)),
    ):
        assert pool_size(pool) is None
        actual, exact = (results(layer_of(case, product=each), input_of(case), pool) for each in (EVENTS, Product()))
        assert max(error(a, b) for a, b in zip(actual, exact, strict=True)) < 1e-12
        assert has_events(layer_of(case, product=EVENTS), input_of(case), pool)
    assert pool_size(None) is None
    assert [pool_size(nn.MaxPool2d(size)) for size in (1, 2, 3, (2, 2), 16)] == [None, 2, 3, 2, None]


def test_spikes_are_kept_in_half_of_their_size_and_only_the_pooled_output() -> None:
    case = Case(3, 8, 12, 12, 16, 3, pool=2)
    layer, sizes = layer_of(case, torch.float32), list[int]()

    def keep(tensor: Tensor) -> Tensor:
        sizes.append(0 if tensor is layer.weight else tensor.nbytes)
        return tensor

    x = input_of(case, torch.float32).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y = layer.pooled(x, nn.MaxPool2d(2))
    assert y.shape == (3, 16, 5, 5)
    assert sum(sizes) < 0.65 * x.nbytes + y.numel()


def learnt(shape: tuple[int, ...]) -> Synaptic:
    """Neurons with numbers of their own, in a layer of images."""
    neuron = Synaptic(0.8, 0.7, learn_alpha=True, learn_beta=True, per_neuron=True, shape=shape, threshold=0.2)
    with torch.no_grad():
        for parameter in neuron.parameters():
            parameter.add_(0.1 * torch.rand(parameter.shape, generator=torch.Generator().manual_seed(3)))
    return neuron


@pytest.mark.parametrize("membrane", [False, True])
@pytest.mark.parametrize("neuron", [functools.partial(LIF, 0.7, threshold=0.3), learnt], ids=["lif", "learnt"])
@pytest.mark.parametrize(
    "layers",
    [["4c3p1", "mp2", "5c3", "mp2", "fc20"], ["4c3", "5c3s2", "fc3"], ["3c3", "mp3", "fc5"], ["3c3", "ap2", "4c3"]],
)
def test_a_network_equals_its_definition(layers: list[str], neuron: Callable[..., Any], membrane: bool) -> None:
    torch.manual_seed(4)
    model = ConvNet((1, 14, 12), 3, neuron, layers=layers).double().train()
    definition = copy.deepcopy(model)
    set_plan(model, ExecutionPlan(membrane=membrane, spikes=membrane, product=EVENTS))
    set_plan(definition, ExecutionPlan(backend="reference"))
    x = spikes(5, 2, 1, 14, 12)
    actual, exact = list[Tensor](), list[Tensor]()
    for each, into in ((model, actual), (definition, exact)):
        traces = each(x)
        F.cross_entropy(traces["output"].membrane.sum(0), torch.tensor([0, 2])).backward()
        into += [traces["output"].membrane.detach(), *(p.grad for p in each.parameters() if p.grad is not None)]
        if membrane:
            into += [value for trace in traces.values() for value in (trace.spikes, trace.membrane)]
    assert traces["hidden1"].spikes.any()
    for a, b in zip(actual, exact, strict=True):
        assert a.shape == b.shape and (a - b).abs().max() <= 1e-9 * b.abs().max().clamp(min=1e-9)
