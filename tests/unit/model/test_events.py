"""Products with spikes by their events: against double precision, for every shape of list, block and stripe."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor

from snnrun.model.products import events
from snnrun.model.products.events import GROUP
from snnrun.model.products.events_code import BLOCK, LONGEST, TILE, WIDTH

# M, K, N: around the sizes of blocks, tiles and stripes.
SHAPES = [
    (1, 1, 1),
    (3, BLOCK - 1, 5),
    (2, BLOCK, WIDTH),
    (5, BLOCK + 1, WIDTH + 1),
    (TILE + 3, 2 * BLOCK + 7, 2 * WIDTH - 1),
    (3 * TILE, 40, 3 * WIDTH + 16),
    (BLOCK * 2 + 1, 300, 64),
    (3 * LONGEST + 5, (GROUP + 1) * BLOCK + 1, WIDTH + 3),
    (4 * LONGEST + 1, 30, 2),
]


def spikes(rows: int, columns: int, share: float) -> Tensor:
    return (torch.rand(rows, columns, generator=torch.Generator().manual_seed(rows)) < share).float()


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def error(result: Tensor, exact: Tensor) -> float:
    """The largest error, of the largest value."""
    return ((result.double() - exact).abs().max() / exact.abs().max().clamp(min=1e-30)).item()


def events_of(x: Tensor, most: float = 1.0) -> events.Events:
    some = events.find(x, most)
    assert some is not None
    return some


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_product_and_gradients(shape: tuple[int, int, int], share: float) -> None:
    rows, inputs, outputs = shape
    x, weight, bias, grad = spikes(rows, inputs, share), normal(outputs, inputs), normal(outputs), normal(rows, outputs)
    lists = events_of(x)
    assert error(events.product(lists, weight, bias), x.double() @ weight.double().t() + bias.double()) < 1e-6
    assert error(events.product(lists, weight, None), x.double() @ weight.double().t()) < 1e-6
    assert error(events.weight_gradient(lists, grad), grad.double().t() @ x.double()) < 1e-6


def test_it_rounds_no_worse_than_the_dense_product() -> None:
    x, weight, grad = spikes(1500, 784, 0.13), normal(200, 784), normal(1500, 200)
    lists = events_of(x)
    for ours, dense, exact in (
        (events.product(lists, weight, None), x @ weight.t(), x.double() @ weight.double().t()),
        (events.weight_gradient(lists, grad), grad.t() @ x, grad.double().t() @ x.double()),
    ):
        assert ((ours - exact) ** 2).mean() < 2 * ((dense - exact) ** 2).mean()


def test_no_rows() -> None:
    lists = events_of(torch.zeros(0, 5))
    assert events.product(lists, normal(3, 5), None).shape == (0, 3)
    assert torch.equal(events.weight_gradient(lists, torch.zeros(0, 3)), torch.zeros(3, 5))


@pytest.mark.parametrize("value", [0.5, 2.0, -1.0, 1 + 2**-23, 2.0**-149, float("nan"), float("inf"), -(2.0**-149)])
@pytest.mark.parametrize("place", [(0, 0), (6, 299), (3, 127), (3, 128)])
def test_a_value_that_is_no_spike_is_seen(value: float, place: tuple[int, int]) -> None:
    x = spikes(7, 300, 0.1)
    assert events.find(x, 1.0) is not None
    x[place] = value
    assert events.find(x, 1.0) is None


def test_a_negative_zero_is_no_spike_and_no_hindrance() -> None:
    x = spikes(4, 9, 0.5)
    assert torch.equal(events.product(events_of(x * 1.0 - 0.0), torch.eye(9), None), x)
    assert torch.equal(events.product(events_of(torch.where(x == 0, -0.0, x)), torch.eye(9), None), x)


def test_more_spikes_than_asked_for_are_none() -> None:
    x = torch.zeros(10, 10)
    x.view(-1)[:30] = 1
    assert events.find(x, 0.3) is not None
    assert events.find(x, 0.29) is None


def test_strides_do_not_matter() -> None:
    x, weight, grad = spikes(300, 70, 0.2), normal(90, 70), normal(300, 90)
    lists, turned = events_of(x), events_of(x.t().contiguous().t())
    assert torch.equal(events.product(lists, weight, None), events.product(turned, weight.t().contiguous().t(), None))
    ours, theirs = (events.weight_gradient(lists, g) for g in (grad, grad.t().contiguous().t()))
    assert torch.equal(ours, theirs)
    constant = torch.ones(1, 1).expand(300, 90)  # what the sum over all outputs sends back
    ours, theirs = (events.weight_gradient(lists, g) for g in (constant, constant.contiguous()))
    assert torch.equal(ours, theirs)


def everything(seed: int = 0) -> list[Tensor]:
    x, weight, grad = spikes(1200, 500, 0.1), normal(300, 500, seed=seed), normal(1200, 300)
    lists = events_of(x)
    return [events.product(lists, weight, None), events.weight_gradient(lists, grad)]


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_threads_change_no_bit(threads: int) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = everything()
        torch.set_num_threads(threads)
        assert all(torch.equal(a, b) for a, b in zip(alone, everything(), strict=True))
    finally:
        torch.set_num_threads(before)


def test_several_callers_at_once() -> None:
    before = torch.get_num_threads()
    expected = [everything(seed) for seed in range(3)]
    results: dict[int, list[Tensor]] = {}
    try:
        torch.set_num_threads(2)
        callers = [threading.Thread(target=lambda i=i: results.update({i: everything(i)})) for i in range(3)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    finally:
        torch.set_num_threads(before)
    for i, one in enumerate(expected):
        assert all(torch.equal(a, b) for a, b in zip(one, results[i], strict=True))
