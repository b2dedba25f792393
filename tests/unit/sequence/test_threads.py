"""The kernels' threads: several callers at once, and a fork, which other thread pools do not survive."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
from torch import Tensor

from snnrun.neuron import LIF
from snnrun.sequence import run
from snnrun.system import pool


def gradients(seed: int) -> list[Tensor]:
    neuron = LIF(0.9, learn_beta=True)
    x = torch.rand(20, 8, 600, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    trace, _ = run(neuron, x, backend="fused")
    return list(torch.autograd.grad(trace.spikes.sum() + trace.membrane.sum(), [x, *neuron.parameters()]))


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_several_callers_at_once() -> None:
    expected = [gradients(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as callers:
        found = list(callers.map(gradients, range(8)))
    for one, other in zip(expected, found, strict=True):
        assert all(map(torch.equal, one, other))


def note(seen: list[tuple[int, int]], low: int, high: int) -> None:
    seen.append((low, high))


def test_the_ranges_make_up_the_whole() -> None:
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            for lanes in (1, 15, 16, 17, 1000):
                seen: list[tuple[int, int]] = []
                pool.spread(partial(note, seen), lanes, 1 << 20, 16)
                assert sorted(i for low, high in seen for i in range(low, high)) == list(range(lanes))
                assert all(low % 16 == 0 for low, _ in seen)
                assert len(seen) <= threads
    finally:
        torch.set_num_threads(before)


def test_a_failure_in_another_thread_is_told() -> None:
    def work(low: int, high: int) -> None:
        if low:
            raise MemoryError("no room")

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(MemoryError, match="no room"):
            pool.spread(work, 64, 1 << 20, 16)
    finally:
        torch.set_num_threads(before)
