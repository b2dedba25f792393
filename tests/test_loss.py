"""Losses and accuracies: snnTorch's and SpikingJelly's numbers, and hand-made cases."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import references
from references import tensor
from snnrun.loss import (
    CECount,
    CEMembrane,
    CERate,
    Loss,
    MeanSquare,
    MSECount,
    accuracy_by_count,
    accuracy_by_membrane,
    predict_by_count,
)

SAME: dict[str, Loss] = {
    "snntorch.ce_rate_loss/default": CERate(),
    "snntorch.ce_count_loss/default": CECount(),
    "snntorch.mse_count_loss/default": MSECount(),
    "snntorch.mse_count_loss/rates": MSECount(),
    "spikingjelly.temporal_efficient_training_cross_entropy/sequence": CEMembrane(every_step=True),
}


@pytest.mark.parametrize("identifier", SAME)
def test_a_peers_numbers_hold(identifier: str) -> None:
    entry = references.entry("losses", identifier)
    loss = SAME[identifier]
    if identifier.endswith("rates"):
        loss = MSECount(correct_rate=entry["params"]["correct_rate"], incorrect_rate=entry["params"]["incorrect_rate"])
    x = tensor(entry["input"]).requires_grad_()
    target = torch.tensor(entry["targets"])
    # A loss reads spikes or membranes; what it does not read must not matter.
    other = torch.full_like(x, torch.nan)
    value = loss(x, other, target) if entry["input_is"] == "spikes" else loss(other, x, target)
    if isinstance(loss, CEMembrane):
        value = value / len(x)  # the peer takes the mean over the steps, ours is the tutorial's sum
    (grad,) = torch.autograd.grad(value, x)
    torch.testing.assert_close(value.item(), entry["value"], rtol=1e-5, atol=0)
    torch.testing.assert_close(grad, tensor(entry["gradient"]), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("identifier", ["snntorch.accuracy_rate/clear_winners", "snntorch.accuracy_rate/ties"])
def test_accuracy_by_count(identifier: str) -> None:
    entry = references.entry("losses", identifier)
    spikes, target = tensor(entry["input"]), torch.tensor(entry["targets"])
    assert accuracy_by_count(spikes, target).item() == entry["value"]


def test_among_equals_the_lowest_index_wins() -> None:
    spikes = torch.zeros(4, 3, 1000)
    spikes[:2, 1, 500:] = 1
    spikes[0, 2, 7] = spikes[3, 2, 3] = 1
    assert predict_by_count(spikes).tolist() == [0, 500, 3]


def test_accuracy_by_membrane() -> None:
    membrane = torch.tensor([[[0.0, 3.0], [1.0, 0.0]], [[2.0, 0.0], [1.0, -5.0]]])  # sums [2, 3] and [2, -5]
    assert accuracy_by_membrane(membrane, torch.tensor([1, 1])).item() == 0.5
    loss = CEMembrane()
    assert loss.predict(torch.zeros_like(membrane), membrane).tolist() == [1, 0]
    assert CEMembrane(accuracy="count").predict(torch.zeros_like(membrane), membrane).tolist() == [0, 0]


def test_ce_membrane_summed_over_time_or_at_every_step() -> None:
    u = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([0, 3, 1])
    summed = F.cross_entropy(u.sum(0), target)
    every = torch.stack([F.cross_entropy(step, target) for step in u]).sum()
    torch.testing.assert_close(CEMembrane()(u, u, target), summed)
    torch.testing.assert_close(CEMembrane(every_step=True)(u, u, target), every)
    assert (summed - every).abs() > 0.1


def test_mean_square_needs_no_labels_and_ends_at_silence() -> None:
    spikes = torch.tensor([[[1.0, 0.0], [1.0, 1.0]]], requires_grad=True)
    value = MeanSquare()(spikes, spikes, None)
    assert value.item() == 0.75**2
    assert torch.autograd.grad(value, spikes)[0].unique().tolist() == [2 * 0.75 / 4]
    assert not MeanSquare.needs_labels
    assert CECount.needs_labels


@pytest.mark.parametrize("target", [None, torch.zeros(2), torch.zeros(2, dtype=torch.int32)])
def test_labels_are_asked_for(target: Tensor | None) -> None:
    with pytest.raises(ValueError, match=r"target: expected class labels \[B\] of int64"):
        CECount()(torch.zeros(3, 2, 5), torch.zeros(3, 2, 5), target)


def test_bad_arguments_are_refused_by_name() -> None:
    bad: Any = "spikes"
    with pytest.raises(ValueError, match="accuracy: expected 'count' or 'membrane', got 'spikes'"):
        CERate(accuracy=bad)
    with pytest.raises(ValueError, match="correct_rate: expected a number at least 0 and at most 1, got 2"):
        MSECount(correct_rate=2)
    with pytest.raises(ValueError, match="every_step: expected true or false, got 'spikes'"):
        CEMembrane(every_step=bad)
