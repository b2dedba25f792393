"""Losses and scores of targets over time: what counts, and what does not."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from snnrun.loss import CESteps, MSESteps, outcome
from snnrun.task import NO_LABEL, Batch
from snnrun.training.metrics import Chance, Totals, share_correct

STEPS, BATCH, CLASSES = 9, 4, 3


def record(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    membrane = torch.randn(STEPS, BATCH, CLASSES, generator=generator)
    return (torch.rand(membrane.shape, generator=generator) < 0.4).float(), membrane


def labels(seed: int = 0) -> Tensor:
    """``[B, T]``; a third of the steps has none, and of the second sample all but one."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(0, CLASSES, (BATCH, STEPS), generator=generator)
    chosen[torch.rand(chosen.shape, generator=generator) < 1 / 3] = NO_LABEL
    chosen[1] = NO_LABEL
    chosen[1, 5] = 2
    return chosen


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, (1.0, 0.5, 3.0)])
def test_cross_entropy_equals_torchs_over_the_steps_that_have_a_label(
    smoothing: float, weights: tuple[float, ...] | None
) -> None:
    spikes, membrane = record()
    target = labels()
    flat = membrane.movedim(0, 1).flatten(0, 1), target.flatten()
    factor = None if weights is None else torch.tensor(weights)
    # torch spreads a class's weight over its smoothed target; ours is a factor of the whole step, as of a sample.
    each = F.cross_entropy(*flat, reduction="none", label_smoothing=smoothing, ignore_index=NO_LABEL)
    share = torch.ones(len(each)) if factor is None else factor[flat[1].clamp(min=0)]
    there = flat[1] != NO_LABEL
    expected = (each * share)[there].sum() / share[there].sum()
    loss = CESteps(smoothing=smoothing, class_weights=weights)
    torch.testing.assert_close(loss(spikes, membrane, target), expected)
    assert CESteps(reduction="sum", smoothing=smoothing)(spikes, membrane, target).item() == pytest.approx(
        each[there].sum().item(), rel=1e-6
    )


def test_what_lies_at_a_step_without_a_label_changes_nothing() -> None:
    """Neither the loss nor its gradient; a batch padded by such steps has the losses of its samples alone."""
    spikes, membrane = record()
    target, loss = labels(), CESteps()
    leaf = membrane.clone().requires_grad_()
    (grad,) = torch.autograd.grad(loss(spikes, leaf, target), leaf)
    missing = (target == NO_LABEL).T
    assert not grad[missing].any() and grad[~missing].any()
    other = torch.where(missing[..., None], torch.full_like(membrane, 1e4), membrane)
    assert torch.equal(loss.sample_losses(spikes, other, target), loss.sample_losses(spikes, membrane, target))
    lengths = (9, 6, 3, 7)
    padded = target.clone()
    for i, length in enumerate(lengths):
        padded[i, length:] = NO_LABEL
    together = loss.sample_losses(spikes, membrane, padded)
    for i, length in enumerate(lengths):
        alone = loss.sample_losses(spikes[:length, i : i + 1], membrane[:length, i : i + 1], padded[i : i + 1, :length])
        assert torch.equal(alone[0], together[i, :length])
        assert not together[i, length:].any()


def test_first_steps_can_be_left_out() -> None:
    spikes, membrane = record()
    target = labels()
    late = target.clone()
    late[:, :4] = NO_LABEL
    assert torch.equal(CESteps(skip_steps=4)(spikes, membrane, target), CESteps()(spikes, membrane, late))
    with pytest.raises(ValueError, match="skip_steps"):
        CESteps(skip_steps=STEPS)(spikes, membrane, target)


def test_a_batch_without_a_label_has_no_loss() -> None:
    spikes, membrane = record()
    nothing = torch.full((BATCH, STEPS), NO_LABEL)
    for loss in (CESteps(), CESteps(class_weights=(1.0, 2.0, 3.0)), CESteps(reduction="sum")):
        assert loss(spikes, membrane, nothing).item() == 0


@pytest.mark.parametrize("accuracy", ["membrane", "count"])
def test_accuracy_is_over_the_steps_that_have_a_label(accuracy: str) -> None:
    spikes, membrane = record()
    target = labels()
    loss = CESteps(accuracy=accuracy)
    prediction = loss.predict(spikes, membrane)
    assert torch.equal(prediction, (membrane if accuracy == "membrane" else spikes).argmax(2).T)
    correct, number = outcome(prediction, target).tolist()
    pairs = [(p, t) for p, t in zip(prediction.flatten().tolist(), target.flatten().tolist(), strict=True) if t >= 0]
    assert (correct, number) == (sum(p == t for p, t in pairs), len(pairs))
    totals = Totals()
    for i in range(BATCH):  # of a batch size of 1, whose batches have different numbers of labels
        totals.add(1.0, outcome(prediction[i : i + 1], target[i : i + 1]), 1)
    assert totals.scores().accuracy == correct / number == share_correct([correct, number], BATCH)


def test_chance_is_of_the_labels_that_are_there() -> None:
    chance, target = Chance(), labels()
    chance.add(Batch(torch.zeros(STEPS, BATCH, 1), target))
    counts = target[target >= 0].bincount()
    assert chance.share() == int(counts.max()) / int(counts.sum())


def test_mean_square_of_values_over_time() -> None:
    spikes, membrane = record()
    target = torch.randn(BATCH, STEPS, CLASSES, generator=torch.Generator().manual_seed(2))
    loss = MSESteps()
    ours = membrane.movedim(0, 1)
    torch.testing.assert_close(loss(spikes, membrane, target), F.mse_loss(ours, target))
    target[labels() == NO_LABEL] = math.nan
    there = ~target.isnan()
    leaf = membrane.clone().requires_grad_()
    value = loss(spikes, leaf, target)
    torch.testing.assert_close(value, ((ours - target)[there] ** 2).mean())
    (grad,) = torch.autograd.grad(value, leaf)
    assert torch.equal(grad.movedim(0, 1) != 0, there)
    totals = Totals()
    totals.add(value, outcome(loss.predict(spikes, membrane), target), BATCH)
    expected = [
        1 - ((y - z) ** 2).sum() / ((y - y.mean()) ** 2).sum()
        for y, z in ((target[..., c][there[..., c]], ours[..., c][there[..., c]]) for c in range(CLASSES))
    ]
    assert totals.scores().r2 == pytest.approx(torch.stack(expected).mean().item(), rel=1e-5)


OTHERS = (None, torch.zeros(BATCH).long(), torch.zeros(STEPS, BATCH).long(), torch.zeros(BATCH, 2))


@pytest.mark.parametrize("target", OTHERS)
def test_other_targets_are_refused(target: Tensor | None) -> None:
    with pytest.raises(ValueError, match="target"):
        CESteps()(*record(), target)
    with pytest.raises(ValueError, match="target"):
        MSESteps()(*record(), target)
