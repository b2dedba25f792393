"""Sums over an epoch: spikes of every neuron, losses that stay on the device."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from snnrun.sequence import Trace
from snnrun.training import metrics
from snnrun.training.metrics import Activity, Totals


def times_fired(spikes: Tensor) -> Tensor:
    return metrics.times_fired(Trace(spikes, spikes))


def spikes(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.3).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(
    "shape", [(3, 2, 1), (1, 1, 7), (4, 3, 5000), (6, 2, 3, 4, 5), (5, 0, 3), (3, 4, 0), (300, 2, 9)]
)
def test_every_spike_counts_once(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    s = spikes(*shape, dtype=dtype)
    count = times_fired(s)
    assert count.dtype == torch.int64
    assert torch.equal(count, s.long().sum((0, 1)))
    sizes = s * torch.tensor([-2.0, 0.25, 3.0, 2.0**-30]).to(dtype)[torch.randint(4, s.shape)]
    assert torch.equal(times_fired(sizes), count)


def test_strides_and_gradients_do_not_matter() -> None:
    s = spikes(6, 40, 33)
    assert torch.equal(times_fired(s.transpose(0, 1).contiguous().transpose(0, 1)), times_fired(s))
    assert torch.equal(times_fired(s[:1].expand(6, 40, 33)), 6 * times_fired(s[:1]))
    assert torch.equal(times_fired(s[..., ::2]), times_fired(s)[::2])
    assert torch.equal(times_fired(s.requires_grad_()), times_fired(s.detach()))


def test_threads_do_not_matter() -> None:
    s, before = spikes(20, 10, 900), torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert torch.equal(times_fired(s), s.long().sum((0, 1)))
    finally:
        torch.set_num_threads(before)


def test_what_was_counted_on_the_way_is_not_counted_again() -> None:
    s = spikes(20, 10, 900)
    assert torch.equal(metrics.times_fired(Trace(torch.zeros(0), s, s.sum(0))), times_fired(s))


def test_activity_adds_up_batches() -> None:
    activity, s = Activity({"quiet"}), spikes(4, 5, 6)
    for part in (s[:, :3], s[:, 3:]):
        activity.add({"loud": Trace(part, part), "quiet": Trace(part, part)})
    assert activity.summary()["loud"].firing_rate == pytest.approx(s.mean().item())
    assert list(activity.summary()) == ["loud"]


def test_a_loss_may_be_a_tensor_that_is_read_at_the_end() -> None:
    numbers, tensors = Totals(), Totals()
    for loss, samples in ((0.1, 3), (0.7, 2), (1e-9, 5)):
        value = torch.tensor(loss, requires_grad=True)
        numbers.add(value.item(), None, samples)
        tensors.add(value, None, samples)
    assert tensors.scores() == numbers.scores()
